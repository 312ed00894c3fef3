// The one transaction for many inputs, and what follows its commit.
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/crash_point.h"
#include "common/inbox.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/service_state.h"

enum {
    PAUSE_AFTER_FAILED_COMMIT_MS = 500,
    RETRY_BY_BROKER = -1
};

// --- one input, inside its savepoint

static const struct service_subscription *find_subscription(const struct service *self,
                                                            struct bytes topic)
{
    for (size_t i = 0; i < self->def->subscriptions_count; i++) {
        if (bytes_equal_text(topic, self->def->subscriptions[i].topic)) {
            return &self->def->subscriptions[i];
        }
    }
    return NULL;
}

static enum err open_event(struct service *self, struct input *input)
{
    struct json_problem problem;
    enum err err = event_parse(&input->event, input->delivery.body, &problem);
    if (err != ERR_OK) {
        return service_fail(
            self, err, "not a CloudEvents envelope: %s %s", problem.field, problem.reason);
    }
    if (!bytes_equal_text(input->delivery.id, input->event->id) ||
        !bytes_equal_text(input->delivery.topic, input->event->type)) {
        return service_fail(
            self, ERR_INVALID, "the envelope's id or type differs from the record's");
    }
    trace_child(&input->trace, &input->event->trace);
    return ERR_OK;
}

enum err batch_handle_event(struct service *self, struct input *input)
{
    enum err err = open_event(self, input);
    if (err != ERR_OK) {
        return err;
    }
    const struct event *event = input->event;
    const struct service_subscription *subscription =
        find_subscription(self, input->delivery.topic);
    if (subscription == NULL) {
        return service_fail(
            self, ERR_INVALID, "%s does not handle %s", self->def->name, event->type);
    }
    err = inbox_add(self->store, event->type, event->id, self->now);
    if (err == ERR_EXISTS) {
        input->outcome = INPUT_DUPLICATE;
        return ERR_OK;
    }
    return err == ERR_OK ? subscription->handle(self, event) : err;
}

// A request, or the result of its job.
static enum err handle_request(struct service *self, struct input *input)
{
    struct request *request = input->request;
    const struct work *work = input->work;
    input->trace = request->trace;
    enum err err = ERR_OK;
    if (work != NULL) {
        err = work->job->finish(self, request, work->input, work->result);
    } else {
        bool run = false;
        err = request_claim_key(request, &run);
        if (err != ERR_OK || !run) {
            return err;
        }
        err = request->route->handle(self, request);
    }
    assert(err != ERR_OK || request->status != 0 || request->work != NULL);
    return err == ERR_OK ? request_settle_key(request) : err;
}

// What must be undone with a savepoint, besides the database.
struct mark {
    size_t outbox;
    size_t changes;
    size_t jobs;
};

static void fail_input(struct service *self, struct input *input, enum err err, struct mark mark)
{
    outbox_undo(self->outbox, mark.outbox);
    self->changes_count = mark.changes;
    self->jobs_staged = mark.jobs;
    // What is too large to be said stays so, however often it is tried.
    const bool is_too_large = err == ERR_TOO_LARGE && input->emits_too_much;
    input->outcome = err == ERR_INVALID || is_too_large ? INPUT_REJECTED : INPUT_FAILED;
    if (input->why[0] == '\0') {
        snprintf(input->why, sizeof input->why, "%s", err_name(err));
    }
    if (input->request != NULL) {
        const char *detail = input->work != NULL
                                 ? "the request failed after it had called other services"
                                 : "the request failed and changed nothing";
        if (is_too_large && input->work == NULL) {
            request_fail(input->request, 413, "event-too-large", input->why);
        } else {
            request_fail(input->request, 500, "internal-error", detail);
        }
        if (input->work != NULL) { // the claim on its key was committed before
            (void)request_settle_key(input->request);
        }
    }
}

// false: the whole transaction is broken.
static bool run_input(struct service *self, struct input *input)
{
    input->outbox_mark = outbox_mark(self->outbox);
    const struct mark mark = {.outbox = outbox_mark(self->outbox),
                              .changes = self->changes_count,
                              .jobs = self->jobs_staged};
    const int64_t start_us = clock_mono_us();
    if (store_savepoint(self->store) != ERR_OK) {
        return false;
    }
    self->present = input;
    const bool is_event = input->request == NULL;
    const enum err err = is_event ? batch_handle_event(self, input) : handle_request(self, input);
    self->present = NULL;
    if (store_is_broken(self->store) ||
        (err == ERR_OK ? store_release(self->store) : store_rollback_to(self->store)) != ERR_OK) {
        return false;
    }
    if (err != ERR_OK) {
        fail_input(self, input, err, mark);
    }
    input->duration_us = clock_mono_us() - start_us;
    return true;
}

// --- after the commit

static const char *const outcome_names[] = {[INPUT_DONE] = "done",
                                            [INPUT_DUPLICATE] = "duplicate",
                                            [INPUT_FAILED] = "failed",
                                            [INPUT_REJECTED] = "rejected"};

static void log_event(const struct input *input, bool is_handled)
{
    const char *text = is_handled ? outcome_names[input->outcome] : input->why;
    log_write(is_handled ? LOG_INFO : LOG_WARN,
              is_handled ? LOG_EVENT_HANDLED : LOG_EVENT_FAILED,
              LOG_FIELDS(LOG_BYTES("correlation_id", input->delivery.key),
                         LOG_BYTES("event_id", input->delivery.id),
                         LOG_BYTES("topic", input->delivery.topic),
                         LOG_INT("offset", input->delivery.offset),
                         LOG_INT("attempt", input->delivery.attempt),
                         LOG_INT("duration_us", input->duration_us),
                         LOG_STR(is_handled ? "result" : "error", text),
                         LOG_STR("trace_id", text_or_null(input->trace.trace_id))));
}

static void count_event(struct service *self, const struct input *input)
{
    const struct service_subscription *known = find_subscription(self, input->delivery.topic);
    // A topic without a subscription is somebody else's text: no series for it.
    const char *topic = known == NULL ? "other" : known->topic;
    const char *const *labels = METRIC_LABELS(topic, outcome_names[input->outcome]);
    metrics_add(self->metrics, &service_metric_events, labels, 1);
    const int64_t age_us = clock_wall_us() - (int64_t)input->delivery.time_us;
    const double seconds = (double)(age_us < 0 ? 0 : age_us) / 1e6;
    labels = METRIC_LABELS(topic);
    metrics_observe(self->metrics, &service_metric_event_age_seconds, labels, seconds);
}

static void settle_event(struct service *self, const struct input *input)
{
    const struct bus_delivery *delivery = &input->delivery;
    const bool is_handled = input->outcome == INPUT_DONE || input->outcome == INPUT_DUPLICATE;
    if (is_handled) {
        crash_point("service-before-ack");
        bus_ack(self->bus, delivery);
    } else if (input->outcome == INPUT_FAILED) {
        crash_point("service-before-nack");
        bus_nack(self->bus, delivery, RETRY_BY_BROKER, input->why);
    } else {
        crash_point("service-before-reject");
        bus_reject(self->bus, delivery, input->why);
    }
    log_event(input, is_handled);
    count_event(self, input);
}

static void settle_request(struct service *self, struct input *input)
{
    struct request *request = input->request;
    input->request = NULL;
    if (input->outcome != INPUT_DONE && request->status >= 500) {
        log_error("a request failed",
                  LOG_STR("correlation_id", request->correlation_id),
                  LOG_STR("request_id", request->id),
                  LOG_STR("path", request->route->path),
                  LOG_STR("error", input->why));
    }
    if (request->work != NULL) {
        struct work *work = request->work;
        request->work = NULL;
        worker_pool_put(self->workers, work); // it comes back as a result
    } else {
        crash_point("service-before-answer");
        request_send(&request);
    }
}

static void release_inputs(struct service *self)
{
    for (size_t i = 0; i < self->inputs_count; i++) {
        event_destroy(&self->inputs[i].event);
        work_destroy(&self->inputs[i].work);
    }
    self->inputs_count = 0;
    self->changes_count = 0;
    self->jobs_staged = 0;
}

static void settle(struct service *self)
{
    for (size_t i = 0; i < self->changes_count; i++) {
        const struct status_change *change = &self->changes[i];
        log_info(LOG_STATUS_CHANGED,
                 LOG_STR("correlation_id", change->subject),
                 LOG_STR("event_id", change->cause),
                 LOG_STR("status", change->status),
                 LOG_STR("reason", text_or_null(change->reason)));
    }
    outbox_committed(self->outbox, self->bus);
    for (size_t i = 0; i < self->inputs_count; i++) {
        if (self->inputs[i].request == NULL) {
            settle_event(self, &self->inputs[i]);
        } else {
            settle_request(self, &self->inputs[i]);
        }
    }
}

void batch_refuse(struct request *request)
{
    const char *detail = "the database could not commit; nothing was changed here";
    request_fail(request, 503, "store-unavailable", detail);
    request_send(&request);
}

// What the calls of a job did in other services has happened: its result must not be
// lost, and its client waits anyway.
static void keep_result(struct service *self, struct input *input)
{
    request_drop_answer(input->request);
    input->request = NULL;
    input->work->next = self->kept;
    self->kept = input->work;
    input->work = NULL;
}

// Nothing of the batch happened. Its requests are told so. Its events come again by
// the same way as after a crash: a new session, so that they do not count as
// failures of the events. The pause is for whatever is wrong with the disk.
static void abandon(struct service *self)
{
    log_error("the batch could not be committed and is undone",
              LOG_STR("error", store_last_error(self->store)),
              LOG_INT("inputs", self->inputs_count));
    store_rollback(self->store);
    outbox_aborted(self->outbox);
    self->store_failed = true;
    self->paused_until_ms = clock_mono_ms() + PAUSE_AFTER_FAILED_COMMIT_MS;
    for (size_t i = 0; i < self->inputs_count; i++) {
        struct input *input = &self->inputs[i];
        if (input->work != NULL) {
            keep_result(self, input);
        } else if (input->request != NULL) {
            batch_refuse(input->request);
            input->request = NULL;
        }
    }
    bus_destroy(&self->bus);
    const char *problem = NULL;
    const enum err err = service_bus_open(self, &problem);
    assert(err == ERR_OK); // the options were good before
    (void)err;
    outbox_on_input(self->outbox, &(struct bus_input){.kind = BUS_LOST}, self->now_ms);
}

void batch_read(struct service *self, struct request *request)
{
    struct input input = {.request = request, .trace = request->trace};
    self->present = &input;
    const enum err err = request->route->handle(self, request);
    self->present = NULL;
    store_done_all(self->store);
    if (err != ERR_OK) {
        request_fail(request, 500, "internal-error", "the request failed");
        log_error("a request failed",
                  LOG_STR("request_id", request->id),
                  LOG_STR("path", request->route->path),
                  LOG_STR("error", input.why[0] == '\0' ? err_name(err) : input.why));
    }
    request_send(&request);
}

void batch_run(struct service *self)
{
    // Events come behind requests and the results of their jobs.
    const bool has_request = self->inputs_count > 0 && self->inputs[0].request != NULL;
    clock_format_rfc3339(self->now, clock_wall_us());
    bool good = store_begin(self->store) == ERR_OK && outbox_clean(self->outbox) == ERR_OK;
    for (size_t i = 0; good && i < self->inputs_count; i++) {
        good = run_input(self, &self->inputs[i]);
        if (i + 1 < self->inputs_count) {
            crash_point("service-mid-batch");
        }
    }
    crash_point("service-before-commit");
    if (good && has_request) {
        crash_point("service-request-uncommitted");
    }
    const int64_t commit_us = clock_mono_us();
    good = good && store_commit(self->store) == ERR_OK;
    if (good) {
        crash_point("service-after-commit");
        self->store_failed = false;
        const double seconds = (double)(clock_mono_us() - commit_us) / 1e6;
        const double count = (double)self->inputs_count;
        metrics_observe(self->metrics, &service_metric_commit_seconds, METRIC_NO_LABELS, seconds);
        metrics_observe(self->metrics, &service_metric_batch_size, METRIC_NO_LABELS, count);
        settle(self);
    } else {
        abandon(self);
    }
    release_inputs(self);
}

// --- service.h: what a handler asks and says

struct store *service_store(struct service *self)
{
    return self->store;
}

const struct config *service_config(const struct service *self)
{
    return self->config;
}

const char *service_now(const struct service *self)
{
    return self->now;
}

const char *service_name(const struct service *self)
{
    return self->def->name;
}

const char *service_cause(const struct service *self)
{
    if (self->present == NULL) {
        return "start";
    }
    return self->present->event != NULL ? self->present->event->id : self->present->request->id;
}

uint32_t service_attempt(const struct service *self)
{
    assert(self->present != NULL);
    return self->present->request == NULL ? self->present->delivery.attempt
                                          : self->present->request->attempt;
}

enum err service_fail(struct service *self, enum err err, const char *why, ...)
{
    if (self->present == NULL) {
        return err;
    }
    va_list args;
    va_start(args, why);
    vsnprintf(self->present->why, sizeof self->present->why, why, args);
    va_end(args);
    return err;
}

void service_status_changed(struct service *self, const char *subject, const char *status,
                            const char *reason)
{
    if (self->changes_count == ARRAY_LEN(self->changes)) {
        return; // a handler makes one or two; a line of log is all that is lost
    }
    struct status_change *change = &self->changes[self->changes_count++];
    snprintf(change->subject, sizeof change->subject, "%s", subject);
    snprintf(change->status, sizeof change->status, "%s", status);
    snprintf(change->reason, sizeof change->reason, "%s", reason == NULL ? "" : reason);
    snprintf(change->cause, sizeof change->cause, "%s", service_cause(self));
}

const struct event *service_recalled(const struct service *self, const char *topic)
{
    const struct event *recalled = self->recalled;
    return recalled != NULL && strcmp(recalled->type, topic) == 0 ? recalled : NULL;
}

void service_derive_id(const struct service *self, const char *what, const char *subject,
                       char out[UUID_SIZE])
{
    const char *const texts[] = {self->source, service_cause(self), what, subject};
    uuid_derive(texts, ARRAY_LEN(texts), out);
}

static void derive_event_id(const struct service *self, const char *topic, const char *subject,
                            char out[UUID_SIZE])
{
    const size_t mark = self->present == NULL ? 0 : self->present->outbox_mark;
    const size_t before = outbox_added_count(self->outbox, mark, topic, subject);
    char number[24];
    snprintf(number, sizeof number, "%zu", before + 1);
    const char *const texts[] = {self->source, service_cause(self), topic, subject, number};
    // The first one of its kind, and there is hardly ever another, goes without number.
    uuid_derive(texts, ARRAY_LEN(texts) - (before == 0 ? 1 : 0), out);
}

static enum err refuse_event(struct service *self, const char *topic, size_t bytes)
{
    if (self->present != NULL) {
        self->present->emits_too_much = true;
    }
    return service_fail(self,
                        ERR_TOO_LARGE,
                        "%s would be an event of %zu bytes, over the limit of %lld "
                        "(EVENT_BYTES_MAX)",
                        topic,
                        bytes,
                        (long long)config_int(self->config, SERVICE_SETTING_EVENT_BYTES));
}

enum err service_emit(struct service *self, const char *topic, int version, const char *subject,
                      cJSON *data, char id_out[UUID_SIZE])
{
    struct event event = {.version = version, .data = data};
    derive_event_id(self, topic, subject, event.id);
    snprintf(event.source, sizeof event.source, "%s", self->source);
    snprintf(event.type, sizeof event.type, "%s", topic);
    snprintf(event.subject, sizeof event.subject, "%s", subject);
    memcpy(event.time, self->now, sizeof event.time);
    snprintf(event.correlation_id, sizeof event.correlation_id, "%s", subject);
    snprintf(event.causation_id, sizeof event.causation_id, "%s", service_cause(self));
    if (self->present != NULL) {
        event.trace = self->present->trace;
    }
    size_t bytes = 0;
    const enum err err = outbox_add(self->outbox, &event, self->now_ms, &bytes);
    cJSON_Delete(data);
    if (err == ERR_OK && id_out != NULL) {
        memcpy(id_out, event.id, UUID_SIZE);
    }
    return err == ERR_TOO_LARGE ? refuse_event(self, topic, bytes) : err;
}
