// bench_messages - measures the broker, and what others do with the same workloads in
// the same run. bench/broker and bench/peers build it and call it.
#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/messages/report.h"
#include "common/clock.h"
#include "common/mem.h"

struct settings {
    struct options options;
    struct report report;
    size_t runs;
    const char *json; // file; NULL: none
};

enum {
    KEY_RUNS = 'r',
    KEY_SECONDS = 's',
    KEY_BROKERS = 'b',
    KEY_DIR = 'd',
    KEY_JSON = 'j',
    KEY_EVENTS = 'e',
    KEY_BACKLOG = 'B',
    KEY_LIST = 'l',
};

static const struct argp_option option_table[] = {
    {"brokers",
     KEY_BROKERS,
     "A,B",
     0,
     "which brokers (default: Faultline, with and without sync)",
     0},
    {"runs", KEY_RUNS, "N", 0, "runs of each, medians are printed (default 3)", 0},
    {"seconds", KEY_SECONDS, "S", 0, "of one measurement (default 3)", 0},
    {"events", KEY_EVENTS, "N", 0, "of catch-up and recovery (default 1000000)", 0},
    {"backlog", KEY_BACKLOG, "N", 0, "events of memory-full (default 10000000)", 0},
    {"dir", KEY_DIR, "FOLDER", 0, "where servers keep their files, on a real disk (default .)", 0},
    {"json", KEY_JSON, "FILE", 0, "writes an object a line there as well", 0},
    {"list", KEY_LIST, NULL, 0, "names workloads and brokers", 0},
    {0},
};

static void list(void)
{
    printf("workloads:\n");
    for (size_t i = 0; workloads_at(i) != NULL; i++) {
        printf("  %-18s%s\n", workloads_at(i)->name, workloads_at(i)->title);
    }
    printf("brokers:\n");
    for (size_t i = 0; engines_at(i) != NULL; i++) {
        const char *missing = engines_at(i)->missing();
        printf("  %-18s%s%s%s\n",
               engines_at(i)->name,
               engines_at(i)->title,
               missing == NULL ? "" : " - not here: ",
               missing == NULL ? "" : missing);
    }
}

static void engines_add(struct report *report, const char *names, struct argp_state *state)
{
    char *copy = mem_strdup(names);
    char *rest = NULL;
    for (char *name = strtok_r(copy, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
        const struct engine *engine = engines_find(name);
        if (engine == NULL || report->engines_count == ENGINES_MAX) {
            argp_error(state, "no broker %s; --list names them", name);
            break;
        }
        const char *missing = engine->missing();
        if (missing != NULL) {
            fprintf(stderr, "%s is skipped: %s\n", engine->name, missing);
        } else {
            report->engines[report->engines_count++] = engine;
        }
    }
    free(copy);
}

static void workload_add(struct report *report, const char *name, struct argp_state *state)
{
    size_t i = 0;
    while (workloads_at(i) != NULL && strcmp(workloads_at(i)->name, name) != 0) {
        i++;
    }
    if (workloads_at(i) == NULL) {
        argp_error(state, "no workload %s; --list names them", name);
    } else if (report->workloads_count < WORKLOADS_MAX) {
        report->workloads[report->workloads_count++] = workloads_at(i);
    }
}

static uint64_t number_of(const char *text, struct argp_state *state)
{
    char *end = NULL;
    const double value = strtod(text, &end);
    if (end == text || *end != 0 || value < 1 || value > 1e12) {
        argp_error(state, "%s is no number of 1 or more", text);
    }
    return (uint64_t)value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct settings *self = state->input;
    switch (key) {
    case KEY_BROKERS:
        engines_add(&self->report, arg, state);
        return 0;
    case KEY_RUNS:
        self->runs = number_of(arg, state);
        self->runs = self->runs > RUNS_MAX ? RUNS_MAX : self->runs;
        return 0;
    case KEY_SECONDS:
        self->options.seconds = (double)number_of(arg, state);
        return 0;
    case KEY_EVENTS:
        self->options.events = number_of(arg, state);
        return 0;
    case KEY_BACKLOG:
        self->options.backlog = number_of(arg, state);
        return 0;
    case KEY_DIR:
        self->options.folder = arg;
        return 0;
    case KEY_JSON:
        self->json = arg;
        return 0;
    case KEY_LIST:
        list();
        exit(0);
    case ARGP_KEY_ARG:
        workload_add(&self->report, arg, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool applies(const struct workload *workload, const struct engine *engine)
{
    if (engine == &engine_disk) {
        return workload->has_disk;
    }
    return !workload->ours_only || engine == &engine_faultline;
}

// Measures in a process of its own, so that a client that fails ends one measurement and
// not all. false: it failed, and said why.
static bool measure(const struct workload *workload, const struct engine *engine,
                    const struct options *options, struct result *out)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return false;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        workload_run(workload, engine, options, out);
        exit(write(ends[1], out, sizeof *out) == (ssize_t)sizeof *out ? 0 : 1);
    }
    close(ends[1]);
    const bool is_whole = read(ends[0], out, sizeof *out) == (ssize_t)sizeof *out;
    close(ends[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    return is_whole && status == 0;
}

// One run of a workload on all brokers, one after the other: what else the machine does
// meets all of them.
static void round_run(struct settings *self, size_t row, size_t run)
{
    struct report *report = &self->report;
    const struct workload *workload = report->workloads[row];
    for (size_t column = 0; column < report->engines_count; column++) {
        const struct engine *engine = report->engines[column];
        if (!applies(workload, engine)) {
            continue;
        }
        struct cell *cell = &report->cells[row][column];
        struct result *result = &cell->runs[cell->count];
        fprintf(
            stderr, "run %zu of %zu, %s, %s: ", run + 1, self->runs, workload->name, engine->name);
        if (!measure(workload, engine, &self->options, result)) {
            fprintf(stderr, "failed, and does not count\n");
            continue;
        }
        cell->count++;
        fprintf(stderr,
                "%.0f (p99 %.0f us, %.2f us of the broker each, wrong "
                "%llu)\n",
                workload_figure(workload, result),
                result->p99_us,
                result->server_us,
                (unsigned long long)result->wrong);
    }
}

static void json_write(const struct settings *self)
{
    FILE *out = self->json == NULL ? NULL : fopen(self->json, "w");
    if (out != NULL) {
        report_print_json(&self->report, out);
        fclose(out);
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_table,
        .parser = parse,
        .args_doc = "[WORKLOAD...]",
        .doc = "Measures brokers with real processes on loopback, each run with a server and a "
               "folder of its own. An event is 256 bytes.\v"
               "Progress goes to standard error, the table to standard output. A run that is "
               "interrupted "
               "leaves its folder, faultline-bench-*.",
    };
    struct settings *self = mem_calloc(1, sizeof *self);
    self->options =
        (struct options){.folder = ".", .seconds = 3, .events = 1000000, .backlog = 10000000};
    self->runs = 3;
    argp_parse(&argp, argc, argv, 0, NULL, self);
    struct report *report = &self->report;
    if (report->engines_count == 0) {
        engines_add(report, "faultline,faultline-nosync,disk", NULL);
    }
    if (report->workloads_count == 0) {
        while (workloads_at(report->workloads_count) != NULL) {
            report->workloads[report->workloads_count] = workloads_at(report->workloads_count);
            report->workloads_count++;
        }
    }
    self->options.lanes = lanes_new();
    for (size_t row = 0; row < report->workloads_count; row++) {
        for (size_t run = 0; run < self->runs; run++) {
            round_run(self, row, run);
        }
    }
    report_print(report, stdout);
    json_write(self);
    free(self);
    return 0;
}
