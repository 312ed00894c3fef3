// The limits of input that services share, each with the field it names.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "services/contract.h"

static struct json_problem problem;

static void expect_items(const char *items, enum err expected, const char *field)
{
    char *text = mem_format("{\"items\":%s}", items);
    cJSON *json = cJSON_Parse(text);
    cr_assert_not_null(json, "%s", text);
    struct items out;
    problem = (struct json_problem){0};
    cr_expect_eq(contract_get_items(json, "", "items", true, &out, &problem), expected, "%s", text);
    if (expected != ERR_OK) {
        cr_expect_str_eq(problem.field, field, "%s: %s", text, problem.field);
    }
    cJSON_Delete(json);
    free(text);
}

Test(contract, items_have_limits)
{
    expect_items("[{\"sku\":\"espresso-cup\",\"quantity\":1}]", ERR_OK, NULL);
    expect_items(
        "[{\"sku\":\"a\",\"quantity\":1000},{\"sku\":\"b\",\"quantity\":1}]", ERR_OK, NULL);
    expect_items("[]", ERR_INVALID, "items");
    expect_items("{}", ERR_INVALID, "items");
    expect_items("null", ERR_INVALID, "items");
    expect_items("[5]", ERR_INVALID, "items[0]");
    expect_items("[{\"quantity\":1}]", ERR_INVALID, "items[0].sku");
    expect_items("[{\"sku\":\"\",\"quantity\":1}]", ERR_INVALID, "items[0].sku");
    expect_items("[{\"sku\":\"a b\",\"quantity\":1}]", ERR_INVALID, "items[0].sku");
    expect_items("[{\"sku\":5,\"quantity\":1}]", ERR_INVALID, "items[0].sku");
    expect_items("[{\"sku\":\"a\"}]", ERR_INVALID, "items[0].quantity");
    expect_items("[{\"sku\":\"a\",\"quantity\":0}]", ERR_INVALID, "items[0].quantity");
    expect_items("[{\"sku\":\"a\",\"quantity\":-1}]", ERR_INVALID, "items[0].quantity");
    expect_items("[{\"sku\":\"a\",\"quantity\":1001}]", ERR_INVALID, "items[0].quantity");
    expect_items("[{\"sku\":\"a\",\"quantity\":1000000000}]", ERR_INVALID, "items[0].quantity");
    expect_items("[{\"sku\":\"a\",\"quantity\":1.5}]", ERR_INVALID, "items[0].quantity");
    expect_items("[{\"sku\":\"a\",\"quantity\":\"1\"}]", ERR_INVALID, "items[0].quantity");
    expect_items("[{\"sku\":\"a\",\"quantity\":1},{\"sku\":\"a\",\"quantity\":2}]",
                 ERR_INVALID,
                 "items[1].sku");
    expect_items("[{\"sku\":\"a\",\"quantity\":1,\"price\":0}]", ERR_INVALID, "items[0].price");
}

Test(contract, items_of_an_order_are_at_most_fifty)
{
    for (int count = CONTRACT_ITEMS_MAX; count <= CONTRACT_ITEMS_MAX + 1; count++) {
        struct buf text = {0};
        for (int i = 0; i < count; i++) {
            buf_printf(&text, "%s{\"sku\":\"s%d\",\"quantity\":1}", i == 0 ? "[" : ",", i);
        }
        buf_put(&text, "]", 2);
        expect_items(
            (const char *)text.data, count == CONTRACT_ITEMS_MAX ? ERR_OK : ERR_INVALID, "items");
        buf_release(&text);
    }
}

Test(contract, items_of_an_event_may_carry_more)
{
    cJSON *json = cJSON_Parse("{\"items\":[{\"sku\":\"a\",\"quantity\":2,\"unit_price\":{}}]}");
    struct items items;
    cr_assert_eq(contract_get_items(json, "", "items", false, &items, &problem), ERR_OK);
    cr_expect_eq(items.count, 1);
    cJSON *back = contract_items_to_json(&items);
    char *text = cJSON_PrintUnformatted(back);
    cr_expect_str_eq(text, "[{\"sku\":\"a\",\"quantity\":2}]");
    free(text);
    cJSON_Delete(back);
    cJSON_Delete(json);
}

Test(contract, names_are_of_few_characters)
{
    static const struct {
        const char *json;
        enum err err;
    } cases[] = {
        {"{\"id\":\"alice\"}", ERR_OK},
        {"{\"id\":\"A.b_c-9\"}", ERR_OK},
        {"{\"id\":\"0123456789012345678901234567890123456789012345678901234567890123\"}", ERR_OK},
        {"{\"id\":\"01234567890123456789012345678901234567890123456789012345678901234\"}",
         ERR_INVALID},
        {"{\"id\":\"\"}", ERR_INVALID},
        {"{\"id\":\"a/b\"}", ERR_INVALID},
        {"{\"id\":\"\\u00e9\"}", ERR_INVALID},
        {"{\"id\":null}", ERR_INVALID},
        {"{}", ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cJSON *json = cJSON_Parse(cases[i].json);
        const char *id = NULL;
        cr_expect_eq(
            contract_get_id(json, "", "id", &id, &problem), cases[i].err, "%s", cases[i].json);
        cJSON_Delete(json);
    }
}

Test(contract, an_amount_is_above_zero_and_nothing_else)
{
    static const struct {
        const char *json;
        enum err err;
        const char *field;
    } cases[] = {
        {"{\"amount\":{\"amount_minor\":1,\"currency\":\"EUR\"}}", ERR_OK, NULL},
        {"{\"amount\":{\"amount_minor\":1000000000000000,\"currency\":\"EUR\"}}", ERR_OK, NULL},
        {"{\"amount\":{\"amount_minor\":0,\"currency\":\"EUR\"}}", ERR_INVALID, "amount"},
        {"{\"amount\":{\"amount_minor\":-5,\"currency\":\"EUR\"}}", ERR_INVALID, "amount"},
        {"{\"amount\":{\"amount_minor\":1000000000000001,\"currency\":\"EUR\"}}",
         ERR_INVALID,
         "amount"},
        {"{\"amount\":\"1.00 EUR\"}", ERR_INVALID, "amount"},
        {"{}", ERR_INVALID, "amount"},
        {"{\"amount\":{\"amount_minor\":1,\"currency\":\"EUR\",\"x\":1}}", ERR_INVALID, "amount.x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cJSON *json = cJSON_Parse(cases[i].json);
        struct money money;
        cr_expect_eq(contract_get_amount(json, "", "amount", &money, &problem), cases[i].err);
        if (cases[i].field != NULL) {
            cr_expect_str_eq(problem.field, cases[i].field);
        }
        cJSON_Delete(json);
    }
}

Test(contract, a_uuid_is_in_lower_case)
{
    cJSON *json = cJSON_Parse("{\"a\":\"01890a5d-ac96-774b-bcce-b302099a8057\","
                              "\"b\":\"01890A5D-ac96-774b-bcce-b302099a8057\",\"c\":\"1\"}");
    const char *id = NULL;
    cr_expect_eq(contract_get_uuid(json, "", "a", &id, &problem), ERR_OK);
    cr_expect_eq(contract_get_uuid(json, "", "b", &id, &problem), ERR_INVALID);
    cr_expect_eq(contract_get_uuid(json, "", "c", &id, &problem), ERR_INVALID);
    cr_expect_str_eq(problem.field, "c");
    cJSON_Delete(json);
}

Test(contract, the_code_of_a_problem_is_the_last_part_of_its_type)
{
    cJSON *json = cJSON_Parse("{\"type\":\"urn:faultline:problem:card-declined\"}");
    cr_expect_str_eq(contract_problem_code(json, "x"), "card-declined");
    cJSON_Delete(json);
    json = cJSON_Parse("{\"type\":\"about-blank\"}");
    cr_expect_str_eq(contract_problem_code(json, "x"), "x");
    cr_expect_str_eq(contract_problem_code(NULL, "x"), "x");
    cJSON_Delete(json);
}

Test(contract, an_object_has_its_texts_and_null_where_there_is_none)
{
    cJSON *json = contract_object("status", "cancelled", "reason", NULL, NULL);
    char *text = cJSON_PrintUnformatted(json);
    cr_expect_str_eq(text, "{\"status\":\"cancelled\",\"reason\":null}");
    free(text);
    cJSON_Delete(json);
}
