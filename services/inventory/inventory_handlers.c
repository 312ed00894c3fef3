#include "services/inventory/inventory_handlers.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "services/catalogue.h"
#include "services/contract.h"
#include "services/handler.h"
#include "services/inventory/inventory.h"
#include "services/inventory/inventory_store.h"
#include "services/page.h"

enum err inventory_start(struct service *service)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < catalogue_of_shop.count && err == ERR_OK; i++) {
        const struct product *product = &catalogue_of_shop.products[i];
        const struct stock stock = stock_new(product->opening_stock);
        err = inventory_store_seed(service_store(service), product->sku, &stock);
    }
    return err;
}

// --- the change that both paths make

// What an input came to.
struct outcome {
    enum reservation_status before;
    enum reservation_verdict verdict;
    struct items items;  // the lines it is about
    const char *refusal; // why those lines cannot be had; NULL: they can
    size_t refused_line;
};

// Moves the goods of all lines or of none.
static enum err move_goods(struct service *service, enum stock_move move, struct outcome *outcome)
{
    struct store *store = service_store(service);
    const struct items *items = &outcome->items;
    struct stock stocks[CONTRACT_ITEMS_MAX];
    for (size_t i = 0; i < items->count; i++) {
        outcome->refused_line = i;
        const enum err err = inventory_store_stock(store, items->list[i].sku, &stocks[i]);
        if (err == ERR_NOT_FOUND) {
            outcome->refusal = "unknown-sku";
            return ERR_OK;
        }
        if (err != ERR_OK) {
            return err;
        }
        if (stock_move(&stocks[i], move, items->list[i].quantity) != ERR_OK) {
            outcome->refusal = "out-of-stock";
            return ERR_OK;
        }
    }
    enum err err = ERR_OK;
    for (size_t i = 0; i < items->count && err == ERR_OK; i++) {
        assert(stock_is_sound(&stocks[i]));
        err = inventory_store_set_stock(store, items->list[i].sku, &stocks[i]);
    }
    return err;
}

// Does what input means for an order's reservation. items: the lines of a new one,
// or NULL for those it has.
static enum err apply(struct service *service, const char *order_id, enum reservation_input input,
                      const struct items *items, struct outcome *out)
{
    struct store *store = service_store(service);
    *out = (struct outcome){0};
    enum err err = inventory_store_reservation(store, order_id, &out->before, &out->items);
    if (err != ERR_OK) {
        return err;
    }
    const struct reservation_step step = reservation_step(out->before, input);
    out->verdict = step.verdict;
    if (step.verdict != RESERVATION_MOVES) {
        return ERR_OK;
    }
    if (items != NULL) {
        out->items = *items;
    }
    if (step.goods != STOCK_STAYS) {
        err = move_goods(service, step.goods, out);
        if (err != ERR_OK || out->refusal != NULL) {
            return err;
        }
    }
    return inventory_store_set_reservation(
        store, order_id, step.next, &out->items, service_now(service));
}

// --- events

static enum err emit(struct service *service, const char *topic, const char *order_id,
                     const struct outcome *outcome)
{
    cJSON *data = contract_object("order_id", order_id, NULL);
    if (outcome->refusal == NULL) {
        cJSON_AddItemToObject(data, "items", contract_items_to_json(&outcome->items));
    } else {
        const struct item *item = &outcome->items.list[outcome->refused_line];
        cJSON_AddStringToObject(data, "sku", item->sku);
        cJSON_AddStringToObject(data, "reason", outcome->refusal);
    }
    return handler_emit(service, topic, order_id, data);
}

// A rebuild that finds goods lacking which were reserved: they had come over HTTP.
static enum err recall_goods(struct service *service, const struct items *items)
{
    struct store *store = service_store(service);
    enum err err = ERR_OK;
    for (size_t i = 0; i < items->count && err == ERR_OK; i++) {
        const struct item *item = &items->list[i];
        struct stock stock;
        err = inventory_store_stock(store, item->sku, &stock);
        const int64_t lacking = err == ERR_OK ? item->quantity - stock.at[STOCK_AVAILABLE] : 0;
        if (lacking > 0) {
            err = stock_restock(&stock, lacking);
            err = err == ERR_OK ? inventory_store_set_stock(store, item->sku, &stock) : err;
        }
    }
    return err;
}

// Reserves the goods, or leaves in outcome why they cannot be had.
static enum err take_goods(struct service *service, const char *order_id, const struct items *items,
                           struct outcome *outcome)
{
    if (service_recalled(service, "inventory-rejected") != NULL) {
        // They are here now, and were not then: somebody had them over HTTP.
        *outcome = (struct outcome){
            .verdict = RESERVATION_MOVES, .items = *items, .refusal = "out-of-stock"};
        return ERR_OK;
    }
    if (service_recalled(service, "inventory-reserved") != NULL) {
        const enum err err = recall_goods(service, items);
        if (err != ERR_OK) {
            return err;
        }
    }
    return apply(service, order_id, RESERVATION_RESERVE, items, outcome);
}

static enum err reserve(struct service *service, const struct event *event, const cJSON *data)
{
    const char *order_id = event->subject;
    struct json_problem problem;
    struct items items;
    if (contract_get_items(data, "", "items", false, &items, &problem) != ERR_OK) {
        return handler_refuse(service, &problem);
    }
    struct outcome outcome;
    enum err err = take_goods(service, order_id, &items, &outcome);
    if (err != ERR_OK || outcome.verdict != RESERVATION_MOVES) {
        return err; // seen before, or the cancellation came first
    }
    if (outcome.refusal == NULL) {
        return emit(service, "inventory-reserved", order_id, &outcome);
    }
    struct outcome rejection;
    err = apply(service, order_id, RESERVATION_REJECT, &items, &rejection);
    return err == ERR_OK ? emit(service, "inventory-rejected", order_id, &outcome) : err;
}

enum err inventory_on_order_created(struct service *service, const struct event *event)
{
    return handler_event(service, event, "order_id", reserve);
}

// Does what the end of an order, good or bad, means for its reservation.
static enum err conclude(struct service *service, const struct event *event, const cJSON *data)
{
    (void)data;
    const bool is_good = strcmp(event->type, "order-confirmed") == 0;
    struct outcome done;
    const enum err err = apply(
        service, event->subject, is_good ? RESERVATION_CONFIRM : RESERVATION_CANCEL, NULL, &done);
    if (err == ERR_OK && (done.verdict == RESERVATION_FORBIDDEN || done.refusal != NULL)) {
        // Without a reservation its order-created may still come: a retry may help.
        return service_fail(service,
                            done.before == RESERVATION_NONE ? ERR_NOT_FOUND : ERR_INVALID,
                            "%s contradicts the reservation, which is %s",
                            event->type,
                            reservation_status_name(done.before));
    }
    return err == ERR_OK && !is_good && done.before == RESERVATION_RESERVED
               ? emit(service, "inventory-released", event->subject, &done)
               : err;
}

enum err inventory_on_order_ended(struct service *service, const struct event *event)
{
    return handler_event(service, event, "order_id", conclude);
}

// --- requests

enum err inventory_list(struct service *service, struct request *request)
{
    static const struct page_list stock = {
        .name = "stock", .cursor = "sku", .read = inventory_store_list};
    return page_list(service, request, &stock, NULL);
}

enum err inventory_show(struct service *service, struct request *request)
{
    const char *sku = request_parameter(request, "sku");
    cJSON *json = NULL;
    const enum err err = inventory_store_show(service_store(service), sku, &json);
    return handler_show(request, err, json, "product", sku);
}

enum err inventory_restock(struct service *service, struct request *request)
{
    static const char *const members[] = {"quantity", NULL};
    const cJSON *body = request_json(request);
    struct json_problem problem;
    int64_t quantity = 0;
    if (json_only_members(body, "", members, &problem) != ERR_OK ||
        json_get_int(body, "", "quantity", 1, RESTOCK_MAX, &quantity, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
    const char *sku = request_parameter(request, "sku");
    struct stock stock;
    enum err err = inventory_store_stock(service_store(service), sku, &stock);
    if (err == ERR_OK && stock_restock(&stock, quantity) != ERR_OK) {
        return request_reply_problem(
            request, 422, "stock-overflow", "quantity", "the stock would be too large to count");
    }
    if (err == ERR_OK) {
        err = inventory_store_set_stock(service_store(service), sku, &stock);
    }
    return err == ERR_OK || err == ERR_NOT_FOUND ? inventory_show(service, request) : err;
}

// Answers with the reservation, or with why there is none.
static enum err reply_outcome(struct request *request, const char *order_id, int status,
                              const char *status_name, const struct outcome *outcome)
{
    if (outcome->verdict == RESERVATION_FORBIDDEN) {
        return request_reply_problem(request,
                                     409,
                                     "reservation-closed",
                                     "order_id",
                                     "the reservation of this order is %s already",
                                     reservation_status_name(outcome->before));
    }
    if (outcome->refusal != NULL) {
        const char *sku = outcome->items.list[outcome->refused_line].sku;
        const bool is_unknown = outcome->refusal[0] == 'u';
        char field[JSON_PATH_SIZE];
        snprintf(field, sizeof field, "items[%zu].sku", outcome->refused_line);
        return request_reply_problem(request,
                                     is_unknown ? 422 : 409,
                                     outcome->refusal,
                                     field,
                                     is_unknown ? "there is no product %s"
                                                : "there is not enough of %s",
                                     sku);
    }
    cJSON *json = contract_object("order_id", order_id, "status", status_name, NULL);
    cJSON_AddItemToObject(json, "items", contract_items_to_json(&outcome->items));
    return request_reply(request, status, json);
}

enum err inventory_take(struct service *service, struct request *request)
{
    static const char *const members[] = {"order_id", "items", NULL};
    const cJSON *body = request_json(request);
    struct json_problem problem;
    const char *order_id = NULL;
    struct items items;
    if (handler_body(request, members, &order_id, &problem) != ERR_OK ||
        contract_get_items(body, "", "items", true, &items, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
    struct outcome outcome;
    const enum err err = apply(service, order_id, RESERVATION_TAKE, &items, &outcome);
    return err == ERR_OK ? reply_outcome(request, order_id, 201, "sold", &outcome) : err;
}

enum err inventory_put_back(struct service *service, struct request *request)
{
    const char *order_id = request_parameter(request, "order_id");
    if (!uuid_is_valid(order_id)) {
        return request_reply_problem(
            request, 422, "invalid-field", "order_id", "must be a UUID in lower case");
    }
    request_correlate(request, order_id);
    struct outcome outcome;
    const enum err err = apply(service, order_id, RESERVATION_PUT_BACK, NULL, &outcome);
    return err == ERR_OK ? reply_outcome(request, order_id, 200, "released", &outcome) : err;
}
