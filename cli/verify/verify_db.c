#include "cli/verify/verify_db.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/verify/verify_house.h"
#include "common/mem.h"
#include "common/service.h"

enum {
    BUSY_MS = 10000,       // a service that recovers its database has it for itself
    OWN_CACHE_KIB = 32768, // of the temporary file
    CACHE_KIB = 4096,      // of each database
};

struct verify_db {
    sqlite3 *db;   // owned
    char *problem; // owned
};

struct verify_row {
    struct verify_db *db; // borrowed
    sqlite3_stmt *stmt;   // owned
    int bound;
};

// In which order the snapshots are taken, within a millisecond or so while the stack
// runs. First those who begin orders and transfers and who end them: what had its end in
// their snapshot had been carried out, or undone, over the chain of HTTP calls before the
// others are looked at. Payment stands before the ledger, which it calls.
static const char *const order_of_looking[VERIFY_SERVICES] = {
    "order", "transfer", "inventory", "payment", "fraud", "ledger", "notification"};

// --- opening

static enum err fail(struct verify_db *self, const char *what)
{
    free(self->problem);
    self->problem = mem_format("%s: %s", what, sqlite3_errmsg(self->db));
    const int code = sqlite3_errcode(self->db) & 0xff;
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? ERR_CORRUPT : ERR_IO;
}

enum err verify_db_run(struct verify_db *self, const char *sql)
{
    return sqlite3_exec(self->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? ERR_OK
               : fail(self, "cannot compare the databases");
}

// A file name as a URI: what means something in one is escaped.
static char *uri_of(const char *path)
{
    struct buf uri = {0};
    buf_put_text(&uri, "file:");
    for (; *path != '\0'; path++) {
        if (strchr("?#%", *path) != NULL) {
            buf_printf(&uri, "%%%02x", (unsigned)(unsigned char)*path);
        } else {
            buf_put_u8(&uri, (uint8_t)*path);
        }
    }
    buf_put_text(&uri, "?mode=ro");
    buf_put_u8(&uri, 0);
    return (char *)uri.data;
}

static enum err attach(struct verify_db *self, const char *data, const char *service)
{
    char *path = mem_format("%s/%s/%s.db", data, service, service);
    char *uri = uri_of(path);
    enum err err = ERR_NOT_FOUND;
    if (access(path, F_OK) != 0) {
        self->problem = mem_format("%s has no database: there is no %s", service, path);
        goto out;
    }
    char *sql = sqlite3_mprintf(
        "ATTACH %Q AS \"%w\"; PRAGMA \"%w\".cache_size = -%d", uri, service, service, CACHE_KIB);
    if (sqlite3_exec(self->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        err = fail(self, path);
    } else {
        err = ERR_OK;
    }
    sqlite3_free(sql);

out:
    free(uri);
    free(path);
    return err;
}

// The first reading pins the snapshot.
static enum err look_at(struct verify_db *self, const char *service)
{
    char *sql = mem_format("PRAGMA \"%s\".user_version", service);
    struct verify_row *row = verify_db_query(self, sql);
    free(sql);
    enum err err = row == NULL ? ERR_IO : verify_row_next(row);
    const long long version = err == ERR_OK ? (long long)verify_row_int(row, 0) : 0;
    verify_row_done(&row);
    if (err == ERR_OK && version != SERVICE_SCHEMA_VERSION) {
        free(self->problem);
        self->problem = mem_format("the database of %s is not of this version of Faultline: its "
                                   "schema is %lld, not %d",
                                   service,
                                   version,
                                   SERVICE_SCHEMA_VERSION);
        err = ERR_CONFLICT;
    }
    return err;
}

static enum err open_all(struct verify_db *self, const char *data)
{
    // One thread, and nobody asks how much memory there is: without these SQLite locks and
    // counts for each page. They are refused, and not needed, when it is in use already.
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    // No name: a file of our own that is gone with us.
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
    if (sqlite3_open_v2("", &self->db, flags, NULL) != SQLITE_OK) {
        return fail(self, "cannot open a temporary database");
    }
    sqlite3_busy_timeout(self->db, BUSY_MS);
    char *setup = mem_format("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                             "PRAGMA temp_store = FILE; PRAGMA cache_size = -%d",
                             OWN_CACHE_KIB);
    enum err err = verify_db_run(self, setup);
    free(setup);
    for (size_t i = 0; i < VERIFY_SERVICES && err == ERR_OK; i++) {
        err = attach(self, data, order_of_looking[i]);
    }
    if (err == ERR_OK) {
        err = verify_db_run(self, "BEGIN");
    }
    for (size_t i = 0; i < VERIFY_SERVICES && err == ERR_OK; i++) {
        err = look_at(self, order_of_looking[i]);
    }
    return err;
}

enum err verify_db_open(struct verify_db **out, const char *data, char **problem)
{
    *out = NULL;
    *problem = NULL;
    struct verify_db *self = mem_calloc(1, sizeof *self);
    const enum err err = open_all(self, data);
    if (err == ERR_OK) {
        *out = self;
        self = NULL; // handed to the caller
    } else {
        *problem = self->problem;
        self->problem = NULL;
    }
    verify_db_destroy(&self);
    return err;
}

void verify_db_destroy(struct verify_db **self_p)
{
    struct verify_db *self = *self_p;
    if (self == NULL) {
        return;
    }
    sqlite3_close(self->db);
    free(self->problem);
    free(self);
    *self_p = NULL;
}

const char *verify_db_problem(const struct verify_db *self)
{
    return self->problem == NULL ? "it cannot be told why" : self->problem;
}

// --- functions

struct function {
    verify_number_of *function;
    void *context; // borrowed
};

static void call_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    const struct function *function = sqlite3_user_data(context);
    const char *texts[VERIFY_TEXTS_MAX] = {NULL};
    for (int i = 0; i < count; i++) {
        texts[i] = (const char *)sqlite3_value_text(values[i]);
    }
    const int64_t number = function->function(function->context, texts);
    if (number >= 0) {
        sqlite3_result_int64(context, number);
    } else {
        sqlite3_result_null(context);
    }
}

void verify_db_add_function(struct verify_db *self, const char *name, int texts_count,
                            verify_number_of *function, void *context)
{
    assert(texts_count <= VERIFY_TEXTS_MAX);
    struct function *copy = mem_calloc(1, sizeof *copy);
    *copy = (struct function){function, context};
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
    const int code = sqlite3_create_function_v2(
        self->db, name, texts_count, flags, copy, call_function, NULL, NULL, free);
    assert(code == SQLITE_OK);
    (void)code;
}

// --- rows

struct verify_row *verify_db_query(struct verify_db *self, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(self->db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        (void)fail(self, "cannot compare the databases");
        return NULL;
    }
    struct verify_row *row = mem_calloc(1, sizeof *row);
    *row = (struct verify_row){.db = self, .stmt = stmt};
    return row;
}

void verify_row_bind_text(struct verify_row *row, const char *text)
{
    const int code = sqlite3_bind_text(row->stmt, ++row->bound, text, -1, SQLITE_TRANSIENT);
    assert(code == SQLITE_OK);
    (void)code;
}

void verify_row_bind_int(struct verify_row *row, int64_t number)
{
    const int code = sqlite3_bind_int64(row->stmt, ++row->bound, number);
    assert(code == SQLITE_OK);
    (void)code;
}

enum err verify_row_next(struct verify_row *row)
{
    const int code = sqlite3_step(row->stmt);
    if (code == SQLITE_ROW) {
        return ERR_OK;
    }
    const enum err err =
        code == SQLITE_DONE ? ERR_NOT_FOUND : fail(row->db, "cannot read the databases");
    sqlite3_reset(row->stmt);
    row->bound = 0;
    return err;
}

const char *verify_row_text(struct verify_row *row, int column)
{
    return (const char *)sqlite3_column_text(row->stmt, column);
}

int64_t verify_row_int(struct verify_row *row, int column)
{
    return sqlite3_column_int64(row->stmt, column);
}

int verify_row_columns(struct verify_row *row)
{
    return sqlite3_column_count(row->stmt);
}

void verify_row_done(struct verify_row **row_p)
{
    struct verify_row *row = *row_p;
    if (row == NULL) {
        return;
    }
    sqlite3_finalize(row->stmt);
    free(row);
    *row_p = NULL;
}
