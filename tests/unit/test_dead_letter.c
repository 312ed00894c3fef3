// The headers of a dead letter can be read back, whatever the error said.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "broker/dead_letter.h"

static struct dead_letter letter(const char *error)
{
    struct dead_letter self = {
        .group = "payment",
        .topic = "order-created",
        .offset = 4711,
        .attempts = 5,
        .failures = 4,
        .first_failed_at = "2026-11-23T20:36:57.123456Z",
        .dead_at = "2026-11-23T20:37:00.000000Z",
    };
    dead_letter_set_error(&self, error);
    return self;
}

static struct dead_letter there_and_back(const struct dead_letter *from, const char *original,
                                         struct buf *headers)
{
    struct dead_letter back;
    dead_letter_format(from, bytes_of_text(original), headers);
    cr_assert_leq(headers->size, RECORD_HEADERS_MAX);
    cr_assert_eq(dead_letter_parse(buf_view(headers), &back), ERR_OK);
    return back;
}

Test(dead_letter, what_is_formatted_is_parsed)
{
    struct buf headers = {0};
    const struct dead_letter from = letter("card \"declined\"\n");

    const struct dead_letter back = there_and_back(&from, "", &headers);

    cr_expect_eq(memcmp(&back, &from, sizeof back), 0);
    buf_release(&headers);
}

Test(dead_letter, an_error_that_is_not_utf8_is_shown_as_far_as_it_can)
{
    cr_expect_str_eq(letter("caf\xc3\xa9 \xff\xc3").error, "caf\xc3\xa9 ??");
}

Test(dead_letter, a_long_error_is_cut_between_characters)
{
    char error[600] = {0};
    for (size_t i = 0; i + 2 < sizeof error; i += 2) {
        memcpy(error + i, "\xc3\xa9", 2);
    }
    struct dead_letter from = letter(error);
    cr_expect_eq(strlen(from.error), GROUP_ERROR_MAX);
    from = letter(error + 1); // starts in the middle of one
    cr_expect_eq(strlen(from.error), GROUP_ERROR_MAX - 1);
}

Test(dead_letter, the_worst_error_and_the_longest_names_fit)
{
    char error[GROUP_ERROR_MAX + 1];
    memset(error, 1, GROUP_ERROR_MAX);
    error[GROUP_ERROR_MAX] = '\0';
    struct dead_letter from = letter(error);
    memset(from.group, 'g', sizeof from.group - 1);
    memset(from.topic, 't', sizeof from.topic - 1);
    struct buf headers = {0};

    const struct dead_letter back = there_and_back(&from, "", &headers);

    cr_expect_str_eq(back.error, from.error);
    buf_release(&headers);
}

Test(dead_letter, the_events_own_headers_go_along_when_they_are_json)
{
    struct buf headers = {0};
    const struct dead_letter from = letter("no");
    there_and_back(&from, "{\"tenant\":\"a\"}", &headers);
    buf_put_u8(&headers, 0);
    cr_expect_not_null(strstr((char *)headers.data, "\"headers\":{\"tenant\":\"a\"}"));

    buf_clear(&headers);
    there_and_back(&from, "{tenant", &headers);
    buf_put_u8(&headers, 0);
    cr_expect_null(strstr((char *)headers.data, "\"headers\""));
    buf_release(&headers);
}

Test(dead_letter, headers_too_large_to_go_along_stay_behind)
{
    struct buf original = {0};
    struct buf headers = {0};
    buf_put_text(&original, "[");
    while (original.size < 3900) {
        buf_put_text(&original, "1e9,"); // prints as 1000000000: more than it was
    }
    buf_put_text(&original, "1]");
    buf_put_u8(&original, 0);
    const struct dead_letter from = letter("no");

    const struct dead_letter back = there_and_back(&from, (char *)original.data, &headers);

    cr_expect_eq(back.offset, 4711);
    buf_release(&original);
    buf_release(&headers);
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
