// request - one HTTP request on its way through the runtime: matched to a route,
// parsed, handled, its answer kept until the commit.
//
//   request_open --> input of a batch --> handler stages an answer --> commit --> request_send
//                                    \--> stages a job --> commit --> worker --> input again
//
// Private to the runtime; handlers see service.h. Core thread.
#ifndef FAULTLINE_REQUEST_H
#define FAULTLINE_REQUEST_H

#include "common/event.h"
#include "common/http_server.h"
#include "common/inbox.h"
#include "common/service.h"

enum {
    REQUEST_PARAMETERS_MAX = 4,
    REQUEST_KEY_MAX = 128
};

struct request {
    struct service *service;           // borrowed
    struct http_exchange *exchange;    // owned until request_send
    const struct service_route *route; // borrowed
    struct {
        const char *name; // into route->path, up to its '}'
        char value[EVENT_TEXT_MAX];
    } parameters[REQUEST_PARAMETERS_MAX];
    size_t parameters_count;
    cJSON *json;      // owned; the body
    uint32_t attempt; // of the caller, from 1
    char id[EVENT_TEXT_MAX];
    char correlation_id[EVENT_TEXT_MAX];
    struct trace_context trace; // the span of this request
    char parent_span_id[TRACE_SPAN_SIZE];
    const char *idempotency_key; // borrowed from the exchange; NULL: none

    int status;     // of the staged answer; 0: none
    char *body;     // owned
    char *location; // owned
    bool is_problem;
    bool is_replay;
    struct work *work; // owned; a staged job
};

// request_open reads what came. NULL: it was answered at once, since it needs no
// handler (unknown path, wrong method, malformed body, health, metrics).
struct request *request_open(struct service *service, struct http_exchange *exchange);

// request_send answers with what is staged, logs and counts it, and frees *self_p.
void request_send(struct request **self_p);

// request_drop_answer forgets what is staged; a job too.
void request_drop_answer(struct request *self);

// request_fail stages a problem in place of what was staged.
void request_fail(struct request *self, int status, const char *code, const char *detail);

// request_claim_key and request_settle_key keep the Idempotency-Key's promise, in the
// batch's transaction: before the handler (*run false: an answer is staged already, and
// the key is somebody else's: it must not be settled), and after it, when an answer is
// staged.
enum err request_claim_key(struct request *self, bool *run);
enum err request_settle_key(struct request *self);

#endif
