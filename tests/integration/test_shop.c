// The shop as a whole: real broker, real services, orders to their end by events.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/uuid.h"
#include "tests/support/event_tap.h"
#include "tests/support/rig.h"
#include "tests/support/shop.h"

static struct rig *rig;
static struct event_tap *tap;

static void start(const char *const *services)
{
    rig = rig_start(services, NULL);
    tap = event_tap_open(rig_bus_url(rig), shop_topics);
}

static void stop(void)
{
    event_tap_close(&tap);
    rig_destroy(&rig);
}

TestSuite(shop, .fini = stop, .timeout = 120);

Test(shop, an_order_is_confirmed_by_events_paid_sold_and_posted)
{
    start(shop_services);
    char order_id[UUID_SIZE];
    struct rig_reply reply =
        shop_place(rig, "async", "alice", "tok_visa", "espresso-cup", 2, order_id);
    cr_assert_eq(reply.status, 202);
    shop_expect_member(reply.json, "status", "pending");
    shop_expect_member(reply.json, "mode", "async");
    char location[256];
    char expected[256];
    rig_reply_header(&reply, "Location", location);
    snprintf(expected, sizeof expected, "/orders/%s", order_id);
    cr_expect_str_eq(location, expected);
    rig_reply_release(&reply);

    shop_expect_status(rig, order_id, "confirmed");
    const struct event *posted = event_tap_wait(tap, "ledger-posted", order_id);
    shop_expect_member(posted->data, "order_id", order_id);
    const struct event *created = event_tap_wait(tap, "order-created", order_id);
    const struct event *confirmed = event_tap_wait(tap, "order-confirmed", order_id);
    const struct event *completed = event_tap_wait(tap, "payment-completed", order_id);
    cr_expect_str_eq(completed->causation_id, confirmed->id);
    cr_expect_str_eq(completed->trace.trace_id, created->trace.trace_id);

    reply = rig_call(rig, "order", "GET", location, NULL, NULL);
    const cJSON *history = cJSON_GetObjectItem(reply.json, "history");
    cr_assert_eq(cJSON_GetArraySize(history), 2, "%s", reply.body);
    shop_expect_member(cJSON_GetArrayItem(history, 0), "event_id", created->id);
    shop_expect_member(cJSON_GetArrayItem(history, 1), "status", "confirmed");
    shop_expect_member(cJSON_GetArrayItem(history, 1), "event_id", confirmed->id);
    rig_reply_release(&reply);

    shop_expect_payment(rig, order_id, "captured");
    shop_expect_stock(rig, "espresso-cup", 1000000000 - 2, 0, 2);
}

// Of three checks one says no; the two others had said yes, and take it back.
Test(shop, a_declined_card_cancels_the_order_and_gives_the_goods_back)
{
    start(shop_services);
    char order_id[UUID_SIZE];
    shop_place_async(rig, "alice", "tok_declined", "moka-pot", 3, order_id);
    shop_expect_cancelled(rig, order_id, "card-declined");
    event_tap_wait(tap, "inventory-released", order_id);
    shop_expect_stock(rig, "moka-pot", 1000, 0, 0);
    shop_expect_payment(rig, order_id, "declined");
    rig_wait_quiet(rig);
    cr_expect_eq(event_tap_count(tap, "payment-voided", order_id), 0, "nothing was authorized");
    cr_expect_eq(event_tap_count(tap, "order-confirmed", order_id), 0);
}

Test(shop, an_order_beyond_the_stock_is_cancelled_and_its_payment_voided)
{
    start(shop_services);
    char order_id[UUID_SIZE];
    shop_place_async(rig, "alice", "tok_visa", "rare-print", 4, order_id);
    shop_expect_cancelled(rig, order_id, "out-of-stock");
    const struct event *rejected = event_tap_wait(tap, "inventory-rejected", order_id);
    shop_expect_member(rejected->data, "sku", "rare-print");
    // The payment may hear of the cancellation before or after it was asked.
    shop_expect_payment(rig, order_id, "voided");
    shop_expect_stock(rig, "rare-print", 3, 0, 0);
    rig_wait_quiet(rig);
    cr_expect_eq(event_tap_count(tap, "inventory-released", order_id), 0, "nothing was reserved");
}

Test(shop, a_flagged_customer_gets_nothing_and_pays_nothing)
{
    start(shop_services);
    char order_id[UUID_SIZE];
    shop_place_async(rig, "mallory", "tok_visa", "milk-jug", 1, order_id);
    shop_expect_cancelled(rig, order_id, "customer-blocked");
    shop_expect_payment(rig, order_id, "voided");
    shop_expect_stock(rig, "milk-jug", 1000, 0, 0);
    rig_wait_quiet(rig);
    cr_expect_eq(event_tap_count(tap, "payment-completed", order_id), 0);
}

Test(shop, a_flaky_card_network_delays_the_order_and_does_not_break_it)
{
    start(shop_services);
    char order_id[UUID_SIZE];
    shop_place_async(rig, "alice", "tok_flaky", "espresso-cup", 1, order_id);
    shop_expect_status(rig, order_id, "confirmed");
    event_tap_wait(tap, "payment-completed", order_id);
    rig_wait_quiet(rig);
    cr_expect_eq(event_tap_count(tap, "payment-authorized", order_id), 1);
}

Test(shop, an_order_that_waits_says_for_whom)
{
    start(shop_services);
    rig_kill(rig, "payment");
    char order_id[UUID_SIZE];
    shop_place_async(rig, "alice", "tok_visa", "espresso-cup", 1, order_id);
    event_tap_wait(tap, "inventory-reserved", order_id);
    event_tap_wait(tap, "fraud-cleared", order_id);
    char *path = mem_format("/orders/%s", order_id);
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    for (int waiting = 3; waiting != 1;) {
        cr_assert(clock_mono_ms() < deadline_ms);
        struct rig_reply reply = rig_call(rig, "order", "GET", path, NULL, NULL);
        const cJSON *list = cJSON_GetObjectItem(reply.json, "waiting_for");
        waiting = cJSON_GetArraySize(list);
        if (waiting == 1) {
            cr_expect_str_eq(cJSON_GetArrayItem(list, 0)->valuestring, "payment");
            shop_expect_member(reply.json, "status", "pending");
        }
        rig_reply_release(&reply);
    }
    rig_relaunch(rig, "payment");
    shop_expect_status(rig, order_id, "confirmed");
    free(path);
}

// --- odd order, by hand

static cJSON *created_data(const char *order_id, const char *sku)
{
    char *text =
        mem_format("{\"order_id\":\"%s\",\"customer_id\":\"alice\",\"payment_token\":\"tok_visa\","
                   "\"total\":{\"amount_minor\":100,\"currency\":\"EUR\"},"
                   "\"items\":[{\"sku\":\"%s\",\"quantity\":2}]}",
                   order_id,
                   sku);
    cJSON *data = cJSON_Parse(text);
    free(text);
    return data;
}

static void publish_created(const char *order_id, const char *sku)
{
    event_tap_publish(tap, "order-created", 2, order_id, created_data(order_id, sku), NULL);
}

static void publish_cancelled(const char *order_id)
{
    char *text = mem_format("{\"order_id\":\"%s\",\"customer_id\":\"alice\","
                            "\"reason\":\"card-declined\"}",
                            order_id);
    event_tap_publish(tap, "order-cancelled", 1, order_id, cJSON_Parse(text), NULL);
    free(text);
}

static const char *const checkers[] = {"payment", "inventory", NULL};

Test(shop, a_cancellation_seen_first_stops_what_it_cancels)
{
    start(checkers);
    char cancelled[UUID_SIZE];
    char other[UUID_SIZE];
    uuid_new(cancelled);
    uuid_new(other);

    publish_cancelled(cancelled);
    publish_created(cancelled, "grinder");
    publish_created(other, "grinder");

    event_tap_wait(tap, "inventory-reserved", other);
    event_tap_wait(tap, "payment-authorized", other);
    rig_wait_quiet(rig);
    shop_expect_payment(rig, cancelled, "voided");
    shop_expect_stock(rig, "grinder", 48, 2, 0);
    cr_expect_eq(event_tap_count(tap, "inventory-reserved", cancelled), 0);
    cr_expect_eq(event_tap_count(tap, "inventory-rejected", cancelled), 0);
    cr_expect_eq(event_tap_count(tap, "payment-authorized", cancelled), 0);
}

Test(shop, what_is_said_twice_is_done_once)
{
    start(checkers);
    char order_id[UUID_SIZE];
    char other[UUID_SIZE];
    uuid_new(order_id);
    uuid_new(other);

    // Other event ids, so that it is not the inbox that stops them.
    publish_created(order_id, "grinder");
    publish_created(order_id, "grinder");
    publish_cancelled(order_id);
    publish_cancelled(order_id);
    publish_created(order_id, "grinder");
    publish_created(other, "grinder");

    event_tap_wait(tap, "inventory-reserved", other);
    event_tap_wait(tap, "payment-authorized", other);
    event_tap_wait(tap, "inventory-released", order_id);
    event_tap_wait(tap, "payment-voided", order_id);
    rig_wait_quiet(rig);
    shop_expect_stock(rig, "grinder", 48, 2, 0);
    shop_expect_payment(rig, order_id, "voided");
    cr_expect_eq(event_tap_count(tap, "inventory-reserved", order_id), 1);
    cr_expect_eq(event_tap_count(tap, "inventory-released", order_id), 1);
    cr_expect_eq(event_tap_count(tap, "payment-authorized", order_id), 1);
    cr_expect_eq(event_tap_count(tap, "payment-voided", order_id), 1);
}

Test(shop, version_1_of_order_created_is_understood)
{
    start(checkers);
    char order_id[UUID_SIZE];
    uuid_new(order_id);
    char *text = mem_format(
        "{\"order_id\":\"%s\",\"customer_id\":\"alice\",\"payment_token\":\"tok_visa\","
        "\"amount\":\"24.00 EUR\",\"items\":[{\"sku\":\"espresso-cup\",\"quantity\":2}]}",
        order_id);
    event_tap_publish(tap, "order-created", 1, order_id, cJSON_Parse(text), NULL);
    free(text);
    const struct event *authorized = event_tap_wait(tap, "payment-authorized", order_id);
    const cJSON *amount = cJSON_GetObjectItem(authorized->data, "amount");
    cr_expect_eq(cJSON_GetObjectItem(amount, "amount_minor")->valueint, 2400);
    event_tap_wait(tap, "inventory-reserved", order_id);
}

Test(shop, version_1_of_order_created_is_emitted_when_asked_for)
{
    rig = rig_start(shop_services, (const char *const[]){"order:ORDER_EVENT_VERSION=1", NULL});
    tap = event_tap_open(rig_bus_url(rig), shop_topics);
    char order_id[UUID_SIZE];
    shop_place_async(rig, "alice", "tok_visa", "espresso-cup", 2, order_id);
    const struct event *created = event_tap_wait(tap, "order-created", order_id);
    cr_expect_eq(created->version, 1);
    shop_expect_member(created->data, "amount", "24.00 EUR");
    shop_expect_status(rig, order_id, "confirmed");
    const struct event *completed = event_tap_wait(tap, "payment-completed", order_id);
    const cJSON *amount = cJSON_GetObjectItem(completed->data, "amount");
    cr_expect_eq(cJSON_GetObjectItem(amount, "amount_minor")->valueint, 2400);
}

Test(shop, an_unknown_version_goes_to_the_dead_letters_and_blocks_nobody)
{
    start(checkers);
    char order_id[UUID_SIZE];
    char other[UUID_SIZE];
    uuid_new(order_id);
    uuid_new(other);
    event_tap_publish(tap, "order-created", 3, order_id, created_data(order_id, "grinder"), NULL);
    publish_created(other, "grinder");
    event_tap_wait(tap, "payment-authorized", other);
    event_tap_wait(tap, "inventory-reserved", other);
    static const char *const groups[] = {"payment", "inventory"};
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        char *path = mem_format("/dead-letters?group=%s", groups[i]);
        struct rig_reply reply = rig_call(rig, "broker", "GET", path, NULL, NULL);
        const cJSON *list = cJSON_GetObjectItem(reply.json, "dead_letters");
        cr_assert_eq(cJSON_GetArraySize(list), 1, "%s", reply.body);
        shop_expect_member(cJSON_GetArrayItem(list, 0), "key", order_id);
        char *error = mem_format("dataschema: order-created version 3 is newer than this %s knows "
                                 "(1, 2): upgrade it, then redrive",
                                 groups[i]);
        shop_expect_member(cJSON_GetArrayItem(list, 0), "error", error);
        free(error);
        rig_reply_release(&reply);
        free(path);
    }
}

Test(shop, a_poisoned_card_ends_in_the_dead_letters_and_others_go_on)
{
    start(shop_services);
    char poisoned[UUID_SIZE];
    char good[UUID_SIZE];
    shop_place_async(rig, "alice", "tok_poison", "espresso-cup", 1, poisoned);
    shop_place_async(rig, "alice", "tok_visa", "espresso-cup", 1, good);
    shop_expect_status(rig, good, "confirmed");
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    for (int count = 0; count != 1;) {
        cr_assert(clock_mono_ms() < deadline_ms, "there is no dead letter");
        struct rig_reply reply =
            rig_call(rig, "broker", "GET", "/dead-letters?group=payment", NULL, NULL);
        count = cJSON_GetArraySize(cJSON_GetObjectItem(reply.json, "dead_letters"));
        rig_reply_release(&reply);
    }
    shop_expect_status(rig, poisoned, "pending");
}

// --- every service killed in turn

// Guarantee 7 for the shop: orders are accepted while a service is dead, and all of
// them end when it is back; nothing is done twice.
Test(shop, each_service_may_be_killed_and_every_accepted_order_ends)
{
    start(shop_services);
    enum {
        EACH = 4
    };
    static const char *const victims[] = {"payment", "inventory", "fraud", "ledger", "broker"};
    char ids[ARRAY_LEN(victims) * EACH][UUID_SIZE];
    size_t count = 0;
    for (size_t v = 0; v < ARRAY_LEN(victims); v++) {
        rig_kill(rig, victims[v]);
        for (int i = 0; i < EACH; i++) {
            shop_place_async(rig, "alice", "tok_visa", "moka-pot", 1, ids[count++]);
        }
        rig_relaunch(rig, victims[v]);
    }
    rig_kill(rig, "order");
    rig_relaunch(rig, "order");
    for (size_t i = 0; i < count; i++) {
        shop_expect_status(rig, ids[i], "confirmed");
        shop_expect_payment(rig, ids[i], "captured");
        event_tap_wait(tap, "ledger-posted", ids[i]);
    }
    shop_expect_stock(rig, "moka-pot", 1000 - (int64_t)count, 0, (int64_t)count);
}

static const char *token_of(size_t i)
{
    static const char *const tokens[] = {"tok_visa", "tok_declined", "tok_visa", "tok_flaky"};
    return tokens[i % ARRAY_LEN(tokens)];
}

// A process is killed and started again, without waiting for it, while orders flow:
// it dies with work in its hands. Afterwards the books must agree with the orders.
Test(shop, killed_in_mid_work_the_books_agree_with_the_orders)
{
    start(shop_services);
    enum {
        ORDERS = 60,
        KILL_EVERY = 5
    };
    static const char *const victims[] = {
        "payment", "inventory", "broker", "fraud", "order", "ledger", "payment", "inventory"};
    char ids[ORDERS][UUID_SIZE];
    for (size_t i = 0; i < ORDERS; i++) {
        shop_place_async(rig, "alice", token_of(i), "moka-pot", 1, ids[i]);
        if (i % KILL_EVERY == KILL_EVERY - 1) {
            const char *victim = victims[i / KILL_EVERY % ARRAY_LEN(victims)];
            rig_kill(rig, victim);
            rig_relaunch(rig, victim);
        }
    }
    int64_t confirmed = 0;
    for (size_t i = 0; i < ORDERS; i++) {
        const bool declined = strcmp(token_of(i), "tok_declined") == 0;
        shop_expect_status(rig, ids[i], declined ? "cancelled" : "confirmed");
        shop_expect_payment(rig, ids[i], declined ? "declined" : "captured");
        confirmed += declined ? 0 : 1;
        event_tap_wait(tap, declined ? "order-cancelled" : "payment-completed", ids[i]);
    }
    shop_expect_stock(rig, "moka-pot", 1000 - confirmed, 0, confirmed);
    rig_wait_quiet(rig);
    cr_expect_eq(event_tap_count(tap, "order-confirmed", NULL), (size_t)confirmed);
    cr_expect_eq(event_tap_count(tap, "payment-completed", NULL), (size_t)confirmed);
    struct rig_reply reply = rig_call(rig, "ledger", "GET", "/accounts/cash", NULL, NULL);
    const cJSON *balance = cJSON_GetObjectItem(reply.json, "balance");
    cr_assert(cJSON_IsObject(balance), "%s", reply.body);
    cr_expect_eq(cJSON_GetObjectItem(balance, "amount_minor")->valueint, 3900 * confirmed);
    rig_reply_release(&reply);
}
