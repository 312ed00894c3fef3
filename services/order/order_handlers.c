#include "services/order/order_handlers.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "services/catalogue.h"
#include "services/handler.h"
#include "services/hop.h"
#include "services/order/order_chain.h"
#include "services/order/order_store.h"
#include "services/page.h"

// --- the end of an order, on both paths

// Emits how the order ended; only the path by events does.
static enum err emit_end(struct service *service, const struct order *order, const char *reason,
                         char event_id[UUID_SIZE])
{
    const char *topic =
        order->state.status == ORDER_CONFIRMED ? "order-confirmed" : "order-cancelled";
    cJSON *data =
        contract_object("order_id", order->order_id, "customer_id", order->customer_id, NULL);
    if (order->state.status == ORDER_CONFIRMED) {
        cJSON_AddItemToObject(data, "total", money_to_json(order->total));
    } else {
        cJSON_AddStringToObject(data, "reason", reason);
    }
    return handler_emit_in(service, topic, NULL, order->order_id, data, event_id);
}

static enum err end(struct service *service, const struct order *order, const char *reason)
{
    char event_id[UUID_SIZE];
    const enum err err = order->is_sync ? ERR_OK : emit_end(service, order, reason, event_id);
    if (err != ERR_OK) {
        return err;
    }
    const char *status = order_status_name(order->state.status);
    service_status_changed(service, order->order_id, status, reason);
    const char *cause = order->is_sync ? NULL : event_id;
    return order_store_end(service_store(service), order, reason, service_now(service), cause);
}

enum err order_start(struct service *service)
{
    const char *member = config_text(service_config(service), "BUS_MEMBER");
    for (;;) {
        struct order order;
        enum err err = order_store_next_interrupted(service_store(service), member, &order);
        if (err != ERR_OK) {
            return err == ERR_NOT_FOUND ? ERR_OK : err;
        }
        // How far its calls came died with the process that made them.
        order.state.status = ORDER_CANCELLED;
        err = end(service, &order, "interrupted");
        if (err != ERR_OK) {
            return err;
        }
    }
}

// --- events

static enum err hear(struct service *service, const struct event *event, const cJSON *data)
{
    const struct order_verdict *verdict = order_verdict_find(event->type);
    struct json_problem problem;
    const char *reason = NULL;
    if (verdict->answer == ANSWER_BAD &&
        json_get_text(data, "", "reason", 1, CONTRACT_ID_MAX, &reason, &problem) != ERR_OK) {
        return handler_refuse(service, &problem);
    }
    if (contract_subject_is(event, data, "transfer_id")) {
        return ERR_OK; // fraud screens the bank's transfers as well
    }
    if (!contract_subject_is(event, data, "order_id")) {
        return service_fail(service, ERR_INVALID, "order_id is not the subject");
    }
    struct store *store = service_store(service);
    struct order order;
    const enum err err = order_store_read(store, event->subject, &order);
    if (err == ERR_NOT_FOUND) {
        log_warn("an answer for an order that is not here is ignored",
                 LOG_STR("correlation_id", event->subject),
                 LOG_STR("topic", event->type));
        return ERR_OK;
    }
    if (err != ERR_OK || order.is_sync ||
        !order_hear(&order.state, verdict->check, verdict->answer)) {
        return err;
    }
    return order.state.status == ORDER_PENDING ? order_store_note(store, &order)
                                               : end(service, &order, reason);
}

enum err order_on_answer(struct service *service, const struct event *event)
{
    return handler_event(service, event, NULL, hear);
}

// --- POST /orders

// A request for an order that keeps all limits.
struct draft {
    struct order order;
    const char *payment_token; // borrowed from the request
    struct items items;
};

// Reads the body. ERR_INVALID: it has answered what is wrong.
static enum err read_draft(struct request *request, struct draft *draft)
{
    static const char *const members[] = {"customer_id", "payment_token", "items", NULL};
    const cJSON *body = request_json(request);
    struct json_problem problem;
    const char *customer_id = NULL;
    *draft = (struct draft){.order.state.status = ORDER_PENDING};
    if (json_only_members(body, "", members, &problem) != ERR_OK ||
        contract_get_id(body, "", "customer_id", &customer_id, &problem) != ERR_OK ||
        json_get_text(
            body, "", "payment_token", 1, CONTRACT_ID_MAX, &draft->payment_token, &problem) !=
            ERR_OK ||
        contract_get_items(body, "", "items", true, &draft->items, &problem) != ERR_OK) {
        (void)request_reply_invalid(request, &problem);
        return ERR_INVALID;
    }
    snprintf(draft->order.customer_id, sizeof draft->order.customer_id, "%s", customer_id);
    uuid_new(draft->order.order_id);
    size_t line = 0;
    const enum err err =
        catalogue_price(&catalogue_of_shop, &draft->items, &draft->order.total, &line);
    if (err == ERR_NOT_FOUND) {
        const char *sku = draft->items.list[line].sku;
        char field[JSON_PATH_SIZE];
        snprintf(field, sizeof field, "items[%zu].sku", line);
        (void)request_reply_problem(
            request, 422, "unknown-sku", field, "there is no product %s", sku);
    } else if (err != ERR_OK) {
        json_problem_set(&problem, "items", "cost more than an order may");
        (void)request_reply_invalid(request, &problem);
    }
    return err == ERR_OK ? ERR_OK : ERR_INVALID;
}

static cJSON *priced_items(const struct items *items)
{
    cJSON *json = contract_items_to_json(items);
    for (cJSON *item = json->child; item != NULL; item = item->next) {
        const struct product *product =
            catalogue_find(&catalogue_of_shop, json_text_of(item, "sku"));
        cJSON_AddItemToObject(item, "unit_price", money_to_json(product->unit_price));
    }
    return json;
}

static cJSON *draft_to_json(const struct draft *draft, cJSON *items)
{
    const struct order *order = &draft->order;
    cJSON *json =
        contract_object("order_id", order->order_id, "customer_id", order->customer_id, NULL);
    cJSON_AddStringToObject(json, "payment_token", draft->payment_token);
    cJSON_AddItemToObject(json, "total", money_to_json(order->total));
    cJSON_AddItemToObject(json, "items", items);
    return json;
}

// What POST /orders answers when there is an order.
static enum err reply_order(struct request *request, int http_status, const struct order *order)
{
    const char *status = order_status_name(order->state.status);
    cJSON *json = contract_object("order_id", order->order_id, "status", status, NULL);
    cJSON_AddStringToObject(json, "mode", order->is_sync ? "sync" : "async");
    cJSON_AddItemToObject(json, "total", money_to_json(order->total));
    char location[EVENT_TEXT_MAX];
    snprintf(location, sizeof location, "/orders/%s", order->order_id);
    return request_reply_created(request, http_status, location, json);
}

static enum err chain_finish(struct service *service, struct request *request, const cJSON *input,
                             const cJSON *result)
{
    const char *order_id = json_text_of(input, "order_id");
    const char *reason = json_text_of(result, "reason");
    struct order order;
    enum err err = order_store_read(service_store(service), order_id, &order);
    if (err != ERR_OK) {
        return err;
    }
    const enum order_status status = reason == NULL ? ORDER_CONFIRMED : ORDER_CANCELLED;
    if (!order_can_move(order.state.status, status)) {
        return service_fail(service, ERR_CONFLICT, "the order ended while its chain ran");
    }
    order.state.status = status;
    err = end(service, &order, reason);
    if (err != ERR_OK) {
        return err;
    }
    return reason == NULL ? reply_order(request, 201, &order) : hop_reply_failure(request, result);
}

// Starts what brings the order to its end: its event, or the job of its chain.
static enum err create(struct service *service, struct request *request, const struct draft *draft)
{
    static const struct service_job job = {.run = order_chain_run, .finish = chain_finish};
    const struct order *order = &draft->order;
    if (order->is_sync) {
        cJSON *input = draft_to_json(draft, contract_items_to_json(&draft->items));
        cJSON_AddStringToObject(input, "template", "order-confirmed");
        if (hop_run_job(service, request, &job, input) != ERR_OK) {
            return ERR_OK; // it has answered
        }
    }
    cJSON *items = priced_items(&draft->items);
    char id[UUID_SIZE];
    enum err err = ERR_OK;
    if (!order->is_sync) {
        cJSON *data = draft_to_json(draft, cJSON_Duplicate(items, true));
        err = handler_emit_in(
            service, "order-created", ORDER_SETTING_EVENT_VERSION, order->order_id, data, id);
    }
    if (err == ERR_OK) {
        const char *member = config_text(service_config(service), "BUS_MEMBER");
        const char *now = service_now(service);
        const char *cause = order->is_sync ? NULL : id;
        service_status_changed(service, order->order_id, "pending", NULL);
        err = order_store_insert(service_store(service), order, items, member, now, cause);
    }
    cJSON_Delete(items);
    return err == ERR_OK && !order->is_sync ? reply_order(request, 202, order) : err;
}

enum err order_create(struct service *service, struct request *request)
{
    const char *mode = request_query(request, "mode");
    const bool is_sync = mode != NULL && strcmp(mode, "sync") == 0;
    if (mode != NULL && !is_sync && strcmp(mode, "async") != 0) {
        return request_reply_problem(
            request, 422, "invalid-field", "mode", "must be async or sync");
    }
    struct draft draft;
    if (read_draft(request, &draft) != ERR_OK) {
        return ERR_OK; // it has answered
    }
    draft.order.is_sync = is_sync;
    request_correlate(request, draft.order.order_id);
    return create(service, request, &draft);
}

// --- reading

enum err order_show(struct service *service, struct request *request)
{
    const char *order_id = request_parameter(request, "id");
    cJSON *json = NULL;
    const enum err err = order_store_show(service_store(service), order_id, &json);
    return handler_show(request, err, json, "order", order_id);
}

enum err order_list(struct service *service, struct request *request)
{
    static const struct page_list orders = {
        .name = "orders", .cursor = "order_id", .read = order_store_list};
    const char *status = request_query(request, "status");
    if (status != NULL && order_status_of(status) == ORDER_NONE) {
        return request_reply_problem(
            request, 400, "invalid-parameter", "status", "must be pending, confirmed or cancelled");
    }
    return page_list(service, request, &orders, status);
}

enum err order_list_products(struct service *service, struct request *request)
{
    (void)service;
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < catalogue_of_shop.count; i++) {
        const struct product *product = &catalogue_of_shop.products[i];
        cJSON *json = contract_object("sku", product->sku, "name", product->name, NULL);
        cJSON_AddItemToObject(json, "unit_price", money_to_json(product->unit_price));
        cJSON_AddItemToArray(list, json);
    }
    return page_reply(request, "products", list, (int64_t)catalogue_of_shop.count, "sku");
}
