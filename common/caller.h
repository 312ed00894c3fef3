// caller - one call of the synchronous chain: a name instead of a URL, trace headers,
// a log line, and the retries and circuit breaker that the settings ask for.
//
//          failures >= breaker_failures            open_ms later
//   CLOSED --------------------------> OPEN --------------------> HALF-OPEN
//     ^                                 ^                          |      |
//     |                                 +-------- call fails ------+      |
//     +------------------------------------------ call succeeds ----------+
//
// A caller belongs to one worker thread; the breakers are shared by all of them.
#ifndef FAULTLINE_CALLER_H
#define FAULTLINE_CALLER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/event.h"
#include "common/service.h"
#include "common/trace.h"

enum {
    CALL_TARGETS_MAX = 8,
    CALL_BACKOFF_MS = 100
};

// Which try of the caller a request is. Not in the body: a retry is the same request.
#define HTTP_ATTEMPT_HEADER "X-Attempt"

// Of one target. Guarded by the mutex of the options.
struct breaker {
    int64_t failures;      // in a row
    int64_t open_until_ms; // OPEN before, HALF-OPEN from then on; 0: CLOSED
    bool probing;          // HALF-OPEN and its one call is out
};

// What all callers of a process share.
struct caller_options {
    struct {
        const char *name; // "payment"
        const char *url;  // "http://127.0.0.1:8002"
        struct breaker breaker;
    } targets[CALL_TARGETS_MAX];
    size_t targets_count;
    int64_t timeout_ms;
    int64_t retries_max;
    int64_t breaker_failures_max; // 0: a breaker never opens
    int64_t breaker_open_ms;
    struct metrics *metrics; // borrowed
    pthread_mutex_t mutex;   // initialised by the owner
};

// Whose calls these are.
struct call_context {
    char correlation_id[EVENT_TEXT_MAX];
    char request_id[EVENT_TEXT_MAX];
    struct trace_context trace; // the request's span
};

// caller_new borrows options.
struct caller *caller_new(struct caller_options *options);
void caller_destroy(struct caller **self_p);

// caller_begin sets whose calls follow; context is copied.
void caller_begin(struct caller *self, const struct call_context *context);

#endif
