#include "cli/verify/verify_source.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/compose.h"
#include "cli/house.h"
#include "cli/target.h"
#include "cli/verify/verify_broker.h"
#include "common/mem.h"

enum {
    LOCK_TIMEOUT_MS = 5000
};

struct verify_source {
    struct target *target;        // owned; NULL: only a folder
    struct verify_broker *broker; // owned; NULL: another one serves
    char *data;                   // owned
    char *bus_url;                // owned
    bool is_running;
    int lock; // on the stack while our broker has its log; -1: none
};

void verify_source_close(struct verify_source **self_p)
{
    struct verify_source *self = *self_p;
    if (self == NULL) {
        return;
    }
    verify_broker_stop(&self->broker);
    stack_unlock(&self->lock);
    target_destroy(&self->target);
    free(self->data);
    free(self->bus_url);
    free(self);
    *self_p = NULL;
}

const char *verify_source_data(const struct verify_source *self)
{
    return self->data;
}

const char *verify_source_bus_url(const struct verify_source *self)
{
    return self->broker != NULL ? verify_broker_url(self->broker) : self->bus_url;
}

bool verify_source_is_running(const struct verify_source *self)
{
    return self->is_running;
}

bool verify_source_is_broker_ours(const struct verify_source *self)
{
    return self->broker != NULL;
}

const struct target *verify_source_containers(const struct verify_source *self)
{
    return self->target != NULL && self->target->stack == NULL ? self->target : NULL;
}

static bool is_data_folder(const char *data)
{
    char *log = mem_format("%s/broker", data);
    const bool is_there = access(log, R_OK | X_OK) == 0;
    free(log);
    return is_there;
}

static enum cli_exit start_broker(struct verify_source *self, const char *bin)
{
    char *log = mem_format("%s/broker", self->data);
    char *problem = NULL;
    const enum err err = verify_broker_start(&self->broker, bin, log, &problem);
    if (err != ERR_OK) {
        cli_problem("%s", problem);
    }
    free(problem);
    free(log);
    return err == ERR_OK ? CLI_YES : CLI_UNKNOWN;
}

// What `down` or a machine that went off left behind.
static enum cli_exit open_folder(struct verify_source *self, const char *dir)
{
    char *bin = stack_own_bin();
    const char *named = self->target == NULL ? NULL : self->target->stack->bin;
    char *problem = NULL;
    enum cli_exit result = CLI_UNKNOWN;
    // So that `start` and `up` wait until the log is free again.
    if (dir != NULL && stack_lock(dir, LOCK_TIMEOUT_MS, &self->lock, &problem) != ERR_OK) {
        cli_problem("%s", problem);
    } else {
        char *program = mem_format("%s/faultline-broker", bin);
        result = start_broker(self, named != NULL && access(program, X_OK) != 0 ? named : bin);
        free(program);
    }
    free(problem);
    free(bin);
    return result;
}

static enum cli_exit open_stack(struct verify_source *self, const char *dir)
{
    const struct stack *stack = self->target->stack;
    bool broker_lives = false;
    for (size_t i = 0; i < self->target->parts_count; i++) {
        const struct part *part = &self->target->parts[i];
        if (part->state != PROCESS_DEAD) {
            broker_lives = broker_lives || part->service == 0;
            self->is_running = self->is_running || part->service == house_index("order");
        }
    }
    self->data = mem_format("%s/data", stack->dir);
    if (broker_lives) {
        self->bus_url = mem_format("tcp://127.0.0.1:%d", stack->bus_port);
        return CLI_YES;
    }
    return open_folder(self, dir);
}

static bool containers_live(void)
{
    struct part *parts = NULL;
    size_t count = 0;
    bool live = false;
    if (compose_list(&parts, &count) == ERR_OK) {
        for (size_t i = 0; i < count; i++) {
            live = live || parts[i].state != PROCESS_DEAD;
        }
    }
    free(parts);
    return live;
}

static struct verify_source *source_new(char *data)
{
    struct verify_source *self = mem_calloc(1, sizeof *self);
    *self = (struct verify_source){.data = data, .lock = -1};
    return self;
}

// Hands self over if it is good.
static enum cli_exit hand_over(struct verify_source *self, struct verify_source **out,
                               enum cli_exit result)
{
    if (result != CLI_YES) {
        verify_source_close(&self);
    }
    *out = self;
    return result;
}

enum cli_exit verify_source_open_folder(struct verify_source **out, const char *data,
                                        const char *bus_url, bool is_running)
{
    struct verify_source *self = source_new(mem_strdup(data));
    self->bus_url = bus_url == NULL ? NULL : mem_strdup(bus_url);
    self->is_running = is_running;
    return hand_over(self, out, bus_url != NULL ? CLI_YES : open_folder(self, NULL));
}

enum cli_exit verify_source_open(struct verify_source **out, const char *dir)
{
    struct verify_source *self = source_new(mem_format("%s/data", dir));
    enum cli_exit result = CLI_UNKNOWN;
    struct stack *stack = NULL;
    char *problem = NULL;
    const bool has_left =
        stack_load(&stack, dir, &problem) == ERR_NOT_FOUND && is_data_folder(self->data);
    if (has_left && !containers_live()) {
        result = open_folder(self, dir);
    } else if (target_find(&self->target, dir) == ERR_OK) {
        free(self->data);
        self->data = NULL;
        result = self->target->stack == NULL ? CLI_YES : open_stack(self, dir);
    }
    free(problem);
    stack_destroy(&stack);
    return hand_over(self, out, result);
}
