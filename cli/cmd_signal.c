// kill, pause, resume - what can be done to a process from outside.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/harm.h"
#include "cli/target.h"
#include "common/mem.h"

// What a command does to a part, and how it says so.
struct action {
    const char *name;
    enum harm harm;
    unsigned from;    // the states it acts on, a sum of 1 << enum process_state
    bool all;         // all replicas of a named service, not only the first one
    const char *done; // "payment (pid 12) <done>"
    const char *next; // what to do then: the command's name
    const char *next_does;
};

static const struct action action_kill = {
    .name = "kill",
    .harm = HARM_KILL,
    .from = 1U << PROCESS_RUNNING | 1U << PROCESS_PAUSED,
    .done = "is dead: SIGKILL, it could not finish anything",
    .next = "start",
    .next_does = "Bring it back",
};

static const struct action action_pause = {
    .name = "pause",
    .harm = HARM_PAUSE,
    .from = 1U << PROCESS_RUNNING,
    .done = "is paused: it holds its connections and does nothing",
    .next = "resume",
    .next_does = "Let it go on",
};

static const struct action action_resume = {
    .name = "resume",
    .harm = HARM_RESUME,
    .from = 1U << PROCESS_PAUSED,
    .all = true,
    .done = "goes on",
};

static void say_done(const struct part *part, const struct action *action)
{
    if (part->id.pid > 0) {
        printf("%s (pid %ld) %s.", part->name, (long)part->id.pid, action->done);
    } else {
        printf("%s %s.", part->name, action->done);
    }
    if (action->next != NULL) {
        printf(" %s: %s %s %s", action->next_does, cli_name(), action->next, part->name);
    }
    putchar('\n');
}

// Why none of the processes that name means can be acted on.
static void say_conflict(const struct target *target, const char *name, const struct action *action)
{
    size_t service = 0;
    int replica = 0;
    house_parse_process(name, &service, &replica);
    for (size_t i = 0; i < target->parts_count; i++) {
        const struct part *part = &target->parts[i];
        if (part->service != service || (replica != 0 && part->replica != replica)) {
            continue;
        }
        if (part->state == PROCESS_DEAD) {
            cli_problem("%s is dead already, so there is nothing to %s. Bring it back: %s start %s",
                        name,
                        action->name,
                        cli_name(),
                        name);
        } else {
            cli_problem("%s is %s already", name, part_state_name(part->state));
        }
        return;
    }
}

// Marks what the arguments name; without arguments everything that fits.
static enum cli_exit choose(const struct target *target, const struct options *options,
                            const struct action *action, bool *chosen)
{
    const size_t count = options_arguments_count(options);
    for (size_t i = 0; i < count; i++) {
        const char *name = options_argument(options, i);
        const enum err err = target_choose(target, name, action->from, action->all, chosen);
        if (err == ERR_CONFLICT) {
            say_conflict(target, name, action);
        }
        if (err != ERR_OK) {
            return err == ERR_INVALID ? CLI_UNKNOWN : CLI_NO;
        }
    }
    for (size_t i = 0; count == 0 && i < target->parts_count; i++) {
        chosen[i] = (action->from & (1U << target->parts[i].state)) != 0;
    }
    return CLI_YES;
}

static enum cli_exit act_on_chosen(const struct target *target, const struct options *options,
                                   const struct action *action, const bool *chosen)
{
    enum cli_exit result = CLI_YES;
    size_t done = 0;
    cJSON *json = cJSON_CreateArray();
    for (size_t i = 0; i < target->parts_count; i++) {
        const struct part *part = &target->parts[i];
        if (!chosen[i]) {
            continue;
        }
        if (harm_do(part, action->harm) != ERR_OK) {
            result = CLI_NO;
            continue;
        }
        done++;
        if (options_flag(options, "json")) {
            cJSON *item = cJSON_CreateObject();
            cJSON_AddStringToObject(item, "name", part->name);
            cJSON_AddNumberToObject(item, "pid", (double)part->id.pid);
            cJSON_AddStringToObject(item, "state", part_state_name(harm_outcome(action->harm)));
            cJSON_AddItemToArray(json, item);
        } else {
            say_done(part, action);
        }
    }
    if (options_flag(options, "json")) {
        cli_print_json(&json);
    } else if (done == 0 && result == CLI_YES) {
        printf("nothing to %s\n", action->name);
    }
    cJSON_Delete(json);
    return result;
}

static enum cli_exit signal_run(const struct options *options, const struct action *action)
{
    struct target *target = NULL;
    const enum err err = target_find_to_change(&target, cli_dir(options));
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND || err == ERR_TIMEOUT ? CLI_NO : CLI_UNKNOWN;
    }
    bool *chosen = mem_calloc(target->parts_count, sizeof *chosen);
    enum cli_exit result = choose(target, options, action, chosen);
    if (result == CLI_YES) {
        result = act_on_chosen(target, options, action, chosen);
    }
    free(chosen);
    target_destroy(&target);
    return result;
}

static enum cli_exit kill_run(const struct options *options)
{
    return signal_run(options, &action_kill);
}

static enum cli_exit pause_run(const struct options *options)
{
    return signal_run(options, &action_pause);
}

static enum cli_exit resume_run(const struct options *options)
{
    return signal_run(options, &action_resume);
}

const struct command cmd_kill = {
    .name = "kill",
    .topic = COMMAND_STACK,
    .arguments = "SERVICE...",
    .summary = "kill a process at once (SIGKILL), the broker too; it stays dead until `start`",
    .details = "Of a service with several processes the first living one is killed; payment-2 "
               "names one.\n",
    .arguments_min = 1,
    .arguments_max = STACK_PROCESSES_MAX,
    .run = kill_run,
};

const struct command cmd_pause = {
    .name = "pause",
    .topic = COMMAND_STACK,
    .arguments = "SERVICE...",
    .summary = "stop a process without ending it (SIGSTOP): it is there and does not answer",
    .details = "Of a service with several processes the first running one is paused; payment-2 "
               "names one.\n",
    .arguments_min = 1,
    .arguments_max = STACK_PROCESSES_MAX,
    .run = pause_run,
};

const struct command cmd_resume = {
    .name = "resume",
    .topic = COMMAND_STACK,
    .arguments = "[SERVICE...]",
    .summary = "let paused processes go on (SIGCONT); without a name, all that are paused",
    .arguments_max = STACK_PROCESSES_MAX,
    .run = resume_run,
};
