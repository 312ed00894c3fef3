// order_handlers - what order does on events and requests; main.c has the table.
#ifndef FAULTLINE_ORDER_HANDLERS_H
#define FAULTLINE_ORDER_HANDLERS_H

#include "common/service.h"

#define ORDER_SETTING_EVENT_VERSION "ORDER_EVENT_VERSION" // main's table has it

// In the opening transaction: the chains that died with this member are cancelled.
enum err order_start(struct service *service);

// The six answers: joins them -> order-confirmed | order-cancelled.
enum err order_on_answer(struct service *service, const struct event *event);

// POST /orders: by events (202), or with ?mode=sync the whole chain (201).
enum err order_create(struct service *service, struct request *request);
enum err order_list(struct service *service, struct request *request);
enum err order_show(struct service *service, struct request *request);
enum err order_list_products(struct service *service, struct request *request);

#endif
