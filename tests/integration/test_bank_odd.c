// Late, odd, repeated and unknown events do no harm to the bank.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "services/fraud/fraud.h"
#include "tests/support/bank.h"
#include "tests/support/event_tap.h"

static struct rig *rig;
static struct event_tap *tap;

static void start_with(const char *const *settings)
{
    rig = bank_start(settings);
    tap = event_tap_open(rig_bus_url(rig), bank_topics);
}

static void start(void)
{
    // An event that cannot be handled yet is dead-lettered at the second failure: a
    // test does not wait out three back-offs.
    start_with((const char *const[]){"BUS_RETRIES=1", NULL});
}

static void stop(void)
{
    event_tap_close(&tap);
    rig_destroy(&rig);
}

TestSuite(bank_odd, .init = start, .fini = stop);
TestSuite(bank_odd_settings, .fini = stop);

// --- order

Test(bank_odd, a_cancellation_that_comes_first_stops_the_hold)
{
    char id[UUID_SIZE];
    uuid_new(id);
    event_tap_publish(
        tap, "transfer-cancelled", 1, id, bank_data(id, "alice", NULL, 0, "too-late"), NULL);
    event_tap_publish(
        tap, "transfer-created", 2, id, bank_data(id, "alice", "bob", 500, NULL), NULL);
    bank_wait_idle(rig);

    bank_expect_account(rig, "alice", 100000, 0);
    cr_expect_eq(event_tap_count(tap, "funds-held", id), 0);
    cr_expect_eq(event_tap_count(tap, "funds-rejected", id), 0);
    cr_expect_eq(event_tap_count(tap, "funds-released", id), 0);
    // Nobody is told that it was received: it was cancelled already.
    char *path = mem_format("/notifications?subject=%s", id);
    cr_expect_eq(bank_get_count(rig, "notification", path, "notifications"), 1);
    free(path);
}

Test(bank_odd, a_completion_without_a_hold_moves_nothing_and_is_dead_lettered)
{
    char id[UUID_SIZE];
    char event_id[UUID_SIZE];
    uuid_new(id);
    event_tap_publish(
        tap, "transfer-completed", 1, id, bank_data(id, "alice", "bob", 500, NULL), event_id);

    bank_wait_dead_letter(rig, "ledger", event_id, "came before transfer-created");

    bank_expect_account(rig, "alice", 100000, 0);
    bank_expect_books(rig);
}

Test(bank_odd, an_ending_that_contradicts_the_books_is_dead_lettered)
{
    char id[UUID_SIZE];
    char event_id[UUID_SIZE];
    bank_transfer(rig, "alice", "bob", 500, id);
    bank_wait_status(rig, id, "completed");
    (void)event_tap_wait(tap, "ledger-posted", id);
    event_tap_publish(
        tap, "transfer-cancelled", 1, id, bank_data(id, "alice", NULL, 0, "odd"), event_id);
    bank_wait_dead_letter(rig, "ledger", event_id, "contradicts");

    char refused[UUID_SIZE];
    bank_transfer(rig, "alice", "nobody", 500, refused);
    bank_wait_status(rig, refused, "cancelled");
    bank_wait_idle(rig);
    event_tap_publish(tap,
                      "transfer-completed",
                      1,
                      refused,
                      bank_data(refused, "alice", "nobody", 500, NULL),
                      event_id);
    bank_wait_dead_letter(rig, "ledger", event_id, "contradicts");

    bank_expect_account(rig, "alice", 99500, 0);
    bank_expect_books(rig);
}

Test(bank_odd, answers_about_an_order_or_an_unknown_transfer_are_ignored)
{
    char id[UUID_SIZE];
    uuid_new(id);
    cJSON *order = cJSON_CreateObject();
    cJSON_AddStringToObject(order, "order_id", id);
    event_tap_publish(tap, "fraud-cleared", 1, id, order, NULL);
    event_tap_publish(tap, "funds-held", 1, id, bank_data(id, "alice", NULL, 500, NULL), NULL);
    bank_wait_idle(rig);

    cr_expect_eq(bank_get_count(rig, "broker", "/dead-letters", "dead_letters"), 0);
    cr_expect_eq(event_tap_count(tap, "transfer-completed", id), 0);
}

Test(bank_odd, a_late_good_answer_does_not_wake_a_cancelled_transfer)
{
    char id[UUID_SIZE];
    bank_transfer(rig, "alice", "nobody", 500, id);
    bank_wait_status(rig, id, "cancelled");
    event_tap_publish(tap, "funds-held", 1, id, bank_data(id, "alice", NULL, 500, NULL), NULL);
    event_tap_publish(tap, "fraud-cleared", 1, id, bank_data(id, "alice", NULL, 0, NULL), NULL);
    bank_wait_idle(rig);

    bank_wait_status(rig, id, "cancelled");
    cr_expect_eq(event_tap_count(tap, "transfer-completed", id), 0);
}

// --- versions

Test(bank_odd, version_1_of_a_transfer_is_understood)
{
    char id[UUID_SIZE];
    uuid_new(id);
    cJSON *data = bank_data(id, "alice", "bob", 0, NULL);
    cJSON_AddStringToObject(data, "amount", "5.00 EUR");
    event_tap_publish(tap, "transfer-created", 1, id, data, NULL);

    const struct event *held = event_tap_wait(tap, "funds-held", id);
    const cJSON *amount = cJSON_GetObjectItemCaseSensitive(held->data, "amount");
    cr_expect_eq(cJSON_GetObjectItemCaseSensitive(amount, "amount_minor")->valueint, 500);
    (void)event_tap_wait(tap, "fraud-cleared", id);
}

Test(bank_odd, a_version_that_is_not_known_is_dead_lettered_by_each_group_with_its_reason)
{
    static const struct {
        const char *topic;
        int version;
        const char *group;
    } cases[] = {
        {"transfer-created", 3, "fraud"},
        {"transfer-created", 3, "ledger"},
        {"transfer-created", 3, "notification"},
        {"transfer-completed", 2, "ledger"},
        {"transfer-cancelled", 2, "ledger"},
        {"transfer-cancelled", 9, "notification"},
        {"funds-held", 2, "transfer"},
        {"fraud-flagged", 7, "transfer"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char id[UUID_SIZE];
        char event_id[UUID_SIZE];
        uuid_new(id);
        event_tap_publish(tap,
                          cases[i].topic,
                          cases[i].version,
                          id,
                          bank_data(id, "alice", "bob", 500, "odd"),
                          event_id);
        char *reason = mem_format("%s version %d is newer than this %s knows",
                                  cases[i].topic,
                                  cases[i].version,
                                  cases[i].group);
        bank_wait_dead_letter(rig, cases[i].group, event_id, reason);
        free(reason);
    }
    bank_expect_account(rig, "alice", 100000, 0);
}

Test(bank_odd, data_that_breaks_its_version_is_dead_lettered_and_later_events_go_on)
{
    char id[UUID_SIZE];
    char event_id[UUID_SIZE];
    uuid_new(id);
    event_tap_publish(
        tap, "transfer-created", 2, id, bank_data(id, "alice", "bob", -5, NULL), event_id);
    bank_wait_dead_letter(rig, "ledger", event_id, "amount");
    bank_wait_dead_letter(rig, "fraud", event_id, "amount");
    char other[UUID_SIZE];
    uuid_new(other);
    event_tap_publish(
        tap, "transfer-created", 2, id, bank_data(other, "alice", "bob", 5, NULL), event_id);
    bank_wait_dead_letter(rig, "ledger", event_id, "transfer_id is not the subject");

    bank_transfer(rig, "alice", "bob", 500, id);
    bank_wait_status(rig, id, "completed");
}

// --- duplicates

// Everything the services tell about what they know.
static char *snapshot(const char *id)
{
    struct buf all = {0};
    char *texts[] = {bank_get(rig, "ledger", "/accounts"),
                     bank_get(rig, "ledger", "/entries"),
                     bank_get(rig, "notification", "/notifications")};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        buf_put_text(&all, texts[i]);
        free(texts[i]);
    }
    char *path = mem_format("/transfers/%s", id);
    char *text = bank_get(rig, "transfer", path);
    buf_put_text(&all, text);
    free(text);
    free(path);
    path = mem_format("/decisions/%s", id);
    text = bank_get(rig, "fraud", path);
    buf_put_text(&all, text);
    free(text);
    free(path);
    buf_put_u8(&all, 0);
    return (char *)all.data;
}

static void expect_replay_to_change_nothing(const char *id, const char *last_topic)
{
    (void)event_tap_wait(tap, last_topic, id);
    bank_wait_idle(rig);
    char *before = snapshot(id);
    const size_t events_count = event_tap_events_count(tap);

    for (size_t i = 0; i < events_count; i++) {
        event_tap_publish_event(tap, event_tap_event(tap, i));
    }
    bank_wait_idle(rig);
    char *after = snapshot(id);
    cr_expect_str_eq(after, before, "the same events changed something");
    free(after);

    // The same facts under other ids: the inbox does not know them, the state must.
    const int64_t offset = bank_next_offset(rig);
    for (size_t i = 0; i < events_count; i++) {
        struct event event = *event_tap_event(tap, i);
        uuid_new(event.id);
        event_tap_publish_event(tap, &event);
    }
    bank_wait_idle(rig);
    after = snapshot(id);
    cr_expect_str_eq(after, before, "the same facts changed something");
    cr_expect_eq(bank_next_offset(rig), offset + (int64_t)events_count, "an event was answered");
    cr_expect_eq(bank_get_count(rig, "broker", "/dead-letters", "dead_letters"), 0);
    free(after);
    free(before);
}

Test(bank_odd, replaying_every_event_of_a_completed_transfer_changes_nothing)
{
    char id[UUID_SIZE];
    bank_transfer(rig, "alice", "bob", 500, id);
    bank_wait_status(rig, id, "completed");
    expect_replay_to_change_nothing(id, "ledger-posted");
}

Test(bank_odd, replaying_every_event_of_a_refused_transfer_changes_nothing)
{
    char id[UUID_SIZE];
    bank_transfer(rig, "alice", "nobody", 500, id);
    bank_wait_status(rig, id, "cancelled");
    expect_replay_to_change_nothing(id, "transfer-cancelled");
}

Test(bank_odd_settings, replaying_every_event_of_a_flagged_transfer_changes_nothing)
{
    start_with((const char *const[]){"fraud:FRAUD_LIMIT_MINOR=1000", NULL});
    char id[UUID_SIZE];
    bank_transfer(rig, "alice", "bob", 5000, id);
    bank_wait_status(rig, id, "cancelled");
    expect_replay_to_change_nothing(id, "funds-released");
    bank_expect_account(rig, "alice", 100000, 0);
}

Test(bank_odd, a_transfer_that_is_created_twice_is_held_once)
{
    rig_kill(rig, "fraud");
    char id[UUID_SIZE];
    bank_transfer(rig, "alice", "bob", 500, id);
    (void)event_tap_wait(tap, "funds-held", id);
    struct event again = *event_tap_wait(tap, "transfer-created", id);
    uuid_new(again.id);
    event_tap_publish_event(tap, &again);
    // The same key behind it: when this has failed, the one before has been dealt with.
    char event_id[UUID_SIZE];
    event_tap_publish(
        tap, "transfer-cancelled", 9, id, bank_data(id, "alice", NULL, 0, "odd"), event_id);
    bank_wait_dead_letter(rig, "ledger", event_id, "version 9");

    bank_expect_account(rig, "alice", 100000, 500);
    rig_relaunch(rig, "fraud");
    bank_wait_status(rig, id, "completed");
    (void)event_tap_wait(tap, "ledger-posted", id);
    bank_expect_account(rig, "alice", 99500, 0);
}

// --- event time

static void publish_at(const char *id, int64_t time_us)
{
    struct event event = {.version = 2, .data = bank_data(id, "alice", "bob", 1, NULL)};
    uuid_new(event.id);
    snprintf(event.source, sizeof event.source, "/tests/bank");
    snprintf(event.type, sizeof event.type, "transfer-created");
    snprintf(event.subject, sizeof event.subject, "%s", id);
    snprintf(event.correlation_id, sizeof event.correlation_id, "%s", id);
    snprintf(event.causation_id, sizeof event.causation_id, "test");
    clock_format_rfc3339(event.time, time_us);
    event_tap_publish_event(tap, &event);
    cJSON_Delete(event.data);
}

Test(bank_odd_settings, too_many_transfers_a_minute_are_told_by_the_events_own_times)
{
    start_with((const char *const[]){"fraud:FRAUD_PER_MINUTE=3", NULL});
    // An hour ago: the wall clock plays no part.
    const int64_t start_us = clock_wall_us() - 60 * FRAUD_WINDOW_US;
    static const struct {
        int64_t second;
        const char *topic;
    } cases[] = {
        {0, "fraud-cleared"},
        {1, "fraud-cleared"},
        {2, "fraud-cleared"},
        {3, "fraud-flagged"},
        {60, "fraud-flagged"},  // 1, 2 and 3 are within its minute
        {63, "fraud-cleared"},  // 60 alone is
        {-70, "fraud-cleared"}, // a straggler sees what was before it, not after
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char id[UUID_SIZE];
        uuid_new(id);
        publish_at(id, start_us + cases[i].second * 1000000);
        const struct event *answer = event_tap_wait(tap, cases[i].topic, id);
        if (strcmp(cases[i].topic, "fraud-flagged") == 0) {
            cr_expect_str_eq(json_text_of(answer->data, "reason"), "too-many-transfers");
        }
    }
}
