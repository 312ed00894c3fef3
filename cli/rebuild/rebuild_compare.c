#include "cli/rebuild/rebuild_compare.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/mem.h"

enum {
    FIRST_ROWS_MAX = 5,
    UNDONE_ROWS_MAX = 10
};

// --- SQL that is put together

// Appends sql with $ replaced by the name of a database; '$ is a path into JSON.
static void put_sql(struct buf *out, const char *sql, const char *database)
{
    for (const char *at = sql; *at != '\0'; at++) {
        if (*at == '$' && (at == sql || at[-1] != '\'')) {
            buf_put_text(out, database);
        } else {
            buf_put(out, at, 1);
        }
    }
}

// The rows of a table in one database, as key k and what must be the same, v.
static void put_rows(struct buf *out, const struct rebuild_table *table, const char *database)
{
    buf_printf(out, "SELECT %s AS k, json_object(", table->key);
    const char *gap = "";
    for (const struct rebuild_column *column = table->columns; column->name != NULL; column++) {
        if (column->may_differ == NULL) {
            buf_printf(out, "%s'%s', t.%s", gap, column->name, column->name);
            gap = ", ";
        }
    }
    buf_put_text(out, ") AS v FROM ");
    put_sql(out, table->from, database);
}

static void put_difference(struct buf *out, const struct rebuild_table *table, const char *one,
                           const char *other)
{
    put_rows(out, table, one);
    buf_put_text(out, " EXCEPT ");
    put_rows(out, table, other);
}

// --- the database

// The rebuilt database and the plan are of our own making. So unless the machine is to
// blame the living one is: a table or a column is not there, a row breaks a rule.
static enum err fail(sqlite3 *db, char **problem)
{
    const int code = sqlite3_errcode(db);
    const bool is_living =
        code == SQLITE_ERROR || code == SQLITE_CONSTRAINT || code == SQLITE_CORRUPT;
    if (*problem == NULL) {
        *problem = mem_format("%s: %s",
                              is_living ? "the living database is not as this version makes it"
                                        : "cannot compare the databases",
                              sqlite3_errmsg(db));
    }
    return is_living ? ERR_CONFLICT : ERR_IO;
}

static enum err run(sqlite3 *db, const char *sql, char **problem)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? ERR_OK : fail(db, problem);
}

static enum err prepare(sqlite3 *db, const struct buf *sql, sqlite3_stmt **out, char **problem)
{
    const int code = sqlite3_prepare_v2(db, (const char *)sql->data, (int)sql->size, out, NULL);
    return code == SQLITE_OK ? ERR_OK : fail(db, problem);
}

// Runs a query of one number; sql is released.
static enum err read_number(sqlite3 *db, struct buf *sql, int64_t *out, char **problem)
{
    sqlite3_stmt *stmt = NULL;
    enum err err = prepare(db, sql, &stmt, problem);
    if (err == ERR_OK && sqlite3_step(stmt) != SQLITE_ROW) {
        err = fail(db, problem);
    }
    *out = err == ERR_OK ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_finalize(stmt);
    buf_release(sql);
    return err;
}

static enum err attach(sqlite3 *db, const char *path, const char *name, char **problem)
{
    if (path == NULL) {
        return ERR_OK;
    }
    char *sql = sqlite3_mprintf("ATTACH %Q AS %s", path, name);
    const enum err err = run(db, sql, problem);
    sqlite3_free(sql);
    return err;
}

static enum err open_files(const struct rebuild_files *files, sqlite3 **out, char **problem)
{
    const int code = sqlite3_open_v2(files->rebuilt, out, SQLITE_OPEN_READWRITE, NULL);
    enum err err = code == SQLITE_OK ? ERR_OK : fail(*out, problem);
    if (err == ERR_OK) {
        err = attach(*out, files->plan, "plan", problem);
    }
    return err == ERR_OK ? attach(*out, files->living, "living", problem) : err;
}

// --- one table

static enum err count_rows(sqlite3 *db, const struct rebuild_table *table, const char *database,
                           const char *member, cJSON *json, char **problem)
{
    struct buf sql = {0};
    int64_t count = 0;
    buf_put_text(&sql, "SELECT count(*) FROM ");
    put_sql(&sql, table->from, database);
    const enum err err = read_number(db, &sql, &count, problem);
    cJSON_AddNumberToObject(json, member, (double)count);
    return err;
}

static enum err carry_rows(sqlite3 *db, const struct rebuild_table *table, cJSON *json,
                           char **problem)
{
    const enum err err = table->carry == NULL ? ERR_OK : run(db, table->carry, problem);
    const int rows = table->carry == NULL ? 0 : sqlite3_changes(db);
    cJSON_AddNumberToObject(json, "carried", rows);
    return err;
}

static void add_value(cJSON *object, const char *name, const unsigned char *text)
{
    cJSON *value = text == NULL ? cJSON_CreateNull() : cJSON_Parse((const char *)text);
    cJSON_AddItemToObject(object, name, value == NULL ? cJSON_CreateNull() : value);
}

// The rows that are not the same, by their keys.
static enum err find_differing(sqlite3 *db, const struct rebuild_table *table, cJSON *json,
                               int64_t *count, char **problem)
{
    struct buf sql = {0};
    buf_put_text(&sql,
                 "SELECT k, max(l), max(r), count(*) OVER () FROM (SELECT k, v AS l, NULL AS r"
                 " FROM (");
    put_difference(&sql, table, "living", "main");
    buf_put_text(&sql, ") UNION ALL SELECT k, NULL, v FROM (");
    put_difference(&sql, table, "main", "living");
    buf_printf(&sql, ")) GROUP BY k ORDER BY k LIMIT %d", FIRST_ROWS_MAX);
    sqlite3_stmt *stmt = NULL;
    enum err err = prepare(db, &sql, &stmt, problem);
    cJSON *first = cJSON_CreateArray();
    int code = SQLITE_DONE;
    *count = 0;
    while (err == ERR_OK && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "key", (const char *)sqlite3_column_text(stmt, 0));
        add_value(row, "living", sqlite3_column_text(stmt, 1));
        add_value(row, "rebuilt", sqlite3_column_text(stmt, 2));
        cJSON_AddItemToArray(first, row);
        *count = sqlite3_column_int64(stmt, 3);
    }
    if (err == ERR_OK && code != SQLITE_DONE) {
        err = fail(db, problem);
    }
    sqlite3_finalize(stmt);
    buf_release(&sql);
    cJSON_AddNumberToObject(json, "differing", (double)*count);
    cJSON_AddItemToObject(json, "first", first);
    return err;
}

static enum err compare_table(sqlite3 *db, const struct rebuild_table *table, bool has_living,
                              cJSON *json, int64_t *differing, char **problem)
{
    cJSON_AddStringToObject(json, "table", table->name);
    enum err err = ERR_OK;
    if (has_living) {
        err = count_rows(db, table, "living", "living", json, problem);
    }
    if (err == ERR_OK && has_living) {
        err = carry_rows(db, table, json, problem);
    }
    if (err == ERR_OK) {
        err = count_rows(db, table, "main", "rebuilt", json, problem);
    }
    int64_t count = 0;
    if (err == ERR_OK && has_living) {
        err = find_differing(db, table, json, &count, problem);
    }
    *differing += count;
    return err;
}

enum err rebuild_compare(const struct rebuild_service *service, const struct rebuild_files *files,
                         cJSON **out, int64_t *differing, char **problem)
{
    sqlite3 *db = NULL;
    cJSON *tables = cJSON_CreateArray();
    *differing = 0;
    *problem = NULL;
    enum err err = open_files(files, &db, problem);
    err = err == ERR_OK ? run(db, "BEGIN IMMEDIATE", problem) : err;
    const size_t count = service->tables_count + rebuild_common_tables_count;
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        const struct rebuild_table *table = i < service->tables_count
                                                ? &service->tables[i]
                                                : &rebuild_common_tables[i - service->tables_count];
        cJSON *json = cJSON_CreateObject();
        cJSON_AddItemToArray(tables, json);
        err = compare_table(db, table, files->living != NULL, json, differing, problem);
    }
    err = err == ERR_OK ? run(db, "COMMIT", problem) : err;
    sqlite3_close(db);
    if (err != ERR_OK) {
        cJSON_Delete(tables);
        tables = NULL;
    }
    *out = tables;
    return err;
}

// --- what is left

enum err rebuild_undone(const char *plan, bool is_odd, cJSON **out, int64_t *count, int64_t *first,
                        char **problem)
{
    static const char sql[] =
        "SELECT offset, topic, key, why, count(*) OVER (), min(offset) OVER () FROM undone"
        " WHERE is_odd = ? ORDER BY number LIMIT ?";
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    cJSON *events = cJSON_CreateArray();
    *count = 0;
    *first = INT64_MAX;
    *problem = NULL;
    int code = sqlite3_open_v2(plan, &db, SQLITE_OPEN_READWRITE, NULL);
    code = code == SQLITE_OK ? sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) : code;
    if (code == SQLITE_OK) {
        sqlite3_bind_int(stmt, 1, is_odd);
        sqlite3_bind_int(stmt, 2, UNDONE_ROWS_MAX);
        while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
            cJSON *event = cJSON_CreateObject();
            cJSON_AddNumberToObject(event, "offset", (double)sqlite3_column_int64(stmt, 0));
            cJSON_AddStringToObject(event, "topic", (const char *)sqlite3_column_text(stmt, 1));
            cJSON_AddStringToObject(event, "key", (const char *)sqlite3_column_text(stmt, 2));
            cJSON_AddStringToObject(event, "why", (const char *)sqlite3_column_text(stmt, 3));
            cJSON_AddItemToArray(events, event);
            *count = sqlite3_column_int64(stmt, 4);
            *first = sqlite3_column_int64(stmt, 5);
        }
    }
    const enum err err = code == SQLITE_DONE ? ERR_OK : fail(db, problem);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    *out = events;
    return err;
}
