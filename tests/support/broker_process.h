// broker_process - a real broker for a test: its own folder, its own ports, started,
// killed and started again. A test that dies takes its broker along.
#ifndef FAULTLINE_BROKER_PROCESS_H
#define FAULTLINE_BROKER_PROCESS_H

#include <stddef.h>
#include <stdint.h>

struct broker_process; // opaque

enum {
    BROKER_PROCESS_ENV_MAX = 8,
    BROKER_PROCESS_READY_MS = 20000,
};

// broker_process_new makes a folder under /tmp, finds two free ports, starts the
// broker of $FAULTLINE_BIN and waits until it is ready; it aborts the test when that
// fails. env, ended by NULL, holds settings beyond those or in their place,
// "HEARTBEAT_MS=100".
struct broker_process *broker_process_new(const char *const *env);

// broker_process_destroy kills it and removes its folder. *self_p becomes NULL.
void broker_process_destroy(struct broker_process **self_p);

const char *broker_process_url(const struct broker_process *self);       // "tcp://127.0.0.1:4711"
const char *broker_process_directory(const struct broker_process *self); // DATA_DIR
uint16_t broker_process_http_port(const struct broker_process *self);
int broker_process_pid(const struct broker_process *self); // 0: not running

// broker_process_kill ends it with SIGKILL. broker_process_stop sends SIGTERM and
// returns the exit status, or -1 when it took over timeout_ms (then it is killed).
void broker_process_kill(struct broker_process *self);
int broker_process_stop(struct broker_process *self, int timeout_ms);

// broker_process_wait waits until it ends by itself and returns its exit status, 128 and
// the signal's number, or -1 when it took over timeout_ms (then it is killed). output,
// unless NULL, is what it wrote (the caller frees it).
int broker_process_wait(struct broker_process *self, int timeout_ms, char **output);

// broker_process_start starts it again, same folder, same ports, and waits until it
// is ready. broker_process_try starts it and returns 0 when it is ready, else its
// exit status; output is what it wrote (the caller frees it).
void broker_process_start(struct broker_process *self);
int broker_process_try(struct broker_process *self, char **output);

// broker_process_begin starts it and does not wait: it may be killed while it recovers.
void broker_process_begin(struct broker_process *self);

// broker_process_run runs a broker with these settings alone, in a folder of its own
// unless DATA_DIR is among them, until it ends, and returns its exit status; for
// brokers that cannot start.
int broker_process_run(const char *const *env, char **output);

// broker_process_get asks its HTTP interface and returns the body, which the caller
// frees; *status, unless NULL, is the answer's. NULL: no answer.
char *broker_process_get(const struct broker_process *self, const char *path, int *status);

// broker_process_ask does so with any method, and returns the head as well.
char *broker_process_ask(const struct broker_process *self, const char *method, const char *path,
                         int *status);

#endif
