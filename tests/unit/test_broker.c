// The broker without sockets, in a toy world: what it promises when queues are full,
// peers vanish, disks fill up and clocks jump.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "broker/event_log_private.h"
#include "common/log.h"
#include "tests/support/toy_world.h"

static struct toy_world world;

static void start(void)
{
    (void)log_open("broker", "json", "error"); // what is refused on purpose is no news
    toy_world_set_up(&world);
    toy_hello(&world, 'p');
    toy_hello(&world, 'c');
    toy_forget(&world, 'p');
    toy_forget(&world, 'c');
}

static void stop(void)
{
    toy_world_tear_down(&world);
}

TestSuite(broker, .init = start, .fini = stop);

static void subscribe(char peer, uint32_t credit)
{
    toy_subscribe(&world, peer, "payment", credit, "order-created");
    cr_assert(toy_hears(&world, peer, WIRE_SUBSCRIBED));
}

static void publish(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        toy_publish(&world, 'p', "order-created", "", 10);
    }
}

static void expect_gets(char peer, uint64_t offset, uint32_t attempt)
{
    struct wire_delivered delivered;
    cr_assert(toy_gets(&world, peer, &delivered), "nothing for %c", peer);
    cr_expect_eq(delivered.offset, offset, "offset %lu", (unsigned long)delivered.offset);
    cr_expect_eq(delivered.attempt, attempt, "attempt %u", delivered.attempt);
}

static void expect_nothing(char peer)
{
    struct wire_delivered delivered;
    cr_expect_not(toy_gets(&world, peer, &delivered));
}

static const struct consumer *payment(void)
{
    return broker_find_consumer(world.broker, bytes_of_text("payment"));
}

// --- what one message may cost

// Runs are cheap to send and not to look up: else 64 KiB would hold the loop for 40 ms.
Test(broker, an_ack_of_more_than_anybody_can_hold_is_refused_whole)
{
    subscribe('c', 10);
    toy_publish(&world, 'p', "order-created", "", 10);
    expect_gets('c', 0, 1);
    struct buf runs = {0};
    for (uint32_t events = 0; events < WIRE_ACK_EVENTS_MAX; events += WIRE_CREDIT_MAX) {
        wire_ack_append(&runs, (struct wire_ack){.count = WIRE_CREDIT_MAX, .attempt = 1});
    }
    wire_ack_append(&runs, (struct wire_ack){.count = 1, .attempt = 1});
    const uint32_t count = (uint32_t)(runs.size / WIRE_ACK_SIZE);
    const struct wire_control ack = {.type = WIRE_ACK, .count = count};
    toy_send(&world, 'c', &ack, buf_view(&runs));
    toy_turn(&world);
    cr_expect(toy_hears_error(&world, 'c', WIRE_CODE_MALFORMED));
    cr_expect_eq(payment()->backlog, 1);

    runs.size -= WIRE_ACK_SIZE; // as many as may be
    const struct wire_control most = {.type = WIRE_ACK, .count = count - 1};
    toy_send(&world, 'c', &most, buf_view(&runs));
    toy_turn(&world);
    cr_expect_eq(payment()->backlog, 0);
    buf_release(&runs);
}

// --- the sync comes first

Test(broker, nothing_is_answered_or_delivered_before_the_sync)
{
    subscribe('c', 10);
    const unsigned syncs = world.disk.syncs;
    toy_publish_later(&world, 'p', "order-created", "", 10);

    cr_expect_eq(world.disk.syncs, syncs);
    cr_expect_not(toy_hears(&world, 'p', WIRE_PUBLISHED));
    toy_turn(&world);

    cr_expect_eq(world.disk.syncs, syncs + 1);
    cr_expect(toy_hears(&world, 'p', WIRE_PUBLISHED));
    expect_gets('c', 0, 1);
}

Test(broker, one_sync_serves_all_publishes_of_a_round)
{
    const unsigned syncs = world.disk.syncs;
    for (int i = 0; i < 100; i++) {
        toy_publish_later(&world, 'p', "order-created", "", 10);
    }
    toy_turn(&world);

    cr_expect_eq(world.disk.syncs, syncs + 1);
    for (int i = 0; i < 100; i++) {
        cr_expect(toy_hears(&world, 'p', WIRE_PUBLISHED));
    }
}

Test(broker, a_round_larger_than_the_logs_batch_is_synced_in_between)
{
    for (int i = 0; i < 200; i++) { // 12 MiB; a batch holds 8
        toy_publish_later(&world, 'p', "order-created", "", 64000);
    }
    toy_turn(&world);

    cr_expect_eq(event_log_next(world.log), 200);
    cr_expect_eq(world.peers['p' - 'a'].count, 200);
}

// --- queues and peers

Test(broker, a_full_queue_gets_its_deliveries_later_as_the_same_attempt)
{
    subscribe('c', 10);
    world.peers['c' - 'a'].answer = ERR_FULL;
    publish(2);
    cr_expect_eq(world.broker->counters.delivered, 0);
    cr_expect_leq(broker_deadline_ms(world.broker), BROKER_BLOCKED_MS);

    world.peers['c' - 'a'].answer = ERR_OK;
    toy_pass(&world, BROKER_BLOCKED_MS);

    expect_gets('c', 0, 1);
    expect_gets('c', 1, 1);
}

Test(broker, what_a_vanished_peer_was_to_get_goes_to_another_as_the_same_attempt)
{
    toy_hello(&world, 'd');
    subscribe('c', 10);
    world.peers['c' - 'a'].answer = ERR_UNAVAILABLE;
    publish(2);
    toy_turn(&world); // its session ends here

    toy_subscribe(&world, 'd', "payment", 10, "order-created");

    expect_gets('d', 0, 1);
    expect_gets('d', 1, 1);
    cr_expect_eq(session_count(world.broker->sessions), 2);
}

Test(broker, a_publisher_that_cannot_be_answered_loses_its_session)
{
    world.peers['p' - 'a'].answer = ERR_FULL;
    publish(1);
    toy_turn(&world);
    world.peers['p' - 'a'].answer = ERR_OK;

    publish(1);

    cr_expect(toy_hears_error(&world, 'p', WIRE_CODE_NO_SESSION));
    cr_expect_eq(event_log_next(world.log), 1);
}

Test(broker, a_publisher_that_cannot_hear_its_refusal_loses_its_session)
{
    world.peers['p' - 'a'].answer = ERR_FULL;
    toy_publish(&world, 'p', "dead-letter.payment", "", 10);
    toy_turn(&world);

    cr_expect_eq(session_count(world.broker->sessions), 1);
}

Test(broker, a_member_that_never_acks_holds_no_more_than_some_megabytes)
{
    for (int i = 0; i < 200; i++) { // 12 MiB
        toy_publish(&world, 'p', "order-created", "", 64000);
    }
    subscribe('c', 4096);

    struct wire_delivered delivered;
    uint32_t count = 0;
    while (toy_gets(&world, 'c', &delivered)) {
        count++;
    }
    cr_expect_geq(count, BROKER_HELD_BYTES_MAX / 65000);
    cr_expect_leq(count, (BROKER_HELD_BYTES_MAX + WIRE_BATCH_BYTES_MAX) / 64000);

    for (uint64_t i = 0; i < count; i++) { // and acks let the rest come
        toy_ack(&world, 'c', i, 1);
    }
    while (toy_gets(&world, 'c', &delivered)) {
        count++;
    }
    cr_expect_eq(count, 200);
}

Test(broker, a_delivery_is_never_larger_than_a_batch_may_be)
{
    for (int i = 0; i < 40; i++) {
        toy_publish(&world, 'p', "order-created", "", 60000);
    }
    subscribe('c', 4096);

    struct wire_control control;
    struct bytes batch;
    uint32_t count = 0;
    while (toy_next(&world, 'c', &control, &batch)) {
        cr_expect_leq(batch.size, WIRE_BATCH_BYTES_MAX);
        count += control.count;
    }
    cr_expect_eq(count, 40);
}

// --- time

Test(broker, silence_is_judged_only_when_all_that_arrived_was_read)
{
    world.now_us += 2900 * 1000;
    (void)broker_deadline_ms(world.broker);
    world.now_us += 101 * 1000;
    world.broker->awake_by_ms = 0; // this was no pause of ours

    (void)broker_turn(world.broker, false);
    cr_expect_eq(session_count(world.broker->sessions), 2);
    (void)broker_turn(world.broker, true);
    cr_expect_eq(session_count(world.broker->sessions), 0);
}

Test(broker, its_own_pause_is_not_taken_for_silence)
{
    (void)broker_deadline_ms(world.broker);
    world.now_us += 60000 * 1000LL; // stopped for a minute
    toy_turn(&world);

    cr_expect_eq(session_count(world.broker->sessions), 2);
    cr_expect(toy_hears(&world, 'c', WIRE_PING));
    for (int i = 0; i < 4; i++) {
        toy_pass(&world, broker_deadline_ms(world.broker));
    }
    cr_expect_eq(session_count(world.broker->sessions), 0); // this is silence
}

Test(broker, its_own_long_round_is_not_taken_for_silence)
{
    (void)broker_turn(world.broker, false);
    world.now_us += 60000 * 1000LL; // that round took a minute, and the next follows at once
    (void)broker_turn(world.broker, true);

    cr_expect_eq(session_count(world.broker->sessions), 2);
}

Test(broker, a_broker_that_is_never_idle_still_ends_silent_sessions)
{
    for (int round = 0; round < 31; round++) {
        (void)broker_turn(world.broker, true);
        world.now_us += 100 * 1000;
    }
    (void)broker_turn(world.broker, true);

    cr_expect_eq(session_count(world.broker->sessions), 0);
}

Test(broker, a_retry_comes_when_its_delay_is_over_and_wakes_the_loop_for_it)
{
    subscribe('c', 10);
    publish(1);
    expect_gets('c', 0, 1);
    toy_nack(&world, 'c', 0, 1, 300);

    toy_pass(&world, 299);
    expect_nothing('c');
    cr_expect_leq(broker_deadline_ms(world.broker), 1);
    toy_pass(&world, 1);

    expect_gets('c', 0, 2);
}

Test(broker, a_due_retry_without_credit_does_not_keep_the_loop_awake)
{
    subscribe('c', 10);
    publish(1);
    expect_gets('c', 0, 1);
    toy_nack(&world, 'c', 0, 1, 10);
    toy_send(
        &world, 'c', &(struct wire_control){.type = WIRE_CREDIT, .credit = 0}, (struct bytes){0});
    toy_pass(&world, 150); // saved as well

    cr_expect_gt(broker_deadline_ms(world.broker), 100);
}

Test(broker, at_rest_the_loop_sleeps_until_the_next_heartbeat)
{
    subscribe('c', 10);
    publish(1);
    expect_gets('c', 0, 1);
    toy_ack(&world, 'c', 0, 1);
    toy_pass(&world, BROKER_SAVE_MS + 1);
    toy_pass(&world, BROKER_SAVE_MS + 1);

    cr_expect_gt(broker_deadline_ms(world.broker), 500);
}

// --- a full disk

Test(broker, a_full_disk_is_told_to_every_publisher_of_the_round_and_deliveries_go_on)
{
    toy_hello(&world, 'q');
    toy_forget(&world, 'q');
    subscribe('c', 1);
    publish(2);
    toy_forget(&world, 'p');
    expect_gets('c', 0, 1);
    world.disk.is_limited = true;
    toy_publish_later(&world, 'p', "order-created", "", 10);
    toy_publish_later(&world, 'q', "order-created", "", 10);
    toy_turn(&world);

    cr_expect(toy_hears_error(&world, 'p', WIRE_CODE_DISK_FULL));
    cr_expect(toy_hears_error(&world, 'q', WIRE_CODE_DISK_FULL));
    toy_ack(&world, 'c', 0, 1);
    expect_gets('c', 1, 1);

    world.disk.is_limited = false;
    publish(1);
    cr_expect(toy_hears(&world, 'p', WIRE_PUBLISHED));
    toy_ack(&world, 'c', 1, 1);
    expect_gets('c', 2, 1);
    cr_expect_eq(payment()->backlog, 1);
}

Test(broker, a_dead_letter_waits_for_room_and_its_key_with_it)
{
    subscribe('c', 10);
    toy_publish(&world, 'p', "order-created", "o-1", 10);
    toy_publish(&world, 'p', "order-created", "o-1", 10);
    world.disk.is_limited = true;
    for (uint32_t attempt = 1; attempt <= 4; attempt++) {
        expect_gets('c', 0, attempt);
        toy_nack(&world, 'c', 0, attempt, 0);
    }
    expect_nothing('c');
    cr_expect_eq(payment()->dead_letters_count, 0);

    world.disk.is_limited = false;
    toy_pass(&world, BROKER_RETRY_MS);

    expect_gets('c', 1, 1);
    cr_expect_eq(payment()->dead_letters_count, 1);
    cr_expect_eq(payment()->backlog, 1);
}

Test(broker, acks_on_a_full_disk_are_saved_as_soon_as_it_has_room_again)
{
    subscribe('c', 10);
    publish(3);
    world.disk.is_limited = true;
    for (uint64_t offset = 0; offset < 3; offset++) { // reading and acking go on
        expect_gets('c', offset, 1);
        toy_ack(&world, 'c', offset, 1);
    }
    toy_pass(&world, BROKER_SAVE_MS);
    toy_world_crash(&world); // could not be saved: they come again
    cr_expect_eq(payment()->backlog, 3);

    toy_hello(&world, 'c');
    toy_subscribe(&world, 'c', "payment", 10, "order-created");
    for (uint64_t offset = 0; offset < 3; offset++) {
        expect_gets('c', offset, 1);
        toy_ack(&world, 'c', offset, 1);
    }
    toy_pass(&world, BROKER_SAVE_MS);
    cr_expect_leq(broker_deadline_ms(world.broker), BROKER_RETRY_MS);
    world.disk.is_limited = false;
    toy_pass(&world, BROKER_RETRY_MS);
    toy_world_crash(&world);
    cr_expect_eq(payment()->backlog, 0);
}

Test(broker, a_restart_on_a_full_disk_reads_delivers_and_refuses_until_there_is_room)
{
    subscribe('c', 10);
    publish(3);
    world.disk.is_limited = true;
    world.disk.bytes_left = 100; // room for a torn batch
    toy_publish(&world, 'p', "order-created", "", 5000);
    world.disk.bytes_left = 0;
    toy_world_crash(&world);
    toy_hello(&world, 'p');
    toy_hello(&world, 'c');
    toy_subscribe(&world, 'c', "payment", 10, "order-created");
    for (uint64_t offset = 0; offset < 3; offset++) {
        expect_gets('c', offset, 1);
    }
    expect_nothing('c');
    toy_forget(&world, 'p');
    publish(1);
    cr_expect(toy_hears_error(&world, 'p', WIRE_CODE_DISK_FULL));

    world.disk.is_limited = false;
    publish(1);
    cr_expect(toy_hears(&world, 'p', WIRE_PUBLISHED));
    expect_gets('c', 3, 1);
}

Test(broker, a_group_is_not_made_on_a_full_disk_and_is_when_it_has_room)
{
    world.disk.is_limited = true;
    toy_subscribe(&world, 'c', "payment", 10, "order-created");
    cr_expect(toy_hears_error(&world, 'c', WIRE_CODE_DISK_FULL));
    cr_expect_null(payment());
    toy_world_crash(&world);
    cr_expect_null(payment());

    world.disk.is_limited = false;
    toy_hello(&world, 'c');
    toy_forget(&world, 'c');
    subscribe('c', 10);
    toy_world_crash(&world);
    cr_expect_not_null(payment());
}

// --- crashes

Test(broker, a_dead_letter_that_the_groups_file_does_not_know_still_counts_after_a_crash)
{
    subscribe('c', 10);
    publish(2);
    expect_gets('c', 0, 1);
    for (uint32_t attempt = 1; attempt <= 4; attempt++) {
        toy_nack(&world, 'c', 0, attempt, 0);
    }
    cr_expect_eq(payment()->dead_letters_count, 1);

    toy_world_crash(&world); // the file was last saved when the group was new

    cr_expect_eq(payment()->dead_letters_count, 1);
    cr_expect_eq(payment()->backlog, 1);
    toy_hello(&world, 'c');
    toy_subscribe(&world, 'c', "payment", 10, "order-created");
    expect_gets('c', 1, 1);
    expect_nothing('c');
}

Test(broker, acks_older_than_the_save_interval_outlive_a_crash)
{
    subscribe('c', 10);
    publish(3);
    toy_ack(&world, 'c', 0, 1);
    toy_ack(&world, 'c', 2, 1);
    toy_pass(&world, BROKER_SAVE_MS);
    toy_pass(&world, 1);

    toy_world_crash(&world);
    toy_hello(&world, 'c');
    toy_subscribe(&world, 'c', "payment", 10, "order-created");

    struct wire_delivered delivered;
    cr_assert(toy_gets(&world, 'c', &delivered));
    cr_expect_eq(delivered.offset, 1);
    expect_nothing('c');
    cr_expect_eq(payment()->backlog, 1);
}

Test(broker, a_group_without_a_member_is_known_after_a_crash_and_its_lag_is_exact)
{
    subscribe('c', 1);
    publish(5);
    toy_publish(&world, 'p', "order-cancelled", "", 10);

    toy_world_crash(&world);

    cr_expect_eq(payment()->backlog, 5);
    cr_expect_neq(payment()->no_member_since_us, 0);
}

Test(broker, a_groups_file_ahead_of_the_log_stops_the_start_with_a_sentence)
{
    struct broker *other = NULL;
    char *problem = NULL;
    char command[256];
    subscribe('c', 1);
    publish(5);
    cr_assert_eq(broker_save(world.broker), ERR_OK);
    broker_destroy(&world.broker);
    snprintf(command, sizeof command, "rm %s/*.log", world.directory);
    cr_assert_eq(system(command), 0);

    cr_expect_eq(broker_open(&other, &world.options, &problem), ERR_CORRUPT);
    cr_expect_null(other);
    cr_expect_not_null(strstr(problem, "the log ends at 0"), "%s", problem);
    free(problem);
}

// --- groups and topics

Test(broker, a_latest_group_gets_only_what_comes_after_it)
{
    publish(1);
    toy_publish_later(&world, 'p', "order-created", "", 10); // came before, not yet synced
    toy_send(&world,
             'c',
             &(struct wire_control){
                 .type = WIRE_SUBSCRIBE,
                 .group = bytes_of_text("payment"),
                 .offset_reset = WIRE_LATEST,
                 .credit = 10,
                 .topics_count = 1,
                 .topics = {bytes_of_text("order-created")},
             },
             (struct bytes){0});
    toy_turn(&world);
    cr_expect_eq(payment()->backlog, 0);
    publish(1);

    expect_gets('c', 2, 1);
    cr_expect_eq(payment()->backlog, 1);
}

Test(broker, new_topics_of_a_group_hold_from_its_cursor_on_and_its_lag_is_counted_anew)
{
    subscribe('c', 1);
    publish(2); // 0 is held, 1 was not offered
    toy_publish(&world, 'p', "order-cancelled", "", 10);
    expect_gets('c', 0, 1);
    cr_expect_eq(payment()->backlog, 2);

    toy_subscribe(&world, 'c', "payment", 1, "order-cancelled");

    cr_expect(toy_hears(&world, 'c', WIRE_SUBSCRIBED));
    cr_expect_eq(payment()->backlog, 2, "0, which is held, and 2");
    toy_ack(&world, 'c', 0, 1);
    expect_gets('c', 2, 1);
    toy_ack(&world, 'c', 2, 1);
    cr_expect_eq(payment()->backlog, 0);
}

// A replica of another version comes by, which knows nothing of what this one works on.
Test(broker, what_a_member_holds_stays_its_own_though_its_topic_is_named_no_more)
{
    toy_hello(&world, 'd');
    toy_forget(&world, 'd');
    subscribe('c', 1);
    toy_publish(&world, 'p', "order-created", "o-1", 10);
    toy_publish(&world, 'p', "order-cancelled", "o-1", 10);
    expect_gets('c', 0, 1);
    toy_subscribe(&world, 'd', "payment", 10, "order-cancelled");
    cr_expect(toy_hears(&world, 'd', WIRE_SUBSCRIBED));
    expect_nothing('d'); // 1 waits behind it
    expect_nothing('c');
    cr_expect_eq(payment()->backlog, 2);
    toy_ack(&world, 'c', 0, 1);
    expect_gets('d', 1, 1);
}

// All that was offered: held, waiting for a retry, parked behind its key.
Test(broker, what_is_under_way_of_a_topic_that_is_named_no_more_ends_by_an_answer)
{
    toy_subscribe(&world, 'c', "payment", 3, "order-created");
    toy_publish(&world, 'p', "order-created", "o-1", 10);
    toy_publish(&world, 'p', "order-created", "o-1", 10);
    toy_publish(&world, 'p', "order-created", "", 10);
    toy_forget(&world, 'c');
    toy_nack(&world, 'c', 2, 1, 500);
    toy_subscribe(&world, 'c', "payment", 3, "order-cancelled");
    cr_expect_eq(payment()->backlog, 3);
    cr_expect(toy_hears(&world, 'c', WIRE_SUBSCRIBED));
    toy_send(&world,
             'c',
             &(struct wire_control){.type = WIRE_REJECT, .offset = 0, .attempt = 1},
             (struct bytes){0});
    toy_turn(&world);
    cr_expect_eq(payment()->dead_letters_count, 1);
    expect_gets('c', 1, 1);
    toy_ack(&world, 'c', 1, 1);
    toy_pass(&world, 500);
    expect_gets('c', 2, 2);
    toy_ack(&world, 'c', 2, 2);
    cr_expect_eq(payment()->backlog, 0);
    toy_publish(&world, 'p', "order-created", "", 10);
    expect_nothing('c');
    cr_expect_eq(payment()->backlog, 0);
}

Test(broker, replicas_with_different_topics_both_stay)
{
    toy_hello(&world, 'd');
    for (int round = 0; round < 8; round++) { // both can hold 4
        const bool is_c = round % 2 == 0;
        toy_subscribe(
            &world, is_c ? 'c' : 'd', "payment", 4, is_c ? "order-created" : "order-cancelled");
        toy_publish(&world, 'p', is_c ? "order-created" : "order-cancelled", "", 10);
        toy_publish(&world, 'p', is_c ? "order-cancelled" : "order-created", "", 10);
        cr_expect_eq(payment()->backlog, (uint64_t)round + 1, "the newest list holds");
        cr_expect_eq(session_count(world.broker->sessions), 3);
    }
}

Test(broker, more_topics_end_no_session)
{
    subscribe('c', 1);
    publish(1);
    expect_gets('c', 0, 1);
    toy_send(&world,
             'c',
             &(struct wire_control){
                 .type = WIRE_SUBSCRIBE,
                 .group = bytes_of_text("payment"),
                 .credit = 1,
                 .topics_count = 2,
                 .topics = {bytes_of_text("order-created"), bytes_of_text("order-cancelled")},
             },
             (struct bytes){0});
    cr_expect(toy_hears(&world, 'c', WIRE_SUBSCRIBED));
    toy_ack(&world, 'c', 0, 1);
    cr_expect_eq(payment()->backlog, 0);
}

// After a start what was under way is offered again, and then as unwanted.
Test(broker, the_lag_of_a_group_with_new_topics_is_right_after_a_crash_too)
{
    subscribe('c', 1);
    publish(2);
    expect_gets('c', 0, 1);
    toy_subscribe(&world, 'c', "payment", 10, "order-cancelled");
    cr_expect_eq(payment()->backlog, 1);
    toy_pass(&world, 200);
    toy_world_crash(&world);

    toy_hello(&world, 'c');
    toy_subscribe(&world, 'c', "payment", 10, "order-cancelled");
    cr_expect_eq(payment()->backlog, 0);
    toy_hello(&world, 'p');
    toy_publish(&world, 'p', "order-cancelled", "", 10);
    expect_gets('c', 2, 1);
    toy_ack(&world, 'c', 2, 1);
    cr_expect_eq(payment()->backlog, 0);
}

Test(broker, a_lagging_group_and_one_that_keeps_up_each_get_all_in_order)
{
    toy_hello(&world, 'd');
    toy_subscribe(&world, 'd', "ledger", 4096, "order-created");
    subscribe('c', 1);
    publish(300);
    for (uint64_t i = 0; i < 300; i++) {
        expect_gets('d', i, 1);
        expect_gets('c', i, 1);
        toy_ack(&world, 'c', i, 1);
    }
    expect_nothing('c');
    toy_pass(&world, BROKER_TIDY_MS); // and nothing is kept for it any more
    cr_expect_null(payment()->cursor);
}

Test(broker, a_dead_letter_of_the_round_makes_no_group_fall_behind)
{
    static const char *const groups[] = {"payment", "fraud", "ledger"};
    for (int i = 0; i < 3; i++) {
        const char member = (char)('c' + i);
        toy_hello(&world, member);
        toy_subscribe(&world, member, groups[i], 100, "order-created");
    }
    publish(1);
    toy_publish_later(&world, 'p', "order-created", "", 10);
    toy_send(&world,
             'c',
             &(struct wire_control){.type = WIRE_REJECT, .offset = 0, .attempt = 1},
             (struct bytes){0});
    toy_turn(&world);
    cr_expect_eq(payment()->dead_letters_count, 1);
    for (int i = 0; i < 3; i++) {
        const struct bytes name = bytes_of_text(groups[i]);
        cr_expect_null(broker_find_consumer(world.broker, name)->cursor, "%s", groups[i]);
    }
}

Test(broker, buffers_of_a_burst_are_given_back_though_little_goes_on)
{
    for (int burst = 0; burst < 2; burst++) {
        for (int i = 0; i < 130; i++) {
            toy_publish_later(&world, 'p', "order-created", "", 60000);
        }
        toy_turn(&world);
    }
    cr_assert_gt(world.log->newest_bytes.capacity, (size_t)7 << 20);
    for (int i = 0; i < 20; i++) {
        toy_publish(&world, 'p', "order-created", "", 10);
        toy_pass(&world, BROKER_TIDY_MS / 10);
    }
    cr_expect_leq(world.log->batch.capacity + world.log->newest_bytes.capacity, (size_t)1 << 20);
    toy_subscribe(&world, 'c', "payment", 1000, "order-created");
    for (uint64_t offset = 0; offset < 100; offset++) { // and all is still to be read
        expect_gets('c', offset, 1);
    }
}

static const char *numbered(const char *prefix, int number)
{
    static char name[2][64];
    static int turn;
    turn = !turn;
    snprintf(name[turn], sizeof name[turn], "%s-%d", prefix, number);
    return name[turn];
}

Test(broker, topics_over_the_limit_are_refused_by_name)
{
    for (int i = 0; i < TOPICS_MAX; i++) {
        toy_publish_later(&world, 'p', numbered("topic", i), "", 1);
    }
    toy_turn(&world);
    toy_forget(&world, 'p');

    toy_publish(&world, 'p', "one-more", "", 1);
    cr_expect(toy_hears_error(&world, 'p', WIRE_CODE_LIMIT));
    toy_publish(&world, 'p', "topic-7", "", 1);
    cr_expect(toy_hears(&world, 'p', WIRE_PUBLISHED));
}

Test(broker, groups_over_the_limit_are_refused_by_name)
{
    for (int i = 0; i < BROKER_GROUPS_MAX; i++) {
        toy_hello(&world, 'c');
        toy_subscribe(&world, 'c', numbered("group", i), 1, "order-created");
    }
    toy_forget(&world, 'c');
    toy_hello(&world, 'c');
    cr_expect(toy_hears(&world, 'c', WIRE_WELCOME));

    toy_subscribe(&world, 'c', "one-more", 1, "order-created");
    cr_expect(toy_hears_error(&world, 'c', WIRE_CODE_LIMIT));
    toy_subscribe(&world, 'c', "group-7", 1, "order-created");
    cr_expect(toy_hears(&world, 'c', WIRE_SUBSCRIBED));
}

Test(broker, sessions_over_the_limit_are_refused_by_name)
{
    broker_destroy(&world.broker);
    world.options.sessions_max = 1;
    char *problem = NULL;
    cr_assert_eq(broker_open(&world.broker, &world.options, &problem), ERR_OK);
    toy_hello(&world, 'a');
    toy_hello(&world, 'b');
    cr_expect(toy_hears(&world, 'a', WIRE_WELCOME));
    cr_expect(toy_hears_error(&world, 'b', WIRE_CODE_LIMIT));
}

Test(broker, stopping_says_bye_to_all_and_hands_back_what_they_held)
{
    subscribe('c', 10);
    publish(1);
    expect_gets('c', 0, 1);
    toy_forget(&world, 'p');

    cr_expect_eq(broker_stop(world.broker), ERR_OK);

    cr_expect(toy_hears(&world, 'c', WIRE_BYE));
    cr_expect(toy_hears(&world, 'p', WIRE_BYE));
    cr_expect_eq(session_count(world.broker->sessions), 0);
}
