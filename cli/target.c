#include "cli/target.h"

#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/compose.h"
#include "common/mem.h"

enum {
    LOCK_TIMEOUT_MS = 5000
};

void target_say_nothing_runs(const char *dir)
{
    cli_problem("nothing runs here (no stack in %s, no containers of docker-compose.yml). "
                "Start one: %s up, or: docker compose up -d",
                dir,
                cli_name());
}

static struct target *target_new(struct stack *stack, struct part *parts, size_t parts_count)
{
    struct target *self = mem_calloc(1, sizeof *self);
    *self = (struct target){.stack = stack, .parts = parts, .parts_count = parts_count, .lock = -1};
    return self;
}

void target_destroy(struct target **self_p)
{
    struct target *self = *self_p;
    if (self == NULL) {
        return;
    }
    stack_unlock(&self->lock);
    stack_destroy(&self->stack);
    free(self->parts);
    free(self);
    *self_p = NULL;
}

static struct part *parts_of_stack(const struct stack *stack)
{
    struct part *parts = mem_calloc(stack->processes_count, sizeof *parts);
    for (size_t i = 0; i < stack->processes_count; i++) {
        const struct stack_process *process = &stack->processes[i];
        parts[i] = (struct part){
            .service = process->service,
            .replica = process->replica,
            .state = process_state(process->id),
            .id = process->id,
            .port = process->port,
        };
        memcpy(parts[i].name, process->name, sizeof parts[i].name);
    }
    return parts;
}

static struct target *target_of_stack(struct stack *stack)
{
    return target_new(stack, parts_of_stack(stack), stack->processes_count);
}

static bool any_lives(const struct part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (parts[i].state != PROCESS_DEAD) {
            return true;
        }
    }
    return false;
}

enum err target_find(struct target **out, const char *dir)
{
    *out = NULL;
    struct stack *stack = NULL;
    struct part *parts = NULL;
    size_t parts_count = 0;
    char *problem = NULL;
    enum err err = stack_load(&stack, dir, &problem);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        cli_problem("%s", problem);
        goto out;
    }
    if (stack != NULL && stack_living_count(stack) > 0) {
        *out = target_of_stack(stack);
        stack = NULL; // the target's now
        goto out;
    }
    err = compose_list(&parts, &parts_count);
    if (err == ERR_OK && (stack == NULL || any_lives(parts, parts_count))) {
        *out = target_new(NULL, parts, parts_count);
        parts = NULL; // the target's now
    } else if (stack != NULL) {
        *out = target_of_stack(stack);
        stack = NULL; // the target's now
        err = ERR_OK;
    } else {
        target_say_nothing_runs(dir);
        err = ERR_NOT_FOUND;
    }

out:
    free(problem);
    free(parts);
    stack_destroy(&stack);
    return err;
}

enum err target_find_to_change(struct target **out, const char *dir)
{
    enum err err = target_find(out, dir);
    if (err != ERR_OK || (*out)->stack == NULL) {
        return err;
    }
    int lock = -1;
    char *problem = NULL;
    err = stack_lock(dir, LOCK_TIMEOUT_MS, &lock, &problem);
    target_destroy(out);
    if (err != ERR_OK) {
        cli_problem("%s", problem);
        free(problem);
        return err;
    }
    // Again: whoever had the lock may have changed it.
    err = target_find(out, dir);
    if (err == ERR_OK) {
        (*out)->lock = lock;
    } else {
        stack_unlock(&lock);
    }
    return err;
}

static enum err renew_stack(struct target *self, const char *dir)
{
    struct stack *stack = NULL;
    char *problem = NULL;
    enum err err = stack_lock(dir, LOCK_TIMEOUT_MS, &self->lock, &problem);
    if (err != ERR_OK) {
        goto out;
    }
    err = stack_load(&stack, dir, &problem);
    if (err != ERR_OK) {
        stack_unlock(&self->lock);
        goto out;
    }
    stack_destroy(&self->stack);
    free(self->parts);
    self->stack = stack;
    self->parts = parts_of_stack(stack);
    self->parts_count = stack->processes_count;

out:
    if (err != ERR_OK) {
        cli_problem("%s", problem == NULL ? "the stack is no more" : problem);
    }
    free(problem);
    return err;
}

enum err target_renew(struct target *self, const char *dir)
{
    if (self->stack != NULL) {
        return renew_stack(self, dir);
    }
    struct part *parts = NULL;
    size_t parts_count = 0;
    const enum err err = compose_list(&parts, &parts_count);
    if (err == ERR_OK) {
        free(self->parts);
        self->parts = parts;
        self->parts_count = parts_count;
    } else {
        cli_problem("the containers cannot be listed any more");
    }
    return err;
}

void target_release(struct target *self)
{
    stack_unlock(&self->lock);
}

enum err target_choose(const struct target *self, const char *name, unsigned states, bool all,
                       bool *chosen)
{
    size_t service = 0;
    int replica = 0;
    if (!house_parse_process(name, &service, &replica)) {
        cli_problem("there is no service '%s'. There are: %s", name, house_names());
        return ERR_INVALID;
    }
    bool is_there = false;
    bool fits = false;
    for (size_t i = 0; i < self->parts_count; i++) {
        const struct part *part = &self->parts[i];
        if (part->service != service || (replica != 0 && part->replica != replica)) {
            continue;
        }
        is_there = true;
        if ((states & (1U << part->state)) != 0 && !chosen[i] && (all || !fits)) {
            chosen[i] = true;
            fits = true;
        }
    }
    if (!is_there) {
        cli_problem("this stack has no process %s", name);
        return ERR_NOT_FOUND;
    }
    return fits ? ERR_OK : ERR_CONFLICT;
}
