// service_state - what the runtime's own files share: the running service and the
// batch it works on. Nothing outside of common includes this.
#ifndef FAULTLINE_SERVICE_STATE_H
#define FAULTLINE_SERVICE_STATE_H

#include "common/bus.h"
#include "common/caller.h"
#include "common/http_server.h"
#include "common/metrics.h"
#include "common/outbox.h"
#include "common/request.h"
#include "common/service.h"
#include "common/worker_pool.h"

#define SERVICE_SETTING_EVENT_BYTES "EVENT_BYTES_MAX"

enum {
    SERVICE_BATCH_MAX = 256,
    SERVICE_WHY_SIZE = 256
};

enum input_outcome {
    INPUT_DONE,
    INPUT_DUPLICATE,
    INPUT_FAILED,
    INPUT_REJECTED
};

// One thing to handle: an event, a request, or the result of a request's job.
struct input {
    struct request *request;      // owned; NULL: an event
    struct work *work;            // owned; the job, when it has run
    struct bus_delivery delivery; // of an event; its views live until the next bus_take
    struct event *event;          // owned; NULL when it could not be parsed
    struct trace_context trace;   // the span of handling it
    size_t outbox_mark;           // where what it emits begins
    enum input_outcome outcome;
    bool emits_too_much; // an event that it would emit passes the limit
    int64_t duration_us;
    char why[SERVICE_WHY_SIZE]; // of a failure
};

// A step of a story that is logged when it is committed.
struct status_change {
    char subject[EVENT_TEXT_MAX];
    char status[EVENT_TEXT_MAX];
    char reason[EVENT_TEXT_MAX];
    char cause[EVENT_TEXT_MAX];
};

struct service {
    const struct service_def *def; // borrowed
    struct config *config;         // owned, as all below
    struct metrics *metrics;
    struct store *store;
    struct outbox *outbox;
    struct bus *bus;
    struct http_server *http;
    struct caller_options callers;
    struct worker_pool *workers;
    struct work *kept;   // results whose batch could not be committed: for a later one
    const char **topics; // of the subscriptions
    char source[EVENT_TEXT_MAX];
    int signal_fd;
    bool stopping;
    bool store_failed;       // the last batch could not be committed
    int64_t paused_until_ms; // after that: nothing is written before

    int64_t clean_due_ms; // when the outbox is cleaned without a batch; INT64_MAX: it is clean

    int64_t now_ms; // clock_mono_ms of this round
    char now[CLOCK_RFC3339_SIZE];
    struct input inputs[SERVICE_BATCH_MAX];
    size_t inputs_count;
    struct input *present;        // whose handler runs; NULL: none
    const struct event *recalled; // borrowed; see service_recalled
    size_t jobs_staged;           // by this batch, not yet with the workers
    struct status_change changes[SERVICE_BATCH_MAX * 2];
    size_t changes_count;
};

// batch_read answers a request that only reads, from what is committed: also while
// nothing can be written.
void batch_read(struct service *self, struct request *request);

// batch_refuse answers a request with 503: the database cannot take it now.
void batch_refuse(struct request *request);

// batch_run handles the inputs in one transaction, commits, then answers, acks and
// publishes. With no inputs it still deletes what the outbox has answered.
void batch_run(struct service *self);

// batch_handle_event hands the present input, an event, to its handler unless the inbox
// knows it; within a savepoint. Errors as service_subscription's handle.
enum err batch_handle_event(struct service *self, struct input *input);

// service_open brings up everything behind the settings; what cannot be opened has been
// said in the log. service_close takes it down again, also what was opened half.
enum err service_open(struct service *self);
void service_close(struct service *self);

// service_open_store opens the database and sets it up: the part of service_open that
// needs nobody else.
enum err service_open_store(struct service *self);

// service_bus_open connects (again) under a new incarnation.
enum err service_bus_open(struct service *self, const char **problem);

// service_metrics_format brings the gauges up to date and writes all samples.
void service_metrics_format(struct service *self, struct buf *out);

extern const struct metric_def service_metric_requests;
extern const struct metric_def service_metric_request_seconds;
extern const struct metric_def service_metric_events;
extern const struct metric_def service_metric_event_age_seconds;
extern const struct metric_def service_metric_batch_size;
extern const struct metric_def service_metric_commit_seconds;

#endif
