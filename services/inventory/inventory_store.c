#include "services/inventory/inventory_store.h"

#include <assert.h>
#include <stdlib.h>

#include "services/row.h"

// The rules keep the stock sound; the CHECKs are the belt to those braces.
const char inventory_schema[] = "CREATE TABLE IF NOT EXISTS stock ("
                                " sku TEXT PRIMARY KEY,"
                                " available INTEGER NOT NULL CHECK (available >= 0),"
                                " reserved INTEGER NOT NULL CHECK (reserved >= 0),"
                                " sold INTEGER NOT NULL CHECK (sold >= 0),"
                                " initial INTEGER NOT NULL,"
                                " restocked INTEGER NOT NULL CHECK (restocked >= 0),"
                                " CHECK (initial + restocked = available + reserved + sold)"
                                ") WITHOUT ROWID;"
                                "CREATE TABLE IF NOT EXISTS reservations ("
                                " order_id TEXT PRIMARY KEY,"
                                " status TEXT NOT NULL,"
                                " items TEXT NOT NULL,"
                                " updated_at TEXT NOT NULL"
                                ") WITHOUT ROWID;";

static const char seed_sql[] =
    "INSERT INTO stock (available, reserved, sold, initial, restocked, sku)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
static const char stock_sql[] =
    "SELECT available, reserved, sold, initial, restocked FROM stock WHERE sku = ?";
static const char set_stock_sql[] =
    "UPDATE stock SET available = ?, reserved = ?, sold = ?, initial = ?, restocked = ?"
    " WHERE sku = ?";
#define SHOWN                                                                                      \
    "json_object('sku', sku, 'available', available, 'reserved', reserved, 'sold', sold,"          \
    " 'initial', initial, 'restocked', restocked)"
static const char show_sql[] = "SELECT " SHOWN " FROM stock WHERE sku = ?";
static const char list_sql[] = "SELECT " SHOWN " FROM stock WHERE sku > ? ORDER BY sku LIMIT ?";
static const char reservation_sql[] = "SELECT status, items FROM reservations WHERE order_id = ?";
static const char set_reservation_sql[] =
    "INSERT INTO reservations (order_id, status, items, updated_at) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (order_id) DO UPDATE"
    " SET status = excluded.status, updated_at = excluded.updated_at";

static void bind_stock(struct store_row *row, const struct stock *stock, const char *sku)
{
    store_bind_int(row, stock->at[STOCK_AVAILABLE]);
    store_bind_int(row, stock->at[STOCK_RESERVED]);
    store_bind_int(row, stock->at[STOCK_SOLD]);
    store_bind_int(row, stock->initial);
    store_bind_int(row, stock->restocked);
    store_bind_text(row, sku);
}

static struct stock read_stock(struct store_row *row)
{
    return (struct stock){.at = {[STOCK_AVAILABLE] = store_int(row, 0),
                                 [STOCK_RESERVED] = store_int(row, 1),
                                 [STOCK_SOLD] = store_int(row, 2)},
                          .initial = store_int(row, 3),
                          .restocked = store_int(row, 4)};
}

enum err inventory_store_seed(struct store *store, const char *sku, const struct stock *stock)
{
    struct store_row *row = store_query(store, seed_sql);
    bind_stock(row, stock, sku);
    return store_run(row);
}

enum err inventory_store_stock(struct store *store, const char *sku, struct stock *out)
{
    struct store_row *row = store_query(store, stock_sql);
    store_bind_text(row, sku);
    const enum err err = store_next(row);
    if (err == ERR_OK) {
        *out = read_stock(row);
        store_done(row);
    }
    return err;
}

enum err inventory_store_set_stock(struct store *store, const char *sku, const struct stock *stock)
{
    struct store_row *row = store_query(store, set_stock_sql);
    bind_stock(row, stock, sku);
    return store_run(row);
}

enum err inventory_store_show(struct store *store, const char *sku, cJSON **out)
{
    struct store_row *row = store_query(store, show_sql);
    store_bind_text(row, sku);
    return row_show(row, out);
}

enum err inventory_store_list(struct store *store, const char *filter, const char *after,
                              int64_t limit, cJSON *list)
{
    assert(filter == NULL);
    struct store_row *row = store_query(store, list_sql);
    store_bind_text(row, after);
    store_bind_int(row, limit);
    return row_list(row, list);
}

enum err inventory_store_reservation(struct store *store, const char *order_id,
                                     enum reservation_status *status, struct items *items)
{
    *status = RESERVATION_NONE;
    items->count = 0;
    struct store_row *row = store_query(store, reservation_sql);
    store_bind_text(row, order_id);
    enum err err = store_next(row);
    if (err == ERR_OK) {
        *status = reservation_status_of(store_text(row, 0));
        err = contract_items_from_text(store_text(row, 1), items);
        store_done(row);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err inventory_store_set_reservation(struct store *store, const char *order_id,
                                         enum reservation_status status, const struct items *items,
                                         const char *now)
{
    char *text = contract_items_to_text(items);
    struct store_row *row = store_query(store, set_reservation_sql);
    ROW_BIND_TEXTS(row, order_id, reservation_status_name(status), text, now);
    const enum err err = store_run(row);
    free(text);
    return err;
}
