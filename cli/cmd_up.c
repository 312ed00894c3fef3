// up - starts a native stack and waits until it is ready.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/environment.h"
#include "cli/launch.h"
#include "cli/launch_report.h"
#include "cli/plan.h"
#include "cli/table.h"
#include "common/crash_point.h"
#include "common/mem.h"

extern char **environ;

enum {
    PATH_SIZE = 4096,
    LOCK_TIMEOUT_MS = 5000,
};

static const struct option_def up_options[] = {
    {.name = "scale",
     .kind = OPTION_LIST,
     .value = "SERVICE=N",
     .help = "run N processes of a service, which share its events (1 to 16)"},
    {.name = "http-port",
     .kind = OPTION_INT,
     .value = "PORT",
     .fallback = "8000",
     .min = 0,
     .max = 65535 - HOUSE_SERVICES_COUNT,
     .help =
         "the broker's HTTP port; services take the next seven, replicas 10 above; 0: free ones"},
    {.name = "bus-port",
     .kind = OPTION_INT,
     .value = "PORT",
     .fallback = "5550",
     .min = 0,
     .max = 65535,
     .help = "the broker's port for events; 0: a free one"},
    {.name = "bin",
     .kind = OPTION_TEXT,
     .value = "FOLDER",
     .help = "where the executables are (default: beside this one)"},
    {.name = "timeout",
     .kind = OPTION_INT,
     .value = "SECONDS",
     .fallback = "15",
     .min = 1,
     .max = 600,
     .help = "how long they may take to be ready"},
    {0},
};

// A stack that is here already: says how it is. CLI_YES: there is none.
static enum cli_exit refuse_second(const char *dir)
{
    struct stack *stack = NULL;
    char *problem = NULL;
    enum cli_exit result = CLI_YES;
    const enum err err = stack_load(&stack, dir, &problem);
    if (err != ERR_OK) {
        if (err != ERR_NOT_FOUND) {
            cli_problem("%s", problem);
            result = CLI_UNKNOWN;
        }
        free(problem);
        return result;
    }
    struct launch_set dead = {0};
    for (size_t i = 0; i < stack->processes_count; i++) {
        dead.has[i] = process_state(stack->processes[i].id) == PROCESS_DEAD;
    }
    const size_t dead_count = launch_set_count(&dead);
    const size_t living_count = stack->processes_count - dead_count;
    if (living_count > 0 && dead_count == 0) {
        cli_problem("a stack runs already in %s: %zu processes since %.10s %.8s UTC, order on "
                    "http://127.0.0.1:%d. Look: %s ps. End it: %s down",
                    dir,
                    living_count,
                    stack->started_at,
                    stack->started_at + strlen("2026-11-23T"),
                    house_port(stack->http_port, 1, 1),
                    cli_name(),
                    cli_name());
        result = CLI_NO;
    } else if (living_count > 0) {
        char *names = launch_set_names(stack, &dead, ", ");
        char *words = launch_set_names(stack, &dead, " ");
        cli_problem("the stack in %s is half dead: %zu of %zu processes live, not %s. "
                    "Bring back the dead: %s start %s. End the rest: %s down",
                    dir,
                    living_count,
                    stack->processes_count,
                    names,
                    cli_name(),
                    words,
                    cli_name());
        free(words);
        free(names);
        result = CLI_NO;
    }
    stack_destroy(&stack);
    return result;
}

static enum cli_exit make_folder(const char *dir)
{
    struct stat stat_now;
    if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
        cli_problem("cannot make the state folder %s: %s. Make it, or choose another with --dir",
                    dir,
                    strerror(errno));
        return CLI_NO;
    }
    if (stat(dir, &stat_now) == 0 && !S_ISDIR(stat_now.st_mode)) {
        cli_problem("%s is a file, not a folder. Choose another place with --dir", dir);
        return CLI_NO;
    }
    if (access(dir, W_OK | X_OK) < 0) {
        cli_problem("cannot write to the state folder %s: %s. Choose another with --dir",
                    dir,
                    strerror(errno));
        return CLI_NO;
    }
    return CLI_YES;
}

static void print_up(const struct stack *stack, const char *dir, int64_t took_us)
{
    static const struct table_column columns[] = {
        {"NAME", TABLE_LEFT}, {"PID", TABLE_RIGHT}, {"ADDRESS", TABLE_LEFT}};
    char took[TERM_NUMBER_SIZE];
    const bool colours = term_has_colours(stdout);
    term_format_duration(took, took_us);
    printf("%sfaultline is up%s: %zu processes ready in %s. Data and logs are in %s\n\n",
           term_start(COLOUR_GREEN, colours),
           term_end(COLOUR_GREEN, colours),
           stack->processes_count,
           took,
           dir);
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < stack->processes_count; i++) {
        const struct stack_process *process = &stack->processes[i];
        table_add(table, term_service_colour(house_service(process->service)), "%s", process->name);
        table_add(table, COLOUR_NONE, "%ld", (long)process->id.pid);
        if (process->service == 0) {
            table_add(table,
                      COLOUR_NONE,
                      "http://127.0.0.1:%d  tcp://127.0.0.1:%d",
                      process->port,
                      stack->bus_port);
        } else {
            table_add(table, COLOUR_NONE, "http://127.0.0.1:%d", process->port);
        }
    }
    table_print(table, 2, stdout);
    table_destroy(&table);
    printf("\nTry  %s order --wait      an order by events\n", cli_name());
    printf("     %s kill payment      then order again, also with --mode sync\n", cli_name());
    printf("     %s logs -f           what happens, while it happens\n", cli_name());
    printf("     %s down              the end of it\n", cli_name());
}

static void print_up_json(const struct stack *stack, int64_t took_us)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "dir", stack->dir);
    cJSON_AddNumberToObject(json, "ready_ms", (double)took_us / 1000.0);
    char *bus_url = mem_format("tcp://127.0.0.1:%d", stack->bus_port);
    cJSON_AddStringToObject(json, "bus_url", bus_url);
    free(bus_url);
    cJSON *processes = cJSON_AddArrayToObject(json, "processes");
    for (size_t i = 0; i < stack->processes_count; i++) {
        const struct stack_process *process = &stack->processes[i];
        char *url = mem_format("http://127.0.0.1:%d", process->port);
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", process->name);
        cJSON_AddStringToObject(item, "service", house_service(process->service));
        cJSON_AddNumberToObject(item, "pid", (double)process->id.pid);
        cJSON_AddNumberToObject(item, "port", process->port);
        cJSON_AddStringToObject(item, "url", url);
        cJSON_AddItemToArray(processes, item);
        free(url);
    }
    cli_print_json(&json);
}

// Starts everything in the stack; whatever goes wrong, nothing of it is left.
static enum cli_exit start_all(struct stack *stack, int64_t timeout_ms)
{
    struct launch_set all = {0};
    for (size_t i = 0; i < stack->processes_count; i++) {
        all.has[i] = true;
    }
    char *problem = NULL;
    enum err err = launch_check(stack, &all, &problem);
    if (err == ERR_CONFLICT) {
        cli_problem("%s. End that process, or choose other ports: %s up --http-port 9000 "
                    "--bus-port 6550",
                    problem,
                    cli_name());
    } else if (err != ERR_OK) {
        cli_problem("%s", problem);
    }
    free(problem);
    if (err != ERR_OK) {
        return CLI_NO;
    }
    struct launch_report report = {0};
    launch_report_begin(&report, stack);
    struct launch_set waiting = all;
    size_t dead = STACK_PROCESSES_MAX;
    err = launch_start(stack, &all, &problem);
    if (err == ERR_OK) {
        launch_wait(stack, &waiting, "/readyz", timeout_ms, &dead);
    } else {
        cli_problem("%s", problem);
        free(problem);
    }
    if (err == ERR_OK && launch_set_count(&waiting) == 0) {
        return CLI_YES;
    }
    if (err == ERR_OK && dead == STACK_PROCESSES_MAX) {
        launch_report_late(stack, &waiting, timeout_ms);
        return CLI_NO;
    }
    if (dead != STACK_PROCESSES_MAX) {
        launch_report_death(&report, stack, dead);
    }
    launch_stop(stack, &all);
    stack_forget(stack);
    cli_problem("nothing was left running");
    return CLI_NO;
}

static enum cli_exit up_locked(const struct options *options, int64_t started_us)
{
    const char *dir = cli_dir(options);
    enum cli_exit result = refuse_second(dir);
    if (result != CLI_YES) {
        return result;
    }
    char *bin = options_text(options, "bin") == NULL ? stack_own_bin()
                                                     : mem_strdup(options_text(options, "bin"));
    struct stack *stack = stack_new(dir, bin);
    clock_format_rfc3339(stack->started_at, clock_wall_us());
    environment_keep_settings(stack, environ);

    result = CLI_UNKNOWN;
    if (!plan_fill(stack, options)) {
        goto out;
    }
    result = start_all(stack, options_int(options, "timeout") * 1000);
    if (result != CLI_YES) {
        goto out;
    }
    const int64_t took_us = clock_mono_us() - started_us;
    if (options_flag(options, "json")) {
        print_up_json(stack, took_us);
    } else {
        print_up(stack, dir, took_us);
    }

out:
    stack_destroy(&stack);
    free(bin);
    return result;
}

static enum cli_exit up_run(const struct options *options)
{
    const int64_t started_us = clock_mono_us();
    const char *dir = cli_dir(options);
    const char *crash_at = getenv(CRASH_POINT_SETTING);
    if (crash_at != NULL && crash_at[0] != '\0') {
        cli_problem(CRASH_POINT_SETTING " is for one process: bring the stack up without it, then "
                                        "%s kill SERVICE; %s start SERVICE --crash-at %s",
                    cli_name(),
                    cli_name(),
                    crash_at);
        return CLI_UNKNOWN;
    }
    enum cli_exit result = make_folder(dir);
    if (result != CLI_YES) {
        return result;
    }
    int lock = -1;
    char *problem = NULL;
    if (stack_lock(dir, LOCK_TIMEOUT_MS, &lock, &problem) != ERR_OK) {
        cli_problem("%s", problem);
        free(problem);
        return CLI_NO;
    }
    result = up_locked(options, started_us);
    stack_unlock(&lock);
    return result;
}

const struct command cmd_up = {
    .name = "up",
    .topic = COMMAND_STACK,
    .arguments = "",
    .summary = "start the broker and the seven services here, and wait until they are ready",
    .details =
        "The processes run on after this command; nothing watches them, so what is killed stays\n"
        "dead until `start`. Settings of the services in the environment reach them, and `start`\n"
        "knows them too: FRAUD_LIMIT_MINOR=1000 SYNC_TIMEOUT_MS=500 faultline up\n",
    .options = up_options,
    .run = up_run,
};
