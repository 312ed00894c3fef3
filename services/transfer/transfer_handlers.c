#include "services/transfer/transfer_handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/uuid.h"
#include "services/handler.h"
#include "services/transfer/transfer.h"
#include "services/transfer/transfer_store.h"

// What every event of ours says; completed and cancelled add to it or take from it.
static cJSON *transfer_to_data(const struct transfer *transfer)
{
    cJSON *data =
        contract_object("transfer_id", transfer->id, "from_account", transfer->from_account, NULL);
    cJSON_AddStringToObject(data, "to_account", transfer->to_account);
    cJSON_AddItemToObject(data, "amount", money_to_json(transfer->amount));
    return data;
}

// announce emits topic, in the version that setting names (NULL: the newest), adds the step
// to the story and logs it. data becomes the service's.
static enum err announce(struct service *service, const struct transfer *transfer,
                         const char *topic, const char *setting, cJSON *data)
{
    char event_id[UUID_SIZE];
    const char *status = transfer_status(transfer->state);
    enum err err = handler_emit_in(service, topic, setting, transfer->id, data, event_id);
    if (err == ERR_OK) {
        err = transfer_store_add_step(
            service_store(service), transfer->id, status, service_now(service), event_id);
    }
    if (err == ERR_OK) {
        service_status_changed(
            service, transfer->id, status, transfer->reason[0] == '\0' ? NULL : transfer->reason);
    }
    return err;
}

static enum err announce_end(struct service *service, const struct transfer *transfer)
{
    if (transfer->state == TRANSFER_COMPLETED) {
        return announce(service, transfer, "transfer-completed", NULL, transfer_to_data(transfer));
    }
    cJSON *data =
        contract_object("transfer_id", transfer->id, "from_account", transfer->from_account, NULL);
    cJSON_AddStringToObject(data, "reason", transfer->reason);
    return announce(service, transfer, "transfer-cancelled", NULL, data);
}

static enum err take_answer(struct service *service, const struct event *event, const cJSON *data)
{
    struct store *store = service_store(service);
    struct transfer transfer;
    if (!contract_subject_is(event, data, "transfer_id")) {
        return ERR_OK; // fraud's answer about an order
    }
    enum err err = transfer_store_find(store, event->subject, &transfer);
    if (err != ERR_OK || !transfer_move(&transfer.state, transfer_answer_of(event->type))) {
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    if (transfer.state == TRANSFER_CANCELLED) {
        const char *reason = json_text_of(data, "reason");
        snprintf(transfer.reason,
                 sizeof transfer.reason,
                 "%s",
                 reason == NULL || reason[0] == '\0' ? "refused" : reason);
    }
    err = transfer_store_update(store, &transfer);
    const bool has_ended =
        transfer.state == TRANSFER_COMPLETED || transfer.state == TRANSFER_CANCELLED;
    return err == ERR_OK && has_ended ? announce_end(service, &transfer) : err;
}

enum err transfer_on_answer(struct service *service, const struct event *event)
{
    return handler_event(service, event, NULL, take_answer);
}

static enum err reply_accepted(struct request *request, const struct transfer *transfer)
{
    const char *status = transfer_status(transfer->state);
    cJSON *json = contract_object("transfer_id", transfer->id, "status", status, NULL);
    cJSON_AddStringToObject(json, "mode", "async");
    cJSON_AddItemToObject(json, "amount", money_to_json(transfer->amount));
    char *location = mem_format("/transfers/%s", transfer->id);
    const enum err err = request_reply_created(request, 202, location, json);
    free(location);
    return err;
}

enum err transfer_post(struct service *service, struct request *request)
{
    struct json_problem problem;
    struct transfer_order order;
    const char *mode = request_query(request, "mode");
    if (mode != NULL && strcmp(mode, "async") != 0) {
        json_problem_set(&problem, "mode", "must be async: transfers have no other way");
        return request_reply_invalid(request, &problem);
    }
    if (transfer_read_order(request_json(request), &order, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
    struct transfer transfer = {.amount = order.amount, .state = TRANSFER_CREATED};
    uuid_new(transfer.id);
    snprintf(transfer.from_account, sizeof transfer.from_account, "%s", order.from_account);
    snprintf(transfer.to_account, sizeof transfer.to_account, "%s", order.to_account);
    request_correlate(request, transfer.id);

    enum err err = transfer_store_insert(service_store(service), &transfer);
    if (err == ERR_OK) {
        err = announce(service,
                       &transfer,
                       "transfer-created",
                       TRANSFER_SETTING_EVENT_VERSION,
                       transfer_to_data(&transfer));
    }
    return err == ERR_OK ? reply_accepted(request, &transfer) : err;
}

static cJSON *transfer_to_json(const struct transfer *transfer, cJSON *history)
{
    cJSON *json = transfer_to_data(transfer);
    cJSON_AddStringToObject(json, "status", transfer_status(transfer->state));
    if (transfer->reason[0] == '\0') {
        cJSON_AddNullToObject(json, "reason");
    } else {
        cJSON_AddStringToObject(json, "reason", transfer->reason);
    }
    cJSON_AddStringToObject(json, "mode", "async");
    cJSON *waiting_for = cJSON_AddArrayToObject(json, "waiting_for");
    if (transfer_waits_for_fraud(transfer->state)) {
        cJSON_AddItemToArray(waiting_for, cJSON_CreateString("fraud"));
    }
    if (transfer_waits_for_ledger(transfer->state)) {
        cJSON_AddItemToArray(waiting_for, cJSON_CreateString("ledger"));
    }
    cJSON_AddItemToObject(json, "history", history);
    return json;
}

enum err transfer_get(struct service *service, struct request *request)
{
    const char *id = request_parameter(request, "id");
    struct transfer transfer;
    cJSON *history = NULL;
    enum err err = uuid_is_valid(id) ? transfer_store_find(service_store(service), id, &transfer)
                                     : ERR_NOT_FOUND;
    if (err == ERR_OK) {
        request_correlate(request, id);
        err = transfer_store_history(service_store(service), id, &history);
    }
    cJSON *json = err == ERR_OK ? transfer_to_json(&transfer, history) : NULL;
    return handler_show(request, err, json, "transfer", id);
}
