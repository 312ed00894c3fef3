// Consumers see the newest version only; a version that nobody knows is never guessed.
#include <criterion/criterion.h>
#include <string.h>

#include "common/money.h"
#include "services/upcast.h"

static struct json_problem problem;

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
    cr_expect_eq(upcast_data(&event, &converted, &problem), event.data);
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
    const cJSON *data = upcast_data(&event, &converted, &problem);
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
    const cJSON *data = upcast_data(&event, &converted, &problem);
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
        cr_expect_null(upcast_data(&event, &converted, &problem));
        cr_expect_null(converted);
        cr_expect_str_eq(problem.field, "amount");
        cJSON_Delete(event.data);
    }
}

Test(upcast, an_unknown_version_is_refused_by_name)
{
    static const struct {
        const char *type;
        int version;
    } bad[] = {{"order-created", 3}, {"order-created", 0}, {"funds-held", 2}, {"order-paid", 7}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct event event = event_of(bad[i].type, bad[i].version, "{\"amount\":\"5.00 EUR\"}");
        cJSON *converted = NULL;
        cr_expect_null(upcast_data(&event, &converted, &problem));
        cr_expect_null(converted);
        cr_expect_str_eq(problem.field, "dataschema");
        cr_expect_not_null(strstr(problem.reason, bad[i].type));
        cr_expect_not_null(strstr(problem.reason, "redrive"));
        cJSON_Delete(event.data);
    }
}

Test(upcast, types_it_does_not_list_have_version_1)
{
    cr_expect_eq(upcast_version("order-created"), 2);
    cr_expect_eq(upcast_version("transfer-created"), 2);
    cr_expect_eq(upcast_version("ledger-posted"), 1);
}
