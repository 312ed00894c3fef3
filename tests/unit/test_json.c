// What json.h promises over cJSON: one value, well-formed, no member twice, and a
// problem that names the field.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"

static struct json_problem problem;

static cJSON *parse(const char *text)
{
    cJSON *json = NULL;
    cr_assert_eq(
        json_parse(bytes_of_text(text), &json, &problem), ERR_OK, "%s: %s", text, problem.reason);
    return json;
}

static void expect_refused(const char *text, const char *reason)
{
    cJSON *json = NULL;
    cr_expect_eq(json_parse(bytes_of_text(text), &json, &problem), ERR_INVALID, "%s", text);
    cr_expect_null(json);
    cr_expect_not_null(strstr(problem.reason, reason),
                       "%s: expected \"%s\", got \"%s\"",
                       text,
                       reason,
                       problem.reason);
}

Test(json, every_kind_of_value_is_parsed)
{
    static const char *const texts[] = {
        "null",
        "true",
        " false ",
        "0",
        "-0",
        "-1.5e+10",
        "1E2",
        "\"\"",
        "\"\\u00e9\\ud83d\\ude00\\n\\/\"",
        "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"",
        "[]",
        "[1,[2,{}]]",
        "{}",
        "\t{ \"a\" : { \"a\" : 1 } , \"b\" : [ ] }\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        cJSON_Delete(parse(texts[i]));
    }
}

Test(json, what_is_no_json_is_refused)
{
    static const char *const texts[] = {
        " ",
        "{",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "'a'",
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "-",
        "nul",
        "NaN",
        "\"a",
        "\"\\x\"",
        "\"\t\"",
        "\"\\u12",
        "// c\n1",
        "[1 2]",
        "{\"a\":}",
        "[",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\xef\xbb\xbf{}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        expect_refused(texts[i], "is not JSON");
    }
    expect_refused("", "is empty");
}

Test(json, text_behind_the_value_is_refused)
{
    expect_refused("{} {}", "text behind the value");
    expect_refused("1,", "text behind the value");
    cJSON *json = NULL;
    const struct bytes with_nul = {.data = (const uint8_t *)"{}\0x", .size = 4};
    cr_expect_eq(json_parse(with_nul, &json, &problem), ERR_INVALID);
}

Test(json, a_value_ends_where_its_bytes_end_not_at_a_nul)
{
    cJSON *json = NULL;
    const struct bytes cut = {.data = (const uint8_t *)"{\"a\":12}34", .size = 8};
    cr_assert_eq(json_parse(cut, &json, &problem), ERR_OK);
    cJSON_Delete(json);
    const struct bytes half = {.data = (const uint8_t *)"{\"a\":12}", .size = 7};
    cr_expect_eq(json_parse(half, &json, &problem), ERR_INVALID);
}

Test(json, bytes_that_are_not_utf8_are_refused)
{
    static const char *const texts[] = {
        "\"\x80\"",             // a continuation without a start
        "\"\xc3\"",             // cut short
        "\"\xc0\xaf\"",         // overlong
        "\"\xe0\x80\x80\"",     // overlong
        "\"\xed\xa0\x80\"",     // a surrogate
        "\"\xf4\x90\x80\x80\"", // above U+10FFFF
        "\"\xff\"",
        "{\"\xfe\":1}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        expect_refused(texts[i], "is not UTF-8");
    }
}

// cJSON would cut the string there, and "admin\u0000x" would pass for "admin".
Test(json, a_string_with_a_nul_is_refused)
{
    expect_refused("{\"a\":\"x\\u0000y\"}", "U+0000");
}

Test(json, a_member_named_twice_is_refused_with_its_path)
{
    expect_refused("{\"a\":1,\"b\":2,\"a\":1}", "twice");
    cr_expect_str_eq(problem.field, "a");
    expect_refused("{\"items\":[{},{\"sku\":1,\"sku\":2}]}", "twice");
    cr_expect_str_eq(problem.field, "items[1].sku");
    expect_refused("{\"\\u0061\":1,\"a\":2}", "twice");
}

static char *object_of(int members, bool has_twin)
{
    struct buf text = {0};
    buf_put_text(&text, "{");
    for (int i = 0; i < members; i++) {
        buf_printf(&text, "\"m%d\":0,", i);
    }
    buf_printf(&text, "\"%s\":0}", has_twin ? "m0" : "last");
    buf_put_u8(&text, 0);
    return (char *)text.data;
}

Test(json, a_twin_is_found_in_a_large_object_too, .timeout = 10)
{
    char *good = object_of(20000, false);
    cJSON_Delete(parse(good));
    char *bad = object_of(20000, true);
    expect_refused(bad, "twice");
    cr_expect_str_eq(problem.field, "m0");
    free(good);
    free(bad);
}

static char *nested(int depth)
{
    struct buf text = {0};
    for (int i = 0; i < depth; i++) {
        buf_put_text(&text, "[");
    }
    for (int i = 0; i < depth; i++) {
        buf_put_text(&text, "]");
    }
    buf_put_u8(&text, 0);
    return (char *)text.data;
}

Test(json, nesting_has_a_limit)
{
    char *at_limit = nested(JSON_DEPTH_MAX);
    cJSON_Delete(parse(at_limit));
    char *over = nested(JSON_DEPTH_MAX + 1);
    expect_refused(over, "nested too deeply");
    char *far_over = nested(100000);
    expect_refused(far_over, "nested too deeply");
    free(at_limit);
    free(over);
    free(far_over);
}

Test(json, a_number_beyond_a_double_is_refused)
{
    expect_refused("{\"a\":[1e999]}", "too large");
    cr_expect_str_eq(problem.field, "a[0]");
    expect_refused("1000000000000000000000000000000000000000000000000000000000000000", "too long");
}

Test(json, get_text_takes_a_string_within_its_sizes)
{
    cJSON *json =
        parse("{\"a\":\"\",\"b\":\"xyz\",\"c\":5,\"d\":\"a\\nb\",\"e\":\"\\u0085\",\"B\":1}");
    const char *text = NULL;
    cr_expect_eq(json_get_text(json, "", "b", 1, 3, &text, &problem), ERR_OK);
    cr_expect_str_eq(text, "xyz");
    cr_expect_eq(json_get_text(json, "", "a", 0, 3, &text, &problem), ERR_OK);
    cr_expect_eq(json_get_text(json, "", "a", 1, 3, &text, &problem), ERR_INVALID);
    cr_expect_str_eq(problem.reason, "must have 1 to 3 bytes");
    cr_expect_eq(json_get_text(json, "x[2]", "b", 1, 2, &text, &problem), ERR_INVALID);
    cr_expect_str_eq(problem.field, "x[2].b");
    cr_expect_eq(json_get_text(json, "", "c", 1, 3, &text, &problem), ERR_INVALID);
    cr_expect_str_eq(problem.reason, "must be a string");
    cr_expect_eq(json_get_text(json, "", "d", 1, 3, &text, &problem), ERR_INVALID);
    cr_expect_eq(json_get_text(json, "", "e", 1, 3, &text, &problem), ERR_INVALID);
    cr_expect_str_eq(problem.reason, "must not have control characters");
    cr_expect_eq(json_get_text(json, "", "z", 1, 3, &text, &problem), ERR_INVALID);
    cr_expect_str_eq(problem.reason, "is missing");
    cJSON_Delete(json);
}

Test(json, get_int_takes_a_whole_number_within_its_range)
{
    cJSON *json =
        parse("{\"a\":7,\"b\":7.5,\"c\":\"7\",\"d\":9007199254740992,\"e\":1e300,\"f\":true,"
              "\"g\":null,\"h\":-3,\"i\":7.0}");
    int64_t number = 0;
    cr_expect_eq(json_get_int(json, "", "a", 7, 7, &number, &problem), ERR_OK);
    cr_expect_eq(number, 7);
    cr_expect_eq(json_get_int(json, "", "i", 7, 7, &number, &problem), ERR_OK);
    cr_expect_eq(json_get_int(json, "", "h", -3, 0, &number, &problem), ERR_OK);
    cr_expect_eq(number, -3);
    cr_expect_eq(json_get_int(json, "", "d", 0, INT64_C(9007199254740992), &number, &problem),
                 ERR_OK);
    cr_expect_eq(number, INT64_C(9007199254740992));
    static const char *const bad[] = {"b", "c", "e", "f", "g", "h", "d"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        cr_expect_eq(
            json_get_int(json, "", bad[i], 0, 1000, &number, &problem), ERR_INVALID, "%s", bad[i]);
        cr_expect_str_eq(problem.field, bad[i]);
        cr_expect_str_eq(problem.reason, "must be a whole number from 0 to 1000");
    }
    cr_expect_eq(json_get_int(json, "", "z", 0, 1000, &number, &problem), ERR_INVALID);
    cr_expect_str_eq(problem.reason, "is missing");
    cJSON_Delete(json);
}

Test(json, names_are_case_sensitive)
{
    cJSON *json = parse("{\"A\":1,\"a\":\"x\"}");
    const char *text = NULL;
    cr_expect_eq(json_get_text(json, "", "a", 1, 1, &text, &problem), ERR_OK);
    cr_expect_null(json_text_of(json, "A"));
    cr_expect_null(json_text_of(json, "b"));
    cr_expect_str_eq(json_text_of(json, "a"), "x");
    cJSON_Delete(json);
}

Test(json, an_unknown_member_is_named)
{
    static const char *const names[] = {"a", "b", NULL};
    cJSON *json = parse("{\"b\":1,\"a\":1}");
    cr_expect_eq(json_only_members(json, "", names, &problem), ERR_OK);
    cJSON_Delete(json);
    json = parse("{\"b\":1,\"ab\":1}");
    cr_expect_eq(json_only_members(json, "items[0]", names, &problem), ERR_INVALID);
    cr_expect_str_eq(problem.field, "items[0].ab");
    cJSON_Delete(json);
}

Test(json, a_problem_is_cut_at_a_whole_character)
{
    char *field = mem_calloc(JSON_PATH_SIZE * 2, 1);
    field[0] = 'x';
    for (size_t i = 0; i < JSON_PATH_SIZE / 2 + 4; i++) {
        memcpy(field + 1 + 2 * i, "\xc3\xa9", 2);
    }
    json_problem_set(&problem, field, "%s", field);
    cr_expect_eq(strlen(problem.field), JSON_PATH_SIZE - 1);
    cr_expect_eq(strlen(problem.reason), 1 + (JSON_PATH_SIZE / 2 + 4) * 2);
    memmove(field, field + 1, strlen(field));
    json_problem_set(&problem, field, "%s", "r");
    cr_expect_eq(strlen(problem.field), JSON_PATH_SIZE - 2);
    free(field);
}

Test(json, what_was_parsed_is_printed_again)
{
    static const char text[] = "{\"a\":[1,-2.5,1000000000000000,-9007199254740992,true,false,null],"
                               "\"b\\\"\\\\\":{\"c\":\"\\n\\u0001\xc3\xa9\"},\"d\":[],\"e\":{}}";
    cJSON *json = parse(text);
    struct buf out = {0};
    json_append(&out, json);
    cr_expect(bytes_equal_text(buf_view(&out), text), "%.*s", (int)out.size, (char *)out.data);
    char *same = json_to_text(json);
    cr_expect_str_eq(same, text);
    cr_expect_null(json_to_text(NULL));
    free(same);
    buf_release(&out);
    cJSON_Delete(json);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

// Good text with a few bytes changed: whatever is taken means the same when it is
// printed and read again, and the rest is refused with a reason.
Test(json, damaged_text_is_refused_or_means_one_thing)
{
    static const char good[] =
        "{\"order_id\":\"o-\\u00e9\",\"total\":{\"amount_minor\":2400,\"currency\":\"EUR\"},"
        "\"items\":[{\"sku\":\"caf\xc3\xa9\",\"quantity\":-1.5e3},[true,false,null,{}]]}";
    static const char swaps[] = "\"\\{}[],:0-1.eEnu \x80\xc3\xff\x01";
    uint64_t seed = 5;
    int taken = 0;
    for (int round = 0; round < 50000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (uint64_t n = next_random(&seed) % 4; n > 0; n--) {
            text[next_random(&seed) % (sizeof good - 1)] =
                swaps[next_random(&seed) % (sizeof swaps - 1)];
        }
        const size_t size =
            next_random(&seed) % 8 == 0 ? next_random(&seed) % sizeof good : sizeof good - 1;
        const struct bytes view = {.data = (const uint8_t *)text, .size = size};
        cJSON *json = NULL;
        problem = (struct json_problem){0};
        if (json_parse(view, &json, &problem) != ERR_OK) {
            cr_assert_null(json);
            cr_assert_str_not_empty(problem.reason);
            continue;
        }
        struct buf out = {0};
        cJSON *again = NULL;
        json_append(&out, json);
        cr_assert_eq(json_parse(buf_view(&out), &again, &problem), ERR_OK);
        cr_assert(cJSON_Compare(json, again, true), "%.*s", (int)size, text);
        cJSON_Delete(json);
        cJSON_Delete(again);
        buf_release(&out);
        taken++;
    }
    cr_expect_gt(taken, 1000);
}
