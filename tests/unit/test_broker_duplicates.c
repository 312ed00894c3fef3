// A publish that comes again is answered again and not stored again: in the same round,
// later, after a restart, on a full disk, and however unlucky the hash is.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/log.h"
#include "tests/support/toy_world.h"

static struct toy_world world;

static void greet(void)
{
    toy_hello(&world, 'p');
    toy_hello(&world, 'q');
    toy_forget(&world, 'p');
    toy_forget(&world, 'q');
}

static void start(void)
{
    (void)log_open("broker", "json", "error");
    toy_world_set_up(&world);
    greet();
}

static void stop(void)
{
    toy_world_tear_down(&world);
}

TestSuite(broker_duplicates, .init = start, .fini = stop);

static void crash(void)
{
    toy_world_crash(&world);
    greet();
}

static void publish_later(char peer, const char *ids)
{
    toy_publish_ids(&world, peer, ids, WIRE_ACKS_ALL);
}

static void publish(char peer, const char *ids)
{
    publish_later(peer, ids);
    toy_turn(&world);
}

static void expect_published(char peer, uint64_t offset, uint32_t count, bool duplicate)
{
    struct wire_control control;
    struct bytes batch;
    cr_assert(toy_next(&world, peer, &control, &batch), "nothing for %c", peer);
    cr_assert_eq(control.type, WIRE_PUBLISHED);
    cr_expect_eq(control.request, world.peers[peer - 'a'].requests);
    cr_expect_eq(control.offset, offset, "offset %lu", (unsigned long)control.offset);
    cr_expect_eq(control.count, count, "count %u", control.count);
    cr_expect_eq(control.duplicate, duplicate);
}

static void expect_nothing(char peer)
{
    struct wire_control control;
    struct bytes batch;
    cr_expect_not(toy_next(&world, peer, &control, &batch));
}

static uint64_t stored(void)
{
    return event_log_next(world.log);
}

Test(broker_duplicates, a_publish_that_comes_again_has_its_first_offset_and_is_not_stored_again)
{
    publish('p', "a b c");
    publish('q', "b");

    expect_published('p', 0, 3, false);
    expect_published('q', 1, 1, true);
    cr_expect_eq(stored(), 3);
    cr_expect_eq(world.broker->counters.published, 3);
    cr_expect_eq(world.broker->counters.duplicates, 1);
}

Test(broker_duplicates, a_batch_of_old_and_new_events_is_answered_in_runs)
{
    publish('p', "a b c");
    toy_forget(&world, 'p');
    publish('p', "x b c y z a");

    expect_published('p', 3, 1, false);
    expect_published('p', 1, 2, true);
    expect_published('p', 4, 2, false);
    expect_published('p', 0, 1, true);
    expect_nothing('p');
    cr_expect_eq(stored(), 6);
}

Test(broker_duplicates, the_same_event_twice_in_a_round_is_stored_once_and_answered_after_the_sync)
{
    publish_later('p', "a a b");
    publish_later('q', "b");
    expect_nothing('p');
    expect_nothing('q');
    toy_turn(&world);

    expect_published('p', 0, 1, false);
    expect_published('p', 0, 1, true);
    expect_published('p', 1, 1, false);
    expect_published('q', 1, 1, true);
    cr_expect_eq(stored(), 2);
}

Test(broker_duplicates, nobody_delivers_or_counts_a_duplicate)
{
    toy_hello(&world, 'c');
    toy_subscribe(&world, 'c', "payment", 10, "order-created");
    publish('p', "a");
    publish('p', "a");

    struct wire_delivered delivered;
    cr_expect(toy_gets(&world, 'c', &delivered));
    cr_expect_not(toy_gets(&world, 'c', &delivered));
    cr_expect_eq(broker_find_consumer(world.broker, bytes_of_text("payment"))->backlog, 1);
}

Test(broker_duplicates, a_duplicate_without_acks_is_not_stored_either)
{
    publish('p', "a");
    toy_forget(&world, 'p');
    toy_publish_ids(&world, 'p', "a b", WIRE_ACKS_NONE);
    toy_publish_ids(&world, 'p', "a", WIRE_ACKS_NONE);
    toy_turn(&world);

    expect_nothing('p');
    cr_expect_eq(stored(), 2);
    cr_expect_eq(world.broker->counters.duplicates, 2);
}

Test(broker_duplicates, a_restart_reads_the_window_back_from_the_log)
{
    publish('p', "a b");
    crash();
    publish('p', "b c a");

    expect_published('p', 1, 1, true);
    expect_published('p', 2, 1, false);
    expect_published('p', 0, 1, true);

    cr_assert_eq(broker_save(world.broker), ERR_OK); // and with nothing to replay, too
    crash();
    publish('p', "c");
    expect_published('p', 2, 1, true);
    cr_expect_eq(stored(), 3);
}

Test(broker_duplicates, when_the_sync_fails_the_first_copy_and_the_second_are_refused)
{
    world.disk.is_limited = true;
    publish_later('p', "a");
    publish_later('q', "a b a");
    toy_turn(&world);
    cr_expect(toy_hears_error(&world, 'p', WIRE_CODE_DISK_FULL));
    cr_expect(toy_hears_error(&world, 'q', WIRE_CODE_DISK_FULL));
    expect_nothing('q'); // one error for all runs
    cr_expect_eq(world.broker->counters.duplicates, 0);

    world.disk.is_limited = false; // and they are not remembered
    publish('q', "a b a");
    expect_published('q', 0, 2, false);
    expect_published('q', 0, 1, true);
    crash();
    publish('p', "b");
    expect_published('p', 1, 1, true);
}

Test(broker_duplicates, what_is_stored_already_is_acked_though_the_disk_is_full)
{
    publish('p', "a b");
    toy_forget(&world, 'p');
    world.disk.is_limited = true;
    publish('p', "b a");
    expect_published('p', 1, 1, true);
    expect_published('p', 0, 1, true);
    publish('p', "a c"); // but a batch is refused as a whole
    cr_expect(toy_hears_error(&world, 'p', WIRE_CODE_DISK_FULL));
    expect_nothing('p');
}

// Two ids with the same hash cannot be found in the time of a test: the hash noted for
// one is replaced by the other's.
Test(broker_duplicates, an_event_whose_hash_collides_is_stored_and_both_are_known)
{
    struct duplicates *window = &world.broker->duplicates;
    publish('p', "first");
    duplicates_cut(window, 0);
    duplicates_add(window, 0, duplicates_hash(window, bytes_of_text("second")));

    publish_later('q', "second"); // suspected, read in the log, found to be another one
    publish_later('q', "second"); // suspected twice: it waits, behind the other one
    toy_turn(&world);
    world.peers['q' - 'a'].requests--;
    expect_published('p', 0, 1, false);
    expect_published('q', 1, 1, false);
    world.peers['q' - 'a'].requests++;
    expect_published('q', 1, 1, true);

    duplicates_add(window, 2, duplicates_hash(window, bytes_of_text("third")));
    duplicates_cut(window, 1);
    duplicates_add(window, 1, duplicates_hash(window, bytes_of_text("first")));
    duplicates_cut(window, 0);
    duplicates_add(window, 0, duplicates_hash(window, bytes_of_text("first")));
    duplicates_add(window, 1, duplicates_hash(window, bytes_of_text("first")));
    publish('p', "first"); // the newest suspect is "second", the older one is it
    expect_published('p', 0, 1, true);
}

Test(broker_duplicates, a_suspect_that_cannot_be_read_does_not_swallow_an_event)
{
    publish('p', "a");
    publish('p', "b"); // the newest is not read from the disk
    toy_forget(&world, 'p');
    world.disk.read_error = 5;
    event_log_cursor_destroy(&world.broker->elsewhere);
    world.broker->elsewhere = event_log_cursor_new(world.log);
    publish('p', "a");
    world.disk.read_error = 0;
    expect_published('p', 2, 1, false);
    cr_expect_eq(stored(), 3);
}

Test(broker_duplicates, a_dead_letter_is_no_duplicate_of_its_event)
{
    toy_hello(&world, 'c');
    toy_subscribe(&world, 'c', "payment", 10, "order-created");
    publish('p', "a");
    toy_forget(&world, 'p');
    for (uint32_t attempt = 1; attempt <= 4; attempt++) {
        toy_nack(&world, 'c', 0, attempt, 0);
    }
    cr_assert_eq(stored(), 2); // its dead letter has the same id
    publish('p', "a b");
    expect_published('p', 0, 1, true);
    expect_published('p', 2, 1, false);
    crash();
    publish('p', "a b");
    expect_published('p', 0, 1, true);
    expect_published('p', 2, 1, true);
}

Test(broker_duplicates, runs_over_the_limit_of_a_round_are_synced_in_between)
{
    char *ids = calloc(WIRE_BATCH_MAX, 16);
    publish('p', "a");
    toy_forget(&world, 'p');
    for (int i = 0; i < WIRE_BATCH_MAX / 2; i++) { // every other one is old: a run each
        sprintf(ids + strlen(ids), "a n%d ", i);
    }
    publish_later('p', ids);
    publish_later('q', "b");
    cr_expect_eq(world.peers['p' - 'a'].count, WIRE_BATCH_MAX);
    toy_turn(&world);
    expect_published('q', 1 + WIRE_BATCH_MAX / 2, 1, false);
    free(ids);
}
