#include "services/ledger/ledger_handlers.h"

#include <stdio.h>

#include "services/handler.h"
#include "services/ledger/ledger_book.h"

struct ledger_origin ledger_origin_of(const struct service *service)
{
    return (struct ledger_origin){service_cause(service), service_now(service)};
}

enum err ledger_start(struct service *service)
{
    return ledger_book_open(service_store(service), ledger_origin_of(service));
}

// Emits what happened to a transfer's money: the amount, or why it was rejected.
static enum err emit_funds(struct service *service, const char *topic, const char *subject,
                           const struct ledger_case *transfer, const char *reason)
{
    cJSON *data = contract_object("transfer_id", subject, NULL);
    if (reason == NULL) {
        cJSON_AddItemToObject(data, "amount", money_to_json(transfer->amount));
    } else {
        cJSON_AddStringToObject(data, "reason", reason);
    }
    return handler_emit(service, topic, subject, data);
}

static enum err emit_posted(struct service *service, const char *id_name, const char *subject,
                            const struct ledger_case *posted)
{
    const struct ledger_entry entry =
        ledger_move(posted->from_account, posted->to_account, posted->amount);
    cJSON *data = contract_object("entry_id", posted->entry_id, id_name, subject, NULL);
    cJSON_AddItemToObject(data, "amount", money_to_json(posted->amount));
    cJSON *lines = cJSON_AddArrayToObject(data, "lines");
    for (size_t i = 0; i < entry.lines_count; i++) {
        const struct ledger_line *line = &entry.lines[i];
        cJSON *json = money_to_json(line->amount);
        cJSON_AddStringToObject(json, "account", line->account_id);
        cJSON_AddItemToArray(lines, json);
    }
    return handler_emit(service, "ledger-posted", subject, data);
}

static enum err pay(struct service *service, const struct event *event, const cJSON *data)
{
    struct store *store = service_store(service);
    struct json_problem problem;
    struct money amount;
    if (contract_get_amount(data, "", "amount", &amount, &problem) != ERR_OK) {
        return handler_refuse(service, &problem);
    }
    struct ledger_case payment;
    enum err err = ledger_store_find_case(store, LEDGER_PAYMENT, event->subject, &payment);
    if (err != ERR_OK || ledger_deed(payment.state, LEDGER_PAID) != LEDGER_POST) {
        return err; // posted before, or stopped by a reversal: nothing is left to do
    }
    err = ledger_book_pay(store, event->subject, ledger_origin_of(service), amount, &payment);
    if (err == ERR_INVALID || err == ERR_TOO_LARGE) {
        return service_fail(
            service, ERR_INVALID, "this amount cannot be posted: %s", err_name(err));
    }
    return err == ERR_OK ? emit_posted(service, "order_id", event->subject, &payment) : err;
}

enum err ledger_on_payment_completed(struct service *service, const struct event *event)
{
    return handler_event(service, event, "order_id", pay);
}

// --- what the deeds do to a transfer; its case is saved behind them

static enum err hold_or_reject(struct service *service, const char *subject, const cJSON *data,
                               struct ledger_case *transfer)
{
    struct json_problem problem;
    const char *from = NULL;
    const char *to = NULL;
    if (contract_get_id(data, "", "from_account", &from, &problem) != ERR_OK ||
        contract_get_id(data, "", "to_account", &to, &problem) != ERR_OK ||
        contract_get_amount(data, "", "amount", &transfer->amount, &problem) != ERR_OK) {
        return handler_refuse(service, &problem);
    }
    snprintf(transfer->from_account, sizeof transfer->from_account, "%s", from);
    snprintf(transfer->to_account, sizeof transfer->to_account, "%s", to);
    const char *reason = NULL;
    const enum err err = ledger_book_hold(service_store(service), transfer, &reason);
    transfer->state = reason == NULL ? LEDGER_HELD : LEDGER_REJECTED;
    const char *topic = reason == NULL ? "funds-held" : "funds-rejected";
    return err == ERR_OK ? emit_funds(service, topic, subject, transfer, reason) : err;
}

// Ends a hold: what was held moves, whatever the event says, or is free again.
static enum err end_hold(struct service *service, const char *subject, bool is_posted,
                         struct ledger_case *transfer)
{
    struct store *store = service_store(service);
    enum err err = ledger_book_release(store, transfer);
    if (err == ERR_OK && is_posted) {
        err =
            ledger_book_post(store, LEDGER_TRANSFER, subject, ledger_origin_of(service), transfer);
    }
    if (err != ERR_OK) {
        return err;
    }
    transfer->state = is_posted ? LEDGER_POSTED : LEDGER_RELEASED;
    return is_posted ? emit_posted(service, "transfer_id", subject, transfer)
                     : emit_funds(service, "funds-released", subject, transfer, NULL);
}

static enum err do_deed(struct service *service, const struct event *event, const cJSON *data,
                        enum ledger_deed deed, struct ledger_case *transfer)
{
    switch (deed) {
    case LEDGER_HOLD:
        return hold_or_reject(service, event->subject, data, transfer);
    case LEDGER_POST:
    case LEDGER_RELEASE:
        return end_hold(service, event->subject, deed == LEDGER_POST, transfer);
    case LEDGER_MARK:
        transfer->state = LEDGER_STOPPED;
        return ERR_OK;
    case LEDGER_WAIT:
        return service_fail(service, ERR_CONFLICT, "%s came before transfer-created", event->type);
    default:
        return service_fail(service, ERR_INVALID, "%s contradicts what was posted", event->type);
    }
}

static enum err on_transfer(struct service *service, const struct event *event, const cJSON *data)
{
    const enum ledger_input input = ledger_input_of(event->type);
    struct store *store = service_store(service);
    const char *subject = event->subject;
    struct ledger_case transfer;
    enum err err = ledger_store_find_case(store, LEDGER_TRANSFER, subject, &transfer);
    const enum ledger_deed deed = ledger_deed(transfer.state, input);
    if (err != ERR_OK || deed == LEDGER_IGNORE) {
        return err;
    }
    err = do_deed(service, event, data, deed, &transfer);
    return err == ERR_OK ? ledger_store_save_case(store, LEDGER_TRANSFER, subject, &transfer) : err;
}

enum err ledger_on_transfer(struct service *service, const struct event *event)
{
    return handler_event(service, event, "transfer_id", on_transfer);
}
