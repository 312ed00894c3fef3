// Retention: what goes and what stays, that nothing a group needs is lost, that totals
// and lags are exact before and after, and that a crash at any moment changes none of it.
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "broker/report.h"
#include "common/log.h"
#include "tests/support/toy_world.h"

enum {
    BODY = 60000, // 17 of these fill a segment of 1 MiB
    SEGMENT = 1 << 20,
};

static struct toy_world world;

static void greet(void)
{
    toy_hello(&world, 'p');
    toy_hello(&world, 'c');
    toy_forget(&world, 'p');
    toy_forget(&world, 'c');
}

static void start(void)
{
    (void)log_open("broker", "json", "error"); // what is lost on purpose is no news
    toy_world_set_up(&world);
    greet();
}

static void stop(void)
{
    toy_world_tear_down(&world);
}

TestSuite(broker_retention, .init = start, .fini = stop);

static void crash(void)
{
    toy_world_crash(&world);
    greet();
}

static void retain(uint64_t bytes, int64_t hours)
{
    world.options.retention_bytes = bytes;
    world.options.retention_hours = hours;
    world.broker->options.retention_bytes = bytes;
    world.broker->options.retention_hours = hours;
}

static void ignore_groups(void)
{
    world.options.retention_ignores_groups = true;
    world.broker->options.retention_ignores_groups = true;
}

static void publish(const char *topic, int count)
{
    for (int i = 0; i < count; i++) {
        toy_publish(&world, 'p', topic, "", BODY);
    }
    toy_forget(&world, 'p');
}

static void look(void)
{
    toy_pass(&world, BROKER_RETAIN_MS);
}

static uint64_t first(void)
{
    return event_log_first(world.log);
}

static uint64_t next(void)
{
    return event_log_next(world.log);
}

static const struct consumer *consumer(const char *name)
{
    return broker_find_consumer(world.broker, bytes_of_text(name));
}

static uint64_t floor_of(const char *name)
{
    struct group_stats stats;
    group_stats_get(consumer(name)->group, &stats);
    return stats.floor;
}

static void subscribe(const char *group, uint32_t credit, const char *topic)
{
    toy_subscribe(&world, 'c', group, credit, topic);
}

static void ack_all(void)
{
    struct wire_delivered delivered;
    while (toy_gets(&world, 'c', &delivered)) {
        toy_ack(&world, 'c', delivered.offset, delivered.attempt);
    }
}

// Totals of the topics, and of each group what it wants and has not done, counted one by
// one, are what the broker says.
static void expect_exact(void)
{
    uint64_t records[TOPIC_SLOTS] = {0};
    uint64_t backlog[BROKER_GROUPS_MAX] = {0};
    struct event_log_cursor *cursor = event_log_cursor_new(world.log);
    for (uint64_t offset = first(); offset < next(); offset++) {
        struct event_log_entry entry;
        cr_assert_eq(event_log_cursor_read(cursor, offset, &entry), ERR_OK);
        const int topic = topic_find(&world.broker->topics, entry.record.topic);
        records[topic]++;
        for (size_t i = 0; i < world.broker->consumers_count; i++) {
            const struct consumer *c = world.broker->consumers[i];
            backlog[i] += group_is_taken(c->group, offset) ||
                          (consumer_wants(c, topic) && !group_is_done(c->group, offset));
        }
    }
    event_log_cursor_destroy(&cursor);
    uint64_t told[TOPIC_SLOTS] = {0};
    for (size_t i = 0; i < world.broker->tallies.count; i++) {
        const struct tally *tally = &world.broker->tallies.list[i];
        for (int topic = 0; topic < tally->topics; topic++) {
            told[topic] += tally->records[topic];
        }
    }
    for (int topic = 0; topic < world.broker->topics.count; topic++) {
        cr_expect_eq(told[topic],
                     records[topic],
                     "%s: %lu, not %lu",
                     world.broker->topics.topics[topic].name,
                     (unsigned long)told[topic],
                     (unsigned long)records[topic]);
    }
    for (size_t i = 0; i < world.broker->consumers_count; i++) {
        cr_expect_eq(world.broker->consumers[i]->backlog,
                     backlog[i],
                     "%s: %lu, not %lu",
                     group_name(world.broker->consumers[i]->group),
                     (unsigned long)world.broker->consumers[i]->backlog,
                     (unsigned long)backlog[i]);
    }
}

static void expect_exact_also_after_a_crash(void)
{
    expect_exact();
    const uint64_t kept = first();
    crash();
    cr_expect_eq(first(), kept);
    expect_exact();
}

static void expect_hold(const char *group, uint64_t offset, bool is_dead_letter)
{
    struct retention_hold hold;
    cr_assert(broker_retention_hold(world.broker, &hold));
    cr_expect_str_eq(hold.group, group);
    cr_expect_eq(hold.offset, offset);
    cr_expect_eq(hold.is_dead_letter, is_dead_letter);
}

// The peer's session has ended: it lets go what it holds. Nothing was delivered before.
static void expect_told(char peer)
{
    struct wire_control control = {.type = WIRE_PING};
    struct bytes batch;
    while (control.type == WIRE_PING) {
        cr_assert(toy_next(&world, peer, &control, &batch), "%c is not told", peer);
    }
    cr_assert_eq(control.type, WIRE_ERROR);
    cr_expect(bytes_equal_text(control.code, WIRE_CODE_NO_SESSION));
}

static void expect_no_hold(void)
{
    struct retention_hold hold;
    cr_expect_not(broker_retention_hold(world.broker, &hold));
}

// --- what goes

Test(broker_retention, without_settings_nothing_is_ever_dropped)
{
    publish("order-created", 60);
    world.now_us += INT64_C(3600) * 1000 * 1000 * 1000;
    look();
    cr_expect_eq(first(), 0);
}

Test(broker_retention, a_log_over_its_size_drops_its_oldest_segments_until_it_is_not)
{
    publish("order-created", 60);
    cr_assert_gt(event_log_bytes(world.log), 3 * SEGMENT);
    retain(2 * SEGMENT, 0);
    look();

    cr_expect_leq(event_log_bytes(world.log), 2 * SEGMENT);
    cr_expect_gt(first(), 0);
    cr_expect_geq(event_log_segments(world.log), 2); // no more than it must
    expect_no_hold();
    expect_exact_also_after_a_crash();
}

Test(broker_retention, a_segment_goes_when_its_newest_event_is_too_old)
{
    publish("order-created", 20);
    world.now_us += INT64_C(3600) * 1000 * 1000; // an hour
    toy_hello(&world, 'p');
    publish("order-created", 20);
    retain(0, 2);
    look();
    cr_expect_eq(first(), 0);

    world.now_us += INT64_C(3600) * 1000 * 1000 + 1;
    toy_turn(&world);
    cr_expect_gt(first(), 0);
    cr_expect_leq(first(), 20); // not the one that younger events are in
    expect_exact_also_after_a_crash();
}

Test(broker_retention, the_newest_segment_stays_however_large_and_old)
{
    publish("order-created", 10);
    retain(1, 1);
    world.now_us += INT64_C(3600) * 1000 * 1000 * 1000;
    toy_turn(&world);
    cr_expect_eq(first(), 0);
}

Test(broker_retention, it_drops_one_segment_a_turn_and_looks_once_a_second)
{
    publish("order-created", 60);
    retain(1, 0);
    (void)broker_deadline_ms(world.broker);
    world.now_us += BROKER_RETAIN_MS * 1000;
    const uint64_t before = event_log_segments(world.log);
    cr_expect(broker_turn(world.broker, true), "there is more to do at once");
    cr_expect_eq(event_log_segments(world.log), before - 1);
    toy_turn(&world);
    cr_expect_eq(event_log_segments(world.log), 1);

    publish("order-created", 30);
    cr_expect_eq(event_log_segments(world.log), 3, "looked too early");
    cr_expect_leq(broker_deadline_ms(world.broker), BROKER_RETAIN_MS);
    look();
    cr_expect_eq(event_log_segments(world.log), 1);
}

// --- what stays

Test(broker_retention, what_a_group_has_not_handled_stays_until_it_has)
{
    subscribe("payment", 4, "order-created");
    publish("order-created", 40);
    retain(SEGMENT, 0);
    look();
    cr_expect_eq(first(), 0);
    expect_hold("payment", 0, false);
    struct buf report = {0};
    report_json(world.broker, &report);
    buf_put_u8(&report, '\0');
    static const char held[] =
        "\"held_back_by\":{\"group\":\"payment\",\"offset\":0,\"dead_letter\":false}";
    cr_expect_not_null(strstr((const char *)report.data, held), "%s", (const char *)report.data);
    buf_release(&report);
    crash();
    look();
    cr_expect_eq(first(), 0);
    expect_exact();

    subscribe("payment", 4, "order-created");
    ack_all();
    expect_no_hold(); // though nothing was dropped yet
    look();
    cr_expect_gt(first(), 0);
    cr_expect_leq(first(), floor_of("payment"));
    cr_expect_eq(consumer("payment")->backlog, 0);
    expect_no_hold();
    expect_exact_also_after_a_crash();
}

Test(broker_retention, the_slowest_group_decides)
{
    subscribe("payment", 64, "order-created");
    publish("order-created", 40);
    ack_all();
    toy_hello(&world, 'c');
    subscribe("ledger", 1, "order-created");
    struct wire_delivered delivered;
    while (floor_of("ledger") < 20 && toy_gets(&world, 'c', &delivered)) {
        toy_ack(&world, 'c', delivered.offset, delivered.attempt);
    }
    retain(SEGMENT, 0);
    look();
    cr_expect_gt(first(), 0);
    cr_expect_leq(first(), 20);
    expect_hold("ledger", 20, false);
    expect_exact_also_after_a_crash();
}

Test(broker_retention, a_group_without_members_that_has_done_all_it_wants_holds_nothing)
{
    subscribe("payment", 4, "order-created");
    toy_send(&world, 'c', &(struct wire_control){.type = WIRE_BYE}, (struct bytes){0});
    publish("order-cancelled", 40);
    retain(SEGMENT, 0);
    look();
    cr_expect_gt(first(), 0);
    cr_expect_geq(floor_of("payment"), first());
    expect_exact_also_after_a_crash();
    cr_expect_geq(floor_of("payment"), first());
}

Test(broker_retention, a_listed_dead_letter_stays_until_it_is_given_back)
{
    subscribe("payment", 4, "order-created");
    publish("order-created", 1);
    struct wire_delivered delivered;
    cr_assert(toy_gets(&world, 'c', &delivered));
    toy_nack(&world, 'c', 0, 1, 0);
    for (uint32_t attempt = 2; attempt <= 4; attempt++) {
        toy_nack(&world, 'c', 0, attempt, 0);
    }
    cr_assert_eq(consumer("payment")->dead_letters_count, 1);
    toy_forget(&world, 'c');
    publish("order-cancelled", 40);
    retain(SEGMENT, 0);
    look();
    cr_expect_eq(first(), 0);
    expect_hold("payment", 1, true);
    crash();
    look();
    cr_expect_eq(first(), 0);

    toy_send(&world,
             'p',
             &(struct wire_control){.type = WIRE_REDRIVE,
                                    .request = 1,
                                    .group = bytes_of_text("payment"),
                                    .end = UINT64_MAX},
             (struct bytes){0});
    subscribe("payment", 4, "order-created");
    ack_all();
    look();
    cr_expect_gt(first(), 1);
    expect_exact_also_after_a_crash();
}

// --- groups that are ignored

Test(broker_retention, a_group_that_is_ignored_goes_on_with_the_first_event_kept)
{
    subscribe("payment", 4, "order-created");
    publish("order-created", 2);
    publish("order-cancelled", 3);
    publish("order-created", 40);
    toy_ack(&world, 'c', 1, 1); // done above the floor
    toy_forget(&world, 'c');
    expect_exact();
    ignore_groups();
    retain(SEGMENT, 0);
    look();

    cr_expect_gt(first(), 20);
    cr_expect_geq(floor_of("payment"), first());
    cr_expect_eq(consumer("payment")->backlog, next() - first());
    expect_no_hold();
    expect_told('c');
    toy_hello(&world, 'c');
    subscribe("payment", 4, "order-created");
    struct wire_delivered delivered;
    cr_assert(toy_gets(&world, 'c', &delivered));
    cr_expect_eq(delivered.offset, first());
    toy_ack(&world, 'c', delivered.offset, delivered.attempt);
    ack_all();
    cr_expect_eq(consumer("payment")->backlog, 0);
    expect_exact_also_after_a_crash();
}

Test(broker_retention, nobody_holds_what_was_dropped_beside_what_comes_next)
{
    toy_hello(&world, 'd');
    subscribe("payment", 1, "order-created");
    toy_subscribe(&world, 'd', "payment", 1, "order-created");
    toy_publish(&world, 'p', "order-created", "o-1", BODY); // a member holds it
    publish("order-cancelled", 20);
    toy_publish(&world, 'p', "order-created", "o-1", BODY); // of the same key, and is kept
    toy_hello(&world, 'e');
    toy_subscribe(&world, 'e', "ledger", 4, "payment-authorized");
    toy_publish(&world, 'p', "payment-authorized", "", BODY); // held as well, and kept
    toy_forget(&world, 'c');
    toy_forget(&world, 'd');
    toy_forget(&world, 'e');
    ignore_groups();
    retain(SEGMENT, 0);
    look();
    cr_assert_gt(first(), 0);
    cr_assert_leq(first(), 21);

    expect_told('c');
    expect_told('d');
    cr_expect(toy_hears(&world, 'e', WIRE_PING), "its group lost nothing");
    struct wire_delivered delivered;
    cr_expect_not(toy_gets(&world, 'e', &delivered));
    toy_hello(&world, 'd');
    toy_subscribe(&world, 'd', "payment", 1, "order-created");
    cr_assert(toy_gets(&world, 'd', &delivered));
    cr_expect_eq(delivered.offset, 21);
    expect_exact_also_after_a_crash();
}

Test(broker_retention, a_lagging_group_that_is_ignored_has_an_exact_lag_after_each_drop)
{
    subscribe("payment", 0, "order-created");
    for (int i = 0; i < 20; i++) {
        publish("order-created", 2);
        publish("order-cancelled", 1);
    }
    ignore_groups();
    retain(1, 0);
    world.now_us += BROKER_RETAIN_MS * 1000;
    while (broker_turn(world.broker, true)) {
        expect_exact();
    }
    cr_expect_eq(event_log_segments(world.log), 1);
    expect_exact_also_after_a_crash();
}

Test(broker_retention, dead_letters_that_go_are_listed_no_more)
{
    subscribe("payment", 4, "order-created");
    publish("order-created", 1);
    for (uint32_t attempt = 1; attempt <= 4; attempt++) {
        toy_nack(&world, 'c', 0, attempt, 0);
    }
    cr_assert_eq(consumer("payment")->dead_letters_count, 1);
    publish("order-cancelled", 40);
    ignore_groups();
    retain(SEGMENT, 0);
    look();
    cr_expect_gt(first(), 1);
    cr_expect_eq(consumer("payment")->dead_letters_count, 0);
    crash();
    cr_expect_eq(consumer("payment")->dead_letters_count, 0);
}

// --- crashes and faults in the middle

static int no_unlink(void *context, const char *path)
{
    (void)context;
    const size_t size = strlen(path);
    if (size > 4 && strcmp(path + size - 4, ".log") == 0) {
        errno = EIO;
        return -1;
    }
    return disk_os.unlink(NULL, path);
}

Test(broker_retention, a_drop_that_fails_takes_nothing_from_the_groups)
{
    subscribe("payment", 2, "order-created");
    publish("order-created", 40);
    ignore_groups();
    retain(SEGMENT, 0);
    world.disk.disk.unlink = no_unlink;
    look();
    cr_expect_eq(first(), 0, "the file is still there");
    cr_expect_eq(floor_of("payment"), 0, "and the group still has all that is in it");
    expect_exact_also_after_a_crash();

    world.disk.disk.unlink = disk_os.unlink;
    look();
    cr_expect_gt(first(), 0);
    expect_exact_also_after_a_crash();
}

Test(broker_retention, a_start_counts_anew_when_the_file_of_the_groups_does_not_know_of_a_drop)
{
    subscribe("payment", 4, "order-created");
    publish("order-created", 30);
    publish("order-cancelled", 10);
    ignore_groups();
    retain(SEGMENT, 0);
    cr_assert_eq(broker_save(world.broker), ERR_OK);
    char keep[256];
    char restore[256];
    snprintf(keep, sizeof keep, "cp %s/groups %s/kept", world.directory, world.directory);
    snprintf(restore, sizeof restore, "mv %s/kept %s/groups", world.directory, world.directory);
    cr_assert_eq(system(keep), 0);
    look();
    cr_assert_gt(first(), 0);
    cr_assert_eq(system(restore), 0); // older than the drop, older than the group's skip

    crash();
    cr_expect_eq(floor_of("payment"), first());
    expect_exact();
    subscribe("payment", 4, "order-created");
    ack_all();
    cr_expect_eq(consumer("payment")->backlog, 0);
}

Test(broker_retention, a_start_counts_anew_when_a_dropped_segment_is_back)
{
    publish("order-created", 40);
    char keep[256];
    char restore[256];
    snprintf(keep, sizeof keep, "cd %s && mkdir k && cp *.log k", world.directory);
    snprintf(restore, sizeof restore, "cd %s && mv k/*.log .", world.directory);
    cr_assert_eq(system(keep), 0);
    retain(SEGMENT, 0);
    look();
    cr_assert_gt(first(), 0);
    cr_assert_eq(broker_save(world.broker), ERR_OK);
    broker_destroy(&world.broker);
    cr_assert_eq(system(restore), 0);
    toy_world_crash(&world);

    cr_expect_eq(first(), 0);
    expect_exact();
}

Test(broker_retention, what_a_group_loses_must_be_read_before_its_segment_is_dropped)
{
    subscribe("payment", 2, "order-created"); // it holds some of the first segment
    publish("order-created", 40);
    ignore_groups();
    retain(SEGMENT, 0);
    event_log_cursor_destroy(&world.broker->elsewhere);
    world.broker->elsewhere = event_log_cursor_new(world.log);
    world.disk.read_error = EIO;
    look();
    cr_expect_eq(first(), 0);
    world.disk.read_error = 0;
    look();
    cr_expect_gt(first(), 0);
    expect_exact_also_after_a_crash();
}

Test(broker_retention, an_event_that_was_dropped_may_be_published_again)
{
    toy_publish_ids(&world, 'p', "a", WIRE_ACKS_ALL);
    publish("order-created", 40);
    retain(SEGMENT, 0);
    look();
    cr_assert_gt(first(), 0);
    const uint64_t end = next();
    toy_publish_ids(&world, 'p', "a", WIRE_ACKS_ALL);
    toy_turn(&world);
    cr_expect_eq(next(), end + 1);
}

// --- a full disk

Test(broker_retention, a_full_quota_makes_retention_look_at_once_and_publishing_goes_on)
{
    world.options.log.disk_bytes_max = 2 * SEGMENT;
    retain(2 * SEGMENT, 0);
    crash();
    uint64_t refused = 0;
    for (int i = 0; i < 100; i++) { // no time passes
        toy_publish(&world, 'p', "order-created", "", BODY);
        refused += !toy_hears(&world, 'p', WIRE_PUBLISHED);
        cr_assert_leq(event_log_bytes(world.log), 2 * SEGMENT);
    }
    cr_expect_gt(first(), 0);
    cr_expect_leq(refused, 8, "%lu", (unsigned long)refused); // the one that finds it full
    expect_exact_also_after_a_crash();
}

Test(broker_retention, a_full_quota_waits_for_a_group_and_publishing_resumes_when_it_has_acked)
{
    world.options.log.disk_bytes_max = 2 * SEGMENT;
    retain(2 * SEGMENT, 0);
    crash();
    subscribe("payment", 100, "order-created");
    publish("order-created", 50);
    toy_publish(&world, 'p', "order-created", "", BODY);
    cr_expect(toy_hears_error(&world, 'p', WIRE_CODE_DISK_FULL));
    expect_hold("payment", 0, false);
    crash();
    subscribe("payment", 100, "order-created");
    ack_all(); // reading and acking go on
    cr_expect_eq(consumer("payment")->backlog, 0);

    toy_publish(&world, 'p', "order-created", "", BODY); // may be the one that makes room
    toy_forget(&world, 'p');
    toy_publish(&world, 'p', "order-created", "", BODY);
    cr_expect(toy_hears(&world, 'p', WIRE_PUBLISHED));
    cr_expect_gt(first(), 0);
    expect_exact_also_after_a_crash();
}

// Two segments for publishes, one in reserve; all of the former is full, and held back by
// what payment does not do. From then on no time passes unless a test says so.
static void fill_quota(void)
{
    world.options.log.disk_bytes_max = 3 * SEGMENT;
    world.options.log.reserve_bytes = SEGMENT;
    retain(2 * SEGMENT, 0);
    crash();
    subscribe("payment", 1, "order-created");
    publish("order-created", 1);
    bool is_stored = true;
    while (is_stored) {
        toy_publish(&world, 'p', "order-cancelled", "", BODY);
        is_stored = toy_hears(&world, 'p', WIRE_PUBLISHED);
    }
    cr_assert_leq(event_log_bytes(world.log), 2 * SEGMENT);
    cr_assert_eq(first(), 0);
    expect_hold("payment", 0, false);
}

static void reject(uint64_t offset)
{
    toy_send(&world,
             'c',
             &(struct wire_control){.type = WIRE_REJECT, .offset = offset, .attempt = 1},
             (struct bytes){0});
}

static void redrive(void)
{
    toy_send(&world,
             'p',
             &(struct wire_control){.type = WIRE_REDRIVE,
                                    .request = 1,
                                    .group = bytes_of_text("payment"),
                                    .end = UINT64_MAX},
             (struct bytes){0});
}

Test(broker_retention, an_event_given_up_on_a_full_quota_finds_room_and_retention_goes_on)
{
    fill_quota();
    reject(0);
    toy_publish(&world, 'p', "order-cancelled", "", BODY); // of the same round
    cr_expect(toy_hears_error(&world, 'p', WIRE_CODE_DISK_FULL));
    cr_expect_eq(consumer("payment")->dead_letters_count, 1, "it was not refused along");
    look();
    cr_expect_gt(first(), 0);
    toy_forget(&world, 'p');
    toy_publish(&world, 'p', "order-cancelled", "", BODY);
    cr_expect(toy_hears(&world, 'p', WIRE_PUBLISHED));
    expect_exact_also_after_a_crash();
}

Test(broker_retention, a_dead_letter_that_holds_a_full_quota_can_be_given_back)
{
    fill_quota();
    reject(0);
    toy_turn(&world);
    const uint64_t letter = consumer("payment")->dead_letters[0];
    look();
    struct retention_hold hold;
    while (!broker_retention_hold(world.broker, &hold) || !hold.is_dead_letter) {
        toy_publish(&world, 'p', "order-cancelled", "", BODY); // until it is full again
    }
    cr_assert_gt(next(), letter + 20);
    toy_forget(&world, 'p');
    redrive();
    cr_expect(toy_hears(&world, 'p', WIRE_DONE));
    toy_publish(&world, 'p', "order-cancelled", "", BODY); // the one that finds it full
    look();
    cr_expect_gt(first(), letter);
    expect_exact_also_after_a_crash();
}

Test(broker_retention, publishes_never_use_the_reserve)
{
    fill_quota();
    reject(0);
    toy_turn(&world); // writes zeros ahead, into the reserve
    retain(3 * SEGMENT, 0);
    for (int i = 0; i < 10; i++) {
        toy_publish(&world, 'p', "order-cancelled", "", 100);
        cr_expect(toy_hears_error(&world, 'p', WIRE_CODE_DISK_FULL));
    }
    cr_expect_leq(event_log_bytes(world.log), 3 * SEGMENT);
    expect_exact_also_after_a_crash();
}

Test(broker_retention, own_records_that_find_room_for_some_are_written_one_by_one)
{
    world.options.log.disk_bytes_max = 3 * SEGMENT;
    world.options.log.reserve_bytes = SEGMENT;
    crash();
    subscribe("payment", 64, "order-created");
    publish("order-created", 40); // more than two segments hold
    const uint64_t published = next();
    for (uint64_t offset = 0; offset < published; offset++) {
        reject(offset);
    }
    toy_turn(&world);
    for (int i = 0; i < 8; i++) {
        look();
    }
    cr_expect_gt(consumer("payment")->dead_letters_count, 10);
    cr_expect_lt(consumer("payment")->dead_letters_count, published);
    cr_expect_leq(event_log_bytes(world.log), 3 * SEGMENT);
    expect_exact_also_after_a_crash();
}

// Each of these comes again, all together, whenever they are refused.
static void publish_together(uint64_t from, int count)
{
    world.ids = from;
    for (int i = 0; i < count; i++) {
        toy_publish_later(&world, 'p', "order-cancelled", "", BODY);
    }
    toy_turn(&world);
    toy_forget(&world, 'p');
}

// Many publishers of small files and a small quota: what one round brings is more than all of it.
Test(broker_retention, publishes_that_find_no_room_together_are_stored_in_smaller_batches)
{
    world.options.log.disk_bytes_max = 3 * SEGMENT;
    world.options.log.reserve_bytes = SEGMENT;
    world.options.retention_bytes = 2 * SEGMENT;
    crash();
    for (int i = 0; i < 4; i++) {
        publish_together(next(), 40 - (int)next());
        look();
    }
    cr_expect_eq(next(), 40, "%lu are stored", (unsigned long)next());
    cr_expect_leq(event_log_bytes(world.log), 2 * SEGMENT);
    expect_exact_also_after_a_crash();
}

// Nothing can be dropped before the file behind it is there, and that one found no room.
Test(broker_retention, the_only_file_goes_when_a_round_does_not_fit_beside_it)
{
    world.options.log.disk_bytes_max = 4 * SEGMENT;
    world.options.log.reserve_bytes = SEGMENT;
    world.options.retention_bytes = 3 * SEGMENT;
    crash();
    publish_together(0, 52); // all of the room but for 60 KB
    cr_assert_eq(next(), 52);
    for (int i = 0; i < 3; i++) {
        publish_together(1000, 2);
        look();
    }
    cr_expect_eq(first(), 52);
    cr_expect_eq(next(), 54);
    expect_exact_also_after_a_crash();
}

// The settings allow RETENTION_BYTES to be all that publishes may take. Only a publish that is
// refused can make the log too large then, with all that it takes.
Test(broker_retention, an_event_of_any_size_finds_room_when_retention_may_take_all_of_it)
{
    world.options.log.disk_bytes_max = 3 * SEGMENT;
    world.options.log.reserve_bytes = SEGMENT;
    world.options.retention_bytes = 2 * SEGMENT;
    for (size_t less = 0; less < 160; less += 2) {
        crash();
        for (int i = 0; i < 40; i++) {
            toy_publish(&world, 'p', "order-cancelled", "", BODY - less);
            bool is_stored = toy_hears(&world, 'p', WIRE_PUBLISHED);
            if (!is_stored) {
                look();
                toy_forget(&world, 'p');
                toy_publish(&world, 'p', "order-cancelled", "", BODY - less);
                is_stored = toy_hears(&world, 'p', WIRE_PUBLISHED);
            }
            cr_assert(is_stored, "%zu bytes", BODY - less);
        }
    }
}

// Small and large events, all given up but the small one, which is then; what is in its way, or
// before it, finds no room any more. redrive: somebody asks for room again and again, too.
static void expect_small_letter(bool small_is_first, bool is_redriven)
{
    world.options.log.disk_bytes_max = 3 * SEGMENT;
    world.options.log.reserve_bytes = SEGMENT;
    crash();
    subscribe("payment", 1000, "order-created");
    if (small_is_first) {
        toy_publish(&world, 'p', "order-created", "", 10);
    }
    bool is_stored = true;
    while (is_stored) {
        toy_forget(&world, 'p');
        toy_publish(&world, 'p', "order-created", "", BODY);
        is_stored = toy_hears(&world, 'p', WIRE_PUBLISHED);
    }
    if (!small_is_first) {
        toy_publish(&world, 'p', "order-created", "", 10);
    }
    const uint64_t small = small_is_first ? 0 : next() - 1;
    const uint64_t end = next();
    for (uint64_t offset = 0; offset < end; offset++) {
        if (offset != small) {
            reject(offset);
        }
    }
    for (int i = 0; i < 50; i++) { // some find room, and then none
        toy_pass(&world, 500);
        toy_send(&world, 'c', &(struct wire_control){.type = WIRE_PING}, (struct bytes){0});
        toy_send(&world, 'p', &(struct wire_control){.type = WIRE_PING}, (struct bytes){0});
    }
    struct group_entry_info info;
    cr_assert(group_dying_next(consumer("payment")->group, 0, &info));
    reject(small);
    for (int i = 0; i < 50 && !group_is_done(consumer("payment")->group, small); i++) {
        toy_forget(&world, 'p');
        if (is_redriven) {
            redrive();
            cr_expect(toy_hears_error(&world, 'p', WIRE_CODE_DISK_FULL));
        }
        toy_pass(&world, 500);
        toy_send(&world, 'c', &(struct wire_control){.type = WIRE_PING}, (struct bytes){0});
        toy_send(&world, 'p', &(struct wire_control){.type = WIRE_PING}, (struct bytes){0});
    }
    cr_expect(group_is_done(consumer("payment")->group, small));
    cr_expect(group_dying_next(consumer("payment")->group, 0, &info));
}

Test(broker_retention, a_dead_letter_that_finds_no_room_is_in_no_smaller_ones_way)
{
    expect_small_letter(true, false);
    stop();
    start();
    expect_small_letter(false, false);
}

Test(broker_retention, redrives_that_find_no_room_keep_no_dead_letter_waiting)
{
    expect_small_letter(true, true);
    stop();
    start();
    expect_small_letter(false, true);
}

Test(broker_retention, a_disk_too_full_to_save_the_groups_is_made_room_on)
{
    subscribe("payment", 100, "order-created");
    publish("order-created", 40);
    ack_all();
    retain(SEGMENT, 0);
    world.disk.is_limited = true; // not a byte
    look();
    cr_expect_gt(first(), 0);
    expect_exact();
    world.disk.is_limited = false;
    crash(); // the file of the groups is older than the drop, and than the acks
    expect_exact();
    cr_expect_eq(floor_of("payment"), first());
    subscribe("payment", 100, "order-created");
    ack_all();
    cr_expect_eq(consumer("payment")->backlog, 0);
}
