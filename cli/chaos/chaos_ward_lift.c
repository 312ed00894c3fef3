// How a fault ends.
#include <stdlib.h>
#include <string.h>

#include "cli/chaos/chaos_ward_state.h"
#include "cli/command.h"
#include "cli/compose.h"
#include "cli/file_limit.h"
#include "cli/harm.h"
#include "cli/launch.h"
#include "common/crash_point.h"
#include "common/mem.h"

enum {
    LIFTS_MAX = 10 // so often in a row it is tried to bring one back
};

static enum err start_native(struct chaos_ward *self, size_t index)
{
    struct patient *patient = &self->patients[index];
    struct stack_process *process = &self->target->stack->processes[index];
    struct launch_set set = {0};
    char *problem = NULL;
    char *crash_at = NULL;
    if (patient->next_point >= 0) {
        crash_at = mem_format("%s:%d", crash_points[patient->next_point].name, patient->next_pass);
    }
    set.has[index] = true;
    process->crash_at = crash_at;
    enum err err = launch_check(self->target->stack, &set, &problem);
    if (err == ERR_OK) {
        err = launch_start(self->target->stack, &set, &problem);
    }
    if (err == ERR_OK) {
        self->target->parts[index].id = process->id;
        if (crash_at != NULL) {
            self->tally.armed[patient->next_point]++;
            chaos_log_write(
                self->log, "%s is armed with %s", chaos_ward_name(self, index), crash_at);
        }
        patient->point = patient->next_point;
        patient->point_pass = patient->next_pass;
        patient->next_point = -1;
    } else {
        chaos_log_write(
            self->log, "%s cannot be started: %s", chaos_ward_name(self, index), problem);
    }
    process->crash_at = NULL;
    free(crash_at);
    free(self->problem);
    self->problem = problem;
    return err;
}

// Whoever was killed may have died a moment before that, for a reason of his own.
static void look_how_it_died(struct chaos_ward *self, size_t index)
{
    char how[32];
    (void)chaos_ward_reap(&self->target->parts[index], how, sizeof how);
    if (how[0] != '\0' && strcmp(how, "signal 9") != 0 && !chaos_ward_has_fired(self, index, how)) {
        chaos_ward_count_death(self, index, how);
    }
}

static enum err start(struct chaos_ward *self, size_t index)
{
    struct part *part = &self->target->parts[index];
    if (part->state != PROCESS_DEAD) {
        return ERR_OK; // somebody else was faster
    }
    look_how_it_died(self, index);
    const enum err err =
        chaos_ward_is_native(self) ? start_native(self, index) : compose_act(part, "start");
    part->state = err == ERR_OK ? PROCESS_RUNNING : PROCESS_DEAD;
    return err;
}

static enum err end_fault(struct chaos_ward *self, size_t index)
{
    const struct part *part = &self->target->parts[index];
    switch (self->patients[index].phase) {
    case DOWN:
        return start(self, index);
    case STILL:
    case SLOWED:
        return harm_send(part, HARM_RESUME);
    case FULL:
        return file_limit_lift(part->id);
    default:
        return ERR_OK;
    }
}

// It could not be brought back: soon it is tried again, and some day no more.
static void try_again(struct chaos_ward *self, size_t index, enum err err)
{
    struct patient *patient = &self->patients[index];
    const bool is_start = patient->phase == DOWN && chaos_ward_is_native(self);
    self->tally.bad_lifts[index]++;
    patient->due_ms = clock_mono_ms() + CHAOS_WARD_AGAIN_MS;
    if (++patient->failures < LIFTS_MAX) {
        return;
    }
    patient->phase = LOST;
    chaos_log_write(self->log, "%s is given up", chaos_ward_name(self, index));
    cli_problem("%s could not be brought back %d times in a row, and is given up: %s",
                chaos_ward_name(self, index),
                LIFTS_MAX,
                is_start ? self->problem : err_name(err));
}

static void lift(struct chaos_ward *self, size_t index)
{
    struct patient *patient = &self->patients[index];
    const enum err err = end_fault(self, index);
    if (err == ERR_OK) {
        patient->phase = COMING;
        patient->failures = 0;
        patient->lifted_us = clock_mono_us();
        patient->probe_ms = 0;
        return;
    }
    if (err == ERR_NOT_FOUND && patient->phase != DOWN) {
        patient->phase = COMING; // it died: that is noticed next, and counted once
        patient->lifted_us = clock_mono_us();
        return;
    }
    try_again(self, index, err);
}

// SIGTERM was not enough.
static void force_end(struct chaos_ward *self, size_t index)
{
    struct patient *patient = &self->patients[index];
    self->tally.bad_ends[index]++;
    chaos_log_write(self->log,
                    "%s did not end within %d s of SIGTERM",
                    chaos_ward_name(self, index),
                    CHAOS_WARD_END_MS / 1000);
    (void)harm_do(&self->target->parts[index], HARM_KILL);
    patient->phase = DOWN;
    patient->due_ms = clock_mono_ms() + patient->down_ms;
}

bool chaos_ward_lift_due(struct chaos_ward *self, int64_t now_ms)
{
    bool any = false;
    for (size_t i = 0; i < self->tally.parts_count; i++) {
        const struct patient *patient = &self->patients[i];
        any = any || (chaos_ward_is_held(patient->phase) && patient->due_ms <= now_ms);
    }
    if (!any) {
        return true;
    }
    if (!chaos_ward_enter(self)) {
        return false;
    }
    for (size_t i = 0; i < self->tally.parts_count; i++) {
        const struct patient *patient = &self->patients[i];
        if (!chaos_ward_is_held(patient->phase) || patient->due_ms > now_ms) {
            continue;
        }
        if (patient->phase == LEAVING) {
            force_end(self, i);
        } else {
            lift(self, i);
        }
    }
    target_release(self->target);
    return true;
}

void chaos_ward_lift_all(struct chaos_ward *self)
{
    for (size_t i = 0; i < self->tally.parts_count; i++) {
        struct patient *patient = &self->patients[i];
        patient->next_point = -1;
        if (patient->phase == LEAVING) {
            patient->down_ms = 0;
        } else {
            patient->due_ms = 0;
        }
    }
}
