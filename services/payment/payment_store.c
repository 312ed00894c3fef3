#include "services/payment/payment_store.h"

#include <stdio.h>

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
    snprintf(out->payment_id, sizeof out->payment_id, "%.36s", store_text(row, 0));
    out->status = payment_status_of(store_text(row, 1));
    snprintf(out->reason, sizeof out->reason, "%.64s", store_text(row, 2));
    out->amount.amount_minor = store_int(row, 3);
    snprintf(out->amount.currency, sizeof out->amount.currency, "%.3s", store_text(row, 4));
    store_done(row);
    return ERR_OK;
}

enum err payment_store_write(struct store *store, const char *order_id,
                             const struct payment *payment, const char *now)
{
    struct store_row *row = store_query(store, write_sql);
    store_bind_text(row, order_id);
    store_bind_text(row, payment->payment_id);
    store_bind_text(row, payment_status_name(payment->status));
    store_bind_text(row, payment->reason);
    store_bind_int(row, payment->amount.amount_minor);
    store_bind_text(row, payment->amount.currency);
    store_bind_text(row, now);
    return store_run(row);
}
