// launch - starts the processes of a native stack, waits until they are ready, and
// stops them again.
#ifndef FAULTLINE_CLI_LAUNCH_H
#define FAULTLINE_CLI_LAUNCH_H

#include "cli/stack.h"

// A choice among the processes of a stack, by index.
struct launch_set {
    bool has[STACK_PROCESSES_MAX];
};

// launch_set_count counts the chosen; launch_set_names lists their names,
// "payment, fraud", in a text that the caller frees.
size_t launch_set_count(const struct launch_set *set);
char *launch_set_names(const struct stack *stack, const struct launch_set *set, const char *gap);

// launch_check tells whether the chosen processes can be started: their executables
// are there and their ports are free. ERR_NOT_FOUND: *problem, which the caller
// frees, names what is missing; ERR_CONFLICT: it names the port and who has it.
enum err launch_check(const struct stack *stack, const struct launch_set *set, char **problem);

// launch_start starts the chosen processes, all at once, and writes down each.
// ERR_IO: *problem is a sentence; those before the one at fault run, it does not, be it that
// it could not be started or not be written down.
enum err launch_start(struct stack *stack, const struct launch_set *set, char **problem);

// launch_wait waits until each chosen process answers 200 on path ("/readyz" or
// "/healthz"), at most timeout_ms, and says on standard error what it waits for when
// it takes long. It clears from *set what is ready, and stops early when a process
// dies: then *dead is its index, otherwise STACK_PROCESSES_MAX.
void launch_wait(const struct stack *stack, struct launch_set *set, const char *path,
                 int64_t timeout_ms, size_t *dead);

// launch_stop ends the chosen processes: SIGTERM to the services, then to the
// broker, so that what they still have to say finds an ear. What lives after
// LAUNCH_STOP_MS gets SIGKILL and stays in *set; all others are cleared.
enum {
    LAUNCH_STOP_MS = 5000
};
void launch_stop(const struct stack *stack, struct launch_set *set);

#endif
