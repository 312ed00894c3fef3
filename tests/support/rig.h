// rig - a real broker and chosen services for a test: processes on free ports, in a
// folder of their own, that die with the test.
//
//   struct rig *rig = rig_start((const char *const[]){"order", "payment", NULL}, NULL);
//   struct rig_reply reply = rig_call(rig, "order", "POST", "/orders", body, NULL);
//   ...
//   rig_reply_release(&reply);
//   rig_destroy(&rig);
//
// The binaries are FAULTLINE_BIN/faultline-NAME. What should start and does not, or
// does not come true in RIG_DEADLINE_MS, fails the test and shows the logs.
#ifndef FAULTLINE_TESTS_RIG_H
#define FAULTLINE_TESTS_RIG_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct rig; // opaque

enum {
    RIG_DEADLINE_MS = 30000
};

// rig_start starts the broker and the services named (ended by NULL), and waits
// until all are ready. settings, ended by NULL, may be NULL: "NAME=VALUE" for all, or
// "payment:NAME=VALUE" for one. Services that are not named have a URL where nobody
// listens. The caller owns the result.
struct rig *rig_start(const char *const *services, const char *const *settings);

// rig_destroy stops what runs with SIGTERM, expects that each ends with 0 and that no
// sanitizer complained, and removes the folder.
void rig_destroy(struct rig **self_p);

// One process, "broker" among them, by name. rig_kill: SIGKILL, gone when it returns.
// rig_stop: SIGTERM, gone when it returns, with its exit status. rig_pause and
// _resume: SIGSTOP, SIGCONT. rig_launch starts one again (or one that was not named
// before) without waiting; rig_relaunch waits until it is ready.
void rig_kill(struct rig *self, const char *name);
int rig_stop(struct rig *self, const char *name);
void rig_pause(struct rig *self, const char *name);
void rig_resume(struct rig *self, const char *name);
void rig_launch(struct rig *self, const char *name);
void rig_relaunch(struct rig *self, const char *name);

// rig_is_running: it has not ended, by itself or otherwise.
bool rig_is_running(struct rig *self, const char *name);

const char *rig_bus_url(const struct rig *self);
const char *rig_folder(const struct rig *self); // data/NAME and logs/NAME.log in it
uint16_t rig_port(const struct rig *self, const char *name);
pid_t rig_pid(const struct rig *self, const char *name);

// An answer. status 0: none came; json NULL: it was no JSON.
struct rig_reply {
    int status;
    char *head; // owned; status line and headers
    char *body; // owned
    cJSON *json;
};
void rig_reply_release(struct rig_reply *reply);

// rig_reply_header copies a header's value, "" when it is absent.
void rig_reply_header(const struct rig_reply *reply, const char *name, char out[256]);

// rig_call makes one HTTP request. body NULL: none. headers: whole lines ended by
// "\r\n", or NULL.
struct rig_reply rig_call(struct rig *self, const char *service, const char *method,
                          const char *path, const char *body, const char *headers);

// rig_send sends bytes as they are and returns what comes until the connection
// closes: for requests that no client would make.
struct rig_reply rig_send(struct rig *self, const char *service, const void *data, size_t size);

// rig_begin sends bytes and returns the connection without waiting for the answer, -1
// when there is none; rig_end waits for it and closes.
int rig_begin(struct rig *self, const char *service, const void *data, size_t size);
struct rig_reply rig_end(int connection);

// rig_wait_member polls GET path until the answer is 200 and its member (a string;
// "" matches null) is value.
void rig_wait_member(struct rig *self, const char *service, const char *path, const char *member,
                     const char *value);

// rig_wait_int polls GET path until its number member is value.
void rig_wait_int(struct rig *self, const char *service, const char *path, const char *member,
                  int64_t value);

// rig_wait_log waits until a line of a process's log has both texts.
void rig_wait_log(struct rig *self, const char *name, const char *text, const char *other);

// rig_wait_quiet waits until no group of the broker has had anything to do for
// RIG_QUIET_MS: for what must not happen.
enum {
    RIG_QUIET_MS = 150
};
void rig_wait_quiet(struct rig *self);

// rig_get_int returns a number of the answer to GET path.
int64_t rig_get_int(struct rig *self, const char *service, const char *path, const char *member);

#endif
