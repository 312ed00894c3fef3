// target - the stack that a command acts on: the native one when a process of it
// lives, else the containers of docker-compose.yml when one runs, else a native
// stack whose processes are all dead.
#ifndef FAULTLINE_CLI_TARGET_H
#define FAULTLINE_CLI_TARGET_H

#include "cli/part.h"
#include "cli/stack.h"

struct target {
    struct stack *stack; // owned; NULL: the parts are containers
    struct part *parts;  // owned
    size_t parts_count;
    int lock; // held by target_lock, else -1
};

// target_find finds it. ERR_NOT_FOUND: nothing runs; ERR_IO, ERR_CORRUPT: it cannot
// be told. It has said so on standard error. Otherwise the caller owns *out.
enum err target_find(struct target **out, const char *dir);

// target_find_to_change does the same and keeps other commands from changing a
// native stack until target_destroy. ERR_TIMEOUT: one is at it; it has been said.
enum err target_find_to_change(struct target **out, const char *dir);
void target_destroy(struct target **self_p);

// target_renew reads again what has become of the same stack, dead or not, and keeps
// others from changing a native one until target_release. The parts are the same and in the
// same order, unless somebody scaled it. ERR_TIMEOUT, ERR_NOT_FOUND, ERR_IO, ERR_CORRUPT:
// it stays as it was, unlocked; that was said.
enum err target_renew(struct target *self, const char *dir);
void target_release(struct target *self);

// target_choose marks in chosen (parts_count of them) the parts that name means and
// that are in one of states, a sum of 1 << enum process_state. "payment-2" names one;
// "payment" names all replicas, or only the first fitting one unless all is set.
// ERR_INVALID: there is no such service; ERR_NOT_FOUND: this stack has no such
// process; both have been said. ERR_CONFLICT: none is in such a state (any more).
enum err target_choose(const struct target *self, const char *name, unsigned states, bool all,
                       bool *chosen);

// target_say_nothing_runs writes what to do when there is no stack.
void target_say_nothing_runs(const char *dir);

#endif
