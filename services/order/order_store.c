#include "services/order/order_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "services/row.h"

// An order's story has two steps at most, so they are columns, not rows. The
// answers are numbers of enum order_answer. The indexes hold what is rare: an order
// is pending for milliseconds, and few are cancelled.
const char order_schema[] =
    "CREATE TABLE IF NOT EXISTS orders ("
    " order_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL,"
    " status TEXT NOT NULL, reason TEXT,"
    " mode TEXT NOT NULL, member TEXT NOT NULL,"
    " amount_minor INTEGER NOT NULL, currency TEXT NOT NULL, items TEXT NOT NULL,"
    " fraud INTEGER NOT NULL DEFAULT 0,"
    " inventory INTEGER NOT NULL DEFAULT 0,"
    " payment INTEGER NOT NULL DEFAULT 0,"
    " created_at TEXT NOT NULL, created_event TEXT, ended_at TEXT, ended_event TEXT"
    ") WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS orders_pending ON orders (order_id) WHERE status = 'pending';"
    "CREATE INDEX IF NOT EXISTS orders_cancelled ON orders (order_id) WHERE status = 'cancelled';";

static const char insert_sql[] =
    "INSERT INTO orders (order_id, customer_id, status, mode, member, amount_minor, currency,"
    " items, created_at, created_event) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
#define ORDER_COLUMNS                                                                              \
    "order_id, customer_id, status, mode, amount_minor, currency, fraud, inventory, payment"
static const char read_sql[] = "SELECT " ORDER_COLUMNS " FROM orders WHERE order_id = ?";
static const char interrupted_sql[] =
    "SELECT " ORDER_COLUMNS
    " FROM orders WHERE status = 'pending' AND mode = 'sync' AND member = ? LIMIT 1";
static const char note_sql[] =
    "UPDATE orders SET fraud = ?, inventory = ?, payment = ? WHERE order_id = ?";
static const char end_sql[] =
    "UPDATE orders SET fraud = ?, inventory = ?, payment = ?,"
    " status = ?, reason = ?, ended_at = ?, ended_event = ? WHERE order_id = ?";
#define SHOWN                                                                                      \
    "'order_id', order_id, 'customer_id', customer_id, 'status', status, 'reason', reason,"        \
    " 'mode', mode, 'total', json_object('amount_minor', amount_minor, 'currency', currency),"     \
    " 'created_at', created_at"
#define STEP(status, at, event)                                                                    \
    "json_object('status', " status ", 'at', " at ", 'event_id', " event ")"
#define PENDING_STEP STEP("'pending'", "created_at", "created_event")
static const char show_sql[] =
    "SELECT " ORDER_COLUMNS ", json_object(" SHOWN ", 'items', json(items), 'history',"
    " json(CASE WHEN ended_at IS NULL THEN json_array(" PENDING_STEP ")"
    " ELSE json_array(" PENDING_STEP
    ", " STEP("status", "ended_at", "ended_event") ") END))"
                                                   " FROM orders WHERE order_id = ?";

// The status is in the text, not a parameter: only so are the indexes used.
#define LIST(condition)                                                                            \
    "SELECT json_object(" SHOWN ") FROM orders WHERE " condition                                   \
    " order_id < ? ORDER BY order_id DESC LIMIT ?"
static const char *const list_sql[ORDER_STATUSES] = {
    [ORDER_NONE] = LIST(""),
    [ORDER_PENDING] = LIST("status = 'pending' AND"),
    [ORDER_CONFIRMED] = LIST("status = 'confirmed' AND"),
    [ORDER_CANCELLED] = LIST("status = 'cancelled' AND"),
};

enum err order_store_insert(struct store *store, const struct order *order, const cJSON *items,
                            const char *member, const char *now, const char *event_id)
{
    char *items_text = json_to_text(items);
    struct store_row *row = store_query(store, insert_sql);
    ROW_BIND_TEXTS(
        row, order->order_id, order->customer_id, order_status_name(order->state.status));
    ROW_BIND_TEXTS(row, order->is_sync ? "sync" : "async", member);
    row_bind_money(row, order->total);
    ROW_BIND_TEXTS(row, items_text, now, event_id);
    free(items_text);
    return store_run(row);
}

// Reads ORDER_COLUMNS.
static void read_order(struct store_row *row, struct order *out)
{
    *out = (struct order){0};
    row_copy(row, 0, out->order_id, sizeof out->order_id);
    row_copy(row, 1, out->customer_id, sizeof out->customer_id);
    out->state.status = order_status_of(store_text(row, 2));
    out->is_sync = strcmp(store_text(row, 3), "sync") == 0;
    out->total = row_money(row, 4);
    for (int i = 0; i < ORDER_CHECKS; i++) {
        out->state.answers[i] = (enum order_answer)store_int(row, 6 + i);
    }
}

static enum err read_one(struct store_row *row, struct order *out)
{
    const enum err err = store_next(row);
    if (err == ERR_OK) {
        read_order(row, out);
        store_done(row);
    }
    return err;
}

enum err order_store_read(struct store *store, const char *order_id, struct order *out)
{
    struct store_row *row = store_query(store, read_sql);
    store_bind_text(row, order_id);
    return read_one(row, out);
}

enum err order_store_next_interrupted(struct store *store, const char *member, struct order *out)
{
    struct store_row *row = store_query(store, interrupted_sql);
    store_bind_text(row, member);
    return read_one(row, out);
}

static void bind_answers(struct store_row *row, const struct order *order)
{
    for (size_t i = 0; i < ORDER_CHECKS; i++) {
        store_bind_int(row, order->state.answers[i]);
    }
}

enum err order_store_note(struct store *store, const struct order *order)
{
    struct store_row *row = store_query(store, note_sql);
    bind_answers(row, order);
    store_bind_text(row, order->order_id);
    return store_run(row);
}

enum err order_store_end(struct store *store, const struct order *order, const char *reason,
                         const char *now, const char *event_id)
{
    assert(order_can_move(ORDER_PENDING, order->state.status));
    struct store_row *row = store_query(store, end_sql);
    bind_answers(row, order);
    const char *status = order_status_name(order->state.status);
    ROW_BIND_TEXTS(row, status, reason, now, event_id, order->order_id);
    return store_run(row);
}

static void add_answers(cJSON *json, const struct order *order)
{
    static const char *const names[] = {NULL, "good", "bad"};
    cJSON *answers = cJSON_AddObjectToObject(json, "answers");
    cJSON *waiting_for = cJSON_AddArrayToObject(json, "waiting_for");
    for (int i = 0; i < ORDER_CHECKS; i++) {
        const char *check = order_check_name((enum order_check)i);
        const enum order_answer answer = order->state.answers[i];
        cJSON *said =
            answer == ANSWER_NONE ? cJSON_CreateNull() : cJSON_CreateString(names[answer]);
        cJSON_AddItemToObject(answers, check, said);
        if (order->state.status == ORDER_PENDING && answer == ANSWER_NONE) {
            cJSON_AddItemToArray(waiting_for, cJSON_CreateString(check));
        }
    }
}

enum err order_store_show(struct store *store, const char *order_id, cJSON **out)
{
    *out = NULL;
    struct store_row *row = store_query(store, show_sql);
    store_bind_text(row, order_id);
    const enum err err = store_next(row);
    if (err == ERR_OK) {
        struct order order;
        read_order(row, &order);
        *out = row_json(row, 9);
        if (!order.is_sync) {
            add_answers(*out, &order);
        }
        store_done(row);
    }
    return err;
}

enum err order_store_list(struct store *store, const char *status, const char *after, int64_t limit,
                          cJSON *list)
{
    const enum order_status only = status == NULL ? ORDER_NONE : order_status_of(status);
    struct store_row *row = store_query(store, list_sql[only]);
    store_bind_text(row, after[0] == '\0' ? "~" : after); // "~" is behind every UUID
    store_bind_int(row, limit);
    return row_list(row, list);
}
