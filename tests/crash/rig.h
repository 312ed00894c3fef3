// rig - a native stack of a lane's own: its folder, its ports, the faultline command on it,
// and what can be asked of it over HTTP.
#ifndef FAULTLINE_TESTS_CRASH_RIG_H
#define FAULTLINE_TESTS_CRASH_RIG_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/house.h"
#include "common/bytes.h"
#include "common/http_client.h"

struct rig {
    char *bin;                        // owned: where the executables are
    char *dir;                        // owned: the state folder; it changes with each rig_up
    char *folder;                     // owned: in which it lies
    int http_port;                    // of the broker; the services take the next seven
    int ups;                          // how often rig_up was called
    struct http_client *client;       // owned
    struct buf said;                  // of the last command, with a NUL
    pid_t beside;                     // of rig_run_beside; 0: none
    int beside_fd;                    // its output
    int deaths[HOUSE_SERVICES_COUNT]; // of each process, as house_index; the caller's to clear
};

// rig_open makes a folder and takes ports that nobody uses. rig_close ends the
// stack and removes all of it. false: it cannot.
bool rig_open(struct rig *self, const char *bin);
void rig_close(struct rig *self);

// rig_up ends the stack that runs, if one does, and brings up a fresh one. false: it did
// not come up.
bool rig_up(struct rig *self);

// rig_run runs `faultline` with these arguments (ended by NULL) and gives its exit code;
// -1: it was killed, having taken a minute. What it wrote is in self->said.
int rig_run(struct rig *self, const char *const *arguments);
#define RIG_RUN(self, ...) rig_run((self), (const char *const[]){__VA_ARGS__, NULL})

// rig_run_beside does not wait for its end. rig_end_beside ends the one that runs, if one
// does; so does the next rig_run_beside.
bool rig_run_beside(struct rig *self, const char *const *arguments);
void rig_end_beside(struct rig *self);

// rig_kill and rig_stop (by SIGTERM, and it waits) count the death of a process, and
// rig_note_death one that came about otherwise. false: it did not die.
bool rig_kill(struct rig *self, const char *process);
bool rig_stop(struct rig *self, const char *process);
void rig_note_death(struct rig *self, const char *process);

// rig_url is "http://127.0.0.1:PORT" of a service; the caller frees it.
char *rig_url(const struct rig *self, const char *service);

// rig_get gives the JSON behind a path of a service, the caller's; NULL: no answer of 200.
cJSON *rig_get(struct rig *self, const char *service, const char *path);

// rig_get_text borrows the answer until the next call; NULL: no answer of 200.
const char *rig_get_text(struct rig *self, const char *service, const char *path);

// rig_post gives the status; 0: no answer.
int rig_post(struct rig *self, const char *service, const char *path, const char *body);

// rig_record_path: where it is written down what this stack has accepted; the caller frees it.
char *rig_record_path(const struct rig *self);

// rig_pid: of a process of the stack, running or dead; 0: unknown.
pid_t rig_pid(const struct rig *self, const char *process);

// rig_log_size is the size of a process's log; rig_log_has tells whether text stands in
// it behind from.
int64_t rig_log_size(const struct rig *self, const char *process);
bool rig_log_has(const struct rig *self, const char *process, int64_t from, const char *text);

void rig_pause_ms(int64_t ms);

#endif
