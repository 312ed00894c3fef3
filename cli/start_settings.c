#include "cli/start_settings.h"

#include <stdlib.h>
#include <string.h>

#include "cli/environment.h"
#include "cli/house.h"
#include "cli/spawn.h"
#include "cli/stack.h"
#include "common/mem.h"

// Whether the executable of a service lists the setting with --help: "  NAME   default …".
static bool is_known(const struct stack *stack, size_t service, const char *assignment)
{
    char *path = mem_format("%s/faultline-%s", stack->bin, house_service(service));
    char *line = mem_format("\n  %.*s ", (int)strcspn(assignment, "="), assignment);
    const char *const argv[] = {path, "--help", NULL};
    struct buf help = {0};
    int code = -1;
    const enum err err = spawn_read(argv, &help, &code);
    buf_put_u8(&help, 0);
    const bool is_known =
        err == ERR_OK && code == 0 && strstr((const char *)help.data, line) != NULL;
    buf_release(&help);
    free(line);
    free(path);
    return is_known;
}

static enum cli_exit check(const char *assignment, const struct target *target, const bool *chosen)
{
    if (strchr(assignment, '=') == NULL || !environment_is_setting(assignment)) {
        cli_problem("--set %s: write NAME=VALUE with a setting that a service lists with --help, "
                    "and not one that says where it stands",
                    assignment);
        return CLI_UNKNOWN;
    }
    if (target->stack == NULL) {
        cli_problem("a container keeps the environment it was made with: --set is for a native "
                    "stack");
        return CLI_UNKNOWN;
    }
    for (size_t i = 0; i < target->parts_count; i++) {
        const size_t service = target->parts[i].service;
        if (chosen[i] && !is_known(target->stack, service, assignment)) {
            cli_problem("--set %s: %s has no such setting. Those it has: %s/faultline-%s --help",
                        assignment,
                        house_service(service),
                        target->stack->bin,
                        house_service(service));
            return CLI_UNKNOWN;
        }
    }
    return CLI_YES;
}

static void copy_settings(struct stack_process *to, const struct stack_process *from)
{
    stack_process_release(to);
    for (size_t i = 0; i < from->settings_count; i++) {
        to->settings[to->settings_count++] = mem_strdup(from->settings[i]);
    }
}

enum cli_exit start_settings_keep(struct start_settings *out, const struct options *options,
                                  struct target *target, const bool *chosen)
{
    *out = (struct start_settings){0};
    const size_t count = options_list_count(options, "set");
    for (size_t i = 0; i < count; i++) {
        const enum cli_exit result = check(options_list(options, "set", i), target, chosen);
        if (result != CLI_YES) {
            return result;
        }
    }
    if (count == 0) {
        return CLI_YES;
    }
    struct stack *stack = target->stack;
    out->count = stack->processes_count;
    out->before = mem_calloc(out->count, sizeof *out->before);
    out->chosen = mem_calloc(out->count, sizeof *out->chosen);
    for (size_t i = 0; i < out->count; i++) {
        copy_settings(&out->before[i], &stack->processes[i]);
        out->chosen[i] = chosen[i];
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < target->parts_count; j++) {
            if (chosen[j] && stack_process_set(&stack->processes[j],
                                               options_list(options, "set", i)) != ERR_OK) {
                cli_problem("%s has too many settings of its own", target->parts[j].name);
                return CLI_NO;
            }
        }
    }
    return CLI_YES;
}

void start_settings_take_back(const struct start_settings *self, const char *dir)
{
    struct target *target = NULL;
    if (self->before == NULL || target_find_to_change(&target, dir) != ERR_OK) {
        return;
    }
    char *problem = NULL;
    for (size_t i = 0; i < self->count && i < target->stack->processes_count; i++) {
        if (self->chosen[i]) { // others may have got new ones meanwhile
            copy_settings(&target->stack->processes[i], &self->before[i]);
        }
    }
    if (stack_save(target->stack, &problem) == ERR_OK) {
        cli_problem("the next start is without what --set gave to this one");
    } else {
        (void)cli_cannot(problem);
    }
    target_destroy(&target);
}

void start_settings_release(struct start_settings *self)
{
    for (size_t i = 0; i < self->count; i++) {
        stack_process_release(&self->before[i]);
    }
    free(self->before);
    free(self->chosen);
    *self = (struct start_settings){0};
}
