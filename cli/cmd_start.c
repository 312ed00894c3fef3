// start - brings dead processes back, with the settings they had, and waits until
// they are ready.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/compose.h"
#include "cli/launch.h"
#include "cli/launch_report.h"
#include "cli/start_settings.h"
#include "cli/target.h"
#include "cli/term.h"
#include "common/crash_point.h"
#include "common/mem.h"

enum {
    PROBE_TIMEOUT_MS = 500,
    PROBE_GAP_NS = 50000000,
};

static const struct option_def start_options[] = {
    {.name = "timeout",
     .kind = OPTION_INT,
     .value = "SECONDS",
     .fallback = "15",
     .min = 1,
     .max = 600,
     .help = "how long it may take to be ready"},
    {.name = "crash-at",
     .kind = OPTION_TEXT,
     .value = "POINT[:N[+MS]]",
     .help = "it dies at once, or MS late, at that crash point, the Nth time it comes there"},
    {.name = "set",
     .kind = OPTION_LIST,
     .value = "NAME=VALUE",
     .help = "a setting for what is started, kept for it: its next start has it as well; NAME= "
             "forgets it"},
    {0},
};

// Marks the dead that the arguments name; without arguments all dead.
static enum cli_exit choose_dead(const struct target *target, const struct options *options,
                                 bool *chosen)
{
    const size_t count = options_arguments_count(options);
    for (size_t i = 0; i < count; i++) {
        const char *name = options_argument(options, i);
        const enum err err = target_choose(target, name, 1U << PROCESS_DEAD, true, chosen);
        if (err == ERR_CONFLICT) {
            cli_problem("%s is not dead. Look: %s ps", name, cli_name());
        }
        if (err != ERR_OK) {
            return err == ERR_INVALID ? CLI_UNKNOWN : CLI_NO;
        }
    }
    bool any = count > 0;
    for (size_t i = 0; count == 0 && i < target->parts_count; i++) {
        chosen[i] = target->parts[i].state == PROCESS_DEAD;
        any = any || chosen[i];
    }
    if (!any) {
        cli_problem("nothing is dead, so there is nothing to start");
        return CLI_NO;
    }
    return CLI_YES;
}

static void print_started(const struct options *options, const char *names, const char *how,
                          int64_t took_us)
{
    if (options_flag(options, "json")) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "started", names);
        cJSON_AddStringToObject(json, "state", how);
        cJSON_AddNumberToObject(json, "took_ms", (double)took_us / 1000.0);
        cli_print_json(&json);
        return;
    }
    char took[TERM_NUMBER_SIZE];
    term_format_duration(took, took_us);
    printf("%s: %s after %s\n", names, how, took);
}

// Without a broker no service is ever ready: then being alive is all there is to
// wait for.
static bool has_broker(const struct stack *stack)
{
    return stack_find_living(stack, 0) != NULL;
}

static enum cli_exit wait_and_tell(const struct options *options, const struct stack *stack,
                                   const struct launch_set *set, const struct launch_report *report,
                                   int64_t started_us)
{
    const int64_t timeout_ms = options_int(options, "timeout") * 1000;
    const bool can_be_ready = has_broker(stack);
    struct launch_set waiting = *set;
    size_t dead = STACK_PROCESSES_MAX;
    launch_wait(stack, &waiting, can_be_ready ? "/readyz" : "/healthz", timeout_ms, &dead);
    if (dead != STACK_PROCESSES_MAX) {
        launch_report_death(report, stack, dead);
        return CLI_NO;
    }
    if (launch_set_count(&waiting) > 0) {
        launch_report_late(stack, &waiting, timeout_ms);
        return CLI_NO;
    }
    char *names = launch_set_names(stack, set, ", ");
    print_started(options,
                  names,
                  can_be_ready ? "ready" : "alive, but not ready while the broker is dead",
                  clock_mono_us() - started_us);
    free(names);
    return CLI_YES;
}

// Where the processes are to die: the option, or the setting in our environment; NULL:
// nowhere. false: it is no such place for one of them, and that was said.
static bool choose_crash(const struct options *options, const struct target *target,
                         const bool *chosen, const char **crash_at)
{
    *crash_at = options_text(options, "crash-at");
    *crash_at = *crash_at == NULL ? getenv(CRASH_POINT_SETTING) : *crash_at;
    char *problem = NULL;
    for (size_t i = 0; i < target->parts_count && *crash_at != NULL && problem == NULL; i++) {
        if (chosen[i] && target->stack == NULL) {
            problem = mem_strdup("a container keeps the environment it was made with: crash "
                                 "points are for a native stack");
        } else if (chosen[i]) {
            (void)crash_point_check(*crash_at, house_service(target->parts[i].service), &problem);
        }
    }
    if (problem != NULL) {
        cli_problem("%s", problem);
    }
    free(problem);
    return problem == NULL;
}

static enum cli_exit start_native(const struct options *options, struct target *target,
                                  const bool *chosen)
{
    const int64_t started_us = clock_mono_us();
    struct stack *stack = target->stack;
    struct launch_set set = {0};
    struct launch_report report = {0};
    char *problem = NULL;
    for (size_t i = 0; i < stack->processes_count; i++) {
        set.has[i] = chosen[i];
    }
    enum err err = launch_check(stack, &set, &problem);
    if (err == ERR_OK) {
        launch_report_begin(&report, stack);
        err = launch_start(stack, &set, &problem);
    }
    if (err != ERR_OK) {
        cli_problem("%s%s", problem, err == ERR_CONFLICT ? ". End that process first" : "");
        free(problem);
        return CLI_NO;
    }
    // The stack is changed; waiting must keep nobody from changing it again.
    stack_unlock(&target->lock);
    return wait_and_tell(options, stack, &set, &report, started_us);
}

static enum cli_exit start_containers(const struct options *options, const struct target *target,
                                      const bool *chosen)
{
    const int64_t started_us = clock_mono_us();
    const int64_t deadline_ms = clock_mono_ms() + options_int(options, "timeout") * 1000;
    for (size_t i = 0; i < target->parts_count; i++) {
        if (chosen[i] && compose_act(&target->parts[i], "start") != ERR_OK) {
            cli_problem("docker start said no about %s", target->parts[i].name);
            return CLI_NO;
        }
    }
    struct http_client *client = http_client_new();
    struct buf names = {0};
    enum cli_exit result = CLI_YES;
    for (size_t i = 0; i < target->parts_count && result == CLI_YES; i++) {
        if (!chosen[i]) {
            continue;
        }
        buf_printf(&names, "%s%s", names.size > 0 ? ", " : "", target->parts[i].name);
        while (result == CLI_YES && !part_is_ready(&target->parts[i], client, PROBE_TIMEOUT_MS)) {
            if (clock_mono_ms() >= deadline_ms) {
                cli_problem("%s is started and not ready. %s logs %s may say why",
                            target->parts[i].name,
                            cli_name(),
                            target->parts[i].name);
                result = CLI_NO;
            }
            nanosleep(&(struct timespec){.tv_nsec = PROBE_GAP_NS}, NULL);
        }
    }
    if (result == CLI_YES) {
        buf_put_u8(&names, 0);
        print_started(options, (const char *)names.data, "ready", clock_mono_us() - started_us);
    }
    buf_release(&names);
    http_client_destroy(&client);
    return result;
}

static enum cli_exit start_run(const struct options *options)
{
    struct target *target = NULL;
    const enum err err = target_find_to_change(&target, cli_dir(options));
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND || err == ERR_TIMEOUT ? CLI_NO : CLI_UNKNOWN;
    }
    bool *chosen = mem_calloc(target->parts_count, sizeof *chosen);
    const char *crash_at = NULL;
    struct start_settings settings = {0};
    enum cli_exit result = choose_dead(target, options, chosen);
    if (result == CLI_YES && !choose_crash(options, target, chosen, &crash_at)) {
        result = CLI_UNKNOWN;
    }
    if (result == CLI_YES) {
        // Ours is handed on to what we start, and kept nowhere: the next start is without.
        if (crash_at != NULL) {
            (void)setenv(CRASH_POINT_SETTING, crash_at, 1);
        }
        result = start_settings_keep(&settings, options, target, chosen);
    }
    bool has_failed = false;
    if (result == CLI_YES) {
        result = target->stack != NULL ? start_native(options, target, chosen)
                                       : start_containers(options, target, chosen);
        has_failed = result != CLI_YES;
    }
    free(chosen);
    target_destroy(&target);
    if (has_failed) {
        start_settings_take_back(&settings, cli_dir(options));
    }
    start_settings_release(&settings);
    return result;
}

const struct command cmd_start = {
    .name = "start",
    .topic = COMMAND_STACK,
    .arguments = "[SERVICE...]",
    .summary = "bring dead processes back and wait until they are ready; without a name, all",
    .details =
        "A process gets the ports and settings it had. A setting in the environment of this\n"
        "command counts more: FRAUD_LIMIT_MINOR=100 faultline start fraud. One of --set counts\n"
        "most, and is kept for that process if it comes up with it, until --set NAME= or down:\n"
        "faultline start payment --set EVENT_VERSION_MAX=2\n"
        "\n"
        "With --crash-at a process dies at a place in its code, as by kill -9 and only there:\n"
        "faultline start payment --crash-at service-after-commit. It holds for this start alone;\n"
        "FAULTLINE_CRASH_AT does the same. The places: faultline crash-points\n",
    .options = start_options,
    .arguments_max = STACK_PROCESSES_MAX,
    .run = start_run,
};
