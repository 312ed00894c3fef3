#include "services/order/order_handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "services/contract.h"
#include "services/order/order_chain.h"
#include "services/order/order_store.h"
#include "services/page.h"
#include "services/upcast.h"

// --- the end of an order, on both paths

// Emits how the order ended; only the path by events does.
static enum err emit_end(struct service *service, const struct order *order, const char *reason,
                         char event_id[UUID_SIZE])
{
    const char *topic =
        order->state.status == ORDER_CONFIRMED ? "order-confirmed" : "order-cancelled";
    cJSON *data = cJSON_CreateObject();
    cJSON_AddStringToObject(data, "order_id", order->order_id);
    cJSON_AddStringToObject(data, "customer_id", order->customer_id);
    if (order->state.status == ORDER_CONFIRMED) {
        cJSON_AddItemToObject(data, "total", money_to_json(order->total));
    } else {
        cJSON_AddStringToObject(data, "reason", reason);
    }
    return service_emit(service, topic, upcast_version(topic), order->order_id, data, event_id);
}

static enum err end(struct service *service, const struct order *order, const char *reason)
{
    char event_id[UUID_SIZE];
    enum err err = ERR_OK;
    if (!order->is_sync) {
        err = emit_end(service, order, reason, event_id);
    }
    if (err == ERR_OK) {
        err = order_store_end(service_store(service),
                              order,
                              reason,
                              service_now(service),
                              order->is_sync ? NULL : event_id);
    }
    service_status_changed(
        service, order->order_id, order_status_name(order->state.status), reason);
    return err;
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

static enum err hear(struct service *service, const char *order_id,
                     const struct order_verdict *verdict, const char *reason)
{
    struct store *store = service_store(service);
    struct order order;
    const enum err err = order_store_read(store, order_id, &order);
    if (err == ERR_NOT_FOUND) {
        log_warn("an answer for an order that is not here is ignored",
                 LOG_STR("correlation_id", order_id),
                 LOG_STR("topic", verdict->topic),
                 LOG_END);
        return ERR_OK;
    }
    if (err != ERR_OK || order.is_sync ||
        !order_hear(&order.state, verdict->check, verdict->answer)) {
        return err;
    }
    if (order.state.status == ORDER_PENDING) {
        return order_store_note(store, &order);
    }
    return end(service, &order, reason);
}

enum err order_on_answer(struct service *service, const struct event *event)
{
    const struct order_verdict *verdict = order_verdict_find(event->type);
    struct json_problem problem;
    cJSON *converted = NULL;
    const cJSON *data = upcast_data(event, &converted, &problem);
    enum err err = ERR_INVALID;
    const char *reason = NULL;
    if (data == NULL ||
        (verdict->answer == ANSWER_BAD &&
         json_get_text(data, "", "reason", 1, CONTRACT_ID_MAX, &reason, &problem) != ERR_OK)) {
        service_fail(service, err, "%s %s", problem.field, problem.reason);
    } else if (contract_subject_is(event, data, "transfer_id")) {
        err = ERR_OK; // fraud screens the bank's transfers as well
    } else if (!contract_subject_is(event, data, "order_id")) {
        service_fail(service, err, "order_id is not the subject");
    } else {
        err = hear(service, event->subject, verdict, reason);
    }
    cJSON_Delete(converted);
    return err;
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
    size_t line = 0;
    char field[JSON_PATH_SIZE];
    const enum err err = order_price(&order_catalogue, &draft->items, &draft->order.total, &line);
    if (err == ERR_NOT_FOUND) {
        snprintf(field, sizeof field, "items[%zu].sku", line);
        (void)request_reply_problem(request,
                                    422,
                                    "unknown-sku",
                                    field,
                                    "there is no product %s",
                                    draft->items.list[line].sku);
    } else if (err != ERR_OK) {
        json_problem_set(&problem, "items", "cost more than an order may");
        (void)request_reply_invalid(request, &problem);
    }
    snprintf(draft->order.customer_id, sizeof draft->order.customer_id, "%s", customer_id);
    uuid_new(draft->order.order_id);
    return err == ERR_OK ? ERR_OK : ERR_INVALID;
}

static cJSON *priced_items(const struct items *items)
{
    cJSON *json = contract_items_to_json(items);
    for (cJSON *item = json->child; item != NULL; item = item->next) {
        const struct product *product = catalogue_find(&order_catalogue, json_text_of(item, "sku"));
        cJSON_AddItemToObject(item, "unit_price", money_to_json(product->unit_price));
    }
    return json;
}

static cJSON *draft_to_json(const struct draft *draft, cJSON *items)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "order_id", draft->order.order_id);
    cJSON_AddStringToObject(json, "customer_id", draft->order.customer_id);
    cJSON_AddStringToObject(json, "payment_token", draft->payment_token);
    cJSON_AddItemToObject(json, "total", money_to_json(draft->order.total));
    cJSON_AddItemToObject(json, "items", items);
    return json;
}

// What POST /orders answers when there is an order.
static enum err reply_order(struct request *request, int http_status, const struct order *order)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "order_id", order->order_id);
    cJSON_AddStringToObject(json, "status", order_status_name(order->state.status));
    cJSON_AddStringToObject(json, "mode", order->is_sync ? "sync" : "async");
    cJSON_AddItemToObject(json, "total", money_to_json(order->total));
    char location[EVENT_TEXT_MAX];
    snprintf(location, sizeof location, "/orders/%s", order->order_id);
    return request_reply_created(request, http_status, location, json);
}

static enum err insert(struct service *service, const struct draft *draft, const cJSON *items,
                       const char *event_id)
{
    service_status_changed(service, draft->order.order_id, "pending", NULL);
    return order_store_insert(service_store(service),
                              &draft->order,
                              items,
                              config_text(service_config(service), "BUS_MEMBER"),
                              service_now(service),
                              event_id);
}

static enum err create_async(struct service *service, struct request *request,
                             const struct draft *draft)
{
    static const char topic[] = "order-created";
    const char *order_id = draft->order.order_id;
    cJSON *items = priced_items(&draft->items);
    cJSON *data = draft_to_json(draft, cJSON_Duplicate(items, true));
    char event_id[UUID_SIZE];
    enum err err = service_emit(service, topic, upcast_version(topic), order_id, data, event_id);
    if (err == ERR_OK) {
        err = insert(service, draft, items, event_id);
    }
    cJSON_Delete(items);
    return err == ERR_OK ? reply_order(request, 202, &draft->order) : err;
}

static enum err reply_failure(struct request *request, const char *order_id, const cJSON *result)
{
    cJSON *extra = cJSON_CreateObject();
    cJSON_AddStringToObject(extra, "order_id", order_id);
    cJSON_AddStringToObject(extra, "failed_step", json_text_of(result, "failed_step"));
    cJSON_AddItemToObject(
        extra, "undone", cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(result, "undone"), true));
    return request_reply_problem_with(request,
                                      cJSON_GetObjectItemCaseSensitive(result, "status")->valueint,
                                      json_text_of(result, "reason"),
                                      json_text_of(result, "detail"),
                                      extra);
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
    return reason == NULL ? reply_order(request, 201, &order)
                          : reply_failure(request, order_id, result);
}

static enum err create_sync(struct service *service, struct request *request,
                            const struct draft *draft)
{
    static const struct service_job job = {.run = order_chain_run, .finish = chain_finish};
    cJSON *input = draft_to_json(draft, contract_items_to_json(&draft->items));
    if (request_run_job(service, request, &job, input) != ERR_OK) {
        return request_reply_problem(
            request, 503, "sync-queue-full", NULL, "too many orders wait for a worker");
    }
    cJSON *items = priced_items(&draft->items);
    const enum err err = insert(service, draft, items, NULL);
    cJSON_Delete(items);
    return err;
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
    return is_sync ? create_sync(service, request, &draft) : create_async(service, request, &draft);
}

// --- reading

enum err order_show(struct service *service, struct request *request)
{
    const char *order_id = request_parameter(request, "id");
    cJSON *json = NULL;
    const enum err err = order_store_show(service_store(service), order_id, &json);
    if (err == ERR_NOT_FOUND) {
        return request_reply_problem(
            request, 404, "not-found", NULL, "there is no order %.64s", order_id);
    }
    return err == ERR_OK ? request_reply(request, 200, json) : err;
}

enum err order_list(struct service *service, struct request *request)
{
    int64_t limit = 0;
    const char *after = NULL;
    if (request_page(request, &limit, &after) != ERR_OK) {
        return ERR_OK; // it has answered
    }
    const char *name = request_query(request, "status");
    const enum order_status status = name == NULL ? ORDER_NONE : order_status_of(name);
    if (name != NULL && status == ORDER_NONE) {
        return request_reply_problem(
            request, 400, "invalid-parameter", "status", "must be pending, confirmed or cancelled");
    }
    cJSON *list = cJSON_CreateArray();
    const enum err err = order_store_list(service_store(service), status, limit + 1, after, list);
    if (err != ERR_OK) {
        cJSON_Delete(list);
        return err;
    }
    return page_reply(request, "orders", list, limit, "order_id");
}

enum err order_list_products(struct service *service, struct request *request)
{
    (void)service;
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < order_catalogue.count; i++) {
        const struct product *product = &order_catalogue.products[i];
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "sku", product->sku);
        cJSON_AddStringToObject(json, "name", product->name);
        cJSON_AddItemToObject(json, "unit_price", money_to_json(product->unit_price));
        cJSON_AddItemToArray(list, json);
    }
    return page_reply(request, "products", list, (int64_t)order_catalogue.count, "sku");
}
