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
#include "common/mem.h"
#include "tests/crash/check.h"
#include "tests/crash/rig.h"
#include "tests/crash/scenario.h"
#include "tests/crash/traffic.h"

enum {
    DIE_MS = 30000,          // how long a point may take to be reached
    PROVOKE_AGAIN_MS = 6000, // after a provocation that did not do it
    SETTLE_MS = 60000,
    RESTART_MS = 5000,
    EXIT_CODE_MS = 2000,
    LOOK_MS = 20
};

struct lane {
    struct rig rig;
    bool is_up;
    int poisons;                    // orders of this stack that stay pending
    struct check_findings findings; // of this stack, so far
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
    const int code =
        RIG_RUN(&self->rig, "start", self->cell->process, "--crash-at", self->cell->point);
    if (setting[0] != NULL) {
        (void)unsetenv(setting[0]);
    }
    *said = mem_strdup((const char *)self->rig.said.data);
    return (code == 0 && !self->scenario->starts) || strstr(*said, " while it started") != NULL ||
           fail_as_told(self, "the armed start");
}

// Brings the process to its point.
static bool bring_to_death(struct lane *self, struct scene *scene)
{
    const int64_t log_from = rig_log_size(&self->rig, self->cell->process);
    const int64_t began_ms = clock_mono_ms();
    int64_t again_ms = 0;
    char *said = NULL;
    bool good = start_armed(self, &said);
    while (good && !has_died(self, log_from)) {
        const int64_t now_ms = clock_mono_ms();
        if (now_ms >= began_ms + DIE_MS) {
            good = fail(self, "it never came there");
        } else if (self->scenario->provoke != NULL && now_ms >= again_ms) {
            good = self->scenario->provoke(scene);
            again_ms = now_ms + PROVOKE_AGAIN_MS;
        }
        rig_pause_ms(LOOK_MS);
    }
    if (good) {
        self->result.took_ms = (int32_t)(clock_mono_ms() - began_ms);
        self->result.exit_code = exit_code_of(self, said);
        good = self->result.exit_code == CRASH_POINT_EXIT || fail(self, "another exit code");
        self->result.fired = good;
    }
    free(said);
    return good;
}

// --- coming back

static bool start_plain(struct lane *self)
{
    const int64_t deadline_ms = clock_mono_ms() + RESTART_MS;
    while (RIG_RUN(&self->rig, "start", self->cell->process) != 0) {
        // For a moment a process that says that it dies is not dead yet.
        if (strstr((const char *)self->rig.said.data, "is not dead") == NULL ||
            clock_mono_ms() >= deadline_ms) {
            return fail_as_told(self, "the start afterwards");
        }
        rig_pause_ms(LOOK_MS);
    }
    return true;
}

static bool come_to_rest(struct lane *self)
{
    const int64_t deadline_ms = clock_mono_ms() + SETTLE_MS;
    while (!check_is_settled(&self->rig, self->poisons)) {
        if (clock_mono_ms() >= deadline_ms) {
            check_unsettled(&self->rig, self->poisons, self->result.said);
            return false;
        }
        rig_pause_ms(LOOK_MS);
    }
    return true;
}

// Under traffic from before the death until the process is back.
static bool die_and_come_back(struct lane *self)
{
    struct scene scene = {.rig = &self->rig, .cell = self->cell, .poisons = &self->poisons};
    const struct scenario *scenario = self->scenario;
    const char *token = scenario->sync_token == NULL ? "tok_visa" : scenario->sync_token;
    struct traffic *traffic = traffic_start(&self->rig, token);
    bool good = RIG_RUN(&self->rig, "kill", self->cell->process) == 0 ||
                fail_as_told(self, "the kill before");
    good = good && (scenario->prepare == NULL || scenario->prepare(&scene));
    good = good && bring_to_death(self, &scene);
    good = good && (scenario->clean_up == NULL || scenario->clean_up(&scene));
    const int64_t began_ms = clock_mono_ms();
    good = good && start_plain(self);
    traffic_stop(&traffic);
    good = good && come_to_rest(self);
    if (good) {
        self->result.recovered_ms = (int32_t)(clock_mono_ms() - began_ms);
    }
    if (scene.problem != NULL) {
        (void)fail(self, scene.problem);
        free(scene.problem);
    }
    return good;
}

// --- cells

static bool has_stack(struct lane *self)
{
    if (!self->is_up) {
        self->poisons = 0;
        self->findings = (struct check_findings){0};
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
    self->result.good =
        has_stack(self) && die_and_come_back(self) &&
        check_verify(&self->rig, !self->scenario->spoils, &self->findings, &self->result);
    if (!self->result.good) {
        printf("--- %s in %s: %s\n", self->cell->point, self->cell->process, self->result.said);
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
    if (rig_open(&self->rig, bin)) {
        start_watch(self);
        code = work_on_all(self, cells, todo, results);
    }
    rig_close(&self->rig);
    return code; // self stays: the watch looks at it until the process ends
}
