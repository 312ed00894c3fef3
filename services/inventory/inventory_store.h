// inventory_store - the SQL of inventory. Errors of the store pass through.
#ifndef FAULTLINE_INVENTORY_STORE_H
#define FAULTLINE_INVENTORY_STORE_H

#include "common/store.h"
#include "services/contract.h"
#include "services/inventory/inventory.h"

extern const char inventory_schema[];

// inventory_store_seed adds a product unless it is there already.
enum err inventory_store_seed(struct store *store, const char *sku, const struct stock *stock);

// inventory_store_stock reads a product's stock. ERR_NOT_FOUND: no such product.
enum err inventory_store_stock(struct store *store, const char *sku, struct stock *out);
enum err inventory_store_set_stock(struct store *store, const char *sku, const struct stock *stock);

// inventory_store_list adds up to limit products whose sku is behind after to list, by
// sku. There is no filter: it is NULL.
enum err inventory_store_list(struct store *store, const char *filter, const char *after,
                              int64_t limit, cJSON *list);

// inventory_store_show gives what the interface shows of a product; the caller owns it.
// ERR_NOT_FOUND: no such product; *out is then NULL.
enum err inventory_store_show(struct store *store, const char *sku, cJSON **out);

// inventory_store_reservation reads an order's reservation and its lines; an order
// without one is RESERVATION_NONE without lines.
enum err inventory_store_reservation(struct store *store, const char *order_id,
                                     enum reservation_status *status, struct items *items);

// inventory_store_set_reservation adds or changes it. Lines are only written when
// it is new.
enum err inventory_store_set_reservation(struct store *store, const char *order_id,
                                         enum reservation_status status, const struct items *items,
                                         const char *now);

#endif
