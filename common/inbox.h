// inbox - what was handled already: one row for each event and for each request
// with an Idempotency-Key, in the same transaction as its effect.
//
// A row (handler, id) says that handler has seen id, and its number when: rows are
// numbered in the order of handling, so that the order can be checked afterwards. For a
// request it also keeps a hash of what was asked and, once there is one, the answer.
// Core thread, inside a transaction.
#ifndef FAULTLINE_INBOX_H
#define FAULTLINE_INBOX_H

#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"
#include "common/store.h"

// inbox_open makes the table.
enum err inbox_open(struct store *store);

// inbox_add notes that handler has seen event id. ERR_EXISTS: it had before.
enum err inbox_add(struct store *store, const char *handler, const char *id, const char *at);

// The state of an Idempotency-Key.
struct inbox_answer {
    int status;     // 0: still running
    char *body;     // owned by whoever holds the answer; may be NULL
    char *location; // the same
};

// What a key is claimed for; all borrowed.
struct inbox_claim {
    const char *handler;
    const char *key;
    struct bytes what; // the whole request: another one under the same key is refused
    const char *member;
    const char *at;
};

// inbox_begin_request claims a key for a request. ERR_OK: it is new, go on.
// ERR_EXISTS: it was used for the same; *answer tells. ERR_CONFLICT: it was
// used for something else.
enum err inbox_begin_request(struct store *store, const struct inbox_claim *claim,
                             struct inbox_answer *answer);

// inbox_end_request keeps the answer for whoever repeats the request.
// inbox_forget_request gives the key free: the request failed and may be tried again.
enum err inbox_end_request(struct store *store, const char *handler, const char *key,
                           const struct inbox_answer *answer);
enum err inbox_forget_request(struct store *store, const char *handler, const char *key);

// What a process that died had begun and never answered, at the start of the next one of the
// same member: inbox_end_cut keeps answer for the requests of a handler, and
// inbox_forget_cut gives the keys of all others free.
enum err inbox_end_cut(struct store *store, const char *member, const char *handler,
                       const struct inbox_answer *answer);
enum err inbox_forget_cut(struct store *store, const char *member);

#endif
