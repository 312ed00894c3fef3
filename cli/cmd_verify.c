// verify - what the log and all databases say, held against each other.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/verify/verify.h"
#include "cli/verify/verify_compose.h"
#include "cli/verify/verify_report.h"
#include "cli/verify/verify_source.h"
#include "common/clock.h"
#include "common/mem.h"

enum {
    QUIET_US = 2000000, // what is done sooner needs no progress
    REPEAT_US = 200000,
};

static const struct option_def verify_options_defs[] = {
    {.name = "record",
     .kind = OPTION_LIST,
     .value = "FILE",
     .help = "what load --record wrote down: all that was accepted must be there"},
    {.name = "limit",
     .kind = OPTION_INT,
     .value = "N",
     .fallback = "5",
     .min = 0,
     .max = 100000,
     .help = "list so many violations of each check, and draw so many lineages"},
    {.name = "data",
     .kind = OPTION_TEXT,
     .value = "FOLDER",
     .help = "verify this copy of a stack's data (its broker/, order/, payment/ …)"},
    {.name = "bus",
     .kind = OPTION_TEXT,
     .value = "URL",
     .help = "with --data: a broker that serves the log there (default: one of its own)"},
    {.name = "running",
     .kind = OPTION_FLAG,
     .help = "with --data: the order service is at work on it"},
    {0},
};

// A line that is written over, on a terminal, when it takes long.
struct bar {
    int64_t started_us;
    int64_t shown_us; // 0: never
};

static void show_progress(void *context, const char *what, uint64_t done, uint64_t all)
{
    struct bar *bar = context;
    const int64_t now_us = clock_mono_us();
    if (isatty(STDERR_FILENO) != 1 || now_us - bar->started_us < QUIET_US ||
        now_us - bar->shown_us < REPEAT_US) {
        return;
    }
    bar->shown_us = now_us;
    fprintf(stderr,
            "\r\033[K%s: %llu of %llu",
            what,
            (unsigned long long)done,
            (unsigned long long)all);
}

static void end_progress(const struct bar *bar)
{
    if (bar->shown_us != 0) {
        fputs("\r\033[K", stderr);
    }
}

static enum cli_exit exit_of(const struct verify_result *result)
{
    if (verify_violations(result) > 0) {
        return CLI_NO;
    }
    return result->untold != NULL ? CLI_UNKNOWN : CLI_YES;
}

static enum cli_exit verify_source(const struct options *options,
                                   const struct verify_source *source)
{
    const size_t records_count = options_list_count(options, "record");
    const char **records = mem_calloc(records_count + 1, sizeof *records);
    for (size_t i = 0; i < records_count; i++) {
        records[i] = options_list(options, "record", i);
    }
    struct bar bar = {.started_us = clock_mono_us()};
    const struct verify_options wish = {
        .data = verify_source_data(source),
        .bus_url = verify_source_bus_url(source),
        .is_running = verify_source_is_running(source),
        .is_broker_ours = verify_source_is_broker_ours(source),
        .records = records,
        .records_count = records_count,
        .shown_max = (size_t)options_int(options, "limit"),
        .progress = show_progress,
        .context = &bar,
    };
    struct verify_result found;
    const char *logs = options_is_given(options, "data") ? NULL : cli_dir(options);
    char *problem = NULL;
    enum cli_exit result = CLI_UNKNOWN;
    const enum err err = verify_run(&wish, &found, &problem);
    const int64_t took_us = clock_mono_us() - bar.started_us;
    end_progress(&bar);
    if (err != ERR_OK) {
        cli_problem("it cannot be told: %s", problem);
        if (options_flag(options, "json")) {
            cJSON *json = cJSON_CreateObject();
            cJSON_AddStringToObject(json, "verdict", "unknown");
            cJSON_AddStringToObject(json, "untold", problem);
            cli_print_json(&json);
        }
    } else if (options_flag(options, "json")) {
        cJSON *json = verify_report_json(&found, logs, took_us);
        cli_print_json(&json);
        result = exit_of(&found);
    } else {
        verify_report_print(&found, logs, took_us);
        result = exit_of(&found);
    }
    verify_result_release(&found);
    free(problem);
    free(records);
    return result;
}

static enum cli_exit verify_command_run(const struct options *options)
{
    const char *data = options_text(options, "data");
    const char *bus_url = options_text(options, "bus");
    if (data == NULL && (bus_url != NULL || options_flag(options, "running"))) {
        cli_problem("--bus and --running tell of the folder that --data names: name that as well");
        return CLI_UNKNOWN;
    }
    struct verify_source *source = NULL;
    enum cli_exit result =
        data == NULL
            ? verify_source_open(&source, cli_dir(options))
            : verify_source_open_folder(&source, data, bus_url, options_flag(options, "running"));
    if (result == CLI_YES && verify_source_containers(source) != NULL) {
        result = verify_compose_run(verify_source_containers(source), options);
    } else if (result == CLI_YES) {
        result = verify_source(options, source);
    }
    verify_source_close(&source);
    return result;
}

const struct command cmd_verify = {
    .name = "verify",
    .topic = COMMAND_LOOK,
    .arguments = "",
    .summary = "hold the log and all databases against each other: is anything lost or doubled?",
    .details =
        "It looks at a stack that runs, at one that is stopped, and at a copy of its data.\n"
        "What is on its way is no violation: it is listed with what it waits for. What orders\n"
        "over HTTP leave behind when their chain breaks is a finding about that path, and none\n"
        "either: nothing promised more. docs/verify.md tells what each check means.\n"
        "Exit 0: all holds. 1: something is broken. 2: it could not be told, or not all of it.\n",
    .options = verify_options_defs,
    .run = verify_command_run,
};
