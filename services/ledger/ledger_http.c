// The HTTP half of ledger_handlers.h.
#include <string.h>

#include "services/handler.h"
#include "services/ledger/ledger_book.h"
#include "services/ledger/ledger_handlers.h"
#include "services/page.h"

// --- the synchronous chain

static enum err reply_posting(struct request *request, const char *subject,
                              const struct ledger_case *payment, const char *status)
{
    cJSON *json = contract_object("subject", subject, NULL);
    if (payment->entry_id[0] != '\0') {
        cJSON_AddStringToObject(json, "entry_id", payment->entry_id);
    }
    if (payment->amount.amount_minor != 0) {
        cJSON_AddItemToObject(json, "amount", money_to_json(payment->amount));
    }
    if (status != NULL) {
        cJSON_AddStringToObject(json, "status", status);
    }
    return request_reply(request, 201, json);
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
    if (handler_body(request, members, &subject, &problem) != ERR_OK ||
        contract_get_amount(body, "", "amount", &amount, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
    struct store *store = service_store(service);
    struct ledger_case payment;
    enum err err = ledger_store_find_case(store, LEDGER_PAYMENT, subject, &payment);
    const enum ledger_deed deed = ledger_deed(payment.state, LEDGER_PAID);
    if (err == ERR_OK && deed == LEDGER_FORBID) {
        return request_reply_problem(
            request, 409, "already-reversed", NULL, "%s was reversed before", subject);
    }
    if (err == ERR_OK && deed == LEDGER_IGNORE && !money_is_equal(payment.amount, amount)) {
        return request_reply_problem(
            request, 409, "already-posted", NULL, "%s was posted with another amount", subject);
    }
    if (err == ERR_OK && deed == LEDGER_POST) {
        err = ledger_book_pay(store, subject, ledger_origin_of(service), amount, &payment);
    }
    // What the rules refuse has written nothing, so that these answers may commit.
    if (err == ERR_INVALID) {
        return request_reply_problem(
            request, 422, "currency-mismatch", "amount", "the accounts are in " LEDGER_CURRENCY);
    }
    if (err == ERR_TOO_LARGE) {
        return request_reply_problem(
            request, 422, "balance-too-large", "amount", "the balance would be too large");
    }
    return err == ERR_OK ? reply_posting(request, subject, &payment, NULL) : err;
}

enum err ledger_post_reversal(struct service *service, struct request *request)
{
    static const char *const members[] = {"subject", NULL};
    struct json_problem problem;
    const char *subject = NULL;
    if (handler_body(request, members, &subject, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
    struct store *store = service_store(service);
    struct ledger_case payment;
    enum err err = ledger_store_find_case(store, LEDGER_PAYMENT, subject, &payment);
    const enum ledger_deed deed = ledger_deed(payment.state, LEDGER_TAKEN_BACK);
    if (err == ERR_OK && deed == LEDGER_REVERSE) {
        err = ledger_book_unpay(store, subject, ledger_origin_of(service), &payment);
    } else if (err == ERR_OK && deed == LEDGER_MARK) {
        payment.state = LEDGER_STOPPED;
        err = ledger_store_save_case(store, LEDGER_PAYMENT, subject, &payment);
    } // else it was reversed or stopped before: the same answer again
    const bool is_reversed = payment.state == LEDGER_REVERSED;
    const char *status = is_reversed ? "reversed" : "nothing-to-reverse";
    return err == ERR_OK ? reply_posting(request, subject, &payment, status) : err;
}

// --- reading

enum err ledger_get_accounts(struct service *service, struct request *request)
{
    static const struct page_list accounts = {
        .name = "accounts", .cursor = "account_id", .read = ledger_store_list_accounts};
    return page_list(service, request, &accounts, NULL);
}

enum err ledger_get_account(struct service *service, struct request *request)
{
    const char *id = request_parameter(request, "id");
    cJSON *json = NULL;
    const enum err err = ledger_store_show_account(service_store(service), id, &json);
    return handler_show(request, err, json, "account", id);
}

enum err ledger_get_entries(struct service *service, struct request *request)
{
    static const struct page_list entries = {.name = "entries",
                                             .cursor = "number",
                                             .is_number = true,
                                             .read = ledger_store_list_entries};
    return page_list(service, request, &entries, request_query(request, "subject"));
}

enum err ledger_get_trial_balance(struct service *service, struct request *request)
{
    const char *asked = request_query(request, "currency");
    const char *currency = asked == NULL ? LEDGER_CURRENCY : asked;
    cJSON *json = NULL;
    const enum err err = ledger_store_trial_balance(service_store(service), currency, &json);
    return handler_show(request, err, json, "currency", currency);
}
