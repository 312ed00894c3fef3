// What makes the answer of a run of chaos "no", whatever the books say.
#include <criterion/criterion.h>
#include <string.h>

#include "cli/chaos/chaos_findings.h"
#include "common/json.h"

static struct chaos_result result;

// A run of broker and payment in which all went well.
static void make_good(void)
{
    result = (struct chaos_result){.tally = {.names = {"broker", "payment"}, .parts_count = 2},
                                   .all_ready = true,
                                   .settled = {.finished = true}};
}

TestSuite(chaos_findings, .init = make_good);

static struct chaos_left *left_of(const char *service)
{
    return &result.settled.left[house_index(service)];
}

// The only one says who it is, and text in its sentence.
static void expect_one(const char *kind, const char *who, int count, const char *text)
{
    cJSON *findings = chaos_findings(&result);
    cr_assert_eq(cJSON_GetArraySize(findings), 1);
    const cJSON *finding = cJSON_GetArrayItem(findings, 0);
    cr_expect_str_eq(json_text_of(finding, "finding"), kind);
    cr_expect_str_eq(json_text_of(finding, "who"), who);
    cr_expect_eq(cJSON_GetObjectItemCaseSensitive(finding, "count")->valueint, count);
    cr_expect_not_null(
        strstr(json_text_of(finding, "text"), text), "%s", json_text_of(finding, "text"));
    cJSON_Delete(findings);
}

Test(chaos_findings, poison_and_what_had_its_end_when_it_was_given_back_are_none)
{
    result.settled.poison = 3;
    result.settled.redriven = 5;
    cJSON *findings = chaos_findings(&result);
    cr_expect_eq(cJSON_GetArraySize(findings), 0);
    cJSON_Delete(findings);
}

Test(chaos_findings, who_died_by_himself_is_named)
{
    result.tally.deaths[1] = 2;
    expect_one("died", "payment", 2, "payment died without having been asked to (2 times)");
}

Test(chaos_findings, who_does_not_end_well_is_named)
{
    result.tally.bad_ends[0] = 1;
    expect_one("bad-end",
               "broker",
               1,
               "broker did not end with exit code 0 within 5 s of SIGTERM (1 time)");
}

Test(chaos_findings, who_could_not_be_started_is_named)
{
    result.tally.bad_lifts[1] = 10;
    expect_one("not-done",
               "payment",
               10,
               "payment could not be started, paused or limited when due (10 times)");
}

Test(chaos_findings, who_did_not_come_back_is_named_with_the_command_that_helps)
{
    static const struct chaos_trouble trouble = {"is paused", "resume"};
    result.troubles[1] = &trouble;
    result.all_ready = result.settled.finished = false;
    expect_one("not-ready", "payment", 1, "payment is paused in the end: faultline resume payment");
}

Test(chaos_findings, whose_work_is_not_finished_is_named_with_how_much)
{
    result.settled.finished = false;
    left_of("order")->group_events = 7;
    left_of("order")->outbox_events = 2;
    expect_one("unfinished", "order", 9, "7 events for its group, 2 in its outbox");
}

Test(chaos_findings, an_end_that_nobody_could_tell_is_no_good_end)
{
    result.settled.finished = false;
    expect_one("unfinished", "", 1, "it could not be seen in time");
}

Test(chaos_findings, dead_letters_that_are_no_poison_are_named_with_their_error)
{
    left_of("payment")->letters = 52;
    strcpy(left_of("payment")->error, "no such column");
    expect_one("dead-letters", "payment", 52, "payment gave up 52 events for good (no such");
}
