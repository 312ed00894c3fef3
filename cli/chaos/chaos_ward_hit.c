// How a fault begins.
#include "cli/chaos/chaos_ward_state.h"
#include "cli/file_limit.h"
#include "cli/harm.h"
#include "common/bytes.h"
#include "common/clock.h"

enum {
    DEAD_MS = 2000
};

// Who comes up may be hit again, but not by a disk that is full: that may keep anybody from
// starting, and says so.
static bool can_be_hit(const struct chaos_ward *self, enum chaos_kind kind, size_t index)
{
    const enum phase phase = self->patients[index].phase;
    const bool needs_disk = kind == CHAOS_FULL || kind == CHAOS_BRIM;
    return (phase == WELL || (phase == COMING && !needs_disk)) &&
           self->target->parts[index].state == PROCESS_RUNNING;
}

static void begin(struct chaos_ward *self, size_t index, const struct chaos_action *action,
                  enum phase phase)
{
    struct patient *patient = &self->patients[index];
    const size_t service = self->target->parts[index].service;
    *patient =
        (struct patient){.phase = phase,
                         .kind = action->kind,
                         .hit_us = clock_mono_us(),
                         .due_ms = clock_mono_ms() + action->for_ms,
                         // Who is asked to end may come to a point of that.
                         .was_coming = patient->phase == COMING,
                         .point = patient->point,
                         .point_pass = patient->point_pass,
                         .next_point = chaos_tally_point(service, action->crash_point[index]),
                         .next_pass = action->crash_pass,
                         .running_percent = action->running_percent};
}

// The signals go out together; only then is anybody waited for.
static void kill_them(struct chaos_ward *self, const struct chaos_action *action)
{
    for (size_t i = 0; i < self->tally.parts_count; i++) {
        if (action->whom[i]) {
            (void)harm_send(&self->target->parts[i], HARM_KILL);
            begin(self, i, action, DOWN);
        }
    }
    for (size_t i = 0; chaos_ward_is_native(self) && i < self->tally.parts_count; i++) {
        if (action->whom[i]) {
            (void)process_wait_state(self->target->parts[i].id, PROCESS_DEAD, DEAD_MS);
        }
    }
}

static void harm_one(struct chaos_ward *self, const struct chaos_action *action, size_t index)
{
    const struct part *part = &self->target->parts[index];
    const bool is_native = chaos_ward_is_native(self);
    enum err err = ERR_OK;
    switch (action->kind) {
    case CHAOS_RESTART:
        err = harm_send(part, HARM_END);
        begin(self, index, action, is_native ? LEAVING : DOWN);
        self->patients[index].down_ms = action->for_ms;
        self->patients[index].due_ms += is_native ? CHAOS_WARD_END_MS : 0;
        break;
    case CHAOS_HICCUP:
    case CHAOS_FREEZE:
        err = harm_do(part, HARM_PAUSE);
        begin(self, index, action, STILL);
        break;
    case CHAOS_SLOW:
        begin(self, index, action, SLOWED);
        break;
    case CHAOS_FULL:
        err = file_limit_set(part->id, 0);
        begin(self, index, action, FULL);
        break;
    case CHAOS_BRIM:
        err = file_limit_set(part->id, file_limit_largest(part->id));
        begin(self, index, action, FULL);
        break;
    default:
        break;
    }
    // Who has just died by himself cannot be harmed; that is noticed next.
    if (err != ERR_OK && !(is_native && process_state(part->id) == PROCESS_DEAD)) {
        self->tally.bad_lifts[index]++;
        chaos_log_write(self->log,
                        "%s: %s could not be done: %s",
                        part->name,
                        chaos_kinds[action->kind].name,
                        err_name(err));
    }
}

// Leaves of an action whom it can still hit, counts them and tells it.
static size_t choose(struct chaos_ward *self, const struct chaos_action *action,
                     struct chaos_action *out)
{
    struct buf names = {0};
    size_t count = 0;
    *out = *action;
    for (size_t i = 0; i < self->tally.parts_count; i++) {
        if (!action->whom[i]) {
            continue;
        }
        if (!can_be_hit(self, action->kind, i)) {
            out->whom[i] = false;
            self->tally.missed++;
            continue;
        }
        self->tally.hits[action->kind][i]++;
        buf_printf(&names, " %s", chaos_ward_name(self, i));
        count++;
    }
    chaos_log_write(self->log,
                    "%s for %.1f s:%s",
                    chaos_kinds[action->kind].name,
                    (double)action->for_ms / 1000.0,
                    count == 0 ? " nobody (still under a fault)" : (const char *)names.data);
    buf_release(&names);
    return count;
}

bool chaos_ward_hit(struct chaos_ward *self, const struct chaos_action *action)
{
    struct chaos_action chosen;
    if (!chaos_ward_enter(self)) {
        return false;
    }
    if (choose(self, action, &chosen) > 0) {
        if (chaos_kinds[chosen.kind].kills && chosen.kind != CHAOS_RESTART) {
            kill_them(self, &chosen);
        } else {
            for (size_t i = 0; i < self->tally.parts_count; i++) {
                if (chosen.whom[i]) {
                    harm_one(self, &chosen, i);
                }
            }
        }
    }
    target_release(self->target);
    return true;
}

bool chaos_ward_disarm(struct chaos_ward *self)
{
    struct chaos_action action = {.kind = CHAOS_RESTART};
    bool any = false;
    for (size_t i = 0; i < self->tally.parts_count; i++) {
        const struct patient *patient = &self->patients[i];
        action.whom[i] =
            (patient->phase == WELL || patient->phase == COMING) && patient->point >= 0;
        action.crash_point[i] = -1;
        any = any || action.whom[i];
    }
    return !any || chaos_ward_hit(self, &action);
}
