#include "cli/chaos_ward.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "cli/command.h"
#include "cli/compose.h"
#include "cli/file_limit.h"
#include "cli/harm.h"
#include "cli/launch.h"
#include "common/bytes.h"
#include "common/crash_point.h"
#include "common/mem.h"

enum {
    END_MS = 5000,          // after SIGTERM; a service promises 2 s
    PROBE_TIMEOUT_MS = 100, // the ward must not stand still
    PROBE_GAP_MS = 20,
    LOOK_GAP_MS = 100,
    START_AGAIN_MS = 300, // after a death, or a start that failed
    SLICE_MS = 60,        // a slow process stands still for so long at most
    DEAD_MS = 2000,
    REAP_MS = 1000,
    LATE_MS = 30000, // not ready so long after a fault: told in the log
};

#define EXIT_CODE "exit code %d"

enum phase {
    WELL,
    DOWN,    // dead until due_ms
    LEAVING, // it got SIGTERM and has until due_ms
    STILL,   // paused until due_ms
    SLOWED,  // in slices until due_ms
    FULL,    // its files are limited until due_ms
    COMING,  // not ready yet
};

struct patient {
    enum phase phase;
    enum chaos_kind kind; // of its last fault
    int64_t due_ms;
    int64_t hit_us;
    int64_t lifted_us;
    int64_t probe_ms; // when to ask it again
    int64_t down_ms;  // LEAVING: how long to be dead then
    bool was_coming;  // when it was hit
    int point;        // index of crash_points that it is armed with; -1: none
    int point_pass;   // at which passing
    int next_point;   // likewise, from its next start on
    int next_pass;
    int running_percent;  // SLOWED
    int64_t slice_end_ms; // SLOWED: then it is stopped, or goes on
    bool stopped;         // SLOWED
    bool is_late;         // that has been told
};

struct chaos_ward {
    const char *dir;             // borrowed
    struct target *target;       // borrowed
    const struct chaos_log *log; // borrowed
    struct http_client *client;  // owned
    struct patient patients[CHAOS_PARTS_MAX];
    int64_t look_ms; // when to look for deaths again
    struct chaos_ward_counts counts;
};

// --- times

static void add_time(struct chaos_times *self, int64_t us)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? 64 : self->capacity * 2;
        self->us = mem_realloc(self->us, self->capacity * sizeof *self->us);
    }
    self->us[self->count++] = us;
}

static int compare_times(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left;
    const int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

int64_t chaos_times_percentile(struct chaos_times *self, int percent)
{
    if (self->count == 0) {
        return -1;
    }
    qsort(self->us, self->count, sizeof *self->us, compare_times);
    return self->us[(self->count - 1) * (size_t)percent / 100];
}

void chaos_ward_counts_release(struct chaos_ward_counts *self)
{
    for (size_t kind = 0; kind < CHAOS_KINDS; kind++) {
        free(self->outage[kind].us);
        free(self->recovery[kind].us);
        self->outage[kind] = self->recovery[kind] = (struct chaos_times){0};
    }
}

// --- the ward

struct chaos_ward *chaos_ward_new(const char *dir, struct target *target,
                                  const struct chaos_log *log)
{
    struct chaos_ward *self = mem_calloc(1, sizeof *self);
    self->dir = dir;
    self->target = target;
    self->log = log;
    self->client = http_client_new();
    self->counts.parts_count = target->parts_count;
    for (size_t i = 0; i < target->parts_count; i++) {
        self->patients[i].point = self->patients[i].next_point = -1;
        memcpy(self->counts.names[i], target->parts[i].name, HOUSE_NAME_SIZE);
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
    chaos_ward_counts_release(&self->counts);
    http_client_destroy(&self->client);
    free(self);
    *self_p = NULL;
}

struct chaos_ward_counts *chaos_ward_counts(struct chaos_ward *self)
{
    return &self->counts;
}

size_t chaos_ward_ill(const struct chaos_ward *self)
{
    size_t count = 0;
    for (size_t i = 0; i < self->counts.parts_count; i++) {
        count += self->patients[i].phase != WELL ? 1 : 0;
    }
    return count;
}

static const char *name_of(const struct chaos_ward *self, size_t index)
{
    return self->counts.names[index];
}

static bool is_native(const struct chaos_ward *self)
{
    return self->target->stack != NULL;
}

// Reads who is who, since a person may start things as well, and locks the stack.
static bool enter(struct chaos_ward *self)
{
    if (target_renew(self->target, self->dir) != ERR_OK) {
        return false;
    }
    bool same = self->target->parts_count == self->counts.parts_count;
    for (size_t i = 0; same && i < self->counts.parts_count; i++) {
        same = strcmp(self->target->parts[i].name, name_of(self, i)) == 0;
    }
    if (!same) {
        cli_problem("somebody has changed which processes the stack has");
        target_release(self->target);
    }
    return same;
}

// How a child of ours died, or "" when it is not ours. Its first thread may be gone a little
// before the last one is; only then can it be waited for.
static const char *reap(const struct part *part, char *out, size_t size)
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

// --- crash points

size_t chaos_ward_crash_points(size_t service)
{
    size_t count = 0;
    for (size_t i = 0; i < CHAOS_POINTS_MAX && crash_points[i].name != NULL; i++) {
        count += crash_point_is_of(&crash_points[i], house_service(service)) ? 1 : 0;
    }
    return count;
}

// The nth that a service has, as an index of crash_points; -1 for n = -1.
static int find_point(size_t service, int n)
{
    for (int i = 0; n >= 0 && i < CHAOS_POINTS_MAX && crash_points[i].name != NULL; i++) {
        if (crash_point_is_of(&crash_points[i], house_service(service)) && n-- == 0) {
            return i;
        }
    }
    return -1;
}

// Whether a process that died did so at its crash point; if so that is written down.
static bool has_fired(struct chaos_ward *self, size_t index, const char *how)
{
    char wanted[32];
    struct patient *patient = &self->patients[index];
    snprintf(wanted, sizeof wanted, EXIT_CODE, CRASH_POINT_EXIT);
    if (patient->point < 0 || strcmp(how, wanted) != 0) {
        return false;
    }
    self->counts.fired[patient->point]++;
    self->counts.hits[CHAOS_CRASH][index]++;
    chaos_log_write(self->log,
                    "%s came to its crash point %s:%d",
                    name_of(self, index),
                    crash_points[patient->point].name,
                    patient->point_pass);
    patient->point = -1;
    return true;
}

// --- a fault begins

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
    *patient = (struct patient){.phase = phase,
                                .kind = action->kind,
                                .hit_us = clock_mono_us(),
                                .due_ms = clock_mono_ms() + action->for_ms,
                                // Who is asked to end may come to a point of that.
                                .was_coming = patient->phase == COMING,
                                .point = patient->point,
                                .point_pass = patient->point_pass,
                                .next_point = find_point(service, action->crash_point[index]),
                                .next_pass = action->crash_pass,
                                .running_percent = action->running_percent};
}

// The signals go out together; only then is anybody waited for.
static void kill_them(struct chaos_ward *self, const struct chaos_action *action)
{
    for (size_t i = 0; i < self->counts.parts_count; i++) {
        if (action->whom[i]) {
            (void)harm_send(&self->target->parts[i], HARM_KILL);
            begin(self, i, action, DOWN);
        }
    }
    for (size_t i = 0; is_native(self) && i < self->counts.parts_count; i++) {
        if (action->whom[i]) {
            (void)process_wait_state(self->target->parts[i].id, PROCESS_DEAD, DEAD_MS);
        }
    }
}

static void harm_one(struct chaos_ward *self, const struct chaos_action *action, size_t index)
{
    const struct part *part = &self->target->parts[index];
    enum err err = ERR_OK;
    switch (action->kind) {
    case CHAOS_RESTART:
        err = harm_send(part, HARM_END);
        begin(self, index, action, is_native(self) ? LEAVING : DOWN);
        self->patients[index].down_ms = action->for_ms;
        self->patients[index].due_ms += is_native(self) ? END_MS : 0;
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
    if (err != ERR_OK) {
        self->counts.bad_lifts++;
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
    for (size_t i = 0; i < self->counts.parts_count; i++) {
        if (!action->whom[i]) {
            continue;
        }
        if (!can_be_hit(self, action->kind, i)) {
            out->whom[i] = false;
            self->counts.missed++;
            continue;
        }
        self->counts.hits[action->kind][i]++;
        buf_printf(&names, " %s", name_of(self, i));
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
    if (!enter(self)) {
        return false;
    }
    if (choose(self, action, &chosen) > 0) {
        if (chaos_kinds[chosen.kind].kills && chosen.kind != CHAOS_RESTART) {
            kill_them(self, &chosen);
        } else {
            for (size_t i = 0; i < self->counts.parts_count; i++) {
                if (chosen.whom[i]) {
                    harm_one(self, &chosen, i);
                }
            }
        }
    }
    target_release(self->target);
    return true;
}

// --- a fault ends

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
        self->target->parts[index].state = PROCESS_RUNNING;
        if (crash_at != NULL) {
            self->counts.armed[patient->next_point]++;
            chaos_log_write(self->log, "%s is armed with %s", name_of(self, index), crash_at);
        }
        patient->point = patient->next_point;
        patient->point_pass = patient->next_pass;
        patient->next_point = -1;
    } else {
        chaos_log_write(self->log, "%s cannot be started: %s", name_of(self, index), problem);
    }
    process->crash_at = NULL;
    free(crash_at);
    free(problem);
    return err;
}

static enum err start(struct chaos_ward *self, size_t index)
{
    const struct part *part = &self->target->parts[index];
    char how[32];
    (void)reap(part, how, sizeof how);
    if (part->state != PROCESS_DEAD) {
        return ERR_OK; // somebody else was faster
    }
    return is_native(self) ? start_native(self, index) : compose_act(part, "start");
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

static void lift(struct chaos_ward *self, size_t index)
{
    struct patient *patient = &self->patients[index];
    const enum err err = end_fault(self, index);
    if (err == ERR_OK) {
        patient->phase = COMING;
        patient->lifted_us = clock_mono_us();
        patient->probe_ms = 0;
        return;
    }
    if (err == ERR_NOT_FOUND && patient->phase != DOWN) {
        patient->phase = COMING; // it died: that is noticed next, and counted once
        patient->lifted_us = clock_mono_us();
        return;
    }
    self->counts.bad_lifts++;
    patient->due_ms = clock_mono_ms() + START_AGAIN_MS;
}

// SIGTERM was not enough.
static void force_end(struct chaos_ward *self, size_t index)
{
    struct patient *patient = &self->patients[index];
    self->counts.bad_ends++;
    chaos_log_write(
        self->log, "%s did not end within %d s of SIGTERM", name_of(self, index), END_MS / 1000);
    (void)harm_do(&self->target->parts[index], HARM_KILL);
    patient->phase = DOWN;
    patient->due_ms = clock_mono_ms() + patient->down_ms;
}

static bool lift_due(struct chaos_ward *self, int64_t now_ms)
{
    bool any = false;
    for (size_t i = 0; i < self->counts.parts_count; i++) {
        const struct patient *patient = &self->patients[i];
        any = any ||
              (patient->phase != WELL && patient->phase != COMING && patient->due_ms <= now_ms);
    }
    if (!any) {
        return true;
    }
    if (!enter(self)) {
        return false;
    }
    for (size_t i = 0; i < self->counts.parts_count; i++) {
        const struct patient *patient = &self->patients[i];
        if (patient->phase == WELL || patient->phase == COMING || patient->due_ms > now_ms) {
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
    for (size_t i = 0; i < self->counts.parts_count; i++) {
        struct patient *patient = &self->patients[i];
        if (patient->phase == LEAVING) {
            patient->down_ms = 0;
        } else {
            patient->due_ms = 0;
        }
    }
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
    (void)reap(part, how, sizeof how);
    if (!is_good_end(patient, how) && !has_fired(self, index, how)) {
        self->counts.bad_ends++;
        chaos_log_write(self->log, "%s ended with %s after SIGTERM", name_of(self, index), how);
    }
    patient->phase = DOWN;
    patient->due_ms = clock_mono_ms() + patient->down_ms;
}

// Somebody who should live is dead.
static void look_for_death(struct chaos_ward *self, size_t index)
{
    struct patient *patient = &self->patients[index];
    const struct part *part = &self->target->parts[index];
    if (patient->phase == DOWN || patient->phase == LEAVING ||
        process_state(part->id) != PROCESS_DEAD) {
        return;
    }
    char how[32];
    (void)reap(part, how, sizeof how);
    if (!has_fired(self, index, how)) {
        self->counts.deaths++;
        chaos_log_write(self->log,
                        "%s DIED, nobody had asked it to%s%s",
                        name_of(self, index),
                        how[0] == '\0' ? "" : ": ",
                        how);
    }
    patient->kind = CHAOS_CRASH;
    patient->hit_us = clock_mono_us();
    patient->phase = DOWN;
    patient->due_ms = clock_mono_ms() + START_AGAIN_MS;
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
        add_time(&self->counts.outage[patient->kind], ready_us - patient->hit_us);
        add_time(&self->counts.recovery[patient->kind], ready_us - patient->lifted_us);
        chaos_log_write(self->log,
                        "%s is ready again after %.3f s, %.3f s of them to recover",
                        name_of(self, index),
                        (double)(ready_us - patient->hit_us) / 1e6,
                        (double)(ready_us - patient->lifted_us) / 1e6);
        patient->phase = WELL;
    } else if (!patient->is_late && asked_us - patient->lifted_us > LATE_MS * INT64_C(1000)) {
        patient->is_late = true;
        chaos_log_write(
            self->log, "%s is not ready since %d s", name_of(self, index), LATE_MS / 1000);
    }
}

bool chaos_ward_tend(struct chaos_ward *self)
{
    const int64_t now_ms = clock_mono_ms();
    if (!lift_due(self, now_ms)) {
        return false;
    }
    const bool look = is_native(self) && now_ms >= self->look_ms;
    self->look_ms = look ? now_ms + LOOK_GAP_MS : self->look_ms;
    for (size_t i = 0; i < self->counts.parts_count; i++) {
        slice(self, i, now_ms);
        look_at_leaving(self, i);
        if (look) {
            look_for_death(self, i);
        }
        probe(self, i, now_ms);
    }
    return true;
}
