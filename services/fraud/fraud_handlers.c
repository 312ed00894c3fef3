#include "services/fraud/fraud_handlers.h"

#include <stdio.h>

#include "common/clock.h"
#include "services/fraud/fraud.h"
#include "services/fraud/fraud_store.h"
#include "services/handler.h"

// What is flagged for which reason; NULL: nothing. Limits are settings, and screenings
// over HTTP count as well, so a rebuild may have to take the log's word for it.
static const char *decide(const struct service *service, const struct fraud_limits *limits,
                          const struct fraud_screening *screening)
{
    const struct event *flagged = service_recalled(service, "fraud-flagged");
    if (flagged != NULL) {
        return json_text_of(flagged->data, "reason");
    }
    return service_recalled(service, "fraud-cleared") == NULL ? fraud_decide(limits, screening)
                                                              : NULL;
}

// screen decides about subject, or finds what was decided: *is_new tells which.
// Both paths end here.
static enum err screen(struct service *service, const char *subject, int64_t time_us,
                       struct fraud_screening screening, struct fraud_decision *out, bool *is_new)
{
    struct store *store = service_store(service);
    enum err err = fraud_store_find(store, subject, out);
    *is_new = err == ERR_NOT_FOUND;
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    const struct fraud_limits limits = {
        .amount_minor = config_int(service_config(service), FRAUD_SETTING_LIMIT),
        .per_minute = config_int(service_config(service), FRAUD_SETTING_PER_MINUTE),
    };
    err = fraud_store_count(store,
                            screening.customer_id,
                            time_us - FRAUD_WINDOW_US,
                            time_us,
                            limits.per_minute,
                            &screening.earlier_count);
    if (err != ERR_OK) {
        return err;
    }
    const char *reason = decide(service, &limits, &screening);
    *out = (struct fraud_decision){.time_us = time_us};
    snprintf(out->customer_id, sizeof out->customer_id, "%s", screening.customer_id);
    snprintf(out->reason, sizeof out->reason, "%s", reason == NULL ? "" : reason);
    snprintf(out->decided_at, sizeof out->decided_at, "%s", service_now(service));
    return fraud_store_insert(store, subject, out);
}

// What differs between the events that are screened.
struct screened {
    enum fraud_kind kind;
    const char *id;       // the member with the subject
    const char *customer; // who pays
    const char *amount;
};

static enum err answer_event(struct service *service, const char *id_name, const char *subject,
                             const char *reason)
{
    const bool flagged = reason[0] != '\0';
    cJSON *data = contract_object(id_name, subject, NULL);
    if (flagged) {
        cJSON_AddStringToObject(data, "reason", reason);
    }
    return handler_emit(service, flagged ? "fraud-flagged" : "fraud-cleared", subject, data);
}

static enum err screen_event(struct service *service, const struct event *event, const cJSON *data,
                             const struct screened *members)
{
    struct json_problem problem;
    struct fraud_screening screening = {.kind = members->kind};
    if (contract_get_id(data, "", members->customer, &screening.customer_id, &problem) != ERR_OK ||
        contract_get_amount(data, "", members->amount, &screening.amount, &problem) != ERR_OK) {
        return handler_refuse(service, &problem);
    }
    const int64_t time_us = clock_parse_rfc3339(event->time);
    if (time_us < 0) {
        return service_fail(service, ERR_INVALID, "time is none");
    }
    struct fraud_decision decision;
    bool is_new = false;
    const enum err err = screen(service, event->subject, time_us, screening, &decision, &is_new);
    // A subject that was screened before has its answer already.
    return err == ERR_OK && is_new
               ? answer_event(service, members->id, event->subject, decision.reason)
               : err;
}

static enum err screen_order(struct service *service, const struct event *event, const cJSON *data)
{
    static const struct screened members = {
        .kind = FRAUD_ORDER, .id = "order_id", .customer = "customer_id", .amount = "total"};
    return screen_event(service, event, data, &members);
}

enum err fraud_on_order_created(struct service *service, const struct event *event)
{
    return handler_event(service, event, "order_id", screen_order);
}

static enum err screen_transfer(struct service *service, const struct event *event,
                                const cJSON *data)
{
    static const struct screened members = {.kind = FRAUD_TRANSFER,
                                            .id = "transfer_id",
                                            .customer = "from_account",
                                            .amount = "amount"};
    return screen_event(service, event, data, &members);
}

enum err fraud_on_transfer_created(struct service *service, const struct event *event)
{
    return handler_event(service, event, "transfer_id", screen_transfer);
}

static cJSON *decision_to_json(const char *subject, const struct fraud_decision *decision)
{
    const bool flagged = decision->reason[0] != '\0';
    const char *word = flagged ? "flagged" : "cleared";
    cJSON *json = contract_object("subject", subject, "decision", word, NULL);
    if (flagged) {
        cJSON_AddStringToObject(json, "reason", decision->reason);
    }
    return json;
}

enum err fraud_post_screening(struct service *service, struct request *request)
{
    static const char *const members[] = {"subject", "customer_id", "amount", NULL};
    const cJSON *body = request_json(request);
    struct json_problem problem;
    const char *subject = NULL;
    struct fraud_screening screening = {.kind = FRAUD_ORDER};
    if (handler_body(request, members, &subject, &problem) != ERR_OK ||
        contract_get_id(body, "", "customer_id", &screening.customer_id, &problem) != ERR_OK ||
        contract_get_amount(body, "", "amount", &screening.amount, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
    struct fraud_decision decision;
    bool is_new = false;
    const int64_t time_us = clock_parse_rfc3339(service_now(service));
    const enum err err = screen(service, subject, time_us, screening, &decision, &is_new);
    if (err != ERR_OK) {
        return err;
    }
    return request_reply(request, 200, decision_to_json(subject, &decision));
}

enum err fraud_get_decision(struct service *service, struct request *request)
{
    const char *subject = request_parameter(request, "subject");
    struct fraud_decision decision;
    const enum err err = fraud_store_find(service_store(service), subject, &decision);
    if (err == ERR_NOT_FOUND) {
        return request_reply_problem(
            request, 404, "not-found", NULL, "nothing was decided about %s", subject);
    }
    if (err != ERR_OK) {
        return err;
    }
    cJSON *json = decision_to_json(subject, &decision);
    cJSON_AddStringToObject(json, "customer_id", decision.customer_id);
    cJSON_AddStringToObject(json, "decided_at", decision.decided_at);
    return request_reply(request, 200, json);
}
