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
    cr_expect_str_eq(back.topic, "order-created");
    cr_expect_eq(back.offset, 4711);
    cr_expect_eq(back.first_offset, 4711);
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
    expect_error("caf\xc3\xa9 \xff\xc3", "caf\xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd");
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

// A dead letter at offset 5000 of an event at 4711 with these headers, redriven and given
// up again at 6000: its headers.
static void die_again(const char *original, struct buf *headers)
{
    struct group_entry_info info = {.offset = 4711, .attempts = 5, .error = "a \"headers\":{}"};
    struct record event = {.topic = bytes_of_text("order-created"),
                           .headers = bytes_of_text(original)};
    struct buf first = {0};
    struct buf copy = {0};
    dead_letter_format("payment", &info, &event, 2000000, &first);
    dead_letter_redrive_format(5000, buf_view(&first), &copy);
    cr_assert_leq(copy.size, RECORD_HEADERS_MAX);
    info = (struct group_entry_info){.offset = 6000, .attempts = 1, .error = "again"};
    event = (struct record){.topic = bytes_of_text("redrive.payment"), .headers = buf_view(&copy)};
    dead_letter_format("payment", &info, &event, 3000000, headers);
    buf_release(&first);
    buf_release(&copy);
}

Test(dead_letter, one_that_was_redriven_and_died_again_keeps_topic_first_offset_and_headers)
{
    struct buf headers = {0};
    struct dead_letter back;
    struct json_problem problem;
    cJSON *json = NULL;
    die_again("{\"tenant\":\"a\"}", &headers);
    cr_assert_eq(dead_letter_parse(buf_view(&headers), &back), ERR_OK);
    cr_expect_str_eq(back.topic, "order-created");
    cr_expect_eq(back.offset, 6000);
    cr_expect_eq(back.first_offset, 4711);
    cr_assert_eq(json_parse(buf_view(&headers), &json, &problem), ERR_OK);
    cr_expect_str_eq(json_text_of(json, "error"), "again");
    cr_expect_str_eq(json_text_of(cJSON_GetObjectItem(json, "headers"), "tenant"), "a");
    cr_expect_null(cJSON_GetObjectItem(json, "dead_letter"));
    cJSON_Delete(json);
    buf_release(&headers);

    die_again("", &headers);
    cr_assert_eq(json_parse(buf_view(&headers), &json, &problem), ERR_OK);
    cr_expect_null(cJSON_GetObjectItem(json, "headers"));
    cJSON_Delete(json);
    buf_release(&headers);
}

Test(dead_letter, the_largest_headers_that_go_along_go_back_too)
{
    char original[RECORD_HEADERS_MAX + 1];
    struct buf headers = {0};
    for (size_t size = RECORD_HEADERS_MAX - 400; size <= RECORD_HEADERS_MAX; size++) {
        memset(original, ' ', size);
        original[0] = '[';
        original[size - 1] = ']';
        original[size] = '\0';
        die_again(original, &headers); // checks that the copy fits
        buf_clear(&headers);
    }
    buf_release(&headers);
}

Test(dead_letter, a_copy_goes_out_under_the_events_own_topic_and_other_records_as_they_are)
{
    struct buf headers = {0};
    struct buf scratch = {0};
    die_again("", &headers);
    struct record record = {.topic = bytes_of_text("redrive.payment"),
                            .key = bytes_of_text("o-1"),
                            .id = bytes_of_text("e-1"),
                            .headers = buf_view(&headers),
                            .body = bytes_of_text("{}")};
    dead_letter_restore(&record, &scratch);
    struct bytes whole = record.whole;
    cr_assert_eq(record_take(&whole, &record), ERR_OK);
    cr_expect(bytes_equal_text(record.topic, "order-created"));
    cr_expect(bytes_equal_text(record.key, "o-1"));
    cr_expect(bytes_equal_text(record.body, "{}"));
    cr_expect_eq(record.headers.size, headers.size);

    record.topic = bytes_of_text("order-cancelled");
    dead_letter_restore(&record, &scratch);
    cr_expect(bytes_equal_text(record.topic, "order-cancelled"));
    buf_release(&headers);
    buf_release(&scratch);
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
