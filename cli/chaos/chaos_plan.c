#include "cli/chaos/chaos_plan.h"

#include <assert.h>

#include "common/mem.h"

enum {
    GAP_MIN_MS = 100, // between the beginnings of two actions
    GAP_MAX_MS = 2400,
    // Now and then nothing happens for a while, so that what has piled up can get done:
    // a house that is hit all the time shows only how it starts.
    REST_ONE_IN = 20,
    REST_MIN_MS = 2000,
    REST_MAX_MS = 6000,
    SEVERAL_AT_LEAST = 2,
    AMBUSH_ONE_IN = 3, // of the kills of several
    AMBUSH_AFTER_MAX_MS = 400,
    ARMED_ONE_IN = 3,      // of the starts
    FIRST_PASS_ONE_IN = 2, // of the armed; what is passed once in a life needs that
    PASSES_MAX = 30,
    RUNNING_MIN_PERCENT = 5,
    RUNNING_MAX_PERCENT = 50,
};

// clang-format off
const struct chaos_kind_def chaos_kinds[CHAOS_KINDS] = {
    [CHAOS_KILL] = {.name = "kill", .weight = 28, .kills = true, .for_max_ms = 4000},
    [CHAOS_KILL_SEVERAL] = {.name = "kill-several", .weight = 12, .several = true, .kills = true,
                            .for_max_ms = 4000},
    [CHAOS_AMBUSH] = {.name = "ambush", .kills = true, .for_max_ms = 2000},
    [CHAOS_HICCUP] = {.name = "hiccup", .weight = 12, .for_min_ms = 50, .for_max_ms = 2000},
    [CHAOS_FREEZE] = {.name = "freeze", .weight = 8, .for_min_ms = 3500, .for_max_ms = 8000},
    [CHAOS_RESTART] = {.name = "restart", .weight = 12, .kills = true, .for_max_ms = 1000},
    [CHAOS_SLOW] = {.name = "slow", .weight = 8, .native_only = true, .for_min_ms = 1000,
                    .for_max_ms = 8000},
    [CHAOS_FULL] = {.name = "full-disk", .weight = 8, .native_only = true, .for_min_ms = 500,
                    .for_max_ms = 5000},
    [CHAOS_BRIM] = {.name = "no-growth", .weight = 6, .native_only = true, .for_min_ms = 2000,
                    .for_max_ms = 8000},
    [CHAOS_CRASH] = {.name = "crash-point", .kills = true},
};
// clang-format on

void chaos_plan_init(struct chaos_plan *self, uint64_t seed, const struct chaos_house *house)
{
    assert(house->parts_count > 0 && house->parts_count <= CHAOS_PARTS_MAX);
    assert(house->broker < house->parts_count);
    *self = (struct chaos_plan){.seed = {.state = seed}, .house = *house};
}

static bool one_in(struct chaos_plan *self, int64_t count)
{
    return seed_between(&self->seed, 1, count) == 1;
}

static enum chaos_kind draw_kind(struct chaos_plan *self)
{
    unsigned weights[CHAOS_KINDS];
    for (size_t i = 0; i < CHAOS_KINDS; i++) {
        const bool possible = self->house.native || !chaos_kinds[i].native_only;
        weights[i] = possible ? chaos_kinds[i].weight : 0;
    }
    return (enum chaos_kind)seed_weighted(&self->seed, weights, CHAOS_KINDS);
}

static bool is_free(const struct chaos_plan *self, size_t part, int64_t at_ms)
{
    return self->free_ms[part] <= at_ms;
}

static size_t free_count(const struct chaos_plan *self, int64_t at_ms)
{
    size_t count = 0;
    for (size_t i = 0; i < self->house.parts_count; i++) {
        count += is_free(self, i, at_ms) ? 1 : 0;
    }
    return count;
}

// Marks count of those who are free, each set of them as likely as any other.
static void draw_whom(struct chaos_plan *self, struct chaos_action *action, size_t count)
{
    size_t left = free_count(self, action->at_ms);
    assert(count <= left);
    for (size_t i = 0; i < self->house.parts_count; i++) {
        if (is_free(self, i, action->at_ms)) {
            if (seed_between(&self->seed, 1, (int64_t)left) <= (int64_t)count) {
                action->whom[i] = true;
                count--;
            }
            left--;
        }
    }
}

// For each that will be started again: whether it is armed, and with what.
static void arm(struct chaos_plan *self, struct chaos_action *action)
{
    action->crash_pass =
        one_in(self, FIRST_PASS_ONE_IN) ? 1 : (int)seed_between(&self->seed, 2, PASSES_MAX);
    for (size_t i = 0; i < self->house.parts_count; i++) {
        const int64_t points = (int64_t)self->house.crash_points[i];
        const bool armed = action->whom[i] && points > 0 && one_in(self, ARMED_ONE_IN);
        action->crash_point[i] = armed ? (int)seed_between(&self->seed, 0, points - 1) : -1;
    }
}

// How long it lasts, and what comes of that.
static void finish_action(struct chaos_plan *self, struct chaos_action *action)
{
    const struct chaos_kind_def *def = &chaos_kinds[action->kind];
    action->for_ms = seed_between(&self->seed, def->for_min_ms, def->for_max_ms);
    action->running_percent =
        (int)seed_between(&self->seed, RUNNING_MIN_PERCENT, RUNNING_MAX_PERCENT);
    arm(self, action);
    for (size_t i = 0; i < self->house.parts_count; i++) {
        if (action->whom[i]) {
            self->free_ms[i] = action->at_ms + action->for_ms;
        }
        action->crash_point[i] = def->kills ? action->crash_point[i] : -1;
    }
    self->now_ms = action->at_ms;
}

// The broker goes down when those of this action have just been started. When it is among
// them itself, it dies a second time.
static void plan_ambush(struct chaos_plan *self, const struct chaos_action *action)
{
    self->ambush_is_due = true;
    self->ambush = (struct chaos_action){.kind = CHAOS_AMBUSH};
    self->ambush.at_ms =
        action->at_ms + action->for_ms + seed_between(&self->seed, 0, AMBUSH_AFTER_MAX_MS);
    self->ambush.whom[self->house.broker] = true;
}

static int64_t draw_moment(struct chaos_plan *self)
{
    const int64_t gap_ms = one_in(self, REST_ONE_IN)
                               ? seed_between(&self->seed, REST_MIN_MS, REST_MAX_MS)
                               : seed_between(&self->seed, GAP_MIN_MS, GAP_MAX_MS);
    int64_t at_ms = self->now_ms + gap_ms;
    // Everybody may be under a fault: wait for the first to be over it.
    while (free_count(self, at_ms) == 0) {
        at_ms += GAP_MIN_MS;
    }
    return at_ms;
}

bool chaos_plan_next(struct chaos_plan *self, struct chaos_action *out)
{
    *out = (struct chaos_action){.at_ms = draw_moment(self)};
    if (self->ambush_is_due && self->ambush.at_ms <= out->at_ms) {
        *out = self->ambush;
        self->ambush_is_due = false;
        // Somebody may have hit it meanwhile: then the other one's end is the later.
        if (!is_free(self, self->house.broker, out->at_ms)) {
            out->at_ms = self->free_ms[self->house.broker];
        }
        finish_action(self, out);
        return out->at_ms < self->house.minutes_in_ms;
    }
    out->kind = draw_kind(self);
    const size_t free = free_count(self, out->at_ms);
    size_t count = 1;
    if (chaos_kinds[out->kind].several && free >= SEVERAL_AT_LEAST) {
        count = (size_t)seed_between(&self->seed, SEVERAL_AT_LEAST, (int64_t)free);
    }
    draw_whom(self, out, count);
    finish_action(self, out);
    if (count > 1 && one_in(self, AMBUSH_ONE_IN)) {
        plan_ambush(self, out);
    }
    return out->at_ms < self->house.minutes_in_ms;
}
