#include "services/fraud/fraud_store.h"

#include "services/row.h"

const char fraud_store_schema[] =
    "CREATE TABLE IF NOT EXISTS decisions ("
    "  subject TEXT PRIMARY KEY,"
    "  customer_id TEXT NOT NULL,"
    "  time_us INTEGER NOT NULL,"
    "  reason TEXT NOT NULL," // '' when cleared
    "  decided_at TEXT NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS decisions_by_customer ON decisions (customer_id, time_us);";

static const char find_sql[] =
    "SELECT customer_id, time_us, reason, decided_at FROM decisions WHERE subject = ?";

static const char insert_sql[] =
    "INSERT INTO decisions (subject, customer_id, time_us, reason, decided_at)"
    " VALUES (?, ?, ?, ?, ?)";

static const char count_sql[] = "SELECT COUNT(*) FROM (SELECT 1 FROM decisions"
                                " WHERE customer_id = ? AND time_us > ? AND time_us <= ? LIMIT ?)";

enum err fraud_store_find(struct store *store, const char *subject, struct fraud_decision *out)
{
    struct store_row *row = store_query(store, find_sql);
    store_bind_text(row, subject);
    const enum err err = store_next(row);
    if (err != ERR_OK) {
        return err;
    }
    row_copy(row, 0, out->customer_id, sizeof out->customer_id);
    out->time_us = store_int(row, 1);
    row_copy(row, 2, out->reason, sizeof out->reason);
    row_copy(row, 3, out->decided_at, sizeof out->decided_at);
    store_done(row);
    return ERR_OK;
}

enum err fraud_store_insert(struct store *store, const char *subject,
                            const struct fraud_decision *decision)
{
    struct store_row *row = store_query(store, insert_sql);
    ROW_BIND_TEXTS(row, subject, decision->customer_id);
    store_bind_int(row, decision->time_us);
    ROW_BIND_TEXTS(row, decision->reason, decision->decided_at);
    return store_run(row);
}

enum err fraud_store_count(struct store *store, const char *customer_id, int64_t after_us,
                           int64_t until_us, int64_t max, int64_t *out)
{
    struct store_row *row = store_query(store, count_sql);
    store_bind_text(row, customer_id);
    store_bind_int(row, after_us);
    store_bind_int(row, until_us);
    store_bind_int(row, max);
    const enum err err = store_next(row);
    if (err != ERR_OK) {
        return err;
    }
    *out = store_int(row, 0);
    store_done(row);
    return ERR_OK;
}
