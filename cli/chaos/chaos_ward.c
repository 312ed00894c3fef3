#include "cli/chaos/chaos_ward.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "cli/chaos/chaos_ward_state.h"
#include "cli/command.h"
#include "cli/file_limit.h"
#include "common/crash_point.h"
#include "common/mem.h"

enum {
    PROBE_TIMEOUT_MS = 100, // the ward must not stand still
    PROBE_GAP_MS = 20,
    LOOK_GAP_MS = 100,
    SLICE_MS = 60, // a slow process stands still for so long at most
    REAP_MS = 1000,
    LATE_MS = 30000, // not ready so long after a fault: told in the log
};

#define EXIT_CODE "exit code %d"

// --- the ward

struct chaos_ward *chaos_ward_new(const char *dir, struct target *target,
                                  const struct chaos_log *log)
{
    struct chaos_ward *self = mem_calloc(1, sizeof *self);
    self->dir = dir;
    self->target = target;
    self->log = log;
    self->client = http_client_new();
    self->tally.parts_count = target->parts_count;
    for (size_t i = 0; i < target->parts_count; i++) {
        self->patients[i].point = self->patients[i].next_point = -1;
        memcpy(self->tally.names[i], target->parts[i].name, HOUSE_NAME_SIZE);
        // What a run that was killed itself left behind.
        if (target->stack != NULL) {
            (void)file_limit_lift(target->parts[i].id);
        }
    }
    return self;
}

void chaos_ward_destroy(struct chaos_ward **self_p)
{
    struct chaos_ward *self = *self_p;
    if (self == NULL) {
        return;
    }
    chaos_tally_release(&self->tally);
    free(self->problem);
    http_client_destroy(&self->client);
    free(self);
    *self_p = NULL;
}

struct chaos_tally *chaos_ward_tally(struct chaos_ward *self)
{
    return &self->tally;
}

bool chaos_ward_is_held(enum phase phase)
{
    return phase != WELL && phase != COMING && phase != LOST;
}

static size_t count_phase(const struct chaos_ward *self, enum phase phase)
{
    size_t count = 0;
    for (size_t i = 0; i < self->tally.parts_count; i++) {
        count += self->patients[i].phase == phase ? 1 : 0;
    }
    return count;
}

size_t chaos_ward_ill(const struct chaos_ward *self)
{
    return self->tally.parts_count - count_phase(self, WELL);
}

size_t chaos_ward_held(const struct chaos_ward *self)
{
    return chaos_ward_ill(self) - count_phase(self, COMING) - count_phase(self, LOST);
}

size_t chaos_ward_lost(const struct chaos_ward *self)
{
    return count_phase(self, LOST);
}

const struct chaos_trouble *chaos_ward_trouble(const struct chaos_ward *self, size_t index)
{
    static const struct chaos_trouble troubles[] = {
        [PROCESS_DEAD] = {"is dead", "start"},
        [PROCESS_PAUSED] = {"is paused", "resume"},
        [PROCESS_RUNNING] = {"is not ready", "logs"},
    };
    const struct part *part = &self->target->parts[index];
    if (self->patients[index].phase == WELL) {
        return NULL;
    }
    return &troubles[chaos_ward_is_native(self) ? process_state(part->id) : part->state];
}

const char *chaos_ward_name(const struct chaos_ward *self, size_t index)
{
    return self->tally.names[index];
}

bool chaos_ward_is_native(const struct chaos_ward *self)
{
    return self->target->stack != NULL;
}

bool chaos_ward_enter(struct chaos_ward *self)
{
    if (target_renew(self->target, self->dir) != ERR_OK) {
        return false;
    }
    bool same = self->target->parts_count == self->tally.parts_count;
    for (size_t i = 0; same && i < self->tally.parts_count; i++) {
        same = strcmp(self->target->parts[i].name, chaos_ward_name(self, i)) == 0;
    }
    if (!same) {
        cli_problem("somebody has changed which processes the stack has");
        target_release(self->target);
    }
    return same;
}

const char *chaos_ward_reap(const struct part *part, char *out, size_t size)
{
    const int64_t deadline_ms = clock_mono_ms() + REAP_MS;
    int status = 0;
    pid_t waited = -1;
    out[0] = '\0';
    if (part->container[0] != '\0' || part->id.pid <= 0) {
        return out;
    }
    while ((waited = waitpid(part->id.pid, &status, WNOHANG)) == 0 &&
           clock_mono_ms() < deadline_ms) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (waited != part->id.pid) {
        return out;
    }
    if (WIFSIGNALED(status)) {
        snprintf(out, size, "signal %d", WTERMSIG(status));
    } else {
        snprintf(out, size, EXIT_CODE, WEXITSTATUS(status));
    }
    return out;
}

bool chaos_ward_has_fired(struct chaos_ward *self, size_t index, const char *how)
{
    char wanted[32];
    struct patient *patient = &self->patients[index];
    snprintf(wanted, sizeof wanted, EXIT_CODE, CRASH_POINT_EXIT);
    if (patient->point < 0 || strcmp(how, wanted) != 0) {
        return false;
    }
    self->tally.fired[patient->point]++;
    self->tally.hits[CHAOS_CRASH][index]++;
    chaos_log_write(self->log,
                    "%s came to its crash point %s:%d",
                    chaos_ward_name(self, index),
                    crash_points[patient->point].name,
                    patient->point_pass);
    patient->point = -1;
    return true;
}

void chaos_ward_count_death(struct chaos_ward *self, size_t index, const char *how)
{
    self->tally.deaths[index]++;
    chaos_log_write(self->log,
                    "%s DIED, nobody had asked it to%s%s",
                    chaos_ward_name(self, index),
                    how[0] == '\0' ? "" : ": ",
                    how);
}

// --- meanwhile

static void slice(struct chaos_ward *self, size_t index, int64_t now_ms)
{
    struct patient *patient = &self->patients[index];
    if (patient->phase != SLOWED || now_ms < patient->slice_end_ms) {
        return;
    }
    patient->stopped = !patient->stopped;
    (void)process_signal(self->target->parts[index].id, patient->stopped ? SIGSTOP : SIGCONT);
    const int64_t going_ms = SLICE_MS * patient->running_percent / (100 - patient->running_percent);
    patient->slice_end_ms = now_ms + (patient->stopped ? SLICE_MS : going_ms);
}

// Who has just been started may not have got as far as to catch SIGTERM.
static bool is_good_end(const struct patient *patient, const char *how)
{
    return how[0] == '\0' || strcmp(how, "exit code 0") == 0 ||
           (patient->was_coming && strcmp(how, "signal 15") == 0);
}

static void look_at_leaving(struct chaos_ward *self, size_t index)
{
    struct patient *patient = &self->patients[index];
    const struct part *part = &self->target->parts[index];
    if (patient->phase != LEAVING || process_state(part->id) != PROCESS_DEAD) {
        return;
    }
    char how[32];
    (void)chaos_ward_reap(part, how, sizeof how);
    if (!is_good_end(patient, how) && !chaos_ward_has_fired(self, index, how)) {
        self->tally.bad_ends[index]++;
        chaos_log_write(
            self->log, "%s ended with %s after SIGTERM", chaos_ward_name(self, index), how);
    }
    patient->phase = DOWN;
    patient->due_ms = clock_mono_ms() + patient->down_ms;
}

// Somebody who should live is dead.
static void look_for_death(struct chaos_ward *self, size_t index)
{
    struct patient *patient = &self->patients[index];
    const struct part *part = &self->target->parts[index];
    // How a container is, the engine told when we last entered; to ask each time is slow.
    const bool is_dead = chaos_ward_is_native(self) ? process_state(part->id) == PROCESS_DEAD
                                                    : part->state == PROCESS_DEAD;
    const bool may_be_dead =
        patient->phase == DOWN || patient->phase == LEAVING || patient->phase == LOST;
    if (may_be_dead || !is_dead) {
        return;
    }
    char how[32];
    (void)chaos_ward_reap(part, how, sizeof how);
    if (!chaos_ward_has_fired(self, index, how)) {
        chaos_ward_count_death(self, index, how);
    }
    patient->kind = CHAOS_CRASH;
    patient->hit_us = clock_mono_us();
    patient->phase = DOWN;
    patient->due_ms = clock_mono_ms() + CHAOS_WARD_AGAIN_MS;
}

static void probe(struct chaos_ward *self, size_t index, int64_t now_ms)
{
    struct patient *patient = &self->patients[index];
    if (patient->phase != COMING || now_ms < patient->probe_ms) {
        return;
    }
    patient->probe_ms = now_ms + PROBE_GAP_MS;
    const int64_t asked_us = clock_mono_us();
    if (part_is_ready(&self->target->parts[index], self->client, PROBE_TIMEOUT_MS)) {
        const int64_t ready_us = clock_mono_us();
        chaos_times_add(&self->tally.outage[patient->kind], ready_us - patient->hit_us);
        chaos_times_add(&self->tally.recovery[patient->kind], ready_us - patient->lifted_us);
        chaos_log_write(self->log,
                        "%s is ready again after %.3f s, %.3f s of them to recover",
                        chaos_ward_name(self, index),
                        (double)(ready_us - patient->hit_us) / 1e6,
                        (double)(ready_us - patient->lifted_us) / 1e6);
        patient->phase = WELL;
    } else if (!patient->is_late && asked_us - patient->lifted_us > LATE_MS * INT64_C(1000)) {
        patient->is_late = true;
        chaos_log_write(self->log,
                        "%s is still not ready after %d s",
                        chaos_ward_name(self, index),
                        LATE_MS / 1000);
    }
}

bool chaos_ward_tend(struct chaos_ward *self)
{
    const int64_t now_ms = clock_mono_ms();
    if (!chaos_ward_lift_due(self, now_ms)) {
        return false;
    }
    const bool look = now_ms >= self->look_ms;
    self->look_ms = look ? now_ms + LOOK_GAP_MS : self->look_ms;
    for (size_t i = 0; i < self->tally.parts_count; i++) {
        slice(self, i, now_ms);
        look_at_leaving(self, i);
        if (look) {
            look_for_death(self, i);
        }
        probe(self, i, now_ms);
    }
    return true;
}
