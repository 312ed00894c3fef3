// The synchronous chain: every way it can end, and what is undone.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "tests/support/shop.h"

static struct rig *rig;

static void stop(void)
{
    rig_destroy(&rig);
}

TestSuite(shop_sync, .fini = stop, .timeout = 120);

static struct rig_reply place(const char *customer, const char *token, const char *sku,
                              int quantity, char order_id[UUID_SIZE])
{
    return shop_place(rig, "sync", customer, token, sku, quantity, order_id);
}

// expected: "inventory=done payment=failed", in the order in which it was undone.
static void expect_undone(const struct rig_reply *reply, const char *failed_step,
                          const char *expected)
{
    shop_expect_member(reply->json, "failed_step", failed_step);
    struct buf undone = {0};
    const cJSON *list = cJSON_GetObjectItem(reply->json, "undone");
    cr_assert(cJSON_IsArray(list), "%s", reply->body);
    for (const cJSON *step = list->child; step != NULL; step = step->next) {
        buf_printf(&undone,
                   "%s%s=%s",
                   undone.size == 0 ? "" : " ",
                   json_text_of(step, "step"),
                   json_text_of(step, "result"));
    }
    buf_put_u8(&undone, 0);
    cr_expect_str_eq((const char *)undone.data, expected);
    buf_release(&undone);
}

static int count_of(const char *service, const char *path_format, const char *id, const char *list)
{
    char path[256];
    snprintf(path, sizeof path, "%s%s", path_format, id);
    struct rig_reply reply = rig_call(rig, service, "GET", path, NULL, NULL);
    cr_assert_eq(reply.status, 200, "%s", reply.body);
    const int count = cJSON_GetArraySize(cJSON_GetObjectItem(reply.json, list));
    rig_reply_release(&reply);
    return count;
}

Test(shop_sync, a_good_order_is_confirmed_in_one_answer_and_no_event_tells_of_it)
{
    rig = rig_start(shop_services, NULL);
    struct event_tap *tap = event_tap_open(rig_bus_url(rig), shop_topics);
    char order_id[UUID_SIZE];
    struct rig_reply reply = place("alice", "tok_visa", "moka-pot", 2, order_id);
    cr_assert_eq(reply.status, 201, "%s", reply.body);
    shop_expect_member(reply.json, "status", "confirmed");
    shop_expect_member(reply.json, "mode", "sync");
    char location[256];
    rig_reply_header(&reply, "Location", location);
    cr_expect_str_eq(location + strlen("/orders/"), order_id);
    rig_reply_release(&reply);

    // All of it has happened by now: nothing to wait for.
    shop_expect_status(rig, order_id, "confirmed");
    shop_expect_payment(rig, order_id, "captured");
    shop_expect_stock(rig, "moka-pot", 998, 0, 2);
    cr_expect_eq(count_of("ledger", "/entries?subject=", order_id, "entries"), 1);
    cr_expect_eq(count_of("notification", "/notifications?subject=", order_id, "notifications"), 1);
    rig_wait_quiet(rig);
    for (size_t i = 0; shop_topics[i] != NULL; i++) {
        cr_expect_eq(event_tap_count(tap, shop_topics[i], NULL), 0, "%s", shop_topics[i]);
    }
    event_tap_close(&tap);
}

Test(shop_sync, each_refusal_has_its_status_and_leaves_nothing_behind)
{
    static const struct {
        const char *customer, *token, *sku;
        int quantity, status;
        const char *code, *failed_step, *undone;
    } cases[] = {
        {"alice", "tok_declined", "grinder", 1, 402, "card-declined", "payment", "inventory=done"},
        {"alice", "tok_x", "grinder", 1, 402, "unknown-token", "payment", "inventory=done"},
        {"mallory", "tok_visa", "grinder", 1, 403, "customer-blocked", "payment", "inventory=done"},
        {"bob", "tok_visa", "grinder", 40, 403, "amount-over-limit", "payment", "inventory=done"},
        {"alice", "tok_visa", "grinder", 51, 409, "out-of-stock", "inventory", ""},
        {"alice",
         "tok_poison",
         "grinder",
         1,
         503,
         "card-network-error",
         "payment",
         "payment=done inventory=done"},
    };
    rig = rig_start(shop_services, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char order_id[UUID_SIZE];
        struct rig_reply reply =
            place(cases[i].customer, cases[i].token, cases[i].sku, cases[i].quantity, order_id);
        shop_expect_problem(&reply, cases[i].status, cases[i].code);
        expect_undone(&reply, cases[i].failed_step, cases[i].undone);
        rig_reply_release(&reply);
        shop_expect_cancelled(rig, order_id, cases[i].code);
        cr_expect_eq(count_of("ledger", "/entries?subject=", order_id, "entries"), 0);
    }
    shop_expect_stock(rig, "grinder", 50, 0, 0);
}

Test(shop_sync, a_dead_service_fails_the_order_at_once_and_what_was_done_is_undone)
{
    static const struct {
        const char *victim, *code, *failed_step, *undone;
    } cases[] = {
        {"inventory", "inventory-unavailable", "inventory", ""},
        {"payment", "payment-unavailable", "payment", "inventory=done"},
        {"fraud", "fraud-unavailable", "payment", "payment=done inventory=done"},
        // Whoever would undo the charge needs the ledger for it.
        {"ledger", "ledger-unavailable", "payment", "payment=failed inventory=done"},
        {"notification", "notification-unavailable", "notification", "payment=done inventory=done"},
    };
    rig = rig_start(shop_services, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        rig_kill(rig, cases[i].victim);
        char order_id[UUID_SIZE];
        const int64_t start_ms = clock_mono_ms();
        struct rig_reply reply = place("alice", "tok_visa", "milk-jug", 1, order_id);
        cr_expect_lt(clock_mono_ms() - start_ms, 2000, "%s", cases[i].victim);
        shop_expect_problem(&reply, 503, cases[i].code);
        expect_undone(&reply, cases[i].failed_step, cases[i].undone);
        rig_reply_release(&reply);
        rig_relaunch(rig, cases[i].victim);
        shop_expect_cancelled(rig, order_id, cases[i].code);
    }
    shop_expect_stock(rig, "milk-jug", 1000, 0, 0);
    // The last order was charged and refunded: its entry and the reversal.
    struct rig_reply reply = rig_call(rig, "ledger", "GET", "/accounts/cash", NULL, NULL);
    const cJSON *balance = cJSON_GetObjectItem(reply.json, "balance");
    cr_assert(cJSON_IsObject(balance), "%s", reply.body);
    cr_expect_eq(cJSON_GetObjectItem(balance, "amount_minor")->valueint, 0);
    rig_reply_release(&reply);
}

Test(shop_sync, a_service_that_hangs_is_given_up_and_undone_as_if_it_had_worked)
{
    rig = rig_start(shop_services, (const char *const[]){"order:SYNC_TIMEOUT_MS=300", NULL});
    rig_pause(rig, "payment");
    char order_id[UUID_SIZE];
    struct rig_reply reply = place("alice", "tok_visa", "milk-jug", 1, order_id);
    shop_expect_problem(&reply, 504, "payment-timeout");
    expect_undone(&reply, "payment", "payment=failed inventory=done");
    rig_reply_release(&reply);
    shop_expect_stock(rig, "milk-jug", 1000, 0, 0);
    rig_resume(rig, "payment");
    shop_expect_cancelled(rig, order_id, "payment-timeout");
}

Test(shop_sync, a_timeout_further_on_comes_through)
{
    rig = rig_start(shop_services, (const char *const[]){"payment:SYNC_TIMEOUT_MS=300", NULL});
    rig_pause(rig, "ledger");
    char order_id[UUID_SIZE];
    struct rig_reply reply = place("alice", "tok_visa", "milk-jug", 1, order_id);
    shop_expect_problem(&reply, 504, "ledger-timeout");
    expect_undone(&reply, "payment", "payment=failed inventory=done");
    rig_reply_release(&reply);
    rig_resume(rig, "ledger");
    // The refund left its mark before it asked the ledger: nothing can be captured.
    shop_expect_payment(rig, order_id, "voided");
}

Test(shop_sync, retries_get_through_a_flaky_card_network)
{
    rig = rig_start(shop_services, (const char *const[]){"order:SYNC_RETRIES=2", NULL});
    char order_id[UUID_SIZE];
    struct rig_reply reply = place("alice", "tok_flaky", "espresso-cup", 1, order_id);
    cr_expect_eq(reply.status, 201, "%s", reply.body);
    rig_reply_release(&reply);
    shop_expect_payment(rig, order_id, "captured");
}

static int begin_order(const char *token)
{
    char *body = mem_format("{\"customer_id\":\"alice\",\"payment_token\":\"%s\","
                            "\"items\":[{\"sku\":\"milk-jug\",\"quantity\":1}]}",
                            token);
    char *request = mem_format("POST /orders?mode=sync HTTP/1.1\r\nHost: test\r\n"
                               "Connection: close\r\nContent-Type: application/json\r\n"
                               "Content-Length: %zu\r\n\r\n%s",
                               strlen(body),
                               body);
    const int connection = rig_begin(rig, "order", request, strlen(request));
    cr_assert_geq(connection, 0);
    free(request);
    free(body);
    return connection;
}

// The last try of a call finds nobody, but the first may have had its effect: the
// charge must be undone although "nothing happened" in the end.
Test(shop_sync, a_try_that_timed_out_is_undone_even_if_the_next_finds_nobody)
{
    rig =
        rig_start(shop_services,
                  (const char *const[]){"order:SYNC_TIMEOUT_MS=300", "order:SYNC_RETRIES=5", NULL});
    rig_pause(rig, "payment");
    const int connection = begin_order("tok_visa");
    rig_wait_log(rig, "order", "\"target\":\"payment\"", "\"attempt\":1");
    rig_kill(rig, "payment");
    struct rig_reply reply = rig_end(connection);
    cr_expect(reply.status == 503 || reply.status == 504, "%s", reply.body);
    expect_undone(&reply, "payment", "payment=failed inventory=done");
    rig_reply_release(&reply);
}

// Waits for the only order there is, while its chain runs, and copies its id.
static void wait_first_order(char order_id[UUID_SIZE])
{
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    for (order_id[0] = '\0'; order_id[0] == '\0';) {
        cr_assert(clock_mono_ms() < deadline_ms, "there is no order");
        struct rig_reply reply = rig_call(rig, "order", "GET", "/orders", NULL, NULL);
        const cJSON *list = cJSON_GetObjectItem(reply.json, "orders");
        if (cJSON_GetArraySize(list) > 0) {
            snprintf(order_id,
                     UUID_SIZE,
                     "%.36s",
                     json_text_of(cJSON_GetArrayItem(list, 0), "order_id"));
        }
        rig_reply_release(&reply);
    }
}

Test(shop_sync, an_order_whose_process_dies_is_cancelled_as_interrupted)
{
    rig = rig_start(shop_services, NULL);
    rig_pause(rig, "payment");
    const int connection = begin_order("tok_visa");
    char order_id[UUID_SIZE];
    wait_first_order(order_id);
    shop_expect_status(rig, order_id, "pending");
    rig_kill(rig, "order");
    struct rig_reply reply = rig_end(connection);
    cr_expect_eq(reply.status, 0, "nobody is there to answer");
    rig_reply_release(&reply);
    rig_resume(rig, "payment");
    rig_relaunch(rig, "order");
    shop_expect_cancelled(rig, order_id, "interrupted");
}

Test(shop_sync, when_all_workers_hang_further_orders_are_refused_at_once)
{
    rig = rig_start(shop_services,
                    (const char *const[]){"order:SYNC_WORKERS=1", "order:SYNC_QUEUE=0", NULL});
    rig_pause(rig, "inventory");
    const int connection = begin_order("tok_visa");
    char order_id[UUID_SIZE];
    wait_first_order(order_id);
    struct rig_reply reply = rig_end(begin_order("tok_visa"));
    shop_expect_problem(&reply, 503, "sync-queue-full");
    rig_reply_release(&reply);
    rig_resume(rig, "inventory");
    reply = rig_end(connection);
    cr_expect_eq(reply.status, 201, "%s", reply.body);
    rig_reply_release(&reply);
    // Events need no worker.
    char other[UUID_SIZE];
    shop_place_async(rig, "alice", "tok_visa", "milk-jug", 1, other);
    shop_expect_status(rig, other, "confirmed");
}

// --- the steps themselves, called as the chain calls them

static struct rig_reply post(const char *service, const char *path, const char *format,
                             const char *order_id)
{
    char body[512];
    snprintf(body, sizeof body, "%s\"%s\"}", format, order_id);
    return rig_call(rig, service, "POST", path, body, NULL);
}

static void expect_post(const char *service, const char *path, const char *format,
                        const char *order_id, int status, const char *member, const char *value)
{
    struct rig_reply reply = post(service, path, format, order_id);
    if (status < 400) {
        cr_expect_eq(reply.status, status, "%s: %s", path, reply.body);
        shop_expect_member(reply.json, member, value);
    } else {
        shop_expect_problem(&reply, status, value);
    }
    rig_reply_release(&reply);
}

static const char reservation[] =
    "{\"items\":[{\"sku\":\"rare-print\",\"quantity\":2}],\"order_id\":";
static const char charge[] =
    "{\"customer_id\":\"alice\",\"payment_token\":\"tok_visa\","
    "\"amount\":{\"amount_minor\":5000,\"currency\":\"EUR\"},\"order_id\":";
static const char refund[] = "{\"order_id\":";

static void put_back(const char *order_id)
{
    char path[128];
    snprintf(path, sizeof path, "/reservations/%s", order_id);
    struct rig_reply reply = rig_call(rig, "inventory", "DELETE", path, NULL, NULL);
    cr_expect_eq(reply.status, 200, "%s", reply.body);
    shop_expect_member(reply.json, "status", "released");
    rig_reply_release(&reply);
}

Test(shop_sync, a_step_that_is_repeated_answers_the_same_and_does_it_once)
{
    rig = rig_start(shop_services, NULL);
    char order_id[UUID_SIZE];
    uuid_new(order_id);
    for (int i = 0; i < 3; i++) {
        expect_post("inventory", "/reservations", reservation, order_id, 201, "status", "sold");
        expect_post("payment", "/charges", charge, order_id, 201, "status", "captured");
    }
    shop_expect_stock(rig, "rare-print", 1, 0, 2);
    cr_expect_eq(count_of("ledger", "/entries?subject=", order_id, "entries"), 1);
    for (int i = 0; i < 3; i++) {
        put_back(order_id);
        expect_post("payment", "/refunds", refund, order_id, 201, "status", "refunded");
    }
    shop_expect_stock(rig, "rare-print", 3, 0, 0);
    cr_expect_eq(count_of("ledger", "/entries?subject=", order_id, "entries"), 2);
}

Test(shop_sync, undoing_that_comes_first_stops_what_it_undoes)
{
    rig = rig_start(shop_services, NULL);
    char order_id[UUID_SIZE];
    uuid_new(order_id);
    put_back(order_id);
    expect_post("payment", "/refunds", refund, order_id, 201, "status", "voided");
    expect_post(
        "inventory", "/reservations", reservation, order_id, 409, NULL, "reservation-closed");
    expect_post("payment", "/charges", charge, order_id, 409, NULL, "payment-closed");
    shop_expect_stock(rig, "rare-print", 3, 0, 0);
    cr_expect_eq(count_of("ledger", "/entries?subject=", order_id, "entries"), 0);
}
