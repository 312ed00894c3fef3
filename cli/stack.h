// stack - the state folder of a native stack: who runs where, written down in
// FOLDER/stack.json, and one lock for whoever changes it.
//
//   FOLDER/stack.json      ports, settings, processes (pid and start time of each)
//   FOLDER/lock            held by the command that changes the stack
//   FOLDER/data/SERVICE/   what the services keep
//   FOLDER/logs/NAME.log   what their processes wrote
//
// A process that died stays listed, so that `start` knows how it ran.
#ifndef FAULTLINE_CLI_STACK_H
#define FAULTLINE_CLI_STACK_H

#include <stddef.h>

#include "cli/house.h"
#include "cli/process.h"
#include "common/clock.h"

enum {
    STACK_PROCESSES_MAX = HOUSE_SERVICES_COUNT * HOUSE_REPLICAS_MAX,
    STACK_SETTINGS_MAX = 256,
    STACK_PROCESS_SETTINGS_MAX = 32,
};

struct stack_process {
    char name[HOUSE_NAME_SIZE];                 // "payment-2"
    size_t service;                             // index of house_service
    int replica;                                // from 1
    int port;                                   // HTTP, on 127.0.0.1
    struct process_id id;                       // pid 0: never started
    char *settings[STACK_PROCESS_SETTINGS_MAX]; // owned, "NAME=value": its own, by `start --set`
    size_t settings_count;
    const char *crash_at; // borrowed; what its next start is armed with; NULL: nothing
};

struct stack {
    char *dir; // owned, absolute
    char *bin; // owned, absolute: where the executables are
    int http_port;
    int bus_port;
    char started_at[CLOCK_RFC3339_SIZE];
    char **settings; // owned, "NAME=value": what the environment of `up` set
    size_t settings_count;
    struct stack_process *processes; // owned, STACK_PROCESSES_MAX of them
    size_t processes_count;
};

// stack_new makes a stack without processes, with the standard ports; relative
// paths are made absolute.
struct stack *stack_new(const char *dir, const char *bin);
void stack_destroy(struct stack **self_p);

// stack_own_bin is the folder of this command's own executable, where those of a stack
// usually are; the caller frees it.
char *stack_own_bin(void);

// stack_load reads dir/stack.json. When it was written before this machine (or this
// kernel) started, all its processes are dead: their pids are forgotten. ERR_NOT_FOUND:
// there is no stack in dir. ERR_IO, ERR_CORRUPT: *problem, which the caller frees, is
// a sentence. Otherwise the caller owns *out.
enum err stack_load(struct stack **out, const char *dir, char **problem);

// stack_save replaces dir/stack.json as a whole: a reader finds the old one or the
// new one. ERR_IO: *problem is a sentence.
enum err stack_save(const struct stack *self, char **problem);

// stack_forget removes stack.json; the stack is no more.
void stack_forget(const struct stack *self);

// stack_add_process appends a process that is not started yet. ERR_FULL: there are
// STACK_PROCESSES_MAX of them.
enum err stack_add_process(struct stack *self, size_t service, int replica);

// stack_process_set gives a process a setting of its own, "NAME=value", in place of the one of
// that name; it is copied. An empty value makes it forget that one. ERR_FULL: it has
// STACK_PROCESS_SETTINGS_MAX. stack_process_release makes it forget all.
enum err stack_process_set(struct stack_process *process, const char *assignment);
void stack_process_release(struct stack_process *process);

// stack_living_count: how many of its processes run or are paused.
size_t stack_living_count(const struct stack *self);

// stack_find_living is the first process of a service that runs or is paused, or
// NULL; borrowed.
const struct stack_process *stack_find_living(const struct stack *self, size_t service);

// Paths below the folder; the caller frees them.
char *stack_log_path(const struct stack *self, const struct stack_process *process);
char *stack_data_path(const struct stack *self, const struct stack_process *process);

// stack_lock waits until no other command changes the stack in dir, at most
// timeout_ms, and keeps others out until stack_unlock or the end of this process.
// ERR_TIMEOUT: another command has it; ERR_IO: the folder is missing or cannot be
// written. *problem is then a sentence.
enum err stack_lock(const char *dir, int64_t timeout_ms, int *out_fd, char **problem);
void stack_unlock(int *fd);

#endif
