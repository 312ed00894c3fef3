#include "services/payment/payment_handlers.h"

#include <stdio.h>
#include <string.h>

#include "common/crash_point.h"
#include "services/contract.h"
#include "services/handler.h"
#include "services/hop.h"
#include "services/payment/payment.h"
#include "services/payment/payment_store.h"

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
        service_derive_id(service, "payment", order_id, out->payment.payment_id);
    }
    if (amount != NULL) {
        out->payment.amount = *amount;
    }
    snprintf(out->payment.reason, sizeof out->payment.reason, "%s", reason == NULL ? "" : reason);
    return payment_store_write(store, order_id, &out->payment, service_now(service));
}

static cJSON *payment_to_json(const char *order_id, const struct payment *payment)
{
    cJSON *json = contract_object("order_id", order_id, "payment_id", payment->payment_id, NULL);
    if (payment->amount.currency[0] != '\0') {
        cJSON_AddItemToObject(json, "amount", money_to_json(payment->amount));
    }
    return json;
}

// --- events

static enum err emit(struct service *service, const char *topic, const char *order_id,
                     const struct payment *payment)
{
    return handler_emit(service, topic, order_id, payment_to_json(order_id, payment));
}

static enum err authorize(struct service *service, const struct event *event, const cJSON *data)
{
    const char *order_id = event->subject;
    struct json_problem problem;
    struct money total;
    const char *token = NULL;
    if (contract_get_amount(data, "", "total", &total, &problem) != ERR_OK ||
        json_get_text(data, "", "payment_token", 1, CONTRACT_ID_MAX, &token, &problem) != ERR_OK) {
        return handler_refuse(service, &problem);
    }
    struct outcome outcome;
    enum err err = payment_store_read(service_store(service), order_id, &outcome.payment);
    if (err != ERR_OK || outcome.payment.status != PAYMENT_NONE) {
        return err; // answered before, or the cancellation came first: ask no card
    }
    const struct card_result card = card_ask(token, service_attempt(service));
    if (card.answer == CARD_FAILS) {
        return service_fail(
            service, ERR_UNAVAILABLE, "the card network failed on %s: %s", token, card.reason);
    }
    const bool pays = card.answer == CARD_PAYS;
    const enum payment_input input = pays ? PAYMENT_AUTHORIZE : PAYMENT_DECLINE;
    err = apply(service, order_id, input, &total, card.reason, &outcome);
    if (err != ERR_OK) {
        return err;
    }
    if (pays) {
        return emit(service, "payment-authorized", order_id, &outcome.payment);
    }
    cJSON *declined = contract_object("order_id", order_id, "reason", card.reason, NULL);
    return handler_emit(service, "payment-declined", order_id, declined);
}

enum err payment_on_order_created(struct service *service, const struct event *event)
{
    return handler_event(service, event, "order_id", authorize);
}

// Does what the end of an order, good or bad, means for its payment.
static enum err conclude(struct service *service, const struct event *event, const cJSON *data)
{
    (void)data;
    const bool is_good = strcmp(event->type, "order-confirmed") == 0;
    struct outcome done;
    const enum err err =
        apply(service, event->subject, is_good ? PAYMENT_CAPTURE : PAYMENT_VOID, NULL, NULL, &done);
    if (err == ERR_OK && done.verdict == PAYMENT_FORBIDDEN) {
        // Without a payment its order-created may still come: a retry may help.
        return service_fail(service,
                            done.before == PAYMENT_NONE ? ERR_NOT_FOUND : ERR_INVALID,
                            "%s contradicts the payment, which is %s",
                            event->type,
                            payment_status_name(done.before));
    }
    if (err != ERR_OK || done.verdict != PAYMENT_MOVES || done.before != PAYMENT_AUTHORIZED) {
        return err; // what was not authorized is neither captured nor voided
    }
    const char *topic = is_good ? "payment-completed" : "payment-voided";
    return emit(service, topic, event->subject, &done.payment);
}

enum err payment_on_order_ended(struct service *service, const struct event *event)
{
    return handler_event(service, event, "order_id", conclude);
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
    if (err == ERR_OK && payment.status == PAYMENT_NONE) {
        return handler_show(request, ERR_NOT_FOUND, NULL, "payment of order", order_id);
    }
    return err == ERR_OK ? reply_payment(request, 200, order_id, &payment) : err;
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

// The last call of a job.
static cJSON *run_hop(struct caller *caller, const struct hop *hop, const cJSON *input)
{
    struct hop_failure failure;
    cJSON *answer = NULL;
    if (!hop_call(caller, hop, input, &answer, &failure)) {
        return hop_failure_to_json(&failure);
    }
    cJSON_Delete(answer);
    return cJSON_CreateObject();
}

static cJSON *failed(int status, const char *reason, const char *detail)
{
    struct hop_failure failure = {.status = status};
    snprintf(failure.reason, sizeof failure.reason, "%s", reason);
    snprintf(failure.detail, sizeof failure.detail, "%s", detail);
    return hop_failure_to_json(&failure);
}

static cJSON *charge_run(struct caller *caller, const cJSON *input)
{
    static const struct hop screening = {
        "fraud",
        "POST",
        "/screenings",
        "screening",
        {{"subject", "order_id"}, {"customer_id", "customer_id"}, {"amount", "amount"}}};
    static const struct hop posting = {
        "ledger", "POST", "/postings", "posting", {{"subject", "order_id"}, {"amount", "amount"}}};
    struct hop_failure failure;
    cJSON *answer = NULL;
    crash_point("payment-charge-begun");
    if (!hop_call(caller, &screening, input, &answer, &failure)) {
        return hop_failure_to_json(&failure);
    }
    const char *decision = json_text_of(answer, "decision");
    const char *reason = json_text_of(answer, "reason");
    cJSON *flagged = NULL;
    if (decision == NULL || strcmp(decision, "cleared") != 0) {
        flagged = failed(403, reason == NULL ? "fraud-flagged" : reason, "fraud flagged the order");
    }
    cJSON_Delete(answer);
    if (flagged != NULL) {
        return flagged;
    }
    crash_point("payment-charge-screened");
    const cJSON *attempt = cJSON_GetObjectItemCaseSensitive(input, "attempt");
    const struct card_result card =
        card_ask(json_text_of(input, "payment_token"), (int64_t)attempt->valuedouble);
    if (card.answer == CARD_FAILS) {
        return failed(503, card.reason, "the card network gave no answer");
    }
    if (card.answer == CARD_DECLINES) {
        return failed(402, card.reason, "the card was declined");
    }
    crash_point("payment-charge-agreed");
    cJSON *result = run_hop(caller, &posting, input);
    crash_point("payment-charge-posted");
    return result;
}

static enum err charge_finish(struct service *service, struct request *request, const cJSON *input,
                              const cJSON *result)
{
    const char *order_id = json_text_of(input, "order_id");
    const char *reason = json_text_of(result, "reason");
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(result, "status");
    if (reason != NULL && status->valueint != 402) {
        return hop_reply_failure(request, result);
    }
    struct money amount;
    if (money_from_json(cJSON_GetObjectItemCaseSensitive(input, "amount"), &amount) != ERR_OK) {
        return ERR_INVALID;
    }
    struct outcome outcome;
    const enum payment_input step = reason == NULL ? PAYMENT_CHARGE : PAYMENT_DECLINE;
    const enum err err = apply(service, order_id, step, &amount, reason, &outcome);
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
    if (handler_body(request, members, &order_id, &problem) != ERR_OK ||
        contract_get_id(body, "", "customer_id", &text, &problem) != ERR_OK ||
        json_get_text(body, "", "payment_token", 1, CONTRACT_ID_MAX, &text, &problem) != ERR_OK ||
        contract_get_amount(body, "", "amount", &amount, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
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
    (void)hop_run_job(service, request, &job, input);
    return ERR_OK; // without a job it has answered
}

static cJSON *refund_run(struct caller *caller, const cJSON *input)
{
    static const struct hop reversal = {
        "ledger", "POST", "/reversals", "reversal", {{"subject", "order_id"}}};
    crash_point("payment-refund-begun");
    cJSON *result = run_hop(caller, &reversal, input);
    crash_point("payment-refund-reversed");
    return result;
}

static enum err refund_finish(struct service *service, struct request *request, const cJSON *input,
                              const cJSON *result)
{
    const char *order_id = json_text_of(input, "order_id");
    if (json_text_of(result, "reason") != NULL) {
        return hop_reply_failure(request, result);
    }
    struct outcome outcome;
    const enum err err = apply(service, order_id, PAYMENT_REFUND, NULL, NULL, &outcome);
    return err == ERR_OK ? reply_payment(request, 201, order_id, &outcome.payment) : err;
}

enum err payment_refund(struct service *service, struct request *request)
{
    static const char *const members[] = {"order_id", NULL};
    static const struct service_job job = {.run = refund_run, .finish = refund_finish};
    struct json_problem problem;
    const char *order_id = NULL;
    if (handler_body(request, members, &order_id, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
    struct outcome outcome;
    enum err err = payment_store_read(service_store(service), order_id, &outcome.payment);
    if (err != ERR_OK) {
        return err;
    }
    const enum payment_status status = outcome.payment.status;
    if (payment_step(status, PAYMENT_REFUND).verdict == PAYMENT_FORBIDDEN) {
        return reply_decided(request, order_id, &outcome.payment);
    }
    if (status == PAYMENT_NONE) {
        // The charge may be under way, or still come: the mark goes to disk before
        // the ledger is asked, so that it cannot be captured behind this refund.
        err = apply(service, order_id, PAYMENT_REFUND, NULL, NULL, &outcome);
        if (err != ERR_OK) {
            return err;
        }
    }
    (void)hop_run_job(service, request, &job, cJSON_Duplicate(request_json(request), true));
    return ERR_OK; // without a job it has answered
}
