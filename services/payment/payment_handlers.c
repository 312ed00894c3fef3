#include "services/payment/payment_handlers.h"

#include <stdio.h>
#include <string.h>

#include "services/contract.h"
#include "services/hop.h"
#include "services/payment/payment.h"
#include "services/payment/payment_store.h"
#include "services/upcast.h"

// --- the change that both paths make

// What an input came to.
struct outcome {
    enum payment_verdict verdict;
    enum payment_status before;
    struct payment payment; // as it is now
};

// Does what input means for an order's payment. amount and reason are of a payment
// that is new; NULL: none.
static enum err apply(struct service *service, const char *order_id, enum payment_input input,
                      const struct money *amount, const char *reason, struct outcome *out)
{
    struct store *store = service_store(service);
    const enum err err = payment_store_read(store, order_id, &out->payment);
    if (err != ERR_OK) {
        return err;
    }
    out->before = out->payment.status;
    const struct payment_step step = payment_step(out->before, input);
    out->verdict = step.verdict;
    if (step.verdict != PAYMENT_MOVES) {
        return ERR_OK;
    }
    out->payment.status = step.next;
    if (out->before == PAYMENT_NONE) {
        uuid_new(out->payment.payment_id);
    }
    if (amount != NULL) {
        out->payment.amount = *amount;
    }
    snprintf(out->payment.reason, sizeof out->payment.reason, "%s", reason == NULL ? "" : reason);
    return payment_store_write(store, order_id, &out->payment, service_now(service));
}

static cJSON *payment_to_json(const char *order_id, const struct payment *payment)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "order_id", order_id);
    cJSON_AddStringToObject(json, "payment_id", payment->payment_id);
    if (payment->amount.currency[0] != '\0') {
        cJSON_AddItemToObject(json, "amount", money_to_json(payment->amount));
    }
    return json;
}

// --- events

static enum err emit(struct service *service, const char *topic, const char *order_id,
                     const struct payment *payment)
{
    cJSON *data = payment_to_json(order_id, payment);
    return service_emit(service, topic, upcast_version(topic), order_id, data, NULL);
}

static enum err emit_declined(struct service *service, const char *order_id, const char *reason)
{
    static const char topic[] = "payment-declined";
    cJSON *data = cJSON_CreateObject();
    cJSON_AddStringToObject(data, "order_id", order_id);
    cJSON_AddStringToObject(data, "reason", reason);
    return service_emit(service, topic, upcast_version(topic), order_id, data, NULL);
}

static enum err authorize(struct service *service, const char *order_id, const char *token,
                          struct money amount)
{
    struct payment payment;
    enum err err = payment_store_read(service_store(service), order_id, &payment);
    if (err != ERR_OK || payment.status != PAYMENT_NONE) {
        return err; // answered before, or the cancellation came first: ask no card
    }
    const struct card_result card = card_ask(token, service_attempt(service));
    if (card.answer == CARD_FAILS) {
        return service_fail(
            service, ERR_UNAVAILABLE, "the card network failed on %s: %s", token, card.reason);
    }
    const bool pays = card.answer == CARD_PAYS;
    struct outcome outcome;
    err = apply(service,
                order_id,
                pays ? PAYMENT_AUTHORIZE : PAYMENT_DECLINE,
                &amount,
                card.reason,
                &outcome);
    if (err != ERR_OK) {
        return err;
    }
    return pays ? emit(service, "payment-authorized", order_id, &outcome.payment)
                : emit_declined(service, order_id, card.reason);
}

enum err payment_on_order_created(struct service *service, const struct event *event)
{
    struct json_problem problem;
    struct money total;
    const char *token = NULL;
    cJSON *converted = NULL;
    const cJSON *data = upcast_data(event, &converted, &problem);
    enum err err = ERR_INVALID;
    if (data == NULL || contract_get_amount(data, "", "total", &total, &problem) != ERR_OK ||
        json_get_text(data, "", "payment_token", 1, CONTRACT_ID_MAX, &token, &problem) != ERR_OK) {
        service_fail(service, err, "%s %s", problem.field, problem.reason);
    } else if (!contract_subject_is(event, data, "order_id")) {
        service_fail(service, err, "order_id is not the subject");
    } else {
        err = authorize(service, event->subject, token, total);
    }
    cJSON_Delete(converted);
    return err;
}

// The end of an order, good or bad.
static enum err conclude(struct service *service, const struct event *event,
                         enum payment_input input, struct outcome *out)
{
    struct json_problem problem;
    cJSON *converted = NULL;
    if (upcast_data(event, &converted, &problem) == NULL) {
        return service_fail(service, ERR_INVALID, "%s", problem.reason);
    }
    cJSON_Delete(converted);
    const enum err err = apply(service, event->subject, input, NULL, NULL, out);
    if (err == ERR_OK && out->verdict == PAYMENT_FORBIDDEN) {
        // Without a payment its order-created may still come: a retry may help.
        return service_fail(service,
                            out->before == PAYMENT_NONE ? ERR_NOT_FOUND : ERR_INVALID,
                            "%s contradicts the payment, which is %s",
                            event->type,
                            payment_status_name(out->before));
    }
    return err;
}

enum err payment_on_order_confirmed(struct service *service, const struct event *event)
{
    struct outcome outcome;
    const enum err err = conclude(service, event, PAYMENT_CAPTURE, &outcome);
    if (err != ERR_OK || outcome.verdict != PAYMENT_MOVES) {
        return err;
    }
    return emit(service, "payment-completed", event->subject, &outcome.payment);
}

enum err payment_on_order_cancelled(struct service *service, const struct event *event)
{
    struct outcome outcome;
    const enum err err = conclude(service, event, PAYMENT_VOID, &outcome);
    if (err != ERR_OK || outcome.before != PAYMENT_AUTHORIZED) {
        return err; // nothing was authorized, so nothing was voided
    }
    return emit(service, "payment-voided", event->subject, &outcome.payment);
}

// --- requests

static enum err reply_payment(struct request *request, int http_status, const char *order_id,
                              const struct payment *payment)
{
    cJSON *json = payment_to_json(order_id, payment);
    cJSON_AddStringToObject(json, "status", payment_status_name(payment->status));
    if (payment->reason[0] != '\0') {
        cJSON_AddStringToObject(json, "reason", payment->reason);
    }
    return request_reply(request, http_status, json);
}

enum err payment_show(struct service *service, struct request *request)
{
    const char *order_id = request_parameter(request, "order_id");
    struct payment payment;
    const enum err err = payment_store_read(service_store(service), order_id, &payment);
    if (err != ERR_OK) {
        return err;
    }
    if (payment.status == PAYMENT_NONE) {
        return request_reply_problem(
            request, 404, "not-found", NULL, "there is no payment of order %.64s", order_id);
    }
    return reply_payment(request, 200, order_id, &payment);
}

// What a job found, for the core: {"status": 0 when all went well, or that of the
// answer, "code", "detail"}.
static cJSON *found(int status, const char *code, const char *detail)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "status", status);
    cJSON_AddStringToObject(json, "code", code);
    cJSON_AddStringToObject(json, "detail", detail);
    return json;
}

// Calls a service behind this one: POST path, idempotent by order and suffix. NULL:
// it answered 2xx and *answer, the caller's, is what it said; else what to answer.
static cJSON *call_inner(struct caller *caller, const char *target, const char *path,
                         const char *suffix, const cJSON *body, cJSON **answer)
{
    char key[EVENT_TEXT_MAX];
    snprintf(key, sizeof key, "%s:%s", json_text_of(body, "subject"), suffix);
    struct call_result call = caller_call(caller, target, "POST", path, body, key);
    *answer = call.json;
    if (hop_is_good(&call)) {
        return NULL;
    }
    struct hop_failure failure;
    hop_explain(target, &call, &failure);
    cJSON_Delete(call.json);
    *answer = NULL;
    return found(failure.status, failure.reason, failure.detail);
}

static cJSON *screen(struct caller *caller, const cJSON *input)
{
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "subject", json_text_of(input, "order_id"));
    cJSON_AddStringToObject(body, "customer_id", json_text_of(input, "customer_id"));
    cJSON_AddItemReferenceToObject(
        body, "amount", cJSON_GetObjectItemCaseSensitive(input, "amount"));
    cJSON *answer = NULL;
    cJSON *json = call_inner(caller, "fraud", "/screenings", "screening", body, &answer);
    cJSON_Delete(body);
    if (json == NULL) {
        const char *decision = json_text_of(answer, "decision");
        const char *reason = json_text_of(answer, "reason");
        if (decision == NULL || strcmp(decision, "cleared") != 0) {
            json = found(403, reason == NULL ? "fraud-flagged" : reason, "fraud flagged the order");
        }
    }
    cJSON_Delete(answer);
    return json;
}

static cJSON *post_entry(struct caller *caller, const cJSON *input)
{
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "subject", json_text_of(input, "order_id"));
    cJSON_AddItemReferenceToObject(
        body, "amount", cJSON_GetObjectItemCaseSensitive(input, "amount"));
    cJSON *answer = NULL;
    cJSON *json = call_inner(caller, "ledger", "/postings", "posting", body, &answer);
    cJSON_Delete(answer);
    cJSON_Delete(body);
    return json;
}

static cJSON *charge_run(struct caller *caller, const cJSON *input)
{
    cJSON *json = screen(caller, input);
    if (json != NULL) {
        return json;
    }
    const cJSON *attempt = cJSON_GetObjectItemCaseSensitive(input, "attempt");
    const struct card_result card =
        card_ask(json_text_of(input, "payment_token"), (int64_t)attempt->valuedouble);
    if (card.answer == CARD_FAILS) {
        return found(503, card.reason, "the card network gave no answer");
    }
    if (card.answer == CARD_DECLINES) {
        return found(402, card.reason, "the card was declined");
    }
    json = post_entry(caller, input);
    return json == NULL ? found(0, "", "") : json;
}

static enum err reply_found(struct request *request, const cJSON *result)
{
    return request_reply_problem(request,
                                 cJSON_GetObjectItemCaseSensitive(result, "status")->valueint,
                                 json_text_of(result, "code"),
                                 NULL,
                                 "%s",
                                 json_text_of(result, "detail"));
}

// Answers with a payment that was decided before this request.
static enum err reply_decided(struct request *request, const char *order_id,
                              const struct payment *payment)
{
    switch (payment->status) {
    case PAYMENT_CAPTURED:
        return reply_payment(request, 201, order_id, payment);
    case PAYMENT_DECLINED:
        return request_reply_problem(request, 402, payment->reason, NULL, "the card was declined");
    default:
        return request_reply_problem(request,
                                     409,
                                     "payment-closed",
                                     "order_id",
                                     "the payment of this order is %s already",
                                     payment_status_name(payment->status));
    }
}

static enum err charge_finish(struct service *service, struct request *request, const cJSON *input,
                              const cJSON *result)
{
    const char *order_id = json_text_of(input, "order_id");
    const int status = cJSON_GetObjectItemCaseSensitive(result, "status")->valueint;
    if (status != 0 && status != 402) {
        return reply_found(request, result);
    }
    struct money amount;
    if (money_from_json(cJSON_GetObjectItemCaseSensitive(input, "amount"), &amount) != ERR_OK) {
        return ERR_INVALID;
    }
    struct outcome outcome;
    const enum err err = apply(service,
                               order_id,
                               status == 0 ? PAYMENT_CHARGE : PAYMENT_DECLINE,
                               &amount,
                               status == 0 ? NULL : json_text_of(result, "code"),
                               &outcome);
    return err == ERR_OK ? reply_decided(request, order_id, &outcome.payment) : err;
}

enum err payment_charge(struct service *service, struct request *request)
{
    static const char *const members[] = {
        "order_id", "customer_id", "payment_token", "amount", NULL};
    static const struct service_job job = {.run = charge_run, .finish = charge_finish};
    const cJSON *body = request_json(request);
    struct json_problem problem;
    const char *order_id = NULL;
    const char *text = NULL;
    struct money amount;
    if (json_only_members(body, "", members, &problem) != ERR_OK ||
        contract_get_uuid(body, "", "order_id", &order_id, &problem) != ERR_OK ||
        contract_get_id(body, "", "customer_id", &text, &problem) != ERR_OK ||
        json_get_text(body, "", "payment_token", 1, CONTRACT_ID_MAX, &text, &problem) != ERR_OK ||
        contract_get_amount(body, "", "amount", &amount, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
    request_correlate(request, order_id);
    struct payment payment;
    const enum err err = payment_store_read(service_store(service), order_id, &payment);
    if (err != ERR_OK) {
        return err;
    }
    if (payment.status != PAYMENT_NONE) {
        return reply_decided(request, order_id, &payment);
    }
    cJSON *input = cJSON_Duplicate(body, true);
    cJSON_AddNumberToObject(input, "attempt", (double)service_attempt(service));
    return request_run_job(service, request, &job, input) == ERR_OK
               ? ERR_OK
               : request_reply_problem(
                     request, 503, "sync-queue-full", NULL, "too many calls wait for a worker");
}

static cJSON *refund_run(struct caller *caller, const cJSON *input)
{
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "subject", json_text_of(input, "order_id"));
    cJSON *answer = NULL;
    cJSON *json = call_inner(caller, "ledger", "/reversals", "reversal", body, &answer);
    cJSON_Delete(answer);
    cJSON_Delete(body);
    return json == NULL ? found(0, "", "") : json;
}

static enum err refund_finish(struct service *service, struct request *request, const cJSON *input,
                              const cJSON *result)
{
    const char *order_id = json_text_of(input, "order_id");
    if (cJSON_GetObjectItemCaseSensitive(result, "status")->valueint != 0) {
        return reply_found(request, result);
    }
    struct outcome outcome;
    const enum err err = apply(service, order_id, PAYMENT_REFUND, NULL, NULL, &outcome);
    return err == ERR_OK ? reply_payment(request, 201, order_id, &outcome.payment) : err;
}

enum err payment_refund(struct service *service, struct request *request)
{
    static const char *const members[] = {"order_id", NULL};
    static const struct service_job job = {.run = refund_run, .finish = refund_finish};
    const cJSON *body = request_json(request);
    struct json_problem problem;
    const char *order_id = NULL;
    if (json_only_members(body, "", members, &problem) != ERR_OK ||
        contract_get_uuid(body, "", "order_id", &order_id, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
    request_correlate(request, order_id);
    struct payment payment;
    enum err err = payment_store_read(service_store(service), order_id, &payment);
    if (err != ERR_OK) {
        return err;
    }
    if (payment_step(payment.status, PAYMENT_REFUND).verdict == PAYMENT_FORBIDDEN) {
        return reply_decided(request, order_id, &payment);
    }
    if (payment.status == PAYMENT_NONE) {
        // The charge may be under way, or still come: the mark goes to disk before
        // the ledger is asked, so that it cannot be captured behind this refund.
        struct outcome outcome;
        err = apply(service, order_id, PAYMENT_REFUND, NULL, NULL, &outcome);
        if (err != ERR_OK) {
            return err;
        }
    }
    if (request_run_job(service, request, &job, cJSON_Duplicate(body, true)) == ERR_OK) {
        return ERR_OK;
    }
    return request_reply_problem(
        request, 503, "sync-queue-full", NULL, "too many calls wait for a worker");
}
