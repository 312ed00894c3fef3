// The simulator: plays seeds, in as many processes as there are processors.
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "tests/sim/sim_schedule.h"

enum {
    WORKERS_MAX = 16,
    SCHEDULES_DEFAULT = 10000,
    AGAIN_EVERY = 100, // so many seeds are played twice: is the second the same?
    SCHEDULE_MAX_S = 120,
    PROGRESS_S = 5,
    COVERAGE_MIN = 5000, // a run of so many schedules must have seen everything
};

// What the workers tell, in shared memory.
struct worker {
    pid_t pid;
    uint64_t seed; // that it plays
    uint64_t played;
    uint64_t counts[SIM_HAPPENING_COUNT];
};

struct run {
    uint64_t first;     // seed
    uint64_t schedules; // 0: until the time is over
    uint64_t minutes;
    uint64_t seed; // is_single: that one
    bool is_single, is_traced;
    size_t workers_count;
    struct worker *workers; // shared
    time_t started;
};

static const char usage[] =
    "usage: sim [--schedules N] [--minutes N] [--first SEED] [--workers N]\n"
    "       sim --seed SEED [--trace]\n"
    "\n"
    "Plays the broker and its clients on a simulated network, disk and clock, and checks\n"
    "after every step that nothing that was promised is broken. tests/sim/README.md\n"
    "\n"
    "  --schedules N  as many seeds, one after the other (10000)\n"
    "  --minutes N    seeds for so long, with a line of progress every few seconds\n"
    "  --first SEED   the first seed (1)\n"
    "  --workers N    processes (one for each processor)\n"
    "  --seed SEED    one seed, twice: the second must be the same\n"
    "  --trace        and tell on stderr what happens\n"
    "\n"
    "Exit status: 0 nothing found, 1 a seed failed (it is printed), 2 wrong usage.\n";

static bool take_number(const char *text, uint64_t *out)
{
    char *end = NULL;
    *out = text == NULL ? 0 : strtoull(text, &end, 10);
    return text != NULL && *text >= '0' && *text <= '9' && *end == '\0';
}

static bool take_options(struct run *run, char **args)
{
    for (char **arg = args; *arg != NULL; arg++) {
        uint64_t workers = run->workers_count;
        bool is_good = true;
        if (strcmp(*arg, "--trace") == 0) {
            run->is_traced = true;
        } else if (strcmp(*arg, "--schedules") == 0) {
            is_good = take_number(*++arg, &run->schedules);
        } else if (strcmp(*arg, "--minutes") == 0) {
            is_good = take_number(*++arg, &run->minutes);
        } else if (strcmp(*arg, "--first") == 0) {
            is_good = take_number(*++arg, &run->first);
        } else if (strcmp(*arg, "--workers") == 0) {
            is_good = take_number(*++arg, &workers) && workers >= 1 && workers <= WORKERS_MAX;
        } else if (strcmp(*arg, "--seed") == 0) {
            run->is_single = true;
            is_good = take_number(*++arg, &run->seed);
        } else {
            is_good = false;
        }
        if (!is_good) {
            return false;
        }
        run->workers_count = (size_t)workers;
    }
    return true;
}

// --- one seed

static void play_again(uint64_t seed, uint64_t hash)
{
    uint64_t counts[SIM_HAPPENING_COUNT] = {0};
    if (sim_schedule_run(seed, false, counts) != hash) {
        fprintf(stderr, "\nsim: seed %" PRIu64 " is not the same when it is played twice\n", seed);
        exit(1);
    }
}

__attribute__((noreturn)) static void play_one(const struct run *run)
{
    uint64_t counts[SIM_HAPPENING_COUNT] = {0};
    dup2(STDERR_FILENO, STDOUT_FILENO); // the broker's own lines go with the trace
    (void)log_open("broker", "text", run->is_traced ? "info" : "error");
    const uint64_t hash = sim_schedule_run(run->seed, run->is_traced, counts);
    fprintf(stderr,
            "seed %" PRIu64 ": %" PRIu64 " steps, trace hash %016" PRIx64 "\n",
            run->seed,
            counts[SIM_STEPS],
            hash);
    play_again(run->seed, hash);
    _exit(0); // as in work
}

// --- many

static void work(const struct run *run, size_t number)
{
    struct worker *self = &run->workers[number];
    if (freopen("/dev/null", "w", stdout) == NULL) {
        exit(2);
    }
    (void)log_open("broker", "json", "error");
    for (uint64_t i = number; run->schedules == 0 || i < run->schedules; i += run->workers_count) {
        if (run->minutes != 0 && (uint64_t)(time(NULL) - run->started) >= 60 * run->minutes) {
            break;
        }
        self->seed = run->first + i;
        alarm(SCHEDULE_MAX_S);
        const uint64_t hash = sim_schedule_run(self->seed, false, self->counts);
        if (i % AGAIN_EVERY == 0) {
            play_again(self->seed, hash);
        }
        self->played++;
    }
    // A broker that ends itself leaves what that call had: no leaks are to be looked for.
    _exit(0);
}

static uint64_t played(const struct run *run)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < run->workers_count; i++) {
        sum += run->workers[i].played;
    }
    return sum;
}

static uint64_t count_of(const struct run *run, size_t what)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < run->workers_count; i++) {
        sum += run->workers[i].counts[what];
    }
    return sum;
}

// Says how often each thing happened. false: something never did, in a run that is long enough.
static bool report(const struct run *run, double seconds)
{
    bool is_complete = true;
    const uint64_t schedules = played(run);
    for (size_t i = 0; i < SIM_HAPPENING_COUNT; i++) {
        const uint64_t count = count_of(run, i);
        printf("%12" PRIu64 "  %s\n", count, sim_happening_name((enum sim_happening)i));
        if (count == 0 && schedules >= COVERAGE_MIN) {
            printf("sim: \"%s\" never happened: nothing of it was tested\n",
                   sim_happening_name((enum sim_happening)i));
            is_complete = false;
        }
    }
    printf("%" PRIu64 " schedules in %.1f s, %.0f a second, seeds from %" PRIu64 " on\n",
           schedules,
           seconds,
           (double)schedules / seconds,
           run->first);
    return is_complete;
}

static void kill_workers(const struct run *run)
{
    for (size_t i = 0; i < run->workers_count; i++) {
        if (run->workers[i].pid > 0) {
            kill(run->workers[i].pid, SIGKILL);
            waitpid(run->workers[i].pid, NULL, 0);
        }
    }
}

// A worker has ended. false: not well.
static bool ended_well(const struct run *run, pid_t pid, int status)
{
    for (size_t i = 0; i < run->workers_count; i++) {
        struct worker *worker = &run->workers[i];
        if (worker->pid != pid) {
            continue;
        }
        worker->pid = 0;
        if (WIFSIGNALED(status)) {
            fprintf(stderr,
                    "\nsim: seed %" PRIu64 " ends with signal %d (%s)\n",
                    worker->seed,
                    WTERMSIG(status),
                    WTERMSIG(status) == SIGALRM ? "it hangs" : strsignal(WTERMSIG(status)));
            fprintf(stderr,
                    "     again, with all that happened: sim --seed %" PRIu64 " --trace\n",
                    worker->seed);
        }
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return true;
}

static bool wait_for_workers(const struct run *run)
{
    const struct timespec nap = {.tv_nsec = 20000000};
    size_t left = run->workers_count;
    time_t told = time(NULL);
    while (left > 0) {
        int status = 0;
        const pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0) {
            left--;
            if (!ended_well(run, pid, status)) {
                kill_workers(run);
                return false;
            }
        } else {
            nanosleep(&nap, NULL);
        }
        if (run->minutes != 0 && time(NULL) - told >= PROGRESS_S) {
            told = time(NULL);
            printf("%" PRIu64 " schedules, %" PRIu64 " steps, %" PRIu64 " broker crashes\n",
                   played(run),
                   count_of(run, SIM_STEPS),
                   count_of(run, SIM_BROKER_KILLS) + count_of(run, SIM_POWER_LOSSES));
            fflush(stdout);
        }
    }
    return true;
}

static int play_many(struct run *run)
{
    struct timespec from;
    struct timespec to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    run->started = time(NULL);
    const int zero = open("/dev/zero", O_RDWR);
    run->workers =
        mmap(NULL, WORKERS_MAX * sizeof *run->workers, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
    if (run->workers == MAP_FAILED) {
        perror("sim: mmap");
        return 2;
    }
    fflush(stdout);
    for (size_t i = 0; i < run->workers_count; i++) {
        const pid_t pid = fork();
        if (pid == 0) {
            work(run, i);
        }
        run->workers[i].pid = pid;
    }
    if (!wait_for_workers(run)) {
        return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    const double seconds =
        (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    return report(run, seconds) ? 0 : 1;
}

int main(int argc, char **argv)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct run run = {
        .first = 1,
        .workers_count = processors < 1             ? 1
                         : processors > WORKERS_MAX ? WORKERS_MAX
                                                    : (size_t)processors,
    };
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (!take_options(&run, argv + 1)) {
        fputs(usage, stderr);
        return 2;
    }
    if (run.is_single) {
        play_one(&run);
    }
    if (run.schedules == 0 && run.minutes == 0) {
        run.schedules = SCHEDULES_DEFAULT;
    }
    return play_many(&run);
}
