// chaos - a seeded soak of the whole house, and the verdict.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/chaos/chaos.h"
#include "cli/chaos/chaos_findings.h"
#include "cli/chaos/chaos_report.h"
#include "cli/chaos/chaos_verify.h"
#include "cli/commands.h"
#include "common/crash_point.h"
#include "common/daemon.h"
#include "common/folder.h"
#include "common/mem.h"

enum {
    SEEDS_DRAWN = 1000000, // a seed that nobody gave has few digits, to be said aloud
    MINUTES_MAX = 24 * 60,
};

static const struct option_def chaos_command_options[] = {
    {.name = "seed",
     .letter = 's',
     .kind = OPTION_INT,
     .value = "N",
     .min = 0,
     .max = INT64_C(1) << 53,
     .help = "decides all faults and orders (default: any; it is printed)"},
    {.name = "minutes",
     .letter = 'm',
     .kind = OPTION_TEXT,
     .value = "M",
     .fallback = "5",
     .help = "how long; 0.5 is half a minute"},
    {.name = "rate",
     .letter = 'r',
     .kind = OPTION_INT,
     .value = "N",
     .fallback = "20",
     .min = 1,
     .max = 1000,
     .help = "orders and transfers a second"},
    {.name = "settle",
     .kind = OPTION_INT,
     .value = "SECONDS",
     .fallback = "300",
     .min = 1,
     .max = 86400,
     .help = "how long everything may take to be finished at the end"},
    {.name = "verbose",
     .letter = 'v',
     .kind = OPTION_FLAG,
     .help = "a line for all that happens (it is in FOLDER/chaos.log in any case)"},
    {0},
};

static bool parse_minutes(const char *text, int64_t *duration_ms)
{
    char *end = NULL;
    const double minutes = strtod(text, &end);
    if (end == text || *end != '\0' || !(minutes > 0) || minutes > MINUTES_MAX) {
        cli_problem("--minutes %s: give a number over 0 and up to %d", text, MINUTES_MAX);
        return false;
    }
    *duration_ms = (int64_t)(minutes * 60000.0);
    return true;
}

static uint64_t choose_seed(const struct options *options)
{
    if (options_is_given(options, "seed")) {
        return (uint64_t)options_int(options, "seed");
    }
    uint32_t any = 0;
    (void)getrandom(&any, sizeof any, 0);
    return any % SEEDS_DRAWN;
}

// Who is ill already would be taken for a victim of ours.
static bool all_run(const struct target *target)
{
    for (size_t i = 0; i < target->parts_count; i++) {
        const struct part *part = &target->parts[i];
        if (part->state != PROCESS_RUNNING) {
            cli_problem("%s is %s, and chaos begins with a house that is well: %s %s",
                        part->name,
                        part_state_name(part->state),
                        cli_name(),
                        part->state == PROCESS_DEAD ? "start" : "resume");
            return false;
        }
    }
    return true;
}

// Prints all there is to say about a run that came to its end, and judges it.
static enum cli_exit report(const struct options *options, const struct chaos_options *chaos,
                            struct chaos_result *result)
{
    cJSON *findings = chaos_findings(result);
    const bool is_good = cJSON_GetArraySize(findings) == 0;
    cJSON_Delete(findings);
    cJSON *json = options_flag(options, "json") ? chaos_report_to_json(chaos, result) : NULL;
    if (json == NULL) {
        chaos_report_print(chaos, result);
        fflush(stdout);
    }
    const enum cli_exit verdict = chaos_verify(chaos->dir, chaos->record, json);
    if (json != NULL) {
        cli_print_json(&json);
    }
    return is_good ? verdict : CLI_NO;
}

static enum cli_exit chaos_command_run(const struct options *options)
{
    struct target *target = NULL;
    struct chaos_result result = {0};
    struct chaos_options chaos = {
        .dir = cli_dir(options),
        .seed = choose_seed(options),
        .rate = options_int(options, "rate"),
        .settle_ms = options_int(options, "settle") * 1000,
        .progress = isatty(STDERR_FILENO) == 1 && !options_flag(options, "verbose"),
        .verbose = options_flag(options, "verbose"),
    };
    if (!parse_minutes(options_text(options, "minutes"), &chaos.duration_ms)) {
        return CLI_UNKNOWN;
    }
    const enum err found = target_find(&target, chaos.dir);
    if (found != ERR_OK || !all_run(target) || !chaos_verify_before(chaos.dir)) {
        target_destroy(&target);
        return CLI_UNKNOWN;
    }
    // With containers nothing was in it so far. Whether it is there, opening the files tells.
    const char *folder = target->stack == NULL ? chaos.dir : target->stack->dir;
    (void)folder_make(folder);
    char *record = mem_format("%s/chaos.answers", folder);
    char *log = mem_format("%s/chaos.log", folder);
    chaos.record = record;
    chaos.log = log;
    chaos.signals = daemon_take_signals();
    (void)unsetenv(CRASH_POINT_SETTING); // of a start; here it would arm each one
    fprintf(stderr,
            "chaos with seed %llu for %s min; what happens: %s\n",
            (unsigned long long)chaos.seed,
            options_text(options, "minutes"),
            log);

    enum cli_exit exit = CLI_UNKNOWN;
    const enum err err = chaos_run(&chaos, target, &result);
    if (err == ERR_OK || result.actions > 0) {
        exit = report(options, &chaos, &result);
    }
    exit = err == ERR_OK ? exit : CLI_UNKNOWN;
    chaos_result_release(&result);
    close(chaos.signals);
    free(log);
    free(record);
    target_destroy(&target);
    return exit;
}

const struct command cmd_chaos = {
    .name = "chaos",
    .topic = COMMAND_STACK,
    .arguments = "",
    .summary = "harm a running stack for some minutes, under load, then see whether all is right",
    .details =
        "One seed decides who is harmed, how, when and for how long, and what is ordered. It\n"
        "needs a stack that is up and well, and whose books are right. At the end everything is\n"
        "brought back, dead letters that are no poison are given back, and when all is finished\n"
        "the books are checked.\n"
        "Ctrl-C goes there at once, a second one ends the waiting.\n"
        "Exit 0: all is right. 1: something is not. 2: it could not begin, or not go on.\n"
        "\n"
        "  kill          one process, started again up to 4 s later\n"
        "  kill-several  two up to all of them at the same moment\n"
        "  ambush        the broker is killed while those come up again\n"
        "  hiccup        a pause of up to 2 s\n"
        "  freeze        a pause of 3.5 to 8 s: sessions end meanwhile\n"
        "  restart       SIGTERM, and a start\n"
        "  slow          stopped and continued all the time: it runs 5 to 50 % of it\n"
        "  full-disk     no write of it to any file succeeds\n"
        "  no-growth     no file of it gets larger than its largest one is\n"
        "  crash-point   dies at a crash point that it was armed with at its start\n"
        "\n"
        "Containers are killed, paused and restarted only. Nothing makes a disk alone slow: no\n"
        "honest way to do that needs no privilege.\n",
    .options = chaos_command_options,
    .run = chaos_command_run,
};
