// What `faultline chaos` plans from a seed.
#include <criterion/criterion.h>
#include <string.h>

#include "cli/chaos/chaos_plan.h"
#include "cli/chaos/chaos_work.h"

enum {
    SEED = 4711,
    PARTS = 8,
    HALF_AN_HOUR_MS = 30 * 60 * 1000,
    ACTIONS_MAX = 10000,
};

static struct chaos_house house = {
    .parts_count = PARTS, .broker = 0, .native = true, .minutes_in_ms = HALF_AN_HOUR_MS};
static struct chaos_plan plan;
static struct chaos_action actions[ACTIONS_MAX];
static size_t actions_count;

static void make_plan(uint64_t seed)
{
    chaos_plan_init(&plan, seed, &house);
    for (actions_count = 0; chaos_plan_next(&plan, &actions[actions_count]); actions_count++) {
        cr_assert_lt(actions_count, ACTIONS_MAX - 1);
    }
}

static void give_crash_points(size_t count)
{
    for (size_t i = 0; i < PARTS; i++) {
        house.crash_points[i] = count;
    }
}

static size_t whom_count(const struct chaos_action *action)
{
    size_t count = 0;
    for (size_t i = 0; i < CHAOS_PARTS_MAX; i++) {
        count += action->whom[i] ? 1 : 0;
    }
    return count;
}

Test(chaos_plan, the_same_seed_makes_the_same_plan)
{
    static struct chaos_action first[ACTIONS_MAX];
    give_crash_points(12);
    make_plan(SEED);
    const size_t first_count = actions_count;
    memcpy(first, actions, sizeof first);

    make_plan(SEED);

    cr_assert_eq(actions_count, first_count);
    for (size_t i = 0; i < actions_count; i++) {
        cr_assert_eq(actions[i].kind, first[i].kind);
        cr_assert_eq(actions[i].at_ms, first[i].at_ms);
        cr_assert_eq(actions[i].for_ms, first[i].for_ms);
        cr_assert_eq(actions[i].crash_pass, first[i].crash_pass);
        cr_assert_eq(memcmp(actions[i].whom, first[i].whom, sizeof first[i].whom), 0);
        cr_assert_eq(memcmp(actions[i].crash_point, first[i].crash_point, sizeof(int) * PARTS), 0);
    }
}

Test(chaos_plan, another_seed_makes_another_plan)
{
    make_plan(SEED);
    const struct chaos_action first = actions[0];
    make_plan(SEED + 1);
    cr_expect(actions[0].at_ms != first.at_ms || actions[0].kind != first.kind);
}

Test(chaos_plan, a_longer_run_begins_like_a_shorter_one)
{
    make_plan(SEED);
    const struct chaos_action tenth = actions[10];
    house.minutes_in_ms = HALF_AN_HOUR_MS * 2;
    make_plan(SEED);
    cr_expect_eq(actions[10].at_ms, tenth.at_ms);
    cr_expect_eq(actions[10].kind, tenth.kind);
}

Test(chaos_plan, every_kind_occurs_about_as_often_as_its_weight_says)
{
    size_t counts[CHAOS_KINDS] = {0};
    size_t drawn = 0;
    unsigned weights = 0;
    for (uint64_t seed = 0; seed < 10; seed++) {
        make_plan(seed);
        for (size_t i = 0; i < actions_count; i++) {
            counts[actions[i].kind]++;
            drawn += chaos_kinds[actions[i].kind].weight > 0 ? 1 : 0;
        }
    }
    for (size_t kind = 0; kind < CHAOS_KINDS; kind++) {
        weights += chaos_kinds[kind].weight;
        const bool is_action = kind != CHAOS_CRASH;
        cr_expect_eq(counts[kind] > 0, is_action, "%s", chaos_kinds[kind].name);
    }
    for (size_t kind = 0; kind < CHAOS_KINDS; kind++) {
        const size_t wanted = drawn * chaos_kinds[kind].weight / weights;
        cr_expect(wanted == 0 || (counts[kind] > wanted * 4 / 5 && counts[kind] < wanted * 5 / 4),
                  "%s: %zu of %zu, not about %zu",
                  chaos_kinds[kind].name,
                  counts[kind],
                  drawn,
                  wanted);
    }
}

Test(chaos_plan, every_process_is_hit_and_several_and_all_are_hit_at_once)
{
    bool hit[PARTS] = {false};
    bool counts[PARTS + 1] = {false};
    make_plan(SEED);
    for (size_t i = 0; i < actions_count; i++) {
        counts[whom_count(&actions[i])] = true;
        for (size_t part = 0; part < PARTS; part++) {
            hit[part] = hit[part] || actions[i].whom[part];
        }
    }
    for (size_t part = 0; part < PARTS; part++) {
        cr_expect(hit[part]);
        cr_expect(counts[part + 1], "%zu at once", part + 1);
    }
}

// Nobody is under two faults at a time, all end, and whoever is out comes back within
// the longest time of its kind: so all of them are never out for longer than that.
Test(chaos_plan, every_fault_ends_and_nobody_has_two_of_them)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        int64_t free_ms[PARTS] = {0};
        int64_t before_ms = 0;
        make_plan(seed);
        for (size_t i = 0; i < actions_count; i++) {
            const struct chaos_action *action = &actions[i];
            const struct chaos_kind_def *def = &chaos_kinds[action->kind];
            cr_assert_geq(action->at_ms, before_ms);
            before_ms = action->at_ms;
            cr_assert(action->for_ms >= def->for_min_ms && action->for_ms <= def->for_max_ms);
            cr_assert_geq(whom_count(action), 1);
            cr_assert(def->several || whom_count(action) == 1);
            for (size_t part = 0; part < PARTS; part++) {
                if (action->whom[part]) {
                    cr_assert_geq(action->at_ms, free_ms[part]);
                    free_ms[part] = action->at_ms + action->for_ms;
                }
            }
        }
    }
}

Test(chaos_plan, the_broker_is_ambushed_while_others_come_up)
{
    size_t ambushes = 0;
    make_plan(SEED);
    for (size_t i = 1; i < actions_count; i++) {
        if (actions[i].kind != CHAOS_AMBUSH) {
            continue;
        }
        ambushes++;
        cr_expect(actions[i].whom[house.broker] && whom_count(&actions[i]) == 1);
        bool just_started = false;
        for (size_t j = 0; j < i; j++) {
            const int64_t since_ms = actions[i].at_ms - actions[j].at_ms - actions[j].for_ms;
            just_started = just_started || (actions[j].kind == CHAOS_KILL_SEVERAL && since_ms >= 0);
        }
        cr_expect(just_started);
    }
    cr_expect_gt(ambushes, 0);
}

Test(chaos_plan, only_who_was_dead_is_armed_with_a_crash_point_that_it_has)
{
    size_t armed = 0;
    give_crash_points(7);
    house.crash_points[3] = 0;
    make_plan(SEED);
    for (size_t i = 0; i < actions_count; i++) {
        for (size_t part = 0; part < PARTS; part++) {
            const int point = actions[i].crash_point[part];
            if (point >= 0) {
                armed++;
                cr_expect_lt(point, 7);
                cr_expect_neq(part, 3);
                cr_expect(actions[i].whom[part] && chaos_kinds[actions[i].kind].kills);
            }
        }
    }
    cr_expect_gt(armed, 0);
}

Test(chaos_plan, containers_are_only_killed_paused_and_restarted)
{
    house.native = false;
    make_plan(SEED);
    for (size_t i = 0; i < actions_count; i++) {
        cr_expect_not(chaos_kinds[actions[i].kind].native_only);
    }
}

Test(chaos_plan, a_house_of_one_process_can_be_harmed_as_well)
{
    house.parts_count = 1;
    make_plan(SEED);
    cr_expect_gt(actions_count, 100);
}

// --- the work

Test(chaos_work, the_nth_work_of_a_seed_is_always_the_same)
{
    struct chaos_work first;
    struct chaos_work again;
    chaos_work_of(SEED, 41, &again); // whatever was asked before
    for (uint64_t i = 0; i < 100; i++) {
        chaos_work_of(SEED, i, &first);
        chaos_work_of(SEED, i, &again);
        cr_expect_eq(first.way, again.way);
        cr_expect_str_eq(first.body, again.body);
    }
}

Test(chaos_work, everything_that_can_go_wrong_in_business_is_asked_for)
{
    static const char *const wanted[] = {"tok_visa",
                                         "tok_declined",
                                         "tok_flaky",
                                         "tok_poison",
                                         "mallory",
                                         "rare-print\",\"quantity\":4",
                                         "\"carol\""};
    size_t ways[CHAOS_WAYS] = {0};
    size_t counts[sizeof wanted / sizeof wanted[0]] = {0};
    struct chaos_work work;
    for (uint64_t i = 0; i < 3000; i++) {
        chaos_work_of(SEED, i, &work);
        ways[work.way]++;
        for (size_t j = 0; j < sizeof wanted / sizeof wanted[0]; j++) {
            counts[j] += strstr(work.body, wanted[j]) != NULL ? 1 : 0;
        }
    }
    for (size_t i = 0; i < CHAOS_WAYS; i++) {
        cr_expect_gt(ways[i], 300, "%s", chaos_way_name((enum chaos_way)i));
    }
    for (size_t j = 0; j < sizeof wanted / sizeof wanted[0]; j++) {
        cr_expect_gt(counts[j], 0, "%s", wanted[j]);
    }
}
