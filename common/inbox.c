#include "common/inbox.h"

#include "common/mem.h"
#include "common/record.h"

static const char schema_sql[] =
    "CREATE TABLE IF NOT EXISTS inbox ("
    " handler TEXT NOT NULL, id TEXT NOT NULL, at TEXT NOT NULL,"
    " member TEXT, request_hash INTEGER, status INTEGER, answer TEXT, location TEXT,"
    " PRIMARY KEY (handler, id)) WITHOUT ROWID";
static const char forget_begun_sql[] =
    "DELETE FROM inbox WHERE status IS NULL AND request_hash IS NOT NULL AND member = ?";
static const char add_sql[] =
    "INSERT INTO inbox (handler, id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
static const char begin_sql[] = "INSERT INTO inbox (handler, id, at, member, request_hash)"
                                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
static const char find_sql[] =
    "SELECT request_hash, status, answer, location FROM inbox WHERE handler = ? AND id = ?";
static const char end_sql[] =
    "UPDATE inbox SET status = ?, answer = ?, location = ? WHERE handler = ? AND id = ?";
static const char forget_sql[] = "DELETE FROM inbox WHERE handler = ? AND id = ?";

enum err inbox_open(struct store *store, const char *member)
{
    const enum err err = store_exec_script(store, schema_sql);
    if (err != ERR_OK) {
        return err;
    }
    struct store_row *row = store_query(store, forget_begun_sql);
    store_bind_text(row, member);
    return store_run(row);
}

enum err inbox_add(struct store *store, const char *handler, const char *id, const char *at)
{
    struct store_row *row = store_query(store, add_sql);
    store_bind_text(row, handler);
    store_bind_text(row, id);
    store_bind_text(row, at);
    const enum err err = store_run(row);
    if (err != ERR_OK) {
        return err;
    }
    return store_changes(store) == 0 ? ERR_EXISTS : ERR_OK;
}

// The CRC and the size. A key belongs to one client, which has no reason to forge a
// second request for it.
static int64_t hash_of(struct bytes what)
{
    const uint64_t crc = record_crc32c(0, what.data, what.size);
    return (int64_t)(crc << 31 | (what.size & 0x7fffffff));
}

enum err inbox_begin_request(struct store *store, const char *handler, const char *key,
                             struct bytes what, const char *member, const char *at,
                             struct inbox_answer *answer)
{
    struct store_row *row = store_query(store, begin_sql);
    store_bind_text(row, handler);
    store_bind_text(row, key);
    store_bind_text(row, at);
    store_bind_text(row, member);
    store_bind_int(row, hash_of(what));
    enum err err = store_run(row);
    if (err != ERR_OK || store_changes(store) == 1) {
        return err;
    }

    row = store_query(store, find_sql);
    store_bind_text(row, handler);
    store_bind_text(row, key);
    err = store_next(row);
    if (err != ERR_OK) {
        return err;
    }
    if (store_int(row, 0) != hash_of(what)) {
        store_done(row);
        return ERR_CONFLICT;
    }
    *answer = (struct inbox_answer){
        .status = (int)store_int(row, 1),
        .body = mem_strdup(store_text(row, 2)),
        .location = mem_strdup(store_text(row, 3)),
    };
    store_done(row);
    return ERR_EXISTS;
}

enum err inbox_end_request(struct store *store, const char *handler, const char *key,
                           const struct inbox_answer *answer)
{
    struct store_row *row = store_query(store, end_sql);
    store_bind_int(row, answer->status);
    store_bind_text(row, answer->body);
    store_bind_text(row, answer->location);
    store_bind_text(row, handler);
    store_bind_text(row, key);
    return store_run(row);
}

enum err inbox_forget_request(struct store *store, const char *handler, const char *key)
{
    struct store_row *row = store_query(store, forget_sql);
    store_bind_text(row, handler);
    store_bind_text(row, key);
    return store_run(row);
}
