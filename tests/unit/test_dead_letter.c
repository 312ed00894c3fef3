// The headers of a dead letter can be read back, whatever the error said.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "broker/dead_letter.h"
#include "common/json.h"

// Formats the dead letter of an event with these headers and this error, and reads it
// back as JSON, which the caller deletes.
static cJSON *there_and_back(const char *error, const char *original)
{
    const struct group_entry_info info = {
        .offset = 4711, .attempts = 5, .failures = 4, .error = error, .first_failed_us = 1000000};
    const struct record event = {.topic = bytes_of_text("order-created"),
                                 .headers = bytes_of_text(original)};
    struct buf headers = {0};
    struct dead_letter back;
    struct json_problem problem;
    cJSON *json = NULL;
    dead_letter_format("payment", &info, &event, 2000000, &headers);
    cr_assert_leq(headers.size, RECORD_HEADERS_MAX);
    cr_assert_eq(dead_letter_parse(buf_view(&headers), &back), ERR_OK);
    cr_expect_str_eq(back.group, "payment");
    cr_expect_eq(back.offset, 4711);
    cr_assert_eq(json_parse(buf_view(&headers), &json, &problem), ERR_OK);
    buf_release(&headers);
    return json;
}

static void expect_error(const char *error, const char *shown)
{
    cJSON *json = there_and_back(error, "");
    cr_expect_str_eq(json_text_of(json, "error"), shown);
    cJSON_Delete(json);
}

Test(dead_letter, its_headers_say_what_happened_to_which_event)
{
    cJSON *json = there_and_back("card \"declined\"\n", "");
    cr_expect_str_eq(json_text_of(json, "topic"), "order-created");
    cr_expect_str_eq(json_text_of(json, "error"), "card \"declined\"\n");
    cr_expect_str_eq(json_text_of(json, "first_failed_at"), "1970-01-01T00:00:01.000000Z");
    cr_expect_str_eq(json_text_of(json, "dead_at"), "1970-01-01T00:00:02.000000Z");
    cr_expect_eq(cJSON_GetObjectItem(json, "attempts")->valueint, 5);
    cr_expect_eq(cJSON_GetObjectItem(json, "failures")->valueint, 4);
    cJSON_Delete(json);
}

Test(dead_letter, an_error_that_is_not_utf8_is_shown_as_far_as_it_can)
{
    expect_error("caf\xc3\xa9 \xff\xc3", "caf\xc3\xa9 ??");
}

Test(dead_letter, the_worst_error_fits)
{
    char error[GROUP_ERROR_MAX + 1];
    memset(error, 1, GROUP_ERROR_MAX);
    error[GROUP_ERROR_MAX] = '\0';
    expect_error(error, error);
}

Test(dead_letter, the_events_own_headers_go_along_when_they_are_json)
{
    cJSON *json = there_and_back("no", "{\"tenant\":\"a\"}");
    cr_expect_str_eq(json_text_of(cJSON_GetObjectItem(json, "headers"), "tenant"), "a");
    cJSON_Delete(json);

    json = there_and_back("no", "{tenant");
    cr_expect_null(cJSON_GetObjectItem(json, "headers"));
    cJSON_Delete(json);
}

Test(dead_letter, headers_too_large_to_go_along_stay_behind)
{
    char original[RECORD_HEADERS_MAX] = "[";
    memset(original + 1, ' ', sizeof original - 3);
    original[sizeof original - 2] = ']';
    cJSON *json = there_and_back("no", original);
    cr_expect_null(cJSON_GetObjectItem(json, "headers"));
    cJSON_Delete(json);
}

Test(dead_letter, other_headers_are_refused)
{
    static const char *const others[] = {
        "",
        "{}",
        "[]",
        "nonsense",
        "{\"group\":\"payment\",\"topic\":\"order-created\",\"offset\":-1,\"attempts\":5,"
        "\"failures\":4,\"error\":\"no\",\"first_failed_at\":\"x\",\"dead_at\":\"y\"}",
    };
    struct dead_letter back;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        cr_expect_eq(dead_letter_parse(bytes_of_text(others[i]), &back), ERR_INVALID);
    }
}
