#include "services/payment/payment_store.h"

#include "services/row.h"

const char payment_schema[] = "CREATE TABLE IF NOT EXISTS payments ("
                              " order_id TEXT PRIMARY KEY,"
                              " payment_id TEXT NOT NULL,"
                              " status TEXT NOT NULL,"
                              " reason TEXT NOT NULL,"
                              " amount_minor INTEGER NOT NULL,"
                              " currency TEXT NOT NULL,"
                              " updated_at TEXT NOT NULL"
                              ") WITHOUT ROWID;";

static const char read_sql[] = "SELECT payment_id, status, reason, amount_minor, currency"
                               " FROM payments WHERE order_id = ?";
static const char write_sql[] =
    "INSERT INTO payments"
    " (order_id, payment_id, status, reason, amount_minor, currency, updated_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, reason = excluded.reason,"
    " amount_minor = excluded.amount_minor, currency = excluded.currency,"
    " updated_at = excluded.updated_at";

enum err payment_store_read(struct store *store, const char *order_id, struct payment *out)
{
    *out = (struct payment){.status = PAYMENT_NONE};
    struct store_row *row = store_query(store, read_sql);
    store_bind_text(row, order_id);
    const enum err err = store_next(row);
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    row_copy(row, 0, out->payment_id, sizeof out->payment_id);
    out->status = payment_status_of(store_text(row, 1));
    row_copy(row, 2, out->reason, sizeof out->reason);
    out->amount = row_money(row, 3);
    store_done(row);
    return ERR_OK;
}

enum err payment_store_write(struct store *store, const char *order_id,
                             const struct payment *payment, const char *now)
{
    struct store_row *row = store_query(store, write_sql);
    const char *status = payment_status_name(payment->status);
    ROW_BIND_TEXTS(row, order_id, payment->payment_id, status, payment->reason);
    row_bind_money(row, payment->amount);
    store_bind_text(row, now);
    return store_run(row);
}
