// What the bank's interfaces accept, refuse and repeat.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/support/bank.h"
#include "tests/support/event_tap.h"

#define ID_1        "018f0000-0000-7000-8000-000000000001"
#define ID_2        "018f0000-0000-7000-8000-000000000002"
#define EUR(amount) "{\"amount_minor\":" #amount ",\"currency\":\"EUR\"}"

static struct rig *rig;

static void start(void)
{
    rig = bank_start(NULL);
}

static void stop(void)
{
    rig_destroy(&rig);
}

TestSuite(bank_input, .init = start, .fini = stop);

static bool has_code(const struct rig_reply *reply, const char *code)
{
    const char *type = json_text_of(reply->json, "type");
    const char *colon = type == NULL ? NULL : strrchr(type, ':');
    return colon != NULL && strcmp(colon + 1, code) == 0;
}

static const struct refusal {
    const char *service, *method, *path, *body;
    int status;
    const char *code;
    const char *field; // NULL: none
} refusals[] = {
    {"transfer", "POST", "/transfers", "{", 400, "malformed-json", NULL},
    {"transfer", "POST", "/transfers", "[]", 400, "malformed-json", NULL},
    {"transfer", "POST", "/transfers", "{\"a\":1,\"a\":2}", 400, "malformed-json", NULL},
    {"transfer", "POST", "/transfers", "{}", 422, "invalid-field", "from_account"},
    {"transfer",
     "POST",
     "/transfers",
     "{\"from_account\":\"alice\",\"to_account\":\"alice\",\"amount\":" EUR(1) "}",
     422,
     "invalid-field",
     "to_account"},
    {"transfer",
     "POST",
     "/transfers",
     "{\"from_account\":\"alice\",\"to_account\":\"bob\",\"amount\":" EUR(0) "}",
     422,
     "invalid-field",
     "amount"},
    {"transfer",
     "POST",
     "/transfers",
     "{\"from_account\":\"alice\",\"to_account\":\"bob\",\"amount\":" EUR(1e300) "}",
     422,
     "invalid-field",
     "amount"},
    {"transfer",
     "POST",
     "/transfers",
     "{\"from_account\":\"alice\",\"to_account\":\"bob\",\"amount\":" EUR(1) ",\"memo\":1}",
     422,
     "invalid-field",
     "memo"},
    {"transfer",
     "POST",
     "/transfers?mode=sync",
     "{\"from_account\":\"alice\",\"to_account\":\"bob\",\"amount\":" EUR(1) "}",
     422,
     "invalid-field",
     "mode"},
    {"transfer", "GET", "/transfers/" ID_1, NULL, 404, "not-found", NULL},
    {"transfer", "GET", "/transfers/nonsense", NULL, 404, "not-found", NULL},
    {"transfer", "GET", "/nowhere", NULL, 404, "not-found", NULL},
    {"transfer", "DELETE", "/transfers/" ID_1, NULL, 405, "method-not-allowed", NULL},
    {"transfer", "PUT", "/transfers", "{}", 405, "method-not-allowed", NULL},
    {"fraud", "POST", "/screenings", "{}", 422, "invalid-field", "subject"},
    {"fraud",
     "POST",
     "/screenings",
     "{\"subject\":\"x\",\"customer_id\":\"alice\",\"amount\":" EUR(1) "}",
     422,
     "invalid-field",
     "subject"},
    {"fraud",
     "POST",
     "/screenings",
     "{\"subject\":\"" ID_1 "\",\"customer_id\":\"\",\"amount\":" EUR(1) "}",
     422,
     "invalid-field",
     "customer_id"},
    {"fraud",
     "POST",
     "/screenings",
     "{\"subject\":\"" ID_1 "\",\"customer_id\":\"alice\",\"amount\":1}",
     422,
     "invalid-field",
     "amount"},
    {"fraud", "GET", "/decisions/" ID_1, NULL, 404, "not-found", NULL},
    {"ledger", "POST", "/postings", "{\"subject\":1}", 422, "invalid-field", "subject"},
    {"ledger", "POST", "/postings", "{\"subject\":\"" ID_1 "\"}", 422, "invalid-field", "amount"},
    {"ledger",
     "POST",
     "/postings",
     "{\"subject\":\"" ID_1 "\",\"amount\":{\"amount_minor\":1,\"currency\":\"USD\"}}",
     422,
     "currency-mismatch",
     "amount"},
    {"ledger", "POST", "/reversals", "{}", 422, "invalid-field", "subject"},
    {"ledger",
     "POST",
     "/reversals",
     "{\"subject\":\"" ID_1 "\",\"amount\":1}",
     422,
     "invalid-field",
     "amount"},
    {"ledger", "GET", "/accounts/nobody", NULL, 404, "not-found", NULL},
    {"ledger", "GET", "/accounts?limit=0", NULL, 400, "invalid-parameter", "limit"},
    {"ledger", "GET", "/entries?limit=501", NULL, 400, "invalid-parameter", "limit"},
    {"ledger", "GET", "/entries?after=-1", NULL, 400, "invalid-parameter", "after"},
    {"ledger",
     "GET",
     "/entries?after=99999999999999999999",
     NULL,
     400,
     "invalid-parameter",
     "after"},
    {"ledger", "POST", "/accounts", "{}", 405, "method-not-allowed", NULL},
    {"notification", "POST", "/messages", "{}", 422, "invalid-field", "subject"},
    {"notification",
     "POST",
     "/messages",
     "{\"subject\":\"" ID_1 "\",\"template\":\"hello\",\"recipient\":\"alice\"}",
     422,
     "invalid-field",
     "template"},
    {"notification",
     "POST",
     "/messages",
     "{\"subject\":\"" ID_1 "\",\"template\":\"order-confirmed\",\"recipient\":\"a b\"}",
     422,
     "invalid-field",
     "recipient"},
    {"notification", "GET", "/notifications?limit=x", NULL, 400, "invalid-parameter", "limit"},
    {"notification", "GET", "/notifications?after=x", NULL, 400, "invalid-parameter", "after"},
};

Test(bank_input, what_is_wrong_is_refused_by_name_and_leaves_nothing_behind)
{
    const int64_t offset = bank_next_offset(rig);
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        const struct refusal *expected = &refusals[i];
        struct rig_reply reply = rig_call(
            rig, expected->service, expected->method, expected->path, expected->body, NULL);
        const char *field = json_text_of(reply.json, "field");

        cr_expect_eq(reply.status, expected->status, "case %zu: %s", i, reply.body);
        cr_expect(has_code(&reply, expected->code), "case %zu: %s", i, reply.body);
        if (expected->field != NULL) {
            cr_expect(field != NULL && strcmp(field, expected->field) == 0,
                      "case %zu: %s",
                      i,
                      reply.body);
        }
        rig_reply_release(&reply);
    }
    bank_wait_idle(rig);
    cr_expect_eq(bank_next_offset(rig), offset);
    cr_expect_eq(bank_get_count(rig, "ledger", "/entries", "entries"), 3);
    cr_expect_eq(bank_get_count(rig, "notification", "/notifications", "notifications"), 0);
}

Test(bank_input, an_accepted_transfer_says_where_to_look)
{
    struct rig_reply reply =
        rig_call(rig,
                 "transfer",
                 "POST",
                 "/transfers?mode=async",
                 "{\"from_account\":\"alice\",\"to_account\":\"bob\",\"amount\":" EUR(5) "}",
                 NULL);
    char location[256];
    rig_reply_header(&reply, "Location", location);
    cr_assert_eq(reply.status, 202);
    cr_expect_str_eq(json_text_of(reply.json, "status"), "pending");
    rig_wait_member(rig, "transfer", location, "status", "completed");
    rig_reply_release(&reply);
}

Test(bank_input, an_idempotency_key_gives_one_transfer_and_one_answer)
{
    static const char body[] =
        "{\"from_account\":\"alice\",\"to_account\":\"bob\",\"amount\":" EUR(500) "}";
    static const char other[] =
        "{\"from_account\":\"alice\",\"to_account\":\"bob\",\"amount\":" EUR(501) "}";
    static const char key[] = "Idempotency-Key: rent-november\r\n";
    struct rig_reply first = rig_call(rig, "transfer", "POST", "/transfers", body, key);
    struct rig_reply again = rig_call(rig, "transfer", "POST", "/transfers", body, key);
    struct rig_reply reused = rig_call(rig, "transfer", "POST", "/transfers", other, key);
    char replayed[256];
    rig_reply_header(&again, "Idempotency-Replayed", replayed);

    cr_expect_eq(first.status, 202);
    cr_expect_eq(again.status, 202);
    cr_expect_str_eq(again.body, first.body);
    cr_expect_str_eq(replayed, "true");
    cr_expect_eq(reused.status, 422);
    cr_expect(has_code(&reused, "idempotency-key-reused"), "%s", reused.body);
    bank_wait_status(rig, json_text_of(first.json, "transfer_id"), "completed");
    bank_wait_idle(rig);
    bank_expect_account(rig, "alice", 99500, 0);
    rig_reply_release(&first);
    rig_reply_release(&again);
    rig_reply_release(&reused);
}

// --- the synchronous chain

static void expect_post(const char *service, const char *path, const char *body, int status,
                        const char *part)
{
    struct rig_reply reply = rig_call(rig, service, "POST", path, body, NULL);
    cr_expect_eq(reply.status, status, "POST %s %s gave %s", path, body, reply.body);
    cr_expect_not_null(strstr(reply.body, part), "POST %s %s gave %s", path, body, reply.body);
    rig_reply_release(&reply);
}

Test(bank_input, a_subject_is_screened_once)
{
    expect_post("fraud",
                "/screenings",
                "{\"subject\":\"" ID_1 "\",\"customer_id\":\"alice\",\"amount\":" EUR(1) "}",
                200,
                "\"decision\":\"cleared\"");
    expect_post("fraud",
                "/screenings",
                "{\"subject\":\"" ID_1 "\",\"customer_id\":\"mallory\",\"amount\":" EUR(1) "}",
                200,
                "\"decision\":\"cleared\"");
    expect_post("fraud",
                "/screenings",
                "{\"subject\":\"" ID_2 "\",\"customer_id\":\"mallory\",\"amount\":" EUR(1) "}",
                200,
                "\"decision\":\"flagged\",\"reason\":\"customer-blocked\"");
    rig_wait_member(rig, "fraud", "/decisions/" ID_2, "customer_id", "mallory");
}

Test(bank_input, a_posting_is_made_once_and_reversed_once)
{
    static const char posting[] = "{\"subject\":\"" ID_1 "\",\"amount\":" EUR(2400) "}";
    static const char other[] = "{\"subject\":\"" ID_1 "\",\"amount\":" EUR(2401) "}";
    static const char reversal[] = "{\"subject\":\"" ID_1 "\"}";
    expect_post("ledger", "/postings", posting, 201, "\"entry_id\"");
    expect_post("ledger", "/postings", posting, 201, "\"entry_id\"");
    expect_post("ledger", "/postings", other, 409, "already-posted");
    bank_expect_account(rig, "cash", 2400, 0);
    bank_expect_account(rig, "revenue", -2400, 0);
    expect_post("ledger", "/reversals", reversal, 201, "\"status\":\"reversed\"");
    expect_post("ledger", "/reversals", reversal, 201, "\"status\":\"reversed\"");
    expect_post("ledger", "/postings", posting, 409, "already-reversed");

    bank_expect_account(rig, "cash", 0, 0);
    bank_expect_books(rig);
    cr_expect_eq(bank_get_count(rig, "ledger", "/entries?subject=" ID_1, "entries"), 2);
}

Test(bank_input, a_reversal_that_comes_first_stops_the_posting)
{
    expect_post("ledger", "/reversals", "{\"subject\":\"" ID_1 "\"}", 201, "nothing-to-reverse");
    expect_post("ledger",
                "/postings",
                "{\"subject\":\"" ID_1 "\",\"amount\":" EUR(2400) "}",
                409,
                "already-reversed");
    expect_post("ledger", "/reversals", "{\"subject\":\"" ID_1 "\"}", 201, "nothing-to-reverse");
    bank_expect_account(rig, "cash", 0, 0);
}

Test(bank_input, a_message_is_sent_once)
{
    static const char body[] =
        "{\"subject\":\"" ID_1 "\",\"template\":\"order-confirmed\",\"recipient\":\"alice\"}";
    expect_post("notification", "/messages", body, 201, "\"template\":\"order-confirmed\"");
    expect_post("notification", "/messages", body, 201, "\"text\":\"Your order is confirmed.\"");
    cr_expect_eq(
        bank_get_count(rig, "notification", "/notifications?subject=" ID_1, "notifications"), 1);
}

Test(bank_input, the_synchronous_path_publishes_nothing)
{
    const int64_t offset = bank_next_offset(rig);
    expect_post("fraud",
                "/screenings",
                "{\"subject\":\"" ID_1 "\",\"customer_id\":\"alice\",\"amount\":" EUR(1) "}",
                200,
                "cleared");
    expect_post(
        "ledger", "/postings", "{\"subject\":\"" ID_1 "\",\"amount\":" EUR(1) "}", 201, "entry_id");
    expect_post("ledger", "/reversals", "{\"subject\":\"" ID_1 "\"}", 201, "reversed");
    expect_post("notification",
                "/messages",
                "{\"subject\":\"" ID_1 "\",\"template\":\"order-confirmed\",\"recipient\":\"a\"}",
                201,
                "notification_id");
    bank_wait_idle(rig);
    cr_expect_eq(bank_next_offset(rig), offset);
}

Test(bank_input, a_completed_payment_is_posted_from_revenue_to_cash)
{
    struct event_tap *tap = event_tap_open(rig_bus_url(rig), bank_topics);
    cJSON *data = cJSON_Parse("{\"order_id\":\"" ID_1 "\",\"payment_id\":\"" ID_2
                              "\",\"amount\":" EUR(2400) "}");
    event_tap_publish(tap, "payment-completed", 1, ID_1, data, NULL);

    const struct event *posted = event_tap_wait(tap, "ledger-posted", ID_1);

    cr_expect_str_eq(json_text_of(posted->data, "order_id"), ID_1);
    const cJSON *lines = cJSON_GetObjectItemCaseSensitive(posted->data, "lines");
    cr_assert_eq(cJSON_GetArraySize(lines), 2);
    cr_expect_str_eq(json_text_of(cJSON_GetArrayItem(lines, 0), "account"), "cash");
    cr_expect_str_eq(json_text_of(cJSON_GetArrayItem(lines, 1), "account"), "revenue");
    bank_expect_account(rig, "cash", 2400, 0);
    bank_expect_books(rig);
    event_tap_close(&tap);
}

// --- lists

Test(bank_input, pages_follow_each_other_by_their_cursor)
{
    char *page = bank_get(rig, "ledger", "/entries?limit=2");
    cr_expect_not_null(strstr(page, "\"next\":\"2\""), "%s", page);
    free(page);
    page = bank_get(rig, "ledger", "/entries?limit=2&after=2");
    cr_expect_not_null(strstr(page, "opening-carol"), "%s", page);
    cr_expect_not_null(strstr(page, "\"next\":null"), "%s", page);
    free(page);
    page = bank_get(rig, "ledger", "/accounts?limit=5&after=alice");
    cr_expect_null(strstr(page, "alice"), "%s", page);
    cr_expect_not_null(strstr(page, "\"next\":null"), "%s", page);
    free(page);
}
