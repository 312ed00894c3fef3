// inventory_handlers - what inventory does on events and requests; main.c has the table.
#ifndef FAULTLINE_INVENTORY_HANDLERS_H
#define FAULTLINE_INVENTORY_HANDLERS_H

#include "common/service.h"

// In the opening transaction: the catalogue's stock, unless it is there.
enum err inventory_start(struct service *service);

// order-created: reserves all lines or none -> inventory-reserved | inventory-rejected.
enum err inventory_on_order_created(struct service *service, const struct event *event);
// order-confirmed: reserved becomes sold.
// order-cancelled: gives back -> inventory-released; or leaves the mark.
enum err inventory_on_order_ended(struct service *service, const struct event *event);

enum err inventory_list(struct service *service, struct request *request);
enum err inventory_show(struct service *service, struct request *request);
enum err inventory_restock(struct service *service, struct request *request);
enum err inventory_take(struct service *service, struct request *request);
enum err inventory_put_back(struct service *service, struct request *request);

#endif
