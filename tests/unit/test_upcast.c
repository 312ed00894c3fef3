// Consumers see the newest version only; a version that nobody knows is never guessed.
#include <criterion/criterion.h>
#include <string.h>

#include "common/mem.h"
#include "common/money.h"
#include "services/upcast.h"

static struct json_problem problem;
static const struct upcast_reader payment = {.service = "payment"};
static const struct upcast_reader old_payment = {.service = "payment", .version_max = 1};

static struct event event_of(const char *type, int version, const char *data)
{
    struct event event = {.version = version, .data = cJSON_Parse(data)};
    cr_assert_not_null(event.data);
    strncpy(event.type, type, sizeof event.type - 1);
    return event;
}

Test(upcast, the_newest_version_is_given_as_it_is)
{
    struct event event = event_of("order-created", 2, "{\"order_id\":\"o\"}");
    cJSON *converted = NULL;
    cr_expect_eq(upcast_data(&event, &payment, &converted, &problem), event.data);
    cr_expect_null(converted);
    cJSON_Delete(event.data);
}

Test(upcast, order_created_1_becomes_2)
{
    struct event event = event_of("order-created",
                                  1,
                                  "{\"order_id\":\"o\",\"amount\":\"24.00 EUR\","
                                  "\"items\":[{\"sku\":\"espresso-cup\",\"quantity\":2}]}");
    cJSON *converted = NULL;
    const cJSON *data = upcast_data(&event, &payment, &converted, &problem);
    cr_assert_not_null(data);
    cr_expect_eq(data, converted);
    struct money total;
    cr_assert_eq(money_from_json(cJSON_GetObjectItem(data, "total"), &total), ERR_OK);
    cr_expect_eq(total.amount_minor, 2400);
    cr_expect_null(cJSON_GetObjectItem(data, "amount"));
    cr_expect_str_eq(json_text_of(data, "order_id"), "o");
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(data, "items")), 1);
    cr_expect_not_null(cJSON_GetObjectItem(event.data, "amount"), "the event is not changed");
    cJSON_Delete(converted);
    cJSON_Delete(event.data);
}

Test(upcast, transfer_created_1_becomes_2)
{
    struct event event =
        event_of("transfer-created", 1, "{\"transfer_id\":\"t\",\"amount\":\"5.00 EUR\"}");
    cJSON *converted = NULL;
    const cJSON *data = upcast_data(&event, &payment, &converted, &problem);
    cr_assert_not_null(data);
    struct money amount;
    cr_assert_eq(money_from_json(cJSON_GetObjectItem(data, "amount"), &amount), ERR_OK);
    cr_expect_eq(amount.amount_minor, 500);
    cJSON_Delete(converted);
    cJSON_Delete(event.data);
}

Test(upcast, version_1_with_a_malformed_amount_is_refused)
{
    static const char *const bad[] = {
        "{}", "{\"amount\":5}", "{\"amount\":\"5 EUR\"}", "{\"amount\":{\"amount_minor\":5}}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct event event = event_of("order-created", 1, bad[i]);
        cJSON *converted = NULL;
        cr_expect_null(upcast_data(&event, &payment, &converted, &problem));
        cr_expect_null(converted);
        cr_expect_str_eq(problem.field, "amount");
        cJSON_Delete(event.data);
    }
}

// Expects that the reader refuses the version and says so.
static void expect_refused(const struct upcast_reader *reader, const char *type, int version,
                           const char *reason)
{
    struct event event = event_of(type, version, "{\"amount\":\"5.00 EUR\"}");
    cJSON *converted = NULL;
    cr_expect_null(upcast_data(&event, reader, &converted, &problem));
    cr_expect_null(converted);
    cr_expect_str_eq(problem.field, "dataschema");
    cr_expect_str_eq(problem.reason, reason);
    cJSON_Delete(event.data);
}

Test(upcast, a_newer_version_is_refused_with_what_to_do)
{
    expect_refused(&payment,
                   "order-created",
                   3,
                   "order-created version 3 is newer than this payment knows (1, 2): upgrade it, "
                   "then redrive");
    expect_refused(&payment,
                   "funds-held",
                   2,
                   "funds-held version 2 is newer than this payment knows (1): upgrade it, "
                   "then redrive");
    expect_refused(&payment,
                   "a-topic-that-is-longer-than-a-sentence-has-room-for",
                   999999,
                   "a-topic-that-is-longer-than-a-sentence-h version 999999 is newer than this "
                   "payment knows (1): upgrade it, then redrive");
}

Test(upcast, an_older_release_refuses_what_it_does_not_know_yet)
{
    expect_refused(&old_payment,
                   "order-created",
                   2,
                   "order-created version 2 is newer than this payment knows (1): upgrade it, "
                   "then redrive");
    struct event event = event_of("transfer-created", 1, "{\"amount\":\"5.00 EUR\"}");
    cJSON *converted = NULL;
    cr_expect_not_null(upcast_data(&event, &old_payment, &converted, &problem));
    cJSON_Delete(converted);
    cJSON_Delete(event.data);
    event = event_of("funds-held", 1, "{}");
    cr_expect_eq(upcast_data(&event, &old_payment, &converted, &problem), event.data);
    cJSON_Delete(event.data);
}

// What version 1 says of new data, and that it is the same order when it comes back.
static void expect_cast(const char *type, const char *newest, const char *oldest, const char *back)
{
    cJSON *older = cJSON_Parse(oldest);
    cJSON *newer = cJSON_Parse(back);
    struct event event = {.version = 1, .data = downcast_data(type, 1, cJSON_Parse(newest))};
    cJSON *converted = NULL;
    strncpy(event.type, type, sizeof event.type - 1);
    cr_expect(cJSON_Compare(event.data, older, true), "%s", cJSON_PrintUnformatted(event.data));
    cr_assert_not_null(upcast_data(&event, &payment, &converted, &problem));
    cr_expect(cJSON_Compare(converted, newer, true), "%s", cJSON_PrintUnformatted(converted));
    cJSON_Delete(converted);
    cJSON_Delete(event.data);
    cJSON_Delete(newer);
    cJSON_Delete(older);
}

Test(upcast, order_created_goes_down_to_1_and_comes_back_without_unit_prices)
{
    expect_cast("order-created",
                "{\"order_id\":\"o\",\"total\":{\"amount_minor\":2405,\"currency\":\"EUR\"},"
                "\"items\":[{\"sku\":\"a\",\"quantity\":2,\"unit_price\":"
                "{\"amount_minor\":1200,\"currency\":\"EUR\"}},{\"sku\":\"b\",\"quantity\":1}]}",
                "{\"order_id\":\"o\",\"amount\":\"24.05 EUR\",\"items\":"
                "[{\"sku\":\"a\",\"quantity\":2},{\"sku\":\"b\",\"quantity\":1}]}",
                "{\"order_id\":\"o\",\"total\":{\"amount_minor\":2405,\"currency\":\"EUR\"},"
                "\"items\":[{\"sku\":\"a\",\"quantity\":2},{\"sku\":\"b\",\"quantity\":1}]}");
}

Test(upcast, transfer_created_goes_down_to_1_and_comes_back_whole)
{
    static const char newest[] = "{\"transfer_id\":\"t\",\"amount\":{\"amount_minor\":"
                                 "1000000000000000,\"currency\":\"EUR\"}}";
    expect_cast("transfer-created",
                newest,
                "{\"transfer_id\":\"t\",\"amount\":\"10000000000000.00 EUR\"}",
                newest);
}

Test(upcast, the_newest_version_needs_no_way_down)
{
    cJSON *data = cJSON_Parse("{\"total\":5}");
    cr_expect_eq(downcast_data("order-created", 2, data), data);
    cr_expect_eq(downcast_data("ledger-posted", 1, data), data);
    cr_expect_not_null(cJSON_GetObjectItem(data, "total"));
    cJSON_Delete(data);
}

Test(upcast, types_it_does_not_list_have_version_1)
{
    cr_expect_eq(upcast_version("order-created"), 2);
    cr_expect_eq(upcast_version("transfer-created"), 2);
    cr_expect_eq(upcast_version("ledger-posted"), 1);
}
