// A story is the same tree, in whatever order and wrapping its log lines come.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/story.h"
#include "cli/story_missing.h"
#include "cli/story_print.h"
#include "common/mem.h"

#define ID "0190a5d8-1111-7000-8000-000000000001"

// An order: request -> order-created -> payment fails once, then handles it ->
// payment-authorized -> order handles it -> confirmed.
static const char *const lines[] = {
    "{\"ts\":\"2026-11-23T20:00:00.002000Z\",\"service\":\"order\",\"msg\":\"request answered\","
    "\"correlation_id\":\"" ID "\",\"method\":\"POST\",\"path\":\"/orders\",\"status\":202,"
    "\"duration_us\":2000,\"request_id\":\"r1\",\"span_id\":\"a\"}",
    "{\"ts\":\"2026-11-23T20:00:00.001500Z\",\"service\":\"order\",\"msg\":\"event stored\","
    "\"correlation_id\":\"" ID "\",\"event_id\":\"e1\",\"topic\":\"order-created\","
    "\"causation_id\":\"r1\"}",
    "{\"ts\":\"2026-11-23T20:00:00.001400Z\",\"service\":\"order\",\"msg\":\"status changed\","
    "\"correlation_id\":\"" ID "\",\"event_id\":\"r1\",\"status\":\"pending\"}",
    "{\"ts\":\"2026-11-23T20:00:00.003000Z\",\"service\":\"order\",\"msg\":\"event published\","
    "\"correlation_id\":\"" ID "\",\"event_id\":\"e1\",\"topic\":\"order-created\",\"offset\":7}",
    "{\"ts\":\"2026-11-23T20:00:00.004000Z\",\"service\":\"payment-2\",\"msg\":\"event failed\","
    "\"correlation_id\":\"" ID "\",\"event_id\":\"e1\",\"topic\":\"order-created\",\"offset\":7,"
    "\"attempt\":1,\"duration_us\":300,\"error\":\"the card network is down\"}",
    "payment_1  | {\"ts\":\"2026-11-23T20:00:00.204000Z\",\"service\":\"payment-2\","
    "\"msg\":\"event handled\",\"correlation_id\":\"" ID "\",\"event_id\":\"e1\","
    "\"topic\":\"order-created\",\"offset\":7,\"attempt\":2,\"duration_us\":400,"
    "\"result\":\"done\"}",
    "{\"ts\":\"2026-11-23T20:00:00.204100Z\",\"service\":\"payment-2\",\"msg\":\"event stored\","
    "\"correlation_id\":\"" ID "\",\"event_id\":\"e2\",\"topic\":\"payment-authorized\","
    "\"causation_id\":\"e1\"}",
    "{\"ts\":\"2026-11-23T20:00:00.206000Z\",\"service\":\"order\",\"msg\":\"event handled\","
    "\"correlation_id\":\"" ID "\",\"event_id\":\"e2\",\"topic\":\"payment-authorized\","
    "\"offset\":8,\"attempt\":1,\"duration_us\":500,\"result\":\"done\"}",
    "{\"ts\":\"2026-11-23T20:00:00.205900Z\",\"service\":\"order\",\"msg\":\"status changed\","
    "\"correlation_id\":\"" ID "\",\"event_id\":\"e2\",\"status\":\"confirmed\"}",
};

static struct story *story_of(const size_t *order, size_t count)
{
    struct story *story = story_new(ID);
    for (size_t i = 0; i < count; i++) {
        cr_expect(story_add_line(story, bytes_of_text(lines[order[i]])));
    }
    story_link(story);
    return story;
}

static char *drawn(const struct story *story)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    cr_assert_not_null(out);
    story_print(story, out, false);
    fclose(out);
    return text;
}

static const size_t in_order[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};

Test(story, is_drawn_as_a_tree_of_causes)
{
    struct story *story = story_of(in_order, ARRAY_LEN(in_order));
    char *text = drawn(story);

    static const char *const expected[] = {
        ID ": confirmed after 206 ms",
        "POST /orders -> 202 in 2.0 ms  => pending",
        "└─ order-created",
        "   ├─ failed: the card network is down",
        "   └─ handled it in 0.4 ms, attempt 2",
        "      └─ payment-authorized",
        "         └─ handled it in 0.5 ms  => confirmed",
    };
    const char *at = text;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const char *found = strstr(at, expected[i]);
        cr_assert_not_null(found, "\"%s\" is missing in\n%s", expected[i], text);
        at = found;
    }
    cr_expect_str_eq(story_status(story), "confirmed");
    cr_expect(story_is_finished(story));
    free(text);
    story_destroy(&story);
}

Test(story, does_not_depend_on_the_order_of_its_lines)
{
    static const size_t backwards[] = {8, 7, 6, 5, 4, 3, 2, 1, 0};
    struct story *one = story_of(in_order, ARRAY_LEN(in_order));
    struct story *other = story_of(backwards, ARRAY_LEN(backwards));
    char *one_text = drawn(one);
    char *other_text = drawn(other);
    cr_expect_str_eq(one_text, other_text);
    free(one_text);
    free(other_text);
    story_destroy(&one);
    story_destroy(&other);
}

Test(story, leaves_out_lines_of_other_orders_and_what_is_no_json)
{
    struct story *story = story_new(ID);
    cr_expect_not(story_add_line(story, bytes_of_text("")));
    cr_expect_not(story_add_line(story, bytes_of_text("payment_1  | Segmentation fault")));
    cr_expect_not(story_add_line(story, bytes_of_text("{\"correlation_id\":\"other\"}")));
    cr_expect_not(story_add_line(story, bytes_of_text("{\"correlation_id\":\"" ID "\"")));
    story_link(story);
    cr_expect_eq(story_count(story), 0);
    story_destroy(&story);
}

Test(story, an_event_whose_commit_was_not_logged_is_still_there)
{
    static const size_t without_stored[] = {0, 4, 5, 6, 7, 8};
    struct story *story = story_of(without_stored, ARRAY_LEN(without_stored));
    char *text = drawn(story);
    cr_expect_not_null(strstr(text, "order-created"), "%s", text);
    cr_expect_not_null(strstr(text, "payment-authorized"), "%s", text);
    free(text);
    story_destroy(&story);
}

static const char status_head[] =
    "{\"groups\":[{\"name\":\"payment\",\"topics\":[\"order-created\"],\"floor\":7,";

static char *drawn_with(const char *status_tail)
{
    static const size_t begun[] = {0, 1, 2, 3};
    struct story *story = story_of(begun, ARRAY_LEN(begun));
    char *status_text = mem_format("%s%s}]}", status_head, status_tail);
    cJSON *status = cJSON_Parse(status_text);
    cr_assert_not_null(status, "%s", status_text);
    story_explain(story, status, NULL);
    cr_expect_not(story_is_finished(story));
    char *text = drawn(story);
    cJSON_Delete(status);
    free(status_text);
    story_destroy(&story);
    return text;
}

Test(story, names_a_group_without_a_member)
{
    char *text =
        drawn_with("\"no_member_since\":\"2026-11-23T20:00:00Z\",\"members\":[],\"lag_events\":3");
    cr_expect_not_null(strstr(text, "waiting for payment: no member for "), "%s", text);
    cr_expect_not_null(strstr(text, ", 3 events behind"), "%s", text);
    free(text);
}

Test(story, names_the_error_of_a_retry)
{
    char *text = drawn_with("\"members\":[{\"name\":\"payment-1\"}],\"failing\":[{\"event_id\":"
                            "\"e1\",\"failures\":2,\"error\":\"no network\",\"due_in_ms\":340}]");
    cr_expect_not_null(
        strstr(text, "waiting for payment: it failed 2 times (no network) and will be tried again"),
        "%s",
        text);
    free(text);
}

// verify counts those that wait for the same together: a time would make each its own.
Test(story, when_the_next_try_is_due_changes_no_reason)
{
    static const char tail[] =
        "\"members\":[{\"name\":\"payment-1\"}],\"failing\":[{\"event_id\":\"e1\","
        "\"failures\":1,\"error\":\"no network\",\"due_in_ms\":%d}]";
    char *soon = mem_format(tail, 71);
    char *late = mem_format(tail, 1934);
    char *first = drawn_with(soon);
    char *second = drawn_with(late);
    cr_expect_str_eq(first, second);
    free(second);
    free(first);
    free(late);
    free(soon);
}

Test(story, a_group_without_any_lag_is_not_told_to_be_behind)
{
    char *text = drawn_with("\"members\":[{\"name\":\"payment-1\"}],\"lag_events\":0");
    cr_expect_null(strstr(text, "behind"), "%s", text);
    cr_expect_not_null(strstr(text, "waiting for payment: it is being handled"), "%s", text);
    free(text);
}

Test(story, names_an_earlier_event_of_the_order_that_blocks_it)
{
    char *text = drawn_with(
        "\"members\":[{\"name\":\"payment-1\"}],\"failing\":[{\"event_id\":\"e0\",\"key\":\"" ID
        "\",\"topic\":\"order-created\",\"failures\":1,\"error\":\"x\",\"due_in_ms\":5}]");
    cr_expect_not_null(strstr(text, "order-created before it failed 1 time (x)"), "%s", text);
    free(text);
}

Test(story, an_event_that_never_reached_the_broker_waits_in_its_outbox)
{
    static const size_t begun[] = {0, 1, 2};
    struct story *story = story_of(begun, ARRAY_LEN(begun));
    story_explain(story, NULL, "the broker does not answer");
    char *text = drawn(story);
    cr_expect_not_null(
        strstr(text, "waiting in the outbox of order: the broker does not answer"), "%s", text);
    free(text);
    story_destroy(&story);
}

// Draws the story up to the failure, and that payment gave the event up, and got it back.
static char *drawn_of_dead(bool is_redriven)
{
    static const size_t begun[] = {0, 1, 2, 3, 4};
    static const char *const own[] = {
        "{\"ts\":\"2026-11-23T20:00:01.000000Z\",\"service\":\"broker\",\"msg\":\"event "
        "dead-lettered\",\"correlation_id\":\"" ID "\",\"event_id\":\"e1\",\"topic\":"
        "\"order-created\",\"offset\":7,\"attempt\":1,\"group\":\"payment\",\"error\":\"no\"}",
        "{\"ts\":\"2026-11-23T20:00:02.000000Z\",\"service\":\"broker\",\"msg\":\"event "
        "redriven\",\"correlation_id\":\"" ID "\",\"event_id\":\"e1\",\"topic\":"
        "\"order-created\",\"offset\":9,\"group\":\"payment\"}",
    };
    struct story *story = story_new(ID);
    for (size_t i = 0; i < ARRAY_LEN(begun); i++) {
        cr_expect(story_add_line(story, bytes_of_text(lines[begun[i]])));
    }
    cr_expect(story_add_line(story, bytes_of_text(own[0])));
    if (is_redriven) {
        cr_expect(story_add_line(story, bytes_of_text(own[1])));
    }
    story_link(story);
    cJSON *status = cJSON_Parse("{\"groups\":[{\"name\":\"payment\",\"topics\":[\"order-created\"],"
                                "\"floor\":9,\"lag_events\":1,\"members\":[]}]}");
    story_explain(story, status, NULL);
    char *text = drawn(story);
    cJSON_Delete(status);
    story_destroy(&story);
    return text;
}

Test(story, a_dead_letter_is_waited_for_only_once_it_was_given_back)
{
    char *text = drawn_of_dead(false);
    cr_expect_not_null(strstr(text, "dead letter for payment: no"), "%s", text);
    cr_expect_null(strstr(text, "waiting"), "%s", text);
    free(text);

    text = drawn_of_dead(true);
    cr_expect_not_null(strstr(text, "given back to payment"), "%s", text);
    cr_expect_not_null(strstr(text, "waiting for payment"), "%s", text);
    free(text);
}

Test(story, what_a_dead_handler_forgot_to_log_is_not_missing_when_the_floor_has_passed)
{
    static const size_t begun[] = {0, 1, 2, 3};
    struct story *story = story_of(begun, ARRAY_LEN(begun));
    cJSON *status = cJSON_Parse("{\"groups\":[{\"name\":\"payment\",\"topics\":[\"order-created\"],"
                                "\"floor\":8,\"lag_events\":0,\"members\":[]}]}");
    story_explain(story, status, NULL);
    char *text = drawn(story);
    cr_expect_null(strstr(text, "waiting"), "%s", text);
    free(text);
    cJSON_Delete(status);
    story_destroy(&story);
}
