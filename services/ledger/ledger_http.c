// The HTTP half of ledger_handlers.h.
#include <string.h>

#include "services/ledger/ledger_book.h"
#include "services/ledger/ledger_handlers.h"
#include "services/page.h"

// --- the synchronous chain

static enum err reply_posting(struct request *request, const char *subject,
                              const struct ledger_case *payment, const char *status)
{
    cJSON *json = cJSON_CreateObject();
    if (payment->entry_id[0] != '\0') {
        cJSON_AddStringToObject(json, "entry_id", payment->entry_id);
    }
    cJSON_AddStringToObject(json, "subject", subject);
    if (payment->amount.amount_minor != 0) {
        cJSON_AddItemToObject(json, "amount", money_to_json(payment->amount));
    }
    if (status != NULL) {
        cJSON_AddStringToObject(json, "status", status);
    }
    return request_reply(request, 201, json);
}

// post_new posts a payment that was not posted before. What the rules refuse has
// written nothing, so that the answer may commit.
static enum err post_new(struct service *service, struct request *request, const char *subject,
                         struct money amount)
{
    struct ledger_case payment;
    const enum err err =
        ledger_book_pay(service_store(service), subject, service_now(service), amount, &payment);
    if (err == ERR_INVALID || err == ERR_TOO_LARGE) {
        return request_reply_problem(request,
                                     422,
                                     err == ERR_INVALID ? "currency-mismatch" : "balance-too-large",
                                     "amount",
                                     err == ERR_INVALID ? "the accounts are in %s"
                                                        : "a balance in %s would be too large",
                                     LEDGER_CURRENCY);
    }
    return err == ERR_OK ? reply_posting(request, subject, &payment, NULL) : err;
}

static bool money_is_equal(struct money a, struct money b)
{
    return a.amount_minor == b.amount_minor && strcmp(a.currency, b.currency) == 0;
}

enum err ledger_post_posting(struct service *service, struct request *request)
{
    static const char *const members[] = {"subject", "amount", NULL};
    const cJSON *body = request_json(request);
    struct json_problem problem;
    const char *subject = NULL;
    struct money amount;
    if (json_only_members(body, "", members, &problem) != ERR_OK ||
        contract_get_uuid(body, "", "subject", &subject, &problem) != ERR_OK ||
        contract_get_amount(body, "", "amount", &amount, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
    request_correlate(request, subject);

    struct ledger_case payment;
    const enum err err =
        ledger_store_find_case(service_store(service), LEDGER_PAYMENT, subject, &payment);
    if (err != ERR_OK) {
        return err;
    }
    switch (ledger_payment_deed((enum ledger_payment_state)payment.state, LEDGER_PAYMENT_POST)) {
    case LEDGER_POST:
        return post_new(service, request, subject, amount);
    case LEDGER_IGNORE:
        if (money_is_equal(payment.amount, amount)) {
            return reply_posting(request, subject, &payment, NULL);
        }
        return request_reply_problem(
            request, 409, "already-posted", NULL, "%s was posted with another amount", subject);
    default:
        return request_reply_problem(
            request, 409, "already-reversed", NULL, "%s was reversed before", subject);
    }
}

enum err ledger_post_reversal(struct service *service, struct request *request)
{
    static const char *const members[] = {"subject", NULL};
    const cJSON *body = request_json(request);
    struct json_problem problem;
    const char *subject = NULL;
    if (json_only_members(body, "", members, &problem) != ERR_OK ||
        contract_get_uuid(body, "", "subject", &subject, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
    request_correlate(request, subject);

    struct store *store = service_store(service);
    struct ledger_case payment;
    enum err err = ledger_store_find_case(store, LEDGER_PAYMENT, subject, &payment);
    if (err != ERR_OK) {
        return err;
    }
    switch (ledger_payment_deed((enum ledger_payment_state)payment.state, LEDGER_PAYMENT_REVERSE)) {
    case LEDGER_REVERSE:
        err = ledger_book_unpay(store, subject, service_now(service), &payment);
        break;
    case LEDGER_MARK:
        payment.state = LEDGER_PAYMENT_STOPPED;
        err = ledger_store_save_case(store, LEDGER_PAYMENT, subject, &payment);
        break;
    default: // it was reversed or stopped before: the same answer again
        break;
    }
    if (err != ERR_OK) {
        return err;
    }
    return reply_posting(request,
                         subject,
                         &payment,
                         payment.state == LEDGER_PAYMENT_REVERSED ? "reversed"
                                                                  : "nothing-to-reverse");
}

// --- reading

enum err ledger_get_accounts(struct service *service, struct request *request)
{
    int64_t limit = 0;
    const char *after = NULL;
    if (request_page(request, &limit, &after) != ERR_OK) {
        return ERR_OK; // it has answered
    }
    cJSON *list = cJSON_CreateArray();
    const enum err err =
        ledger_store_list_accounts(service_store(service), NULL, after, limit + 1, list);
    if (err != ERR_OK) {
        cJSON_Delete(list);
        return err;
    }
    return page_reply(request, "accounts", list, limit, "account_id");
}

enum err ledger_get_account(struct service *service, struct request *request)
{
    const char *id = request_parameter(request, "id");
    struct ledger_account account;
    const enum err err = ledger_store_find_account(service_store(service), id, &account);
    if (err == ERR_NOT_FOUND) {
        return request_reply_problem(request, 404, "not-found", NULL, "there is no account %s", id);
    }
    return err == ERR_OK ? request_reply(request, 200, ledger_account_to_json(&account)) : err;
}

enum err ledger_get_entries(struct service *service, struct request *request)
{
    const char *subject = request_query(request, "subject");
    int64_t limit = 0;
    int64_t number = 0;
    const char *after = NULL;
    if (request_page(request, &limit, &after) != ERR_OK ||
        page_number(request, after, &number) != ERR_OK) {
        return ERR_OK; // it has answered
    }
    cJSON *list = cJSON_CreateArray();
    const enum err err =
        ledger_store_list_entries(service_store(service), subject, number, limit + 1, list);
    if (err != ERR_OK) {
        cJSON_Delete(list);
        return err;
    }
    return page_reply(request, "entries", list, limit, "number");
}

enum err ledger_get_trial_balance(struct service *service, struct request *request)
{
    const char *asked = request_query(request, "currency");
    const char *currency = asked == NULL ? LEDGER_CURRENCY : asked;
    cJSON *list = cJSON_CreateArray();
    enum err err = ledger_store_list_accounts(service_store(service), currency, "", -1, list);
    int64_t sum_minor = 0;
    if (err == ERR_OK) {
        err = ledger_store_sum(service_store(service), currency, &sum_minor);
    }
    if (err != ERR_OK) {
        cJSON_Delete(list);
        return err;
    }
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "currency", currency);
    cJSON_AddNumberToObject(json, "sum_minor", (double)sum_minor);
    cJSON_AddItemToObject(json, "accounts", list);
    return request_reply(request, 200, json);
}
