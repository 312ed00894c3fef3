#include "services/ledger/ledger_handlers.h"

#include <stdio.h>

#include "services/ledger/ledger_book.h"
#include "services/upcast.h"

enum err ledger_start(struct service *service)
{
    return ledger_book_open(service_store(service), service_now(service));
}

// An event that was read: data in its newest version, about the event's subject.
struct input {
    cJSON *converted; // owned; often NULL
    const cJSON *data;
};

static enum err input_open(struct service *service, const struct event *event, const char *id_name,
                           struct input *out)
{
    struct json_problem problem = {0};
    out->data = upcast_data(event, &out->converted, &problem);
    if (out->data == NULL) {
        return service_fail(service, ERR_INVALID, "%s: %s", problem.field, problem.reason);
    }
    if (!contract_subject_is(event, out->data, id_name)) {
        return service_fail(service, ERR_INVALID, "%s is not the subject", id_name);
    }
    return ERR_OK;
}

// refuse says of a deed that cannot be done why the event fails.
static enum err refuse(struct service *service, enum ledger_deed deed, const char *topic)
{
    return deed == LEDGER_WAIT
               ? service_fail(service, ERR_CONFLICT, "%s came before transfer-created", topic)
               : service_fail(service, ERR_INVALID, "%s contradicts what was posted", topic);
}

static enum err emit_amount(struct service *service, const char *topic, const char *subject,
                            struct money amount)
{
    cJSON *data = cJSON_CreateObject();
    cJSON_AddStringToObject(data, "transfer_id", subject);
    cJSON_AddItemToObject(data, "amount", money_to_json(amount));
    return service_emit(service, topic, 1, subject, data, NULL);
}

static enum err emit_posted(struct service *service, const char *id_name, const char *subject,
                            const struct ledger_case *posted)
{
    const struct ledger_entry entry =
        ledger_move(posted->from_account, posted->to_account, posted->amount);
    cJSON *data = cJSON_CreateObject();
    cJSON_AddStringToObject(data, "entry_id", posted->entry_id);
    cJSON_AddStringToObject(data, id_name, subject);
    cJSON_AddItemToObject(data, "amount", money_to_json(posted->amount));
    cJSON *lines = cJSON_AddArrayToObject(data, "lines");
    for (size_t i = 0; i < entry.lines_count; i++) {
        cJSON_AddItemToArray(lines, ledger_line_to_json(&entry.lines[i]));
    }
    return service_emit(service, "ledger-posted", 1, subject, data, NULL);
}

enum err ledger_on_payment_completed(struct service *service, const struct event *event)
{
    struct input input = {0};
    struct json_problem problem = {0};
    struct ledger_case payment;
    struct money amount;

    enum err err = input_open(service, event, "order_id", &input);
    if (err != ERR_OK) {
        goto out;
    }
    err = contract_get_amount(input.data, "", "amount", &amount, &problem);
    if (err != ERR_OK) {
        (void)service_fail(service, err, "%s: %s", problem.field, problem.reason);
        goto out;
    }
    err = ledger_store_find_case(service_store(service), LEDGER_PAYMENT, event->subject, &payment);
    // Posted before, or stopped by a reversal: nothing is left to do.
    if (err != ERR_OK || ledger_payment_deed((enum ledger_payment_state)payment.state,
                                             LEDGER_PAYMENT_POST) != LEDGER_POST) {
        goto out;
    }
    err = ledger_book_pay(
        service_store(service), event->subject, service_now(service), amount, &payment);
    if (err == ERR_OK) {
        err = emit_posted(service, "order_id", event->subject, &payment);
    } else if (err == ERR_INVALID || err == ERR_TOO_LARGE) {
        err = service_fail(service, ERR_INVALID, "this amount cannot be posted: %s", err_name(err));
    }

out:
    cJSON_Delete(input.converted);
    return err;
}

static enum err read_transfer(struct service *service, const cJSON *data, struct ledger_case *out)
{
    struct json_problem problem = {0};
    const char *from = NULL;
    const char *to = NULL;
    if (contract_get_id(data, "", "from_account", &from, &problem) != ERR_OK ||
        contract_get_id(data, "", "to_account", &to, &problem) != ERR_OK ||
        contract_get_amount(data, "", "amount", &out->amount, &problem) != ERR_OK) {
        return service_fail(service, ERR_INVALID, "%s: %s", problem.field, problem.reason);
    }
    snprintf(out->from_account, sizeof out->from_account, "%s", from);
    snprintf(out->to_account, sizeof out->to_account, "%s", to);
    return ERR_OK;
}

static enum err hold_or_reject(struct service *service, const char *subject, const cJSON *data,
                               struct ledger_case *transfer)
{
    const char *reason = NULL;
    enum err err = read_transfer(service, data, transfer);
    if (err == ERR_OK) {
        err = ledger_book_hold(service_store(service), transfer, &reason);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (reason == NULL) {
        transfer->state = LEDGER_TRANSFER_HELD;
        return emit_amount(service, "funds-held", subject, transfer->amount);
    }
    transfer->state = LEDGER_TRANSFER_REJECTED;
    cJSON *rejected = cJSON_CreateObject();
    cJSON_AddStringToObject(rejected, "transfer_id", subject);
    cJSON_AddStringToObject(rejected, "reason", reason);
    return service_emit(service, "funds-rejected", 1, subject, rejected, NULL);
}

static enum err post_transfer(struct service *service, const char *subject,
                              struct ledger_case *transfer)
{
    // What was held moves, whatever the event says.
    enum err err = ledger_book_release(service_store(service), transfer);
    if (err == ERR_OK) {
        err = ledger_book_post(
            service_store(service), LEDGER_TRANSFER, subject, service_now(service), transfer);
    }
    transfer->state = LEDGER_TRANSFER_POSTED;
    return err == ERR_OK ? emit_posted(service, "transfer_id", subject, transfer) : err;
}

static enum err release_transfer(struct service *service, const char *subject,
                                 struct ledger_case *transfer)
{
    const enum err err = ledger_book_release(service_store(service), transfer);
    transfer->state = LEDGER_TRANSFER_RELEASED;
    return err == ERR_OK ? emit_amount(service, "funds-released", subject, transfer->amount) : err;
}

static enum err on_transfer(struct service *service, const struct event *event,
                            enum ledger_transfer_input step)
{
    struct store *store = service_store(service);
    const char *subject = event->subject;
    struct input input = {0};
    struct ledger_case transfer;
    enum ledger_deed deed = LEDGER_FORBID;

    enum err err = input_open(service, event, "transfer_id", &input);
    if (err == ERR_OK) {
        err = ledger_store_find_case(store, LEDGER_TRANSFER, subject, &transfer);
    }
    if (err != ERR_OK) {
        goto out;
    }
    deed = ledger_transfer_deed((enum ledger_transfer_state)transfer.state, step);
    switch (deed) {
    case LEDGER_IGNORE:
        goto out;
    case LEDGER_HOLD:
        err = hold_or_reject(service, subject, input.data, &transfer);
        break;
    case LEDGER_POST:
        err = post_transfer(service, subject, &transfer);
        break;
    case LEDGER_RELEASE:
        err = release_transfer(service, subject, &transfer);
        break;
    case LEDGER_MARK:
        transfer.state = LEDGER_TRANSFER_STOPPED;
        break;
    case LEDGER_FORBID:
    case LEDGER_WAIT:
    case LEDGER_REVERSE:
        err = refuse(service, deed, event->type);
        break;
    }
    if (err == ERR_OK) {
        err = ledger_store_save_case(store, LEDGER_TRANSFER, subject, &transfer);
    }

out:
    cJSON_Delete(input.converted);
    return err;
}

enum err ledger_on_transfer_created(struct service *service, const struct event *event)
{
    return on_transfer(service, event, LEDGER_TRANSFER_CREATED);
}

enum err ledger_on_transfer_completed(struct service *service, const struct event *event)
{
    return on_transfer(service, event, LEDGER_TRANSFER_COMPLETED);
}

enum err ledger_on_transfer_cancelled(struct service *service, const struct event *event)
{
    return on_transfer(service, event, LEDGER_TRANSFER_CANCELLED);
}
