#include "common/inbox.h"

#include "common/mem.h"
#include "common/record.h"

// number grows in the order of handling: the write lock of a transaction orders the
// batches of replicas as well.
static const char schema_sql[] =
    "CREATE TABLE IF NOT EXISTS inbox ("
    " number INTEGER PRIMARY KEY,"
    " handler TEXT NOT NULL, id TEXT NOT NULL, at TEXT NOT NULL,"
    " member TEXT, request_hash INTEGER, status INTEGER, answer TEXT, location TEXT,"
    " UNIQUE (handler, id))";
#define CUT " WHERE status IS NULL AND request_hash IS NOT NULL AND member = ?1"
static const char end_cut_sql[] =
    "UPDATE inbox SET status = ?3, answer = ?4" CUT " AND handler = ?2";
static const char forget_cut_sql[] = "DELETE FROM inbox" CUT;
static const char add_sql[] =
    "INSERT INTO inbox (handler, id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
static const char begin_sql[] = "INSERT INTO inbox (handler, id, at, member, request_hash)"
                                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
static const char find_sql[] =
    "SELECT request_hash, status, answer, location FROM inbox WHERE handler = ? AND id = ?";
static const char end_sql[] =
    "UPDATE inbox SET status = ?3, answer = ?4, location = ?5 WHERE handler = ?1 AND id = ?2";
static const char forget_sql[] = "DELETE FROM inbox WHERE handler = ? AND id = ?";

enum err inbox_open(struct store *store)
{
    return store_exec_script(store, schema_sql);
}

// A statement whose first two parameters are two texts, mostly the key of a row.
static struct store_row *query_key(struct store *store, const char *sql, const char *handler,
                                   const char *id)
{
    struct store_row *row = store_query(store, sql);
    store_bind_text(row, handler);
    store_bind_text(row, id);
    return row;
}

enum err inbox_add(struct store *store, const char *handler, const char *id, const char *at)
{
    struct store_row *row = query_key(store, add_sql, handler, id);
    store_bind_text(row, at);
    const enum err err = store_run(row);
    return err == ERR_OK && store_changes(store) == 0 ? ERR_EXISTS : err;
}

// The CRC and the size. A key belongs to one client, which has no reason to forge a
// second request for it.
static int64_t hash_of(struct bytes what)
{
    const uint64_t crc = record_crc32c(0, what.data, what.size);
    return (int64_t)(crc << 31 | (what.size & 0x7fffffff));
}

enum err inbox_begin_request(struct store *store, const struct inbox_claim *claim,
                             struct inbox_answer *answer)
{
    const int64_t hash = hash_of(claim->what);
    struct store_row *row = query_key(store, begin_sql, claim->handler, claim->key);
    store_bind_text(row, claim->at);
    store_bind_text(row, claim->member);
    store_bind_int(row, hash);
    enum err err = store_run(row);
    if (err != ERR_OK || store_changes(store) == 1) {
        return err;
    }
    row = query_key(store, find_sql, claim->handler, claim->key);
    err = store_next(row);
    if (err != ERR_OK) {
        return err;
    }
    if (store_int(row, 0) != hash) {
        store_done(row);
        return ERR_CONFLICT;
    }
    *answer = (struct inbox_answer){
        (int)store_int(row, 1), mem_strdup(store_text(row, 2)), mem_strdup(store_text(row, 3))};
    store_done(row);
    return ERR_EXISTS;
}

enum err inbox_end_request(struct store *store, const char *handler, const char *key,
                           const struct inbox_answer *answer)
{
    struct store_row *row = query_key(store, end_sql, handler, key);
    store_bind_int(row, answer->status);
    store_bind_text(row, answer->body);
    store_bind_text(row, answer->location);
    return store_run(row);
}

enum err inbox_forget_request(struct store *store, const char *handler, const char *key)
{
    return store_run(query_key(store, forget_sql, handler, key));
}

enum err inbox_end_cut(struct store *store, const char *member, const char *handler,
                       const struct inbox_answer *answer)
{
    struct store_row *row = query_key(store, end_cut_sql, member, handler);
    store_bind_int(row, answer->status);
    store_bind_text(row, answer->body);
    return store_run(row);
}

enum err inbox_forget_cut(struct store *store, const char *member)
{
    struct store_row *row = store_query(store, forget_cut_sql);
    store_bind_text(row, member);
    return store_run(row);
}
