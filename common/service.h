// service - the runtime of a service: a table in, a process out.
//
// One core thread owns the database and the bus. In a loop it takes what is
// waiting, events and HTTP requests alike, opens one transaction, runs each input
// in a savepoint of its own, commits once, and only then answers, acks and
// publishes:
//
//   bus  --events----\                                     /--> ack / nack    --> bus
//   HTTP --requests---+-> [ BEGIN  input input ..  COMMIT ]+--> answers       --> HTTP
//   jobs --results---/      inbox, change, outbox          \--> outbox rows   --> bus
//
// A handler that fails is rolled back alone. An event that was handled before is
// acked without its handler (the inbox). Handlers run on the core thread and must
// not block; blocking calls are jobs (below) on one of SYNC_WORKERS threads.
#ifndef FAULTLINE_SERVICE_H
#define FAULTLINE_SERVICE_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/event.h"
#include "common/json.h"
#include "common/store.h"

// The version of all databases' schema, of the runtime's tables and of every service's:
// it grows with each change of one. A process refuses a file of another version.
#define SERVICE_SCHEMA_VERSION 2

struct service; // opaque: the running service
struct request; // one HTTP request being handled
struct caller;  // a worker thread's way to call other services

// --- the table

// Handles one event inside its savepoint. ERR_OK: done, for good. ERR_INVALID: it
// can never be handled; dead-letter it now. Any other error: roll back and try
// again later. Say why with service_fail.
struct service_subscription {
    const char *topic;
    enum err (*handle)(struct service *service, const struct event *event);
};

// Answers one request inside its savepoint with one of the request_reply functions
// or request_run_job. ERR_OK: what it wrote is committed before the answer goes
// out, whatever the status. Any other error: rolled back, and the answer is 500.
struct service_route {
    const char *method; // "POST"
    const char *path;   // "/orders/{id}": a braced segment matches one, request_parameter gives it
    enum err (*handle)(struct service *service, struct request *request);
    const char *const *query; // names that may stand behind "?", ended by NULL; NULL: none
    // A request that was cut by the death of the process keeps its Idempotency-Key and is
    // answered 409 (request-interrupted) from then on: done again, it could be done twice.
    // Of other routes it may be repeated, since what it is about has an id of its own.
    bool is_cut_final;
};

struct service_def {
    const char *name;    // "order": names the group, the member and the database too
    const char *summary; // a line for --help
    uint16_t port;       // default of HTTP_PORT
    const char *schema;  // SQL, idempotent: CREATE TABLE IF NOT EXISTS ...
    const struct service_subscription *subscriptions;
    size_t subscriptions_count;
    const struct service_route *routes;
    size_t routes_count;
    const struct setting *settings; // the service's own; ended by one without a name
    enum err (*start)(
        struct service *service); // in a transaction, before anything else; may be NULL
};

// service_run is the whole of main: settings, --help, the loop, a clean SIGTERM.
int service_run(const struct service_def *def, int argc, char **argv);

// --- in a handler, on the core thread

struct store *service_store(struct service *service);
const struct config *service_config(const struct service *service);

// service_emit adds an event to the outbox, in the transaction of the present
// input. subject is its key and correlation id; the cause is the present input.
// data becomes the service's. version is that of data's schema. The id of the
// event is written to id_out unless that is NULL. It follows from service, cause,
// topic and subject (and, when an input emits a topic for a subject again, the count),
// so that the same input handled again makes the same event; what start emits has the
// same id at each start. ERR_TOO_LARGE: the event passes the setting EVENT_BYTES_MAX, and
// why is noted with its size; a handler that returns this has its request answered 413
// (event-too-large), its event dead-lettered at once.
enum err service_emit(struct service *service, const char *topic, int version, const char *subject,
                      cJSON *data, char id_out[UUID_SIZE]);

// service_cause: the id of the present event, request or job's request; borrowed.
const char *service_cause(const struct service *service);

// service_recalled: while a database is rebuilt (common/rebuild.h) and the present event
// cannot come to what it came to, by the rules alone: the event of topic that it came to
// then, as the log has it; borrowed until the handler returns. NULL: the rules decide.
// What a decision once rested on may have come over HTTP, and the log says nothing of it.
const struct event *service_recalled(const struct service *service, const char *topic);

// service_derive_id writes the id of something that the present input makes, a payment
// say, for subject: the same input handled again gives it the same id.
void service_derive_id(const struct service *service, const char *what, const char *subject,
                       char out[UUID_SIZE]);

// service_now: the time of the present batch, RFC 3339; borrowed until the next.
const char *service_now(const struct service *service);

// service_name: of its table ("order"); borrowed.
const char *service_name(const struct service *service);

// service_member: the name of this process among its replicas ("order-1"); borrowed.
// What one process must find again after its own restart carries it.
const char *service_member(const struct service *service);

// service_attempt: which delivery of the present event this is, or which try of its
// caller the present request is, from 1.
uint32_t service_attempt(const struct service *service);

// service_fail notes why (printf format) and returns err, for a handler's return.
__attribute__((format(printf, 3, 4))) enum err service_fail(struct service *service, enum err err,
                                                            const char *why, ...);

// service_status_changed logs a step of subject's story, once it is committed.
void service_status_changed(struct service *service, const char *subject, const char *status,
                            const char *reason);

// --- requests

const char *request_parameter(const struct request *request, const char *name);
const char *request_query(const struct request *request, const char *name);

// request_json borrows the parsed body: always an object on POST and PUT, where the
// runtime has answered 400 to anything else and 415 to another content type; NULL
// on other methods.
const cJSON *request_json(const struct request *request);

// request_correlate names the order or transfer that the request is about, for logs.
void request_correlate(struct request *request, const char *subject);

// request_page reads ?limit= (1 .. 500, default 50) and ?after= (a cursor, "" when
// absent). ERR_INVALID: it has answered 400.
enum err request_page(struct request *request, int64_t *limit, const char **after);

// The answers. Exactly one per request. json becomes the request's.
enum err request_reply(struct request *request, int status, cJSON *json);
enum err request_reply_created(struct request *request, int status, const char *location,
                               cJSON *json);

// request_reply_problem answers application/problem+json (RFC 9457): type
// "urn:faultline:problem:CODE", title from the status, detail (printf), and field
// unless NULL.
__attribute__((format(printf, 5, 6))) enum err request_reply_problem(struct request *request,
                                                                     int status, const char *code,
                                                                     const char *field,
                                                                     const char *detail, ...);

// request_reply_problem_with is the same with more members: those of extra, which
// becomes the request's, stand beside the usual ones.
enum err request_reply_problem_with(struct request *request, int status, const char *code,
                                    const char *detail, cJSON *extra);

// request_reply_invalid answers 422 "invalid-field" with what a json_get_* found.
enum err request_reply_invalid(struct request *request, const struct json_problem *problem);

// --- jobs: the synchronous chain

// run is on a worker thread: it may block in caller_call, must not touch the
// service, and returns what it found (owned by the runtime). finish is on the core
// thread, inside a savepoint, like a request's handler, with input and result.
struct service_job {
    cJSON *(*run)(struct caller *caller, const cJSON *input);
    enum err (*finish)(struct service *service, struct request *request, const cJSON *input,
                       const cJSON *result);
};

// request_run_job hands input (becomes the runtime's) to a worker once the present
// batch is committed; finish answers. When SYNC_QUEUE jobs wait already it answers
// nothing and returns ERR_FULL: the handler answers 503.
enum err request_run_job(struct service *service, struct request *request,
                         const struct service_job *job, cJSON *input);

// The answer of another service.
struct call_result {
    enum err err; // ERR_OK: there is an answer, whatever its status. ERR_UNAVAILABLE:
                  // not reached, nothing happened there. ERR_TIMEOUT, ERR_IO: unknown
    int status;
    cJSON *json; // owned by the caller of caller_call; NULL: no JSON came
};

// caller_call does one call of the chain: target is a service's name, its URL the
// setting PAYMENT_URL and so on. It logs the hop, sends traceparent, correlation
// id and, for POST, idempotency_key (NULL: none), waits SYNC_TIMEOUT_MS, retries and
// breaks the circuit as the settings say. json is borrowed, may be NULL.
struct call_result caller_call(struct caller *caller, const char *target, const char *method,
                               const char *path, const cJSON *json, const char *idempotency_key);

#endif
