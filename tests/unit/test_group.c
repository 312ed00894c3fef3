// One consumer group: who gets which event when, and what is done with the answer.
#include <criterion/criterion.h>
#include <string.h>

#include "broker/group.h"
#include "broker/group_state.h"
#include "common/mem.h"

enum {
    ANNA = 1,
    BERT = 2,
    KEY_A = 100,
    KEY_B = 200,
    NO_KEY = 0,
    RETRIES = 3,
};

static const struct group_failure failure = {
    .now_ms = 1000, .wall_us = 5000000, .error = {(const uint8_t *)"card network down", 17}};

// --- plumbing

static struct group *new_group(void)
{
    struct group *group = group_new("payment", 0);
    group_set_retries(group, RETRIES);
    return group;
}

static void offer(struct group *group, uint32_t key_hash)
{
    group_offer(group, true, key_hash);
}

static void offer_count(struct group *group, uint32_t key_hash, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        offer(group, key_hash);
    }
}

static struct group_delivery deliver_at(struct group *group, int64_t now_ms)
{
    struct group_delivery delivery = {0};
    cr_assert(group_deliver(group, now_ms, &delivery), "nothing was delivered");
    return delivery;
}

static struct group_delivery deliver(struct group *group)
{
    return deliver_at(group, 0);
}

static void expect_nothing_at(struct group *group, int64_t now_ms)
{
    struct group_delivery delivery = {0};
    cr_expect_not(group_deliver(group, now_ms, &delivery),
                  "offset %lu was delivered",
                  (unsigned long)delivery.offset);
}

static void expect_nothing(struct group *group)
{
    expect_nothing_at(group, 0);
}

static void ack(struct group *group, struct group_delivery delivery)
{
    cr_assert_eq(group_ack(group, delivery.member, delivery.offset, 1, delivery.attempt), 1);
}

static bool is_dying(const struct group *group, uint64_t offset)
{
    struct group_entry_info info = {0};
    return group_dying_next(group, offset, &info) && info.offset == offset;
}

// Tells whether the event is to die of it.
static bool nack_after(struct group *group, struct group_delivery delivery, int64_t delay_ms)
{
    struct group_failure at = failure;
    at.delay_ms = delay_ms;
    cr_assert_eq(group_nack(group, delivery.member, delivery.offset, delivery.attempt, &at),
                 ERR_OK);
    return is_dying(group, delivery.offset);
}

static void reject_for(struct group *group, struct group_delivery delivery,
                       struct group_failure why)
{
    why.fatal = true;
    cr_assert_eq(group_nack(group, delivery.member, delivery.offset, delivery.attempt, &why),
                 ERR_OK);
}

static void reject(struct group *group, struct group_delivery delivery)
{
    reject_for(group, delivery, failure);
}

static struct group_stats stats_of(const struct group *group)
{
    struct group_stats stats = {0};
    group_stats_get(group, &stats);
    return stats;
}

static struct buf saved(const struct group *group, int64_t now_ms)
{
    struct buf bytes = {0};
    group_save(group, &bytes, now_ms);
    return bytes;
}

static void expect_same(struct buf a, struct buf b)
{
    cr_assert_eq(a.size, b.size);
    cr_assert_arr_eq(a.data, b.data, a.size);
}

static struct group *loaded(struct buf bytes, int64_t now_ms)
{
    struct reader reader = {.rest = buf_view(&bytes)};
    struct group *group = group_load(&reader, 1000000, now_ms);
    cr_assert_not(reader.failed);
    cr_assert_eq(reader.rest.size, 0);
    struct buf again = saved(group, now_ms);
    expect_same(again, bytes);
    buf_release(&again);
    return group;
}

// What a broker that starts again makes of the group.
static void restart(struct group **group, int64_t now_ms)
{
    struct buf bytes = saved(*group, now_ms);
    group_destroy(group);
    *group = loaded(bytes, now_ms);
    buf_release(&bytes);
}

// --- delivering

Test(group, events_are_delivered_in_log_order)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer_count(group, NO_KEY, 3);

    for (uint64_t offset = 0; offset < 3; offset++) {
        const struct group_delivery delivery = deliver(group);
        cr_expect_eq(delivery.offset, offset);
        cr_expect_eq(delivery.member, ANNA);
        cr_expect_eq(delivery.attempt, 1);
    }
    expect_nothing(group);
    group_destroy(&group);
}

Test(group, members_take_turns)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    group_join(group, BERT, 10);
    offer_count(group, NO_KEY, 4);

    const uint64_t first = deliver(group).member;
    const uint64_t second = deliver(group).member;

    cr_expect_neq(first, second);
    cr_expect_eq(deliver(group).member, first);
    cr_expect_eq(deliver(group).member, second);
    group_destroy(&group);
}

Test(group, a_member_never_holds_more_than_its_credit)
{
    struct group *group = new_group();
    group_join(group, ANNA, 2);
    offer_count(group, NO_KEY, 5);

    const struct group_delivery first = deliver(group);
    deliver(group);
    expect_nothing(group);

    ack(group, first);
    cr_expect_eq(deliver(group).offset, 2);
    expect_nothing(group);
    group_destroy(&group);
}

Test(group, lowering_credit_keeps_what_is_held_and_stops_more)
{
    struct group *group = new_group();
    group_join(group, ANNA, 3);
    offer_count(group, NO_KEY, 5);
    const struct group_delivery first = deliver(group);
    const struct group_delivery second = deliver(group);

    group_set_credit(group, ANNA, 1);

    ack(group, first);
    expect_nothing(group);
    ack(group, second);
    cr_expect_eq(deliver(group).offset, 2);
    expect_nothing(group);
    group_set_credit(group, ANNA, 2);
    cr_expect_eq(deliver(group).offset, 3);
    group_destroy(&group);
}

Test(group, nothing_is_wanted_or_delivered_without_a_member_with_credit)
{
    struct group *group = new_group();
    cr_expect_not(group_wants_more(group));
    group_join(group, ANNA, 0);
    cr_expect_not(group_wants_more(group));
    offer(group, NO_KEY);
    expect_nothing(group);
    group_set_credit(group, ANNA, 2);
    cr_expect(group_wants_more(group));
    offer(group, NO_KEY);
    cr_expect_not(group_wants_more(group), "two are READY for a credit of two");
    group_destroy(&group);
}

Test(group, an_event_of_another_topic_is_done_at_once)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);

    group_offer(group, false, KEY_A);

    expect_nothing(group);
    cr_expect_eq(stats_of(group).floor, 1);
    offer(group, NO_KEY);
    group_offer(group, false, KEY_A);
    cr_expect_eq(stats_of(group).floor, 1, "offset 1 is not done");
    ack(group, deliver(group));
    cr_expect_eq(stats_of(group).floor, 3);
    group_destroy(&group);
}

Test(group, a_new_group_may_start_anywhere_in_the_log)
{
    struct group *group = group_new("late", 1000000007);
    group_join(group, ANNA, 10);
    cr_expect_eq(group_cursor(group), 1000000007);
    offer(group, KEY_A);
    cr_expect_eq(deliver(group).offset, 1000000007);
    cr_expect(group_is_done(group, 1000000006));
    cr_expect_not(group_is_done(group, 1000000007));
    group_destroy(&group);
}

// --- keys

Test(group, a_later_event_of_a_key_waits_for_the_earlier_one_and_other_keys_do_not)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer(group, KEY_A);
    offer(group, KEY_A);
    offer(group, KEY_B);

    const struct group_delivery first = deliver(group);
    cr_expect_eq(deliver(group).offset, 2);
    expect_nothing(group);
    cr_expect_eq(stats_of(group).parked, 1);

    ack(group, first);
    cr_expect_eq(deliver(group).offset, 1);
    group_destroy(&group);
}

Test(group, a_key_stays_in_order_through_retries)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer_count(group, KEY_A, 3);

    nack_after(group, deliver(group), 500);

    expect_nothing_at(group, 1499);
    cr_expect_eq(group_next_due_ms(group), 1500);
    const struct group_delivery again = deliver_at(group, 1500);
    cr_expect_eq(again.offset, 0);
    cr_expect_eq(again.attempt, 2);
    cr_expect_eq(group_next_due_ms(group), INT64_MAX);
    expect_nothing_at(group, 1500);
    ack(group, again);
    cr_expect_eq(deliver(group).offset, 1);
    expect_nothing(group);
    group_destroy(&group);
}

Test(group, events_without_a_key_wait_for_nobody)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer_count(group, NO_KEY, 2);
    deliver(group);
    cr_expect_eq(deliver(group).offset, 1);
    group_destroy(&group);
}

Test(group, without_order_no_event_waits_for_another_of_its_key)
{
    struct group *group = new_group();
    cr_expect(group_has_order(group));
    group_join(group, ANNA, 10);
    offer_count(group, KEY_A, 2);
    const struct group_delivery first = deliver(group);

    group_set_order(group, false);

    cr_expect_not(group_has_order(group));
    expect_nothing(group); // what waited before waits on
    offer_count(group, KEY_A, 2);
    cr_expect_eq(deliver(group).offset, 2);
    cr_expect_eq(deliver(group).offset, 3);
    ack(group, first);
    cr_expect_eq(deliver(group).offset, 1);
    group_destroy(&group);
}

Test(group, key_hashes_tell_keys_apart_and_only_an_empty_key_has_none)
{
    cr_expect_eq(group_key_hash((struct bytes){0}), 0);
    const uint32_t hash = group_key_hash(bytes_of_text("0190b6d2-8d3e-7aaa-8000-000000000001"));
    cr_expect_neq(hash, 0);
    cr_expect_eq(hash, group_key_hash(bytes_of_text("0190b6d2-8d3e-7aaa-8000-000000000001")));
    cr_expect_neq(hash, group_key_hash(bytes_of_text("0190b6d2-8d3e-7aaa-8000-000000000002")));
    cr_expect_neq(group_key_hash((struct bytes){(const uint8_t *)"a\0", 2}),
                  group_key_hash((struct bytes){(const uint8_t *)"a", 1}));
}

Test(group, many_keys_survive_the_growth_of_the_window)
{
    enum {
        KEYS = 300,
        ROUNDS = 5
    };
    struct group *group = new_group();
    group_join(group, ANNA, KEYS * ROUNDS);
    for (int i = 0; i < KEYS * ROUNDS; i++) {
        offer(group, (uint32_t)(i % KEYS) + 1);
    }

    for (int round = 0; round < ROUNDS; round++) {
        struct group_delivery deliveries[KEYS];
        for (int i = 0; i < KEYS; i++) {
            deliveries[i] = deliver(group);
            cr_assert_eq(deliveries[i].offset, (uint64_t)(round * KEYS + i));
        }
        expect_nothing(group);
        for (int i = KEYS - 1; i >= 0; i--) {
            ack(group, deliveries[i]);
        }
    }
    cr_expect_eq(stats_of(group).floor, KEYS * ROUNDS);
    group_destroy(&group);
}

// --- answers

Test(group, the_floor_passes_only_what_is_done_without_a_gap)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer_count(group, NO_KEY, 3);
    const struct group_delivery first = deliver(group);
    const struct group_delivery second = deliver(group);
    const struct group_delivery third = deliver(group);

    ack(group, third);
    ack(group, second);
    cr_expect_eq(stats_of(group).floor, 0);
    cr_expect(group_is_done(group, 1));
    ack(group, first);
    cr_expect_eq(stats_of(group).floor, 3);
    group_destroy(&group);
}

Test(group, stale_answers_change_nothing)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    group_join(group, BERT, 0);
    offer(group, NO_KEY);
    const struct group_delivery held = deliver(group);

    cr_expect_eq(group_ack(group, BERT, 0, 1, 1), 0, "another member");
    cr_expect_eq(group_ack(group, 77, 0, 1, 1), 0, "nobody");
    cr_expect_eq(group_ack(group, 0, 0, 1, 1), 0, "the empty slot");
    cr_expect_eq(group_ack(group, ANNA, 0, 1, 2), 0, "another attempt");
    cr_expect_eq(group_ack(group, ANNA, 1, 1, 1), 0, "beyond the cursor");
    cr_expect_eq(group_ack(group, ANNA, UINT64_MAX, 1, 1), 0, "far beyond");
    cr_expect_eq(group_nack(group, BERT, 0, 1, &failure), ERR_NOT_FOUND);
    cr_expect_eq(group_nack(group, ANNA, 0, 2, &failure), ERR_NOT_FOUND);
    cr_expect_eq(stats_of(group).held, 1);
    ack(group, held);
    cr_expect_eq(group_ack(group, ANNA, 0, 1, 1), 0, "twice");
    group_destroy(&group);
}

Test(group, a_run_of_acks_takes_what_is_held_and_tells_how_much)
{
    struct group *group = new_group();
    group_join(group, ANNA, 5);
    group_join(group, BERT, 0);
    offer_count(group, NO_KEY, 3);
    offer_count(group, KEY_A, 4); // 3 and then, parked, 4 to 6
    struct group_delivery held[4];
    for (int i = 0; i < 4; i++) {
        held[i] = deliver(group);
    }
    nack_after(group, held[1], 0);

    cr_expect_eq(group_ack(group, BERT, 0, 7, 1), 0, "another member");
    cr_expect_eq(group_ack(group, ANNA, 0, 7, 2), 0, "another attempt");
    cr_expect_eq(group_ack(group, ANNA, 0, UINT32_MAX, 1), 3, "all but the failed one");
    cr_expect_eq(group_ack(group, ANNA, UINT64_MAX, UINT32_MAX, 1), 0);

    cr_expect_eq(stats_of(group).floor, 1);
    cr_expect_eq(deliver_at(group, 1000).offset, 1);
    cr_expect_eq(deliver(group).offset, 4, "its key is free");
    cr_expect_eq(stats_of(group).held, 2);
    cr_expect_eq(group_ack(group, ANNA, 1, 1, 2), 1);
    cr_expect_eq(group_ack(group, ANNA, 0, 5, 1), 1, "from below the floor on");
    cr_expect_eq(stats_of(group).floor, 5);
    group_destroy(&group);
}

Test(group, the_back_off_doubles_within_its_limits_and_jitters)
{
    struct group *group = new_group();
    group_set_retries(group, 100);
    group_join(group, ANNA, 10);
    offer(group, NO_KEY);
    int64_t now_ms = 0;
    int64_t full_ms = GROUP_BACKOFF_MIN_MS;

    for (uint32_t i = 0; i < 40; i++) {
        const struct group_delivery held = deliver_at(group, now_ms);
        // Any number will do for a random one; the extremes are the likeliest trouble.
        const uint64_t random = i % 2 == 0 ? UINT64_MAX - i : (uint64_t)full_ms / 2;
        const struct group_failure at = {.now_ms = now_ms, .delay_ms = -1, .random = random};
        group_nack(group, ANNA, 0, held.attempt, &at);
        cr_assert_not(is_dying(group, 0));
        const int64_t delay_ms = group_next_due_ms(group) - now_ms;
        cr_expect_geq(delay_ms, full_ms / 2);
        cr_expect_leq(delay_ms, full_ms);
        now_ms = group_next_due_ms(group);
        full_ms = full_ms * 2 > GROUP_BACKOFF_MAX_MS ? GROUP_BACKOFF_MAX_MS : full_ms * 2;
    }
    group_destroy(&group);
}

Test(group, a_delay_asked_for_is_kept_up_to_its_limit)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer(group, NO_KEY);
    nack_after(group, deliver(group), INT64_MAX);
    cr_expect_eq(group_next_due_ms(group), 1000 + GROUP_DELAY_MAX_MS);
    group_destroy(&group);
}

Test(group, an_event_out_of_retries_is_dying_and_blocks_its_key_until_it_is_buried)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer_count(group, KEY_A, 2);
    for (int i = 0; i < RETRIES; i++) {
        cr_assert_not(nack_after(group, deliver_at(group, 1000), 0));
    }

    cr_expect(nack_after(group, deliver_at(group, 1000), 0));

    struct group_entry_info info = {0};
    cr_assert(group_dying_next(group, 0, &info));
    cr_expect_eq(info.offset, 0);
    cr_expect_eq(info.attempts, RETRIES + 1);
    cr_expect_eq(info.failures, RETRIES + 1);
    cr_expect_str_eq(info.error, "card network down");
    cr_expect_eq(info.first_failed_us, 5000000);
    cr_expect_not(group_dying_next(group, 1, &info));
    expect_nothing_at(group, 1000);

    cr_expect(group_buried(group, 0));
    cr_expect_not(group_buried(group, 0), "it was done before");
    cr_expect_eq(deliver(group).offset, 1);
    cr_expect_eq(stats_of(group).floor, 1);
    group_destroy(&group);
}

Test(group, no_retries_means_that_the_first_failure_is_the_last)
{
    struct group *group = new_group();
    group_set_retries(group, 0);
    group_join(group, ANNA, 10);
    offer(group, NO_KEY);
    cr_expect(nack_after(group, deliver(group), 0));
    group_destroy(&group);
}

Test(group, a_rejected_event_is_dying_at_once)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer(group, NO_KEY);
    reject(group, deliver(group));
    struct group_entry_info info = {0};
    cr_assert(group_dying_next(group, 0, &info));
    cr_expect_eq(info.failures, 1);
    cr_expect_eq(info.first_failed_us, 5000000);
    cr_expect_not(info.waiting);
    group_destroy(&group);
}

Test(group, an_event_can_be_buried_in_every_state)
{
    struct group *group = new_group();
    group_join(group, ANNA, 2);
    offer_count(group, KEY_A, 4); // 0 held, 1 to 3 parked behind it
    offer(group, NO_KEY);         // 4 waiting
    offer(group, NO_KEY);         // 5 ready
    deliver(group);
    nack_after(group, deliver(group), 100);
    group_set_credit(group, ANNA, 1);

    cr_expect(group_buried(group, 2), "parked, in the middle");
    cr_expect(group_buried(group, 3), "parked, the last");
    cr_expect(group_buried(group, 4), "waiting");
    cr_expect(group_buried(group, 5), "ready");
    cr_expect(group_buried(group, 0), "held");
    cr_expect_eq(group_next_due_ms(group), INT64_MAX);
    cr_expect_eq(group_ack(group, ANNA, 0, 1, 1), 0);
    offer(group, KEY_A);
    const struct group_delivery left = deliver(group);
    cr_expect_eq(left.offset, 1);
    expect_nothing(group);
    ack(group, left);
    cr_expect_eq(deliver(group).offset, 6);
    cr_expect_eq(stats_of(group).floor, 6);
    group_destroy(&group);
}

Test(group, what_has_failed_and_is_not_done_is_listed)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer_count(group, NO_KEY, 4);
    struct group_delivery held[4];
    for (int i = 0; i < 4; i++) {
        held[i] = deliver(group);
    }
    nack_after(group, held[1], 500);
    reject(group, held[3]);

    struct group_entry_info info = {0};
    cr_assert(group_failing_next(group, 0, &info));
    cr_expect_eq(info.offset, 1);
    cr_expect(info.waiting);
    cr_expect_eq(info.due_ms, 1500);
    deliver_at(group, 1500);
    cr_assert(group_failing_next(group, 0, &info));
    cr_expect_eq(info.offset, 1, "held again, but it has failed");
    cr_expect_not(info.waiting);
    cr_assert(group_failing_next(group, 2, &info));
    cr_expect_eq(info.offset, 3);
    cr_expect_not(group_failing_next(group, 4, &info));
    group_destroy(&group);
}

Test(group, an_error_is_cut_at_a_character_and_holds_no_control_bytes)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer(group, NO_KEY);
    uint8_t error[GROUP_ERROR_MAX + 2];
    memset(error, 'x', sizeof error);
    error[3] = '\0';
    error[4] = '\n';
    error[5] = 0x7f;
    memcpy(&error[GROUP_ERROR_MAX - 1], "\xe2\x82\xac", 3); // one euro, on the edge
    const struct group_delivery held = deliver(group);
    const struct group_failure long_one = {.error = {error, sizeof error}};
    reject_for(group, held, long_one);

    struct group_entry_info info = {0};
    cr_assert(group_dying_next(group, 0, &info));
    cr_expect_eq(strlen(info.error), GROUP_ERROR_MAX - 1);
    cr_expect_eq(strncmp(info.error, "xxx   xx", 8), 0);
    group_destroy(&group);
}

// --- members that come and go

Test(group, what_a_leaving_member_held_goes_to_others_in_log_order_and_is_no_failure)
{
    struct group *group = new_group();
    group_join(group, ANNA, 3);
    offer_count(group, KEY_A, 1);
    offer_count(group, NO_KEY, 3);
    deliver(group);
    deliver(group);
    deliver(group);
    group_join(group, BERT, 10);

    group_leave(group, ANNA);

    struct group_entry_info info = {0};
    cr_expect_not(group_failing_next(group, 0, &info));
    for (uint64_t offset = 0; offset < 4; offset++) {
        const struct group_delivery delivery = deliver(group);
        cr_expect_eq(delivery.offset, offset);
        cr_expect_eq(delivery.member, BERT);
        cr_expect_eq(delivery.attempt, offset < 3 ? 2 : 1);
    }
    cr_expect_eq(group_ack(group, ANNA, 0, 1, 1), 0);
    cr_expect_eq(stats_of(group).members, 1);
    group_destroy(&group);
}

Test(group, whoever_leaves_the_others_keep_what_they_hold)
{
    enum {
        CARL = 3
    };
    struct group *group = new_group();
    for (uint64_t member = ANNA; member <= CARL; member++) {
        group_join(group, member, 1);
    }
    offer_count(group, NO_KEY, 3);
    struct group_delivery held[3];
    for (int i = 0; i < 3; i++) {
        held[i] = deliver(group);
        cr_assert_eq(held[i].member, (uint64_t)i + 1);
    }

    group_leave(group, ANNA);

    ack(group, held[2]);
    ack(group, held[1]);
    offer(group, NO_KEY);
    cr_expect_eq(deliver(group).offset, 0);
    cr_expect_eq(deliver(group).offset, 3, "both have their credit back");
    expect_nothing(group);
    group_destroy(&group);
}

Test(group, joining_twice_or_too_many_is_refused)
{
    struct group *group = new_group();
    cr_expect_eq(group_join(group, ANNA, 1), ERR_OK);
    cr_expect_eq(group_join(group, ANNA, 1), ERR_EXISTS);
    for (uint64_t member = 2; member <= GROUP_MEMBERS_MAX; member++) {
        cr_expect_eq(group_join(group, member, 1), ERR_OK);
    }
    cr_expect_eq(group_join(group, 1000, 1), ERR_FULL);
    group_leave(group, 7);
    cr_expect_eq(group_join(group, 1000, 1), ERR_OK);
    group_leave(group, 7);
    group_set_credit(group, 7, 5);

    struct group_member_stats members[2];
    cr_expect_eq(group_members_get(group, members, ARRAY_LEN(members)), GROUP_MEMBERS_MAX);
    group_destroy(&group);
}

Test(group, every_member_of_a_full_group_gets_its_turn)
{
    struct group *group = new_group();
    for (uint64_t member = 1; member <= GROUP_MEMBERS_MAX; member++) {
        group_join(group, member, 1);
    }
    offer_count(group, NO_KEY, GROUP_MEMBERS_MAX + 1);
    bool served[GROUP_MEMBERS_MAX + 1] = {false};
    for (int i = 0; i < GROUP_MEMBERS_MAX; i++) {
        const uint64_t member = deliver(group).member;
        cr_expect_not(served[member]);
        served[member] = true;
    }
    expect_nothing(group);
    group_destroy(&group);
}

Test(group, a_delivery_that_could_not_be_sent_does_not_count)
{
    struct group *group = new_group();
    group_join(group, ANNA, 1);
    offer_count(group, NO_KEY, 2);
    struct group_delivery delivery = deliver(group);

    group_undeliver(group, &delivery);

    cr_expect_eq(group_ack(group, ANNA, 0, 1, 1), 0);
    const struct group_delivery again = deliver(group);
    cr_expect_eq(again.offset, 0);
    cr_expect_eq(again.attempt, 1);
    group_leave(group, ANNA);
    group_undeliver(group, &again); // too late, and harmless
    cr_expect_eq(stats_of(group).ready, 2);
    group_destroy(&group);
}

// --- limits

Test(group, a_full_window_wants_nothing_until_its_floor_moves)
{
    struct group *group = new_group();
    group_join(group, ANNA, UINT32_MAX);
    offer(group, NO_KEY);
    const struct group_delivery stuck = deliver(group);
    while (group_wants_more(group)) {
        group_offer(group, false, NO_KEY);
    }
    cr_expect_eq(group_cursor(group), GROUP_WINDOW_MAX);

    ack(group, stuck);

    cr_expect_eq(stats_of(group).floor, GROUP_WINDOW_MAX);
    cr_expect(group_wants_more(group));
    group_destroy(&group);
}

Test(group, a_full_window_that_is_used_again_loses_nobody)
{
    struct group *group = new_group();
    group_join(group, ANNA, UINT32_MAX);
    offer_count(group, NO_KEY, GROUP_WINDOW_MAX - 3);
    for (int i = 0; i < GROUP_WINDOW_MAX - 3; i++) {
        ack(group, deliver(group));
    }
    offer(group, KEY_A);
    offer(group, KEY_A);
    offer(group, KEY_B);
    const struct group_delivery a = deliver(group);

    group_saved(group);

    cr_expect_eq(deliver(group).offset, GROUP_WINDOW_MAX - 1);
    ack(group, a);
    cr_expect_eq(deliver(group).offset, GROUP_WINDOW_MAX - 2);
    group_destroy(&group);
}

Test(group, a_new_group_takes_less_than_8_kib)
{
    struct group *group = new_group();
    const struct group_window *window = &group->window;
    cr_expect_lt(sizeof *group +
                     window->capacity * (sizeof *window->ring + sizeof *window->buckets + 1),
                 8192);
    group_destroy(&group);
}

Test(group, a_group_far_behind_takes_no_more_memory_than_what_is_out)
{
    struct group *group = new_group();
    group_join(group, ANNA, 500);
    for (uint32_t i = 0; i < 1000000; i += 500) {
        for (uint32_t key = 1; key <= 500; key++) {
            offer(group, key);
        }
        for (int j = 0; j < 500; j++) {
            deliver(group);
        }
        cr_assert_eq(group_ack(group, ANNA, i, 500, 1), 500);
    }
    cr_expect_eq(stats_of(group).floor, 1000000);
    cr_expect_leq(group->window.capacity, 512);
    group_destroy(&group);
}

Test(group, a_window_that_was_long_is_given_back_and_nothing_in_it_lost)
{
    struct group *group = new_group();
    group_join(group, ANNA, UINT32_MAX);
    for (uint32_t i = 0; i < 60000; i++) {
        offer(group, i % 30000 + 1);
    }
    for (int i = 0; i < 30000; i++) {
        deliver(group);
    }
    group_ack(group, ANNA, 0, 29999, 1); // but the last
    for (int i = 0; i < 29999; i++) {
        deliver(group);
    }
    group_ack(group, ANNA, 30000, 29990, 1); // but the last nine, and the one behind the first

    group_tidy(group);
    cr_expect_leq(group->window.capacity, 32768);
    cr_expect_eq(group_ack(group, ANNA, 29999, 1, 1), 1);
    cr_expect_eq(deliver(group).offset, 59999, "its key is free");
    group_tidy(group);

    cr_expect_eq(group->window.capacity, 64);
    offer(group, 30000);
    expect_nothing(group);
    cr_expect_eq(group_ack(group, ANNA, 59990, 10, 1), 10);
    cr_expect_eq(deliver(group).offset, 60000);
    group_destroy(&group);
}

Test(group, a_dead_letter_too_far_ahead_to_be_remembered_is_not_buried)
{
    struct group *group = group_new("payment", 10);
    cr_expect_not(group_buried(group, 10 + GROUP_AHEAD_MAX));
    cr_expect_not(group_buried(group, UINT64_MAX));
    cr_expect(group_buried(group, 9 + GROUP_AHEAD_MAX));
    cr_expect(group_is_done(group, 9 + GROUP_AHEAD_MAX));
    group_destroy(&group);
}

Test(group, a_floor_that_jumps_ends_what_lies_below_in_whatever_state)
{
    struct group *group = new_group();
    group_join(group, ANNA, 4);
    offer_count(group, KEY_A, 2); // held, parked
    offer_count(group, NO_KEY, 4);
    const struct group_delivery held = deliver(group);
    nack_after(group, deliver(group), 100);
    reject(group, deliver(group));
    deliver(group);
    cr_expect(group_buried(group, 8), "not offered yet");
    offer(group, KEY_A);
    group_saved(group);

    group_skip_to(group, 0);
    cr_expect_not(group_is_dirty(group));
    group_skip_to(group, 6);

    cr_expect(group_is_dirty(group));
    cr_expect_eq(stats_of(group).floor, 6);
    cr_expect_eq(group_ack(group, ANNA, 0, 1, held.attempt), 0);
    cr_expect_eq(group_next_due_ms(group), INT64_MAX);
    struct group_entry_info info = {0};
    cr_expect_not(group_dying_next(group, 0, &info));
    cr_expect_eq(deliver(group).offset, 6, "its key is free");
    expect_nothing(group);
    cr_expect_eq(stats_of(group).held, 1);

    group_skip_to(group, 1000000);
    cr_expect_eq(stats_of(group).floor, 1000000);
    cr_expect_eq(group_cursor(group), 1000000);
    cr_expect(group_wants_more(group));
    offer(group, KEY_A);
    cr_expect_eq(deliver(group).offset, 1000000);
    group_destroy(&group);
}

// --- what is saved

Test(group, the_saved_bytes_are_the_documented_ones)
{
    struct group *group = group_new("pay", 120);
    group_set_retries(group, RETRIES);
    group_set_order(group, false);
    group_join(group, ANNA, 10);
    offer_count(group, NO_KEY, 6);
    const struct group_delivery first = deliver(group);
    ack(group, deliver(group));
    const struct group_delivery third = deliver(group);
    const struct group_failure odd = {.wall_us = 9, .error = {(const uint8_t *)"\n\xc3\xa9", 3}};
    reject_for(group, third, odd);
    nack_after(group, first, 340);
    const struct group_delivery again = deliver_at(group, 2000);
    nack_after(group, again, 340);

    struct buf bytes = saved(group, 1100);

    static const uint8_t expected[] =
        {
            3,   0,    'p',  'a',  'y', // name
            1,                          // no order
            3,                          // retries
            120,                        // floor
            3,                          // of so many offsets something is known
            2,   2,    2,    0xf0, 1,   0x40, 0x4b, 0x4c, 0,
            0,   0,    0,    0,    0,   17,   0, // failed twice, due in 240 ms
            'c', 'a',  'r',  'd',  ' ', 'n',  'e',  't',  'w',
            'o', 'r',  'k',  ' ',  'd', 'o',  'w',  'n',
            1, // done
            2,   1,    1,    0,    9,   0,    0,    0,    0,
            0,   0,    0,    1,    3,   0, // failed, is dying
            ' ', 0xc3, 0xa9,
        };
    cr_assert_eq(bytes.size, sizeof expected);
    cr_expect_arr_eq(bytes.data, expected, sizeof expected);
    buf_release(&bytes);
    group_destroy(&group);
}

Test(group, a_load_refuses_what_is_never_saved)
{
    static const struct {
        const char *what;
        uint8_t bytes[24];
        uint8_t size;
    } cases[] = {
        {"a floor past the log", {1, 0, 'a', 0, 3, 101, 0}, 7},
        {"an offset past the log", {1, 0, 'a', 0, 3, 99, 2, 3, 3}, 9},
        {"fewer offsets than promised", {1, 0, 'a', 0, 3, 0, 2, 3}, 8},
        {"too many retries", {1, 0, 'a', 0, 0xff, 0xff, 0xff, 0xff, 0x1f, 0, 0}, 11},
        {"too many deliveries", {1, 0, 'a', 0, 3, 0, 1, 0x82, 0x80, 0x80, 0x80, 0x08}, 12},
        {"an endless delay",
         {1, 0, 'a', 0, 3, 0, 1, 2, 1, 1, 0xff, 0xff, 0xff, 0x7f, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0},
         24},
        {"half a name", {9, 0, 'a'}, 3},
        {"nothing", {0}, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reader reader = {.rest = {cases[i].bytes, cases[i].size}};
        struct group *group = group_load(&reader, 100, 0);
        cr_expect(reader.failed, "%s", cases[i].what);
        group_destroy(&group);
    }
}

Test(group, a_saved_text_of_no_length_comes_back_as_one)
{
    struct group *group = new_group();
    group_join(group, ANNA, 1);
    offer(group, NO_KEY);
    const struct group_delivery held = deliver(group);
    reject_for(group, held, (struct group_failure){.now_ms = 1});
    restart(&group, 0);
    struct group_entry_info info = {0};
    cr_assert(group_dying_next(group, 0, &info));
    cr_expect_str_eq(info.error, "");
    group_destroy(&group);
}

Test(group, a_restart_keeps_what_is_done_and_how_often_the_rest_was_tried)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer(group, KEY_A);
    offer(group, KEY_A);
    offer(group, KEY_B);
    offer(group, NO_KEY);
    const struct group_delivery a = deliver(group);
    ack(group, deliver(group));
    nack_after(group, a, 500);
    deliver(group);

    restart(&group, 1200);

    cr_expect_eq(group_cursor(group), 0);
    cr_expect(group_is_done(group, 2));
    cr_expect_eq(group_retries(group), RETRIES);
    cr_expect_str_eq(group_name(group), "payment");
    cr_expect_not(group_is_dirty(group));
    group_join(group, BERT, 10);
    offer(group, KEY_A);
    offer(group, KEY_A);
    offer(group, KEY_B);
    offer(group, NO_KEY);
    const struct group_delivery keyless = deliver_at(group, 1499);
    cr_expect_eq(keyless.offset, 3);
    cr_expect_eq(keyless.attempt, 2);
    expect_nothing_at(group, 1499);
    const struct group_delivery again = deliver_at(group, 1500);
    cr_expect_eq(again.offset, 0);
    cr_expect_eq(again.attempt, 2);
    struct group_entry_info info = {0};
    cr_assert(group_failing_next(group, 0, &info));
    cr_expect_eq(info.failures, 1);
    cr_expect_str_eq(info.error, "card network down");
    cr_expect_eq(info.first_failed_us, 5000000);
    ack(group, again);
    cr_expect_eq(deliver(group).offset, 1);
    group_destroy(&group);
}

Test(group, a_dying_event_is_known_after_a_restart_before_anybody_joins)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer_count(group, KEY_A, 2);
    reject(group, deliver(group));

    restart(&group, 0);

    struct group_entry_info info = {0};
    cr_assert(group_dying_next(group, 0, &info));
    cr_expect_eq(info.offset, 0);
    cr_assert(group_failing_next(group, 0, &info));
    cr_expect(group_buried(group, 0));
    cr_expect_not(group_dying_next(group, 0, &info));
    cr_expect_eq(group_cursor(group), 1, "what is done need not be offered");
    group_destroy(&group);
}

Test(group, a_dying_event_that_is_offered_again_still_blocks_its_key)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer_count(group, KEY_A, 2);
    reject(group, deliver(group));
    restart(&group, 0);
    group_join(group, ANNA, 10);

    offer_count(group, KEY_A, 2);

    expect_nothing(group);
    cr_expect_eq(stats_of(group).dying, 1);
    cr_expect_eq(stats_of(group).parked, 1);
    group_buried(group, 0);
    cr_expect_eq(deliver(group).offset, 1);
    group_destroy(&group);
}

// Other topics hold since: what waits for its retry is passed over, what wants a dead letter is
// not.
Test(group, of_what_does_not_match_any_more_after_a_restart_only_what_is_to_die_is_taken)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer_count(group, NO_KEY, 3);
    reject(group, deliver(group));
    deliver(group);
    cr_expect(group_is_taken(group, 0) && group_is_taken(group, 1) && group_is_taken(group, 2));
    cr_expect_not(group_is_taken(group, 3));
    restart(&group, 0);
    cr_expect(group_is_taken(group, 0), "it is to die");
    cr_expect_not(group_is_taken(group, 1));

    group_offer(group, false, 0);
    group_offer(group, false, 0);

    cr_expect_eq(stats_of(group).dying, 1);
    cr_expect_not(group_is_done(group, 0));
    cr_expect(group_is_done(group, 1));
    cr_expect_not(group_is_taken(group, 1));
    group_destroy(&group);
}

Test(group, a_dead_letter_found_in_the_log_buries_what_was_not_offered_yet)
{
    // The group file lags: it knows only that 0 to 4 were delivered, once.
    struct group *group = new_group();
    group_join(group, ANNA, 5);
    offer_count(group, NO_KEY, 5);
    for (int i = 0; i < 5; i++) {
        deliver(group);
    }
    restart(&group, 0);

    cr_expect(group_buried(group, 2));
    cr_expect(group_buried(group, 3));
    cr_expect(group_buried(group, 100000), "far beyond the window");
    cr_expect(group_buried(group, 100001));
    cr_expect_not(group_buried(group, 3));

    restart(&group, 0);
    cr_expect(group_is_done(group, 2));
    cr_expect(group_is_done(group, 100001));
    cr_expect_not(group_is_done(group, 99999));
    group_join(group, ANNA, 10);
    offer_count(group, NO_KEY, 5);
    cr_expect_eq(deliver(group).offset, 0);
    cr_expect_eq(deliver(group).attempt, 2);
    cr_expect_eq(deliver(group).offset, 4);
    expect_nothing(group);
    group_destroy(&group);
}

Test(group, an_empty_window_skips_what_is_known_to_be_done)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer_count(group, NO_KEY, 10);
    for (int i = 0; i < 10; i++) {
        deliver(group);
    }
    cr_assert_eq(group_ack(group, ANNA, 1, 9, 1), 9);
    restart(&group, 0);

    group_join(group, ANNA, 10);
    offer(group, NO_KEY);
    ack(group, deliver(group));

    cr_expect_eq(stats_of(group).floor, 10);
    cr_expect_eq(group_cursor(group), 10);
    group_destroy(&group);
}

Test(group, a_save_in_mid_reload_keeps_what_was_not_offered_again)
{
    struct group *group = new_group();
    group_join(group, ANNA, 10);
    offer_count(group, NO_KEY, 8);
    struct group_delivery held[8];
    for (int i = 0; i < 8; i++) {
        held[i] = deliver(group);
    }
    ack(group, held[5]);
    ack(group, held[6]);
    nack_after(group, held[7], 100);
    restart(&group, 1000);
    struct buf before = saved(group, 1000);
    group_join(group, ANNA, 10);
    offer_count(group, NO_KEY, 2);

    struct buf after = saved(group, 1000);

    expect_same(before, after);
    buf_release(&before);
    buf_release(&after);
    group_destroy(&group);
}

Test(group, what_changes_what_is_saved_makes_dirty_until_it_is_saved)
{
    struct group *group = new_group();
    cr_expect(group_is_dirty(group), "a new group wants to be kept");
    group_saved(group);

    group_join(group, ANNA, 10);
    offer(group, NO_KEY);
    cr_expect_not(group_is_dirty(group), "nothing to keep has changed");
    const struct group_delivery delivery = deliver(group);
    cr_expect(group_is_dirty(group), "an attempt");
    group_saved(group);
    ack(group, delivery);
    cr_expect(group_is_dirty(group), "the floor");
    group_saved(group);
    group_offer(group, false, NO_KEY);
    cr_expect(group_is_dirty(group), "the floor, by another topic");
    group_saved(group);
    group_set_retries(group, RETRIES);
    cr_expect_not(group_is_dirty(group));
    group_set_retries(group, RETRIES + 1);
    cr_expect(group_is_dirty(group));
    group_destroy(&group);
}
