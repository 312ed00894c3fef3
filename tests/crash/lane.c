#include "tests/crash/lane.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crash_point.h"
#include "common/json.h"
#include "common/mem.h"
#include "tests/crash/check.h"
#include "tests/crash/rig.h"
#include "tests/crash/scenario.h"
#include "tests/crash/traffic.h"

enum {
    DIE_MS = 30000,          // how long a point may take to be reached
    PROVOKE_AGAIN_MS = 6000, // after a provocation that did not do it
    SETTLE_MS = 60000,
    STUCK_MS = 5000,
    RESTART_MS = 5000,
    EXIT_CODE_MS = 2000,
    LOOK_MS = 20
};

struct lane {
    struct rig rig;
    bool is_up;
    int poisons;                    // orders of this stack that stay pending
    struct check_findings findings; // of this stack, so far
    struct traffic_sum sum;         // the same
    const struct cell *cell;
    const struct scenario *scenario;
    struct cell_result result;
};

static bool fail(struct lane *self, const char *problem)
{
    (void)snprintf(self->result.said, sizeof self->result.said, "%s", problem);
    for (char *line = self->result.said; (line = strchr(line, '\n')) != NULL;) {
        *line = ' '; // the table has a line for each
    }
    return false;
}

static bool fail_as_told(struct lane *self, const char *what)
{
    char *problem = mem_format("%s: %s", what, (const char *)self->rig.said.data);
    (void)fail(self, problem);
    free(problem);
    return false;
}

// --- dying

static bool has_died(const struct lane *self, int64_t log_from)
{
    char *line = mem_format("died at crash point %s,", self->cell->point);
    const bool has = rig_log_has(&self->rig, self->cell->process, log_from, line);
    free(line);
    return has;
}

// The process was started by a command that has ended, so it is ours to wait for
// (PR_SET_CHILD_SUBREAPER), unless that command saw it die.
static int exit_code_of(struct lane *self, const char *start_said)
{
    char seen[32];
    (void)snprintf(seen, sizeof seen, "exit code %d ", CRASH_POINT_EXIT);
    if (strstr(start_said, seen) != NULL) {
        return CRASH_POINT_EXIT;
    }
    const pid_t pid = rig_pid(&self->rig, self->cell->process);
    const int64_t deadline_ms = clock_mono_ms() + EXIT_CODE_MS;
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, WNOHANG) == 0 && clock_mono_ms() < deadline_ms) {
        rig_pause_ms(1);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool start_armed(struct lane *self, char **said)
{
    const char *const *setting = self->scenario->environment;
    if (setting[0] != NULL) {
        (void)setenv(setting[0], setting[1], 1);
    }
    char *point =
        mem_format("%s:%d+%d", self->cell->point, self->cell->passing, self->cell->late_ms);
    const int code = RIG_RUN(&self->rig, "start", self->cell->process, "--crash-at", point);
    free(point);
    if (setting[0] != NULL) {
        (void)unsetenv(setting[0]);
    }
    *said = mem_strdup((const char *)self->rig.said.data);
    return (code == 0 && !self->scenario->starts) || strstr(*said, " while it started") != NULL ||
           fail_as_told(self, "the armed start");
}

static bool has_member(struct rig *rig, const char *group)
{
    cJSON *status = rig_get(rig, "broker", "/status");
    const cJSON *item = NULL;
    bool has = false;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(status, "groups"))
    {
        const char *name = json_text_of(item, "name");
        has = has || (name != NULL && strcmp(name, group) == 0 &&
                      cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(item, "members")) > 0);
    }
    cJSON_Delete(status);
    return has;
}

// The other one stands still as soon as it is a member of the new broker: what it is given
// from then on lies in its socket. Should the broker die before, both die, and that is all.
static bool freeze(struct lane *self, int64_t log_from)
{
    const char *frozen = self->cell->frozen;
    const int64_t deadline_ms = clock_mono_ms() + DIE_MS;
    if (frozen[0] == '\0') {
        return true;
    }
    while (!has_member(&self->rig, frozen) && !has_died(self, log_from)) {
        if (clock_mono_ms() >= deadline_ms) {
            return fail(self, "the other one never joined");
        }
        rig_pause_ms(LOOK_MS);
    }
    const pid_t pid = rig_pid(&self->rig, frozen);
    return (pid > 0 && kill(pid, SIGSTOP) == 0) || fail(self, "the other one cannot be stopped");
}

// Brings the process to its point.
static bool bring_to_death(struct lane *self, struct scene *scene)
{
    const int64_t log_from = rig_log_size(&self->rig, self->cell->process);
    const int64_t began_ms = clock_mono_ms();
    int64_t again_ms = 0;
    char *said = NULL;
    bool good = start_armed(self, &said) && freeze(self, log_from);
    while (good && !has_died(self, log_from)) {
        const int64_t now_ms = clock_mono_ms();
        if (now_ms >= began_ms + DIE_MS) {
            self->result.never_came = true;
            good = fail(self, "it never came there");
        } else if (self->scenario->provoke != NULL && now_ms >= again_ms) {
            good = self->scenario->provoke(scene);
            again_ms = now_ms + PROVOKE_AGAIN_MS;
        }
        rig_pause_ms(LOOK_MS);
    }
    if (good) {
        rig_note_death(&self->rig, self->cell->process);
        self->result.took_ms = (int32_t)(clock_mono_ms() - began_ms);
        self->result.exit_code = exit_code_of(self, said);
        good = self->result.exit_code == CRASH_POINT_EXIT || fail(self, "another exit code");
        self->result.fired = good;
    }
    free(said);
    return good;
}

// --- coming back

static bool start_plain(struct lane *self, const char *process)
{
    const int64_t deadline_ms = clock_mono_ms() + RESTART_MS;
    while (RIG_RUN(&self->rig, "start", process) != 0) {
        // For a moment a process that says that it dies is not dead yet.
        if (strstr((const char *)self->rig.said.data, "is not dead") == NULL ||
            clock_mono_ms() >= deadline_ms) {
            return fail_as_told(self, "the start afterwards");
        }
        rig_pause_ms(LOOK_MS);
    }
    return true;
}

// Orders that wait for nothing that is on its way wait for ever: they get no minute.
static bool come_to_rest(struct lane *self)
{
    const int64_t deadline_ms = clock_mono_ms() + SETTLE_MS;
    int64_t stuck_ms = INT64_MAX; // when to give up
    for (;;) {
        const int64_t now_ms = clock_mono_ms();
        const enum check_rest rest = check_rest(&self->rig, self->poisons);
        if (rest == CHECK_SETTLED) {
            return true;
        }
        if (rest != CHECK_STUCK) {
            stuck_ms = INT64_MAX;
        } else if (stuck_ms == INT64_MAX) {
            stuck_ms = now_ms + STUCK_MS;
        }
        if (now_ms >= deadline_ms || now_ms >= stuck_ms) {
            check_unsettled(&self->rig, self->poisons, self->result.said);
            return false;
        }
        rig_pause_ms(LOOK_MS);
    }
}

// How the answers that clients were given fail to be what they must; they are in self->sum.
static bool fit_answers(struct lane *self)
{
    return (self->sum.wrong[0] == '\0' || fail(self, self->sum.wrong)) &&
           check_counts(&self->rig, self->poisons, &self->sum, &self->result);
}

static bool die(struct lane *self, struct scene *scene)
{
    const struct scenario *scenario = self->scenario;
    const char *frozen = self->cell->frozen;
    return (rig_kill(&self->rig, self->cell->process) || fail_as_told(self, "the kill before")) &&
           (scenario->prepare == NULL || scenario->prepare(scene)) && bring_to_death(self, scene) &&
           (frozen[0] == '\0' || rig_kill(&self->rig, frozen) ||
            fail_as_told(self, "the other kill")) &&
           (scenario->clean_up == NULL || scenario->clean_up(scene));
}

static bool come_back(struct lane *self, struct scene *scene)
{
    const struct scenario *scenario = self->scenario;
    const char *frozen = self->cell->frozen;
    return start_plain(self, self->cell->process) &&
           (frozen[0] == '\0' || start_plain(self, frozen)) &&
           (scenario->restore == NULL || scenario->restore(scene));
}

// Under traffic from before the death until the process is back.
static bool die_and_come_back(struct lane *self)
{
    struct scene scene = {.rig = &self->rig, .cell = self->cell, .poisons = &self->poisons};
    const char *token = self->scenario->sync_token;
    struct traffic *traffic = traffic_start(&self->rig, token == NULL ? "tok_visa" : token);
    bool good = die(self, &scene);
    const int64_t began_ms = clock_mono_ms();
    good = good && come_back(self, &scene);
    traffic_stop(&traffic, &self->sum);
    good = good && come_to_rest(self);
    if (good) {
        self->result.recovered_ms = (int32_t)(clock_mono_ms() - began_ms);
    }
    if (scene.problem != NULL) {
        (void)fail(self, scene.problem);
        free(scene.problem);
    }
    return good && fit_answers(self);
}

// --- cells

static bool has_stack(struct lane *self)
{
    if (!self->is_up) {
        self->poisons = 0;
        self->findings = (struct check_findings){0};
        self->sum = (struct traffic_sum){0};
        self->is_up = rig_up(&self->rig);
    }
    return self->is_up || fail_as_told(self, "the stack does not come up");
}

static void work_on(struct lane *self, const struct cell *cells, uint16_t number)
{
    self->cell = &cells[number];
    self->scenario = scenario_of(self->cell->point);
    self->result =
        (struct cell_result){.number = number, .ran = true, .exit_code = -1, .recovered_ms = -1};
    memset(self->rig.deaths, 0, sizeof self->rig.deaths);
    self->is_up = self->is_up && !self->scenario->spoils;
    self->result.good =
        has_stack(self) && die_and_come_back(self) &&
        check_verify(&self->rig, !self->scenario->spoils, &self->findings, &self->result);
    if (!self->result.good) {
        const struct cell *cell = self->cell;
        printf("--- %s:%d+%d in %s%s%s: %s\n",
               cell->point,
               cell->passing,
               cell->late_ms,
               cell->process,
               cell->frozen[0] == '\0' ? "" : " and ",
               cell->frozen,
               self->result.said);
        (void)RIG_RUN(&self->rig, "logs", "--level", "warn", "-n", "30");
        printf("%s\n", (const char *)self->rig.said.data);
        (void)fflush(stdout);
    }
    // What failed leaves nobody knows what.
    self->is_up = self->is_up && self->result.good && !self->scenario->spoils;
    while (waitpid(-1, NULL, WNOHANG) > 0) { // what was killed before
    }
}

// A lane whose test was killed is told so, and becomes the command that ends its stack.
static void *watch(void *argument)
{
    const struct lane *self = argument;
    sigset_t signals;
    int number = 0;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    if (sigwait(&signals, &number) == 0 && self->rig.dir != NULL) {
        char *path = mem_format("%s/faultline", self->rig.bin);
        (void)execl(path, path, "down", "--data", "--dir", self->rig.dir, (char *)NULL);
    }
    _exit(1);
}

static void start_watch(struct lane *self)
{
    pthread_t thread;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL); // for all threads: the watch takes it
    if (pthread_create(&thread, NULL, watch, self) != 0 || pthread_detach(thread) != 0) {
        abort();
    }
}

static int work_on_all(struct lane *self, const struct cell *cells, int todo, int results)
{
    uint16_t number = 0;
    while (read(todo, &number, sizeof number) == (ssize_t)sizeof number) {
        work_on(self, cells, number);
        if (write(results, &self->result, sizeof self->result) < 0) {
            return 1;
        }
    }
    return 0;
}

int lane_run(const char *bin, const struct cell *cells, int todo, int results)
{
    struct lane *self = mem_calloc(1, sizeof *self);
    int code = 1;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)setenv("NO_COLOR", "1", 1);
    (void)setenv("SEGMENT_BYTES", "1048576", 1); // so that segments are full now and then
    // No call to one who lives ends before it is answered, however busy the machine is: what
    // a chain leaves undone is then due to a death (check.c).
    (void)setenv("SYNC_TIMEOUT_MS", "10000", 1);
    if (rig_open(&self->rig, bin)) {
        start_watch(self);
        code = work_on_all(self, cells, todo, results);
    }
    rig_close(&self->rig);
    return code; // self stays: the watch looks at it until the process ends
}
