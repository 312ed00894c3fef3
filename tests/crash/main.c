// crash-matrix - every crash point in every process where it exists.
//
// The cells lie in a pipe; lanes, each a process with a stack of its own, take them from
// there and write what came of them into another one.
//
//   cells --> [pipe] --> lane, lane, lane, lane --> [pipe] --> table
#include <assert.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/seed.h"
#include "common/clock.h"
#include "common/crash_point.h"
#include "common/mem.h"
#include "tests/crash/lane.h"
#include "tests/crash/scenario.h"

enum {
    LANES_MAX = 16,
    LANES = 4
};

_Static_assert(sizeof(struct cell_result) <= PIPE_BUF, "a result goes through as one piece");

struct matrix {
    const char *bin;    // borrowed
    const char *report; // borrowed: a path without its ending; NULL: none is written
    int lanes;
    uint64_t seed;
    struct cell cells[CELLS_MAX];
    struct cell_result results[CELLS_MAX];
    size_t count;
};

// --- the cells

static bool is_wanted(const char *point, char *const *wanted, int wanted_count)
{
    bool is = wanted_count == 0;
    for (int i = 0; i < wanted_count; i++) {
        is = is || strcmp(wanted[i], point) == 0;
    }
    return is;
}

static struct cell *add_cell(struct matrix *self, const char *point, const char *process)
{
    const struct scenario *scenario = scenario_of(point);
    struct seed seed = seed_of(self->seed, self->count);
    struct cell *cell = &self->cells[self->count++];
    (void)snprintf(cell->point, sizeof cell->point, "%s", point);
    (void)snprintf(cell->process, sizeof cell->process, "%s", process);
    const int passings = scenario->passings == 0 ? 1 : scenario->passings;
    cell->passing = (int)seed_between(&seed, 1, passings);
    cell->late_ms = scenario->late_ms;
    return cell;
}

// What the broker saves while a service stands still must not call done what that was given
// and has not handled. It dies late enough that it has saved meanwhile: it does so each 100 ms,
// and delivers and takes acks a hundred times a second.
static void choose_frozen(struct matrix *self, char *const *wanted, int wanted_count)
{
    static const struct {
        const char *point;
        const char *frozen;
        int passing_first, passing_last;
    } choices[] = {
        {"broker-before-save", "payment", 14, 18},
        {"broker-save-written", "inventory", 14, 18},
        {"broker-save-renamed", "ledger", 14, 18},
        {"broker-after-save", "notification", 14, 18},
        {"broker-before-deliver", "fraud", 150, 200},
        {"broker-after-deliver", "transfer", 150, 200},
        {"broker-before-ack", "order", 150, 200},
        {"broker-after-ack", "payment", 150, 200},
    };
    for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
        if (is_wanted(choices[i].point, wanted, wanted_count)) {
            struct seed seed = seed_of(self->seed, self->count);
            struct cell *cell = add_cell(self, choices[i].point, "broker");
            (void)snprintf(cell->frozen, sizeof cell->frozen, "%s", choices[i].frozen);
            cell->passing =
                (int)seed_between(&seed, choices[i].passing_first, choices[i].passing_last);
        }
    }
}

// What spoils its stack comes last: else its lane would have to begin anew.
static void choose_cells(struct matrix *self, bool spoils, char *const *wanted, int wanted_count)
{
    static const char *const processes[] = {
        "broker", "order", "payment", "inventory", "notification", "fraud", "ledger", "transfer"};
    for (const struct crash_point_def *point = crash_points; point->name != NULL; point++) {
        if (!is_wanted(point->name, wanted, wanted_count) ||
            scenario_of(point->name)->spoils != spoils) {
            continue;
        }
        for (size_t i = 0; i < ARRAY_LEN(processes); i++) {
            if (crash_point_is_of(point, processes[i]) &&
                scenario_reaches(scenario_of(point->name), processes[i])) {
                assert(self->count < CELLS_MAX);
                (void)add_cell(self, point->name, processes[i]);
            }
        }
    }
}

static void choose_all(struct matrix *self, char *const *wanted, int wanted_count)
{
    choose_cells(self, false, wanted, wanted_count);
    choose_frozen(self, wanted, wanted_count);
    choose_cells(self, true, wanted, wanted_count);
}

// --- the lanes

static pid_t start_lane(const struct matrix *self, int todo, int results)
{
    (void)fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        // Whoever kills us and our process group must not kill what ends the stack.
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        exit(lane_run(self->bin, self->cells, todo, results));
    }
    return pid;
}

static bool work(struct matrix *self)
{
    int todo[2];
    int results[2];
    if (pipe(todo) != 0 || pipe(results) != 0) {
        return false;
    }
    for (size_t i = 0; i < self->count; i++) {
        const uint16_t number = (uint16_t)i;
        if (write(todo[1], &number, sizeof number) < 0) { // the pipe holds far more
            return false;
        }
    }
    close(todo[1]);
    for (int lane = 0; lane < self->lanes; lane++) {
        if (start_lane(self, todo[0], results[1]) < 0) {
            return false;
        }
    }
    close(todo[0]);
    close(results[1]);
    struct cell_result result;
    for (size_t done = 1; read(results[0], &result, sizeof result) == (ssize_t)sizeof result;
         done++) {
        self->results[result.number] = result;
        (void)fprintf(stderr,
                      "%3zu of %zu  %s in %s: %s\n",
                      done,
                      self->count,
                      self->cells[result.number].point,
                      self->cells[result.number].process,
                      result.good ? "good" : result.said);
    }
    close(results[0]);
    while (wait(NULL) > 0 || errno == EINTR) {
    }
    return true;
}

// --- the report

static void print_table(const struct matrix *self, FILE *out)
{
    static const char format[] = "%-30s  %-19s  %-5s  %9s  %9s  %-6s  %s\n";
    (void)fprintf(
        out, format, "POINT", "PROCESS", "FIRED", "AFTER", "RECOVERED", "VERIFY", "OVER HTTP");
    for (size_t i = 0; i < self->count; i++) {
        const struct cell_result *result = &self->results[i];
        const struct cell *cell = &self->cells[i];
        char point[2 * CELL_NAME_SIZE];
        char process[2 * CELL_NAME_SIZE];
        char took[16] = "-";
        char recovered[16] = "-";
        (void)snprintf(point, sizeof point, "%s:%d", cell->point, cell->passing);
        (void)snprintf(process,
                       sizeof process,
                       "%s%s%s",
                       cell->process,
                       cell->frozen[0] == '\0' ? "" : ", ",
                       cell->frozen);
        if (result->fired) {
            (void)snprintf(took, sizeof took, "%d ms", (int)result->took_ms);
        }
        if (result->recovered_ms >= 0) {
            (void)snprintf(recovered, sizeof recovered, "%d ms", (int)result->recovered_ms);
        }
        (void)fprintf(out,
                      format,
                      point,
                      process,
                      result->fired ? "yes" : "NO",
                      took,
                      recovered,
                      result->ran ? result->said : "did not run",
                      result->findings == 0 ? "-" : result->found);
    }
}

static void write_json(const struct matrix *self, FILE *out)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < self->count; i++) {
        const struct cell_result *result = &self->results[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "point", self->cells[i].point);
        cJSON_AddStringToObject(item, "process", self->cells[i].process);
        cJSON_AddStringToObject(item, "frozen", self->cells[i].frozen);
        cJSON_AddNumberToObject(item, "passing", self->cells[i].passing);
        cJSON_AddNumberToObject(item, "late_ms", self->cells[i].late_ms);
        cJSON_AddBoolToObject(item, "fired", result->fired);
        cJSON_AddBoolToObject(item, "never_came", result->never_came);
        cJSON_AddBoolToObject(item, "good", result->good);
        cJSON_AddNumberToObject(item, "exit_code", result->exit_code);
        cJSON_AddNumberToObject(item, "took_ms", result->took_ms);
        cJSON_AddNumberToObject(item, "recovered_ms", result->recovered_ms);
        cJSON_AddNumberToObject(item, "findings", result->findings);
        cJSON_AddStringToObject(item, "found", result->found);
        cJSON_AddStringToObject(item, "verify", result->said);
        cJSON_AddItemToArray(list, item);
    }
    char *text = cJSON_Print(list);
    (void)fprintf(out, "%s\n", text);
    cJSON_free(text);
    cJSON_Delete(list);
}

static void keep(const struct matrix *self, const char *ending,
                 void (*write_to)(const struct matrix *self, FILE *out))
{
    char *path = mem_format("%s.%s", self->report, ending);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        (void)fprintf(stderr, "cannot write %s: %s\n", path, strerror(errno));
    } else {
        write_to(self, file);
        (void)fclose(file);
    }
    free(path);
}

static void usage(FILE *out)
{
    (void)fputs("Usage: crash-matrix [--lanes N] [--report PATH] [--seed N] [POINT...]\n\n"
                "Kills each crash point, or those named, in each process where it exists; looks "
                "what is left.\n"
                "FAULTLINE_BIN names the folder of the executables.\n\n"
                "  --lanes N      stacks that work side by side (1 to 16, default 4)\n"
                "  --report PATH  keep the table in PATH.txt and PATH.json\n"
                "  --seed N       decides at which passing each dies; else it is the time\n",
                out);
}

static bool read_arguments(struct matrix *self, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--lanes") == 0 && i + 1 < argc) {
            self->lanes = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--report") == 0 && i + 1 < argc) {
            self->report = argv[++i];
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            self->seed = strtoull(argv[++i], NULL, 10);
        } else if (argv[i][0] == '-') {
            return false;
        } else {
            choose_all(self, argv + i, argc - i);
            return self->lanes >= 1 && self->lanes <= LANES_MAX && self->count > 0;
        }
    }
    choose_all(self, NULL, 0);
    return self->lanes >= 1 && self->lanes <= LANES_MAX;
}

int main(int argc, char **argv)
{
    struct matrix *self = mem_calloc(1, sizeof *self);
    self->lanes = LANES;
    self->seed = (uint64_t)clock_wall_us();
    self->bin = getenv("FAULTLINE_BIN");
    const int64_t began_ms = clock_mono_ms();
    if (self->bin == NULL || !read_arguments(self, argc, argv)) {
        usage(stderr);
        free(self);
        return 2;
    }
    self->lanes = (size_t)self->lanes < self->count ? self->lanes : (int)self->count;
    bool good = work(self);
    size_t good_count = 0;
    for (size_t i = 0; i < self->count; i++) {
        good_count += self->results[i].good ? 1 : 0;
    }
    good = good && good_count == self->count;
    print_table(self, stdout);
    printf("\n%zu of %zu are good, after %lld s in %d stacks, seed %llu\n",
           good_count,
           self->count,
           (long long)(clock_mono_ms() - began_ms) / 1000,
           self->lanes,
           (unsigned long long)self->seed);
    if (self->report != NULL) {
        keep(self, "txt", print_table);
        keep(self, "json", write_json);
    }
    free(self);
    return good ? 0 : 1;
}
