// order_store - the SQL of order. Errors of the store pass through.
#ifndef FAULTLINE_ORDER_STORE_H
#define FAULTLINE_ORDER_STORE_H

#include "common/store.h"
#include "common/uuid.h"
#include "services/order/order.h"

extern const char order_schema[];

struct order {
    char order_id[UUID_SIZE];
    char customer_id[CONTRACT_ID_MAX + 1];
    bool is_sync;
    struct order_state state;
    struct money total;
};

// order_store_insert adds a pending order. items is a JSON array; event_id is that
// of its order-created, NULL on the synchronous path; member runs its chain.
enum err order_store_insert(struct store *store, const struct order *order, const cJSON *items,
                            const char *member, const char *now, const char *event_id);

// order_store_read reads what the rules need. ERR_NOT_FOUND: there is no such order.
enum err order_store_read(struct store *store, const char *order_id, struct order *out);

// order_store_note keeps the answers of an order that is still pending.
enum err order_store_note(struct store *store, const struct order *order);

// order_store_end keeps the end of an order; reason and event_id may be NULL.
enum err order_store_end(struct store *store, const struct order *order, const char *reason,
                         const char *now, const char *event_id);

// order_store_show returns all that GET /orders/{id} shows; the caller owns *out.
// ERR_NOT_FOUND: there is no such order.
enum err order_store_show(struct store *store, const char *order_id, cJSON **out);

// order_store_list adds up to limit orders older than after ("": all) to list, newest
// first; status is one's name, NULL means any.
enum err order_store_list(struct store *store, const char *status, const char *after, int64_t limit,
                          cJSON *list);

// order_store_next_interrupted finds a pending order whose chain member ran.
// ERR_NOT_FOUND: there is none.
enum err order_store_next_interrupted(struct store *store, const char *member, struct order *out);

#endif
