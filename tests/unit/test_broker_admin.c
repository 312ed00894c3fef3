// What operators do to groups: dead letters go back, groups begin elsewhere or end, and
// whatever was answered holds after a crash.
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "broker/report.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "tests/support/toy_world.h"

static struct toy_world world;
static struct wire_control heard; // the last answer to 'a'
static struct bytes heard_batch;

static void start(void)
{
    (void)log_open("broker", "json", "error");
    toy_world_set_up(&world);
    toy_hello(&world, 'p');
    toy_hello(&world, 'c');
    toy_hello(&world, 'a');
    toy_forget(&world, 'a');
}

static void stop(void)
{
    toy_world_tear_down(&world);
}

TestSuite(broker_admin, .init = start, .fini = stop);

static void subscribe(char peer, const char *group)
{
    toy_forget(&world, peer);
    toy_subscribe(&world, peer, group, 10, "order-created");
    cr_assert(toy_hears(&world, peer, WIRE_SUBSCRIBED));
}

static void publish(const char *key)
{
    toy_publish(&world, 'p', "order-created", key, 10);
}

static struct consumer *consumer(const char *group)
{
    return broker_find_consumer(world.broker, bytes_of_text(group));
}

static void expect_gets(char peer, uint64_t offset, uint32_t attempt)
{
    struct wire_delivered delivered;
    cr_assert(toy_gets(&world, peer, &delivered), "nothing for %c", peer);
    cr_expect_eq(delivered.offset, offset, "offset %lu", (unsigned long)delivered.offset);
    cr_expect_eq(delivered.attempt, attempt, "attempt %u", delivered.attempt);
    cr_expect(bytes_equal_text(delivered.record.topic, "order-created"));
}

static void expect_nothing(char peer)
{
    struct wire_delivered delivered;
    cr_expect_not(toy_gets(&world, peer, &delivered));
}

static void reject(char peer, uint64_t offset)
{
    const struct wire_control control = {
        .type = WIRE_REJECT, .offset = offset, .attempt = 1, .detail = bytes_of_text("no")};
    toy_send(&world, peer, &control, (struct bytes){0});
    toy_turn(&world);
}

// 'a' asks for something; the answer is in heard. It connects again after a crash.
static enum wire_type ask(struct wire_control control)
{
    static uint64_t request;
    if (session_by_member(world.broker->sessions, bytes_of_text("member-a")) == NULL) {
        toy_hello(&world, 'a');
    }
    toy_forget(&world, 'a');
    control.request = ++request;
    toy_send(&world, 'a', &control, (struct bytes){0}); // no turn: the answer does not need one
    cr_assert(toy_next(&world, 'a', &heard, &heard_batch));
    cr_expect_eq(heard.request, request);
    return heard.type;
}

static void expect_refused(struct wire_control control, const char *code)
{
    cr_expect_eq(ask(control), WIRE_ERROR);
    cr_expect(bytes_equal_text(heard.code, code), "not %s", code);
}

static struct wire_control redrive(const char *group, uint64_t offset, uint64_t end)
{
    return (struct wire_control){
        .type = WIRE_REDRIVE, .group = bytes_of_text(group), .offset = offset, .end = end};
}

static struct wire_control reset(const char *group, enum wire_reset_to to, uint64_t offset)
{
    return (struct wire_control){.type = WIRE_RESET,
                                 .group = bytes_of_text(group),
                                 .reset_to = (uint8_t)to,
                                 .offset = offset};
}

static struct wire_control delete_group(const char *group)
{
    return (struct wire_control){.type = WIRE_DELETE, .group = bytes_of_text(group)};
}

// Everything that is dead of a group goes back to it.
static void expect_redriven(const char *group, uint32_t count)
{
    cr_assert_eq(ask(redrive(group, 0, UINT64_MAX)), WIRE_DONE);
    cr_expect_eq(heard.count, count, "%u redriven", heard.count);
    cr_expect_eq(heard.offset, UINT64_MAX);
    toy_turn(&world);
}

// What a dead letter's headers say, as of its record in the log.
static struct dead_letter letter_at(uint64_t offset)
{
    struct event_log_entry entry;
    struct dead_letter letter;
    cr_assert_eq(broker_read(world.broker, world.broker->elsewhere, offset, &entry), ERR_OK);
    cr_assert_eq(dead_letter_parse(entry.record.headers, &letter), ERR_OK);
    return letter;
}

// --- redrive

Test(broker_admin, a_redriven_event_goes_to_its_own_group_alone_with_its_topic_and_new_attempts)
{
    subscribe('c', "payment");
    toy_hello(&world, 'd');
    subscribe('d', "ledger");
    publish("o-1");
    expect_gets('c', 0, 1);
    expect_gets('d', 0, 1);
    toy_ack(&world, 'd', 0, 1);
    reject('c', 0); // dead letter at 1
    cr_expect_eq(consumer("payment")->dead_letters_count, 1);

    expect_redriven("payment", 1);

    struct wire_delivered delivered;
    cr_assert(toy_gets(&world, 'c', &delivered));
    cr_expect_eq(delivered.offset, 2);
    cr_expect_eq(delivered.attempt, 1);
    cr_expect(bytes_equal_text(delivered.record.topic, "order-created"));
    cr_expect(bytes_equal_text(delivered.record.key, "o-1"));
    expect_nothing('d');
    cr_expect_eq(consumer("payment")->dead_letters_count, 0);
    cr_expect_eq(consumer("payment")->backlog, 1);
    cr_expect_eq(consumer("ledger")->backlog, 0);
    cr_expect_eq(world.broker->counters.redriven, 1);
    toy_ack(&world, 'c', 2, 1);
    cr_expect_eq(consumer("payment")->backlog, 0);
}

Test(broker_admin, a_redriven_event_waits_behind_what_its_key_has_in_hand)
{
    subscribe('c', "payment");
    publish("o-1");
    publish("o-1");
    expect_gets('c', 0, 1);
    reject('c', 0); // dead letter at 2
    expect_gets('c', 1, 1);

    expect_redriven("payment", 1); // copy at 3
    expect_nothing('c');
    toy_ack(&world, 'c', 1, 1);
    expect_gets('c', 3, 1);
}

Test(broker_admin, an_event_that_dies_again_and_again_keeps_its_first_offset)
{
    subscribe('c', "payment");
    publish("");
    expect_gets('c', 0, 1);
    reject('c', 0);
    uint64_t offset = 0;
    for (int round = 0; round < 3; round++) {
        const uint64_t dead = offset + 1;
        cr_expect_eq(letter_at(dead).offset, offset);
        cr_expect_eq(letter_at(dead).first_offset, 0);
        cr_expect_str_eq(letter_at(dead).topic, "order-created");
        expect_redriven("payment", 1);
        offset = dead + 1;
        expect_gets('c', offset, 1);
        reject('c', offset);
    }
    cr_expect_eq(consumer("payment")->dead_letters_count, 1);
}

Test(broker_admin, a_redrive_takes_only_what_lies_in_its_range)
{
    subscribe('c', "payment");
    for (int i = 0; i < 3; i++) {
        publish("");
        expect_gets('c', 2 * (uint64_t)i, 1);
        reject('c', 2 * (uint64_t)i); // dead letters at 1, 3, 5
    }
    cr_assert_eq(ask(redrive("payment", 3, 4)), WIRE_DONE);
    cr_expect_eq(heard.count, 1);
    cr_expect_eq(heard.offset, 4);
    cr_expect_eq(letter_at(6).dead_letter, 3);
    cr_expect_eq(consumer("payment")->dead_letters_count, 2);

    cr_assert_eq(ask(redrive("payment", 3, 4)), WIRE_DONE);
    cr_expect_eq(heard.count, 0);
    cr_expect_eq(consumer("payment")->dead_letters_count, 2);
}

Test(broker_admin, a_redrive_of_many_says_where_to_go_on)
{
    const size_t many = BROKER_REDRIVES_MAX + 5;
    toy_subscribe(&world, 'c', "payment", 4000, "order-created");
    for (size_t i = 0; i < many; i++) {
        toy_publish_later(&world, 'p', "order-created", "", 10);
    }
    toy_turn(&world);
    for (size_t i = 0; i < many; i++) {
        const struct wire_control control = {.type = WIRE_REJECT, .offset = i, .attempt = 1};
        toy_send(&world, 'c', &control, (struct bytes){0});
    }
    toy_turn(&world);
    cr_assert_eq(consumer("payment")->dead_letters_count, many);

    cr_assert_eq(ask(redrive("payment", 0, UINT64_MAX)), WIRE_DONE);
    cr_expect_eq(heard.count, BROKER_REDRIVES_MAX);
    cr_assert_eq(ask(redrive("payment", heard.offset, UINT64_MAX)), WIRE_DONE);
    cr_expect_eq(heard.count, 5);
    cr_expect_eq(heard.offset, UINT64_MAX);
    cr_expect_eq(consumer("payment")->dead_letters_count, 0);
    cr_expect_eq(consumer("payment")->backlog, many);
}

Test(broker_admin, a_redrive_that_finds_no_room_changes_nothing)
{
    subscribe('c', "payment");
    publish("");
    expect_gets('c', 0, 1);
    reject('c', 0);
    world.disk.is_limited = true;
    expect_refused(redrive("payment", 0, UINT64_MAX), WIRE_CODE_DISK_FULL);
    cr_expect_eq(consumer("payment")->dead_letters_count, 1);
    cr_expect_eq(consumer("payment")->backlog, 0);

    world.disk.is_limited = false;
    expect_redriven("payment", 1);
    expect_gets('c', 2, 1);
}

Test(broker_admin, a_redrive_that_the_groups_file_does_not_know_still_counts_after_a_crash)
{
    subscribe('c', "payment");
    publish("");
    expect_gets('c', 0, 1);
    reject('c', 0);
    cr_assert_eq(broker_save(world.broker), ERR_OK); // with one dead letter
    cr_assert_eq(ask(redrive("payment", 0, UINT64_MAX)), WIRE_DONE);

    toy_world_crash(&world);

    cr_expect_eq(consumer("payment")->dead_letters_count, 0);
    cr_expect_eq(consumer("payment")->backlog, 1);
    toy_hello(&world, 'c');
    subscribe('c', "payment");
    expect_gets('c', 2, 1);
    expect_nothing('c');

    toy_ack(&world, 'c', 2, 1);
    cr_assert_eq(broker_save(world.broker), ERR_OK);
    toy_world_crash(&world); // now the file knows it all
    cr_expect_eq(consumer("payment")->dead_letters_count, 0);
    cr_expect_eq(consumer("payment")->backlog, 0);
}

Test(broker_admin, nobody_but_the_broker_writes_or_asks_for_what_is_redriven)
{
    toy_forget(&world, 'p');
    toy_publish(&world, 'p', "redrive.payment", "", 1);
    cr_expect(toy_hears_error(&world, 'p', WIRE_CODE_FORBIDDEN));
    toy_forget(&world, 'c');
    toy_subscribe(&world, 'c', "ledger", 1, "redrive.payment");
    cr_expect(toy_hears_error(&world, 'c', WIRE_CODE_FORBIDDEN));
}

Test(broker_admin, a_full_list_of_dead_letters_holds_the_next_one_back_until_there_is_room)
{
    broker_destroy(&world.broker);
    world.options.dead_letters_max = 2;
    char *problem = NULL;
    cr_assert_eq(broker_open(&world.broker, &world.options, &problem), ERR_OK);
    toy_hello(&world, 'p');
    toy_hello(&world, 'c');
    subscribe('c', "payment");
    publish("a");
    publish("b");
    publish("c");
    publish("c");
    for (uint64_t offset = 0; offset < 3; offset++) {
        expect_gets('c', offset, 1);
        reject('c', offset);
    }
    struct group_stats stats;
    group_stats_get(consumer("payment")->group, &stats);
    cr_expect_eq(consumer("payment")->dead_letters_count, 2);
    cr_expect_eq(stats.dying, 1);
    cr_expect_eq(consumer("payment")->backlog, 2);
    expect_nothing('c'); // the second of key c waits

    expect_redriven("payment", 2);

    cr_expect_eq(consumer("payment")->dead_letters_count, 1);
    expect_gets('c', 3, 1);
}

// Given up, waiting for room in the list, and then of a topic that the group names no more: it is
// to be seen all the same.
Test(broker_admin, what_waits_to_be_a_dead_letter_becomes_one_whatever_the_topics_are_then)
{
    for (int again = 0; again < 2; again++) { // also after a start, where nothing was offered
        world.options.dead_letters_max = 1;
        toy_world_crash(&world);
        toy_hello(&world, 'p');
        toy_hello(&world, 'o');
        toy_hello(&world, 'c');
        const char *const group = again == 0 ? "payment" : "ledger";
        const uint64_t first = event_log_next(world.log);
        toy_send(&world,
                 'c',
                 &(struct wire_control){.type = WIRE_SUBSCRIBE,
                                        .group = bytes_of_text(group),
                                        .offset_reset = WIRE_LATEST,
                                        .credit = 10,
                                        .topics_count = 1,
                                        .topics = {bytes_of_text("order-created")}},
                 (struct bytes){0});
        publish("");
        publish("");
        reject('c', first); // its dead letter is the third
        reject('c', first + 1);
        toy_pass(&world, 200);
        if (again == 1) {
            toy_world_crash(&world);
            toy_hello(&world, 'c');
            toy_hello(&world, 'o');
        }
        toy_subscribe(&world, 'c', group, 0, "order-cancelled");
        cr_expect_eq(consumer(group)->backlog, 1);
        expect_redriven(group, 1); // which makes room
        cr_expect_eq(consumer(group)->dead_letters_count, 1);
        cr_expect_eq(consumer(group)->backlog, 1, "the one that went back");
        toy_forget(&world, 'c');
        toy_subscribe(&world, 'c', group, 10, "order-cancelled");
        expect_gets('c', first + 3, 1);
        toy_ack(&world, 'c', first + 3, 1);
        cr_expect_eq(consumer(group)->backlog, 0);
    }
}

// --- reset

Test(broker_admin, a_reset_group_begins_where_it_was_told_to)
{
    subscribe('c', "payment");
    for (int i = 0; i < 4; i++) {
        publish("");
        expect_gets('c', (uint64_t)i, 1);
        toy_ack(&world, 'c', (uint64_t)i, 1);
        toy_pass(&world, 1000);
    }
    const uint64_t third_us = (uint64_t)world.now_us - 2 * 1000000;
    const struct {
        enum wire_reset_to to;
        uint64_t offset, floor;
    } cases[] = {
        {WIRE_RESET_EARLIEST, 0, 0},
        {WIRE_RESET_LATEST, 0, 4},
        {WIRE_RESET_OFFSET, 1, 1},
        {WIRE_RESET_OFFSET, 4, 4},
        {WIRE_RESET_TIME, third_us, 2},
        {WIRE_RESET_TIME, third_us + 1, 3},
        {WIRE_RESET_TIME, 0, 0},
        {WIRE_RESET_TIME, UINT64_MAX, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(ask(reset("payment", cases[i].to, cases[i].offset)), WIRE_DONE);
        cr_expect_eq(heard.offset, cases[i].floor, "case %zu", i);
        cr_expect_eq(consumer("payment")->backlog, 4 - cases[i].floor, "case %zu", i);

        toy_world_crash(&world); // DONE means that it is on disk
        cr_expect_eq(consumer("payment")->backlog, 4 - cases[i].floor, "case %zu", i);
        toy_hello(&world, 'c');
        subscribe('c', "payment");
        for (uint64_t offset = cases[i].floor; offset < 4; offset++) {
            expect_gets('c', offset, 1);
        }
        expect_nothing('c');
    }
}

Test(broker_admin, members_of_a_reset_group_hear_of_it_and_get_all_again)
{
    subscribe('c', "payment");
    toy_hello(&world, 'd');
    subscribe('d', "ledger");
    publish("");
    expect_gets('c', 0, 1);
    toy_forget(&world, 'c');

    cr_assert_eq(ask(reset("payment", WIRE_RESET_EARLIEST, 0)), WIRE_DONE);
    cr_expect(toy_hears_error(&world, 'c', WIRE_CODE_NO_SESSION));
    toy_ack(&world, 'c', 0, 1); // too late
    cr_expect(toy_hears_error(&world, 'c', WIRE_CODE_NO_SESSION));
    cr_expect_eq(consumer("payment")->backlog, 1);

    toy_hello(&world, 'c');
    subscribe('c', "payment");
    expect_gets('c', 0, 1);
    expect_gets('d', 0, 1); // and nothing happened to others
    toy_ack(&world, 'd', 0, 1);
    cr_expect_eq(consumer("ledger")->backlog, 0);
}

Test(broker_admin, a_member_may_reset_its_own_group)
{
    toy_subscribe(&world, 'a', "payment", 10, "order-created");
    publish("");
    cr_assert_eq(ask(reset("payment", WIRE_RESET_LATEST, 0)), WIRE_DONE);
    cr_expect(toy_hears_error(&world, 'a', WIRE_CODE_NO_SESSION));
    cr_expect_eq(consumer("payment")->backlog, 0);
}

Test(broker_admin, a_reset_keeps_topics_retries_order_and_dead_letters)
{
    subscribe('c', "payment");
    group_set_order(consumer("payment")->group, false);
    publish("");
    expect_gets('c', 0, 1);
    reject('c', 0);

    cr_assert_eq(ask(reset("payment", WIRE_RESET_LATEST, 0)), WIRE_DONE);
    toy_world_crash(&world);

    cr_expect_eq(group_retries(consumer("payment")->group), 3);
    cr_expect_not(group_has_order(consumer("payment")->group));
    cr_expect_eq(consumer("payment")->dead_letters_count, 1);
    publish("");
    cr_expect_eq(consumer("payment")->backlog, 0); // nobody said HELLO as 'p' since
    toy_hello(&world, 'p');
    publish("");
    cr_expect_eq(consumer("payment")->backlog, 1);
}

Test(broker_admin, a_reset_out_of_the_log_is_refused_with_its_range)
{
    subscribe('c', "payment");
    publish("");
    expect_refused(reset("payment", WIRE_RESET_OFFSET, 2), WIRE_CODE_RANGE);
    cr_expect(bytes_equal_text(heard.detail, "the log holds offsets from 0 on, the next is 1"));
    expect_gets('c', 0, 1); // all as before
}

// Publishes four stretches of the tallies, and returns how many events that are.
static uint64_t publish_much(void)
{
    enum {
        ID = 101,
        BATCH = 4096,
    };
    static char ids[BATCH * ID];
    uint64_t count = 0;
    while (count < (uint64_t)4 * TALLY_RECORDS) {
        for (size_t i = 0; i < BATCH; i++) {
            snprintf(ids + i * ID, sizeof ids - i * ID, "%0*lu ", ID - 1, (unsigned long)count++);
        }
        ids[sizeof ids - 1] = '\0';
        toy_publish_ids(&world, 'o', ids, WIRE_ACKS_NONE);
        toy_turn(&world);
    }
    cr_assert_eq(event_log_next(world.log), count);
    cr_assert_gt(event_log_bytes(world.log), 8 << 20);
    return count;
}

Test(broker_admin, to_count_a_lag_one_stretch_of_the_log_is_read_however_long_it_is)
{
    toy_hello(&world, 'o');
    const uint64_t count = publish_much();
    subscribe('c', "payment");
    toy_send(&world, 'c', &(struct wire_control){.type = WIRE_BYE}, (struct bytes){0});
    for (int start = 0; start < 2; start++) {
        const uint64_t offsets[] = {0, 1, TALLY_RECORDS - 1, TALLY_RECORDS, count - 1, count};
        for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
            const unsigned calls = world.disk.calls;
            cr_assert_eq(ask(reset("payment", WIRE_RESET_OFFSET, offsets[i])), WIRE_DONE);
            cr_expect_eq(consumer("payment")->backlog, count - offsets[i]);
            cr_expect_leq(world.disk.calls - calls, 12, "%u", world.disk.calls - calls);
        }
        cr_assert_eq(ask(reset("payment", WIRE_RESET_OFFSET, 1)), WIRE_DONE);
        toy_world_crash(&world);
        toy_hello(&world, 'c');
        toy_hello(&world, 'o');
        cr_expect_eq(consumer("payment")->backlog, count - 1);
    }
    static const char *const topics[] = {"order-cancelled", "order-created"};
    for (uint64_t i = 0; i < 2; i++) {
        const unsigned calls = world.disk.calls;
        toy_subscribe(&world, 'c', "payment", 0, topics[i]);
        cr_expect_eq(consumer("payment")->backlog, i * (count - 1));
        cr_expect_leq(world.disk.calls - calls, 12, "%u", world.disk.calls - calls);
    }
}

// Half a count would stay wrong for ever, and retention would go by it.
Test(broker_admin, a_reset_to_what_cannot_be_read_changes_nothing)
{
    subscribe('c', "payment");
    for (uint64_t offset = 0; offset < 3; offset++) {
        publish("");
        expect_gets('c', offset, 1);
        toy_ack(&world, 'c', offset, 1);
    }
    toy_pass(&world, 200);
    toy_world_crash(&world); // nothing is in a reader's buffer any more
    world.disk.read_error = EIO;
    expect_refused(reset("payment", WIRE_RESET_OFFSET, 1), WIRE_CODE_DISK_FULL);
    cr_expect_eq(consumer("payment")->backlog, 0);

    world.disk.read_error = 0;
    cr_assert_eq(ask(reset("payment", WIRE_RESET_OFFSET, 1)), WIRE_DONE);
    cr_expect_eq(consumer("payment")->backlog, 2);
}

// Whatever is asked for meanwhile: what is acked is saved within 100 ms.
Test(broker_admin, redrives_do_not_put_off_the_file_of_the_groups)
{
    subscribe('c', "payment");
    publish("");
    expect_gets('c', 0, 1);
    toy_pass(&world, 200);
    toy_ack(&world, 'c', 0, 1);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(ask(redrive("payment", 0, UINT64_MAX)), WIRE_DONE);
        toy_pass(&world, 40);
    }
    cr_expect_not(group_is_dirty(consumer("payment")->group));
}

Test(broker_admin, a_reset_that_cannot_be_saved_changes_nothing)
{
    subscribe('c', "payment");
    publish("");
    expect_gets('c', 0, 1);
    toy_ack(&world, 'c', 0, 1);
    world.disk.is_limited = true;
    expect_refused(reset("payment", WIRE_RESET_EARLIEST, 0), WIRE_CODE_DISK_FULL);
    world.disk.is_limited = false;
    cr_expect_eq(consumer("payment")->backlog, 0);
    expect_nothing('c');
    publish("");
    expect_gets('c', 1, 1); // its session goes on
}

// --- delete

Test(broker_admin, a_deleted_group_is_gone_also_after_a_crash_and_a_new_one_of_its_name_begins_anew)
{
    subscribe('c', "payment");
    toy_hello(&world, 'd');
    subscribe('d', "ledger");
    publish("");
    expect_gets('c', 0, 1);
    reject('c', 0); // dead letter at 1
    expect_redriven("payment", 1);
    expect_gets('c', 2, 1);
    reject('c', 2); // dead letter at 3
    expect_refused(delete_group("payment"), WIRE_CODE_GROUP_BUSY);

    toy_send(&world, 'c', &(struct wire_control){.type = WIRE_BYE}, (struct bytes){0});
    cr_expect_eq(ask(delete_group("payment")), WIRE_DONE);
    cr_expect_null(consumer("payment"));
    cr_expect_not_null(consumer("ledger"));
    expect_refused(delete_group("payment"), WIRE_CODE_UNKNOWN_GROUP);
    toy_world_crash(&world);
    cr_expect_null(consumer("payment"));
    cr_expect_not_null(consumer("ledger"));

    toy_hello(&world, 'c');
    subscribe('c', "payment");
    cr_expect_eq(consumer("payment")->dead_letters_count, 0);
    cr_expect_eq(consumer("payment")->backlog, 2); // the event, and what was redriven of it
    expect_gets('c', 0, 1);
    expect_gets('c', 2, 1);
    expect_nothing('c');
}

Test(broker_admin, a_group_whose_end_cannot_be_saved_stays)
{
    subscribe('c', "payment");
    toy_send(&world, 'c', &(struct wire_control){.type = WIRE_BYE}, (struct bytes){0});
    world.disk.is_limited = true;
    expect_refused(delete_group("payment"), WIRE_CODE_DISK_FULL);
    cr_expect_not_null(consumer("payment"));
    world.disk.is_limited = false;
    cr_expect_eq(ask(delete_group("payment")), WIRE_DONE);
}

Test(broker_admin, what_is_asked_of_a_group_that_is_not_there_is_refused_by_name)
{
    expect_refused(redrive("nobody", 0, 1), WIRE_CODE_UNKNOWN_GROUP);
    expect_refused(reset("nobody", WIRE_RESET_EARLIEST, 0), WIRE_CODE_UNKNOWN_GROUP);
    expect_refused(delete_group("nobody"), WIRE_CODE_UNKNOWN_GROUP);
}

// --- status

Test(broker_admin, a_report_tells_groups_members_log_and_counters)
{
    subscribe('c', "payment");
    publish("o-1");
    toy_pass(&world, 500);
    cr_assert_eq(ask((struct wire_control){.type = WIRE_STATUS}), WIRE_REPORT);
    struct json_problem problem;
    cJSON *json = NULL;
    cr_assert_eq(json_parse(heard_batch, &json, &problem), ERR_OK);
    const cJSON *group = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "groups"), 0);
    cr_expect_str_eq(json_text_of(group, "name"), "payment");
    cr_expect_str_eq(json_text_of(group, "order"), "key");
    cr_expect_eq(cJSON_GetObjectItem(group, "lag_events")->valueint, 1);
    cr_expect_eq(cJSON_GetObjectItem(group, "oldest_ms")->valueint, 500);
    cr_expect_eq(cJSON_GetObjectItem(group, "held")->valueint, 1);
    const cJSON *member = cJSON_GetArrayItem(cJSON_GetObjectItem(group, "members"), 0);
    cr_expect_str_eq(json_text_of(member, "name"), "member-c");
    cr_expect_eq(cJSON_GetObjectItem(member, "credit")->valueint, 10);
    cr_expect_eq(cJSON_GetObjectItem(member, "last_seen_ms")->valueint, 500);
    const cJSON *counters = cJSON_GetObjectItem(json, "counters");
    cr_expect_eq(cJSON_GetObjectItem(counters, "published")->valueint, 1);
    cr_expect_eq(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "log"), "next_offset")->valueint, 1);
    cJSON_Delete(json);
}

Test(broker_admin, metrics_tell_the_same_as_the_report)
{
    static const char *const lines[] = {
        "\nfaultline_broker_published_total 1\n",
        "\nfaultline_broker_log_next_offset 1\n",
        "\nfaultline_broker_group_lag_events{group=\"payment\"} 1\n",
        "\nfaultline_broker_group_lag_seconds{group=\"payment\"} 0.5\n",
        "\nfaultline_broker_group_held{group=\"payment\"} 1\n",
        "\nfaultline_broker_group_members{group=\"payment\"} 1\n",
        "\nfaultline_broker_member_credit{group=\"payment\",member=\"member-c\"} 10\n",
        "\nfaultline_broker_member_last_seen_seconds{group=\"payment\",member=\"member-c\"} "
        "0.5\n",
    };
    subscribe('c', "payment");
    publish("o-1");
    toy_pass(&world, 500);
    struct buf out = {0};
    report_metrics(world.broker, &out);
    buf_put_u8(&out, 0);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        cr_expect_not_null(strstr((const char *)out.data, lines[i]), "%s is missing", lines[i]);
    }
    toy_send(&world, 'c', &(struct wire_control){.type = WIRE_BYE}, (struct bytes){0});
    buf_clear(&out);
    report_metrics(world.broker, &out);
    buf_put_u8(&out, 0);
    cr_expect_null(strstr((const char *)out.data, "member-c"), "who is gone is seen no more");
    buf_release(&out);
}
