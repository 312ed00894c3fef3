#include "common/store.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

enum {
    STATEMENTS_MAX = 128
}; // prepared statements; a service has a few dozen

struct store_row {
    struct store *store; // borrowed
    const char *sql;     // the constant it was made of
    sqlite3_stmt *stmt;  // owned
    int bound;           // parameters bound so far
};

struct store {
    sqlite3 *db; // owned
    struct store_row rows[STATEMENTS_MAX];
    size_t rows_count;
    bool broken; // a statement of this transaction failed for good
};

static const char begin_sql[] = "BEGIN IMMEDIATE";
static const char commit_sql[] = "COMMIT";
static const char rollback_sql[] = "ROLLBACK";
static const char savepoint_sql[] = "SAVEPOINT input";
static const char release_sql[] = "RELEASE input";
static const char version_sql[] = "PRAGMA user_version";
static const char tables_sql[] = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"
                                 " AND name NOT LIKE 'sqlite_%'";
static const char rollback_to_sql[] = "ROLLBACK TO input";

// WAL and synchronous FULL: a commit is one append to the log and one sync, and
// survives power loss. The checkpoint is later than the default of 1000 pages,
// so that a burst does not pay for it several times a second.
static const char setup_sql[] = "PRAGMA journal_mode = WAL;"
                                "PRAGMA synchronous = FULL;"
                                "PRAGMA foreign_keys = ON;"
                                "PRAGMA wal_autocheckpoint = 4000;";

static enum err err_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return ERR_OK;
    case SQLITE_CONSTRAINT:
        return code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_UNIQUE ||
                       code == SQLITE_CONSTRAINT_ROWID
                   ? ERR_EXISTS
                   : ERR_CONFLICT;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_TIMEOUT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    default:
        return ERR_IO;
    }
}

// Two replicas that create the file at the same moment: SQLite does not wait for
// the lock when it switches to WAL, so we do.
static int setup(sqlite3 *db)
{
    const int64_t deadline_ms = clock_mono_ms() + STORE_BUSY_MS;
    int code = sqlite3_exec(db, setup_sql, NULL, NULL, NULL);
    while ((code & 0xff) == SQLITE_BUSY && clock_mono_ms() < deadline_ms) {
        sqlite3_sleep(10);
        code = sqlite3_exec(db, setup_sql, NULL, NULL, NULL);
    }
    return code;
}

enum err store_open(struct store **out, const char *path, char **problem)
{
    assert(out != NULL && path != NULL && problem != NULL);
    *out = NULL;
    *problem = NULL;
    struct store *self = mem_calloc(1, sizeof *self);

    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &self->db, flags, NULL);
    if (code == SQLITE_OK) {
        sqlite3_extended_result_codes(self->db, 1);
        sqlite3_busy_timeout(self->db, STORE_BUSY_MS);
        code = setup(self->db);
    }
    const enum err err = err_of(code);
    if (err != ERR_OK) {
        *problem = mem_format("cannot open the database %s: %s. %s",
                              path,
                              self->db == NULL ? "out of memory" : sqlite3_errmsg(self->db),
                              err == ERR_CORRUPT
                                  ? "The file is damaged: move it away, or put a copy back"
                                  : "Check that the folder exists, is writable and has space");
        goto out;
    }
    *out = self;
    self = NULL;

out:
    store_destroy(&self);
    return err;
}

enum err store_without_syncs(struct store *self)
{
    return store_exec_script(self, "PRAGMA synchronous = OFF");
}

void store_destroy(struct store **self_p)
{
    struct store *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < self->rows_count; i++) {
        sqlite3_finalize(self->rows[i].stmt);
    }
    sqlite3_close(self->db);
    free(self);
    *self_p = NULL;
}

enum err store_exec_script(struct store *self, const char *sql)
{
    return err_of(sqlite3_exec(self->db, sql, NULL, NULL, NULL));
}

// Notes what only a rollback of the whole transaction can mend.
static enum err outcome(struct store *self, int code)
{
    const enum err err = err_of(code);
    if (err != ERR_OK && err != ERR_EXISTS && err != ERR_CONFLICT) {
        self->broken = true;
    }
    return err;
}

static int64_t read_int(struct store *self, const char *sql)
{
    struct store_row *row = store_query(self, sql);
    const int64_t number = store_next(row) == ERR_OK ? store_int(row, 0) : -1;
    store_done(row);
    return number;
}

int64_t store_schema_version(struct store *self)
{
    return read_int(self, version_sql);
}

int64_t store_tables_count(struct store *self)
{
    return read_int(self, tables_sql);
}

enum err store_run(struct store_row *row)
{
    assert(row->bound == sqlite3_bind_parameter_count(row->stmt));
    const int code = sqlite3_step(row->stmt);
    sqlite3_reset(row->stmt);
    return outcome(row->store, code);
}

enum err store_begin(struct store *self)
{
    self->broken = false;
    return store_run(store_query(self, begin_sql));
}

void store_done_all(struct store *self)
{
    for (size_t i = 0; i < self->rows_count; i++) {
        if (sqlite3_stmt_busy(self->rows[i].stmt)) {
            sqlite3_reset(self->rows[i].stmt);
        }
    }
}

enum err store_commit(struct store *self)
{
    store_done_all(self);
    return store_run(store_query(self, commit_sql));
}

void store_rollback(struct store *self)
{
    store_done_all(self);
    // Some failures (disk full) have rolled back already.
    if (!sqlite3_get_autocommit(self->db)) {
        (void)store_run(store_query(self, rollback_sql));
    }
}

enum err store_savepoint(struct store *self)
{
    return store_run(store_query(self, savepoint_sql));
}

enum err store_release(struct store *self)
{
    return store_run(store_query(self, release_sql));
}

enum err store_rollback_to(struct store *self)
{
    const enum err err = store_run(store_query(self, rollback_to_sql));
    return err == ERR_OK ? store_run(store_query(self, release_sql)) : err;
}

bool store_is_broken(const struct store *self)
{
    return self->broken;
}

struct store_row *store_query(struct store *self, const char *sql)
{
    for (size_t i = 0; i < self->rows_count; i++) {
        struct store_row *row = &self->rows[i];
        if (row->sql == sql) {
            sqlite3_reset(row->stmt);
            row->bound = 0;
            return row;
        }
    }
    assert(self->rows_count < STATEMENTS_MAX);
    struct store_row *row = &self->rows[self->rows_count];
    *row = (struct store_row){.store = self, .sql = sql};
    const int code =
        sqlite3_prepare_v3(self->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &row->stmt, NULL);
    if (code != SQLITE_OK) {
        // A table that is gone, or a file that cannot be read: nothing that we could do next
        // would be right, and the next start tells more.
        log_error("the database is of no use any more",
                  LOG_STR("error", sqlite3_errmsg(self->db)),
                  LOG_STR("sql", sql));
        log_flush();
        abort();
    }
    self->rows_count++;
    return row;
}

static void bind_check(struct store_row *row, int code)
{
    if (code != SQLITE_OK) {
        fprintf(stderr, "parameter %d of \"%s\": %s\n", row->bound, row->sql, sqlite3_errstr(code));
        abort();
    }
}

void store_bind_text(struct store_row *row, const char *text)
{
    bind_check(row, sqlite3_bind_text(row->stmt, ++row->bound, text, -1, SQLITE_TRANSIENT));
}

void store_bind_int(struct store_row *row, int64_t number)
{
    bind_check(row, sqlite3_bind_int64(row->stmt, ++row->bound, number));
}

int64_t store_changes(const struct store *self)
{
    return sqlite3_changes64(self->db);
}

enum err store_next(struct store_row *row)
{
    assert(row->bound == sqlite3_bind_parameter_count(row->stmt));
    const int code = sqlite3_step(row->stmt);
    if (code == SQLITE_ROW) {
        return ERR_OK;
    }
    sqlite3_reset(row->stmt);
    return code == SQLITE_DONE ? ERR_NOT_FOUND : outcome(row->store, code);
}

void store_done(struct store_row *row)
{
    sqlite3_reset(row->stmt);
}

const char *store_text(struct store_row *row, int column)
{
    return (const char *)sqlite3_column_text(row->stmt, column);
}

int64_t store_int(struct store_row *row, int column)
{
    return sqlite3_column_int64(row->stmt, column);
}

bool store_is_null(struct store_row *row, int column)
{
    return sqlite3_column_type(row->stmt, column) == SQLITE_NULL;
}

const char *store_last_error(const struct store *self)
{
    return sqlite3_errmsg(self->db);
}

int64_t store_last_id(const struct store *self)
{
    return sqlite3_last_insert_rowid(self->db);
}
