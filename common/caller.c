#include "common/caller.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"

enum {
    STATUS_SIZE = 12
};

struct caller {
    struct caller_options *options; // borrowed
    struct http_client *client;     // owned
    struct call_context context;
};

static const struct metric_def calls_metric = {
    .name = "faultline_sync_calls_total",
    .help = "HTTP calls to other services, by target and answer.",
    .kind = METRIC_COUNTER,
    .label_names = {"target", "status"},
};

struct caller *caller_new(struct caller_options *options)
{
    struct caller *self = mem_calloc(1, sizeof *self);
    *self = (struct caller){.options = options, .client = http_client_new()};
    return self;
}

void caller_destroy(struct caller **self_p)
{
    if (*self_p == NULL) {
        return;
    }
    http_client_destroy(&(*self_p)->client);
    free(*self_p);
    *self_p = NULL;
}

void caller_begin(struct caller *self, const struct call_context *context)
{
    self->context = *context;
}

// One try of a call.
struct call_try {
    const char *target;
    const char *url; // the whole
    const char *method;
    const char *path;
    const char *body;
    const char *idempotency_key;
    int64_t number; // from 1
};

static struct call_result try_once(struct caller *self, const struct call_try *try)
{
    struct trace_context span;
    trace_child(&span, &self->context.trace);
    char traceparent[TRACE_PARENT_SIZE];
    trace_format(traceparent, &span);
    char attempt[24];
    snprintf(attempt, sizeof attempt, "%lld", (long long)try->number);
    const struct http_header headers[] = {
        {HTTP_ATTEMPT_HEADER, attempt},
        {"traceparent", traceparent},
        {"X-Correlation-Id", self->context.correlation_id},
        {try->idempotency_key == NULL ? NULL : "Idempotency-Key", try->idempotency_key},
        {0},
    };

    const int64_t start_us = clock_mono_us();
    struct http_response response = {0};
    struct call_result result = {0};
    result.err = http_client_call(self->client,
                                  try->method,
                                  try->url,
                                  headers,
                                  try->body,
                                  self->options->timeout_ms,
                                  &response);
    if (result.err == ERR_OK) {
        result.status = response.status;
        result.json = cJSON_ParseWithLength((const char *)response.body.data, response.body.size);
    }
    char status[STATUS_SIZE];
    snprintf(status, sizeof status, "%d", result.status);
    metrics_add(self->options->metrics,
                &calls_metric,
                METRIC_LABELS(try->target, result.err == ERR_OK ? status : err_name(result.err)),
                1);
    log_info(LOG_CALL_ANSWERED,
             LOG_STR("correlation_id", self->context.correlation_id),
             LOG_STR("target", try->target),
             LOG_STR("method", try->method),
             LOG_STR("path", try->path),
             LOG_INT("status", result.status),
             LOG_INT("duration_us", clock_mono_us() - start_us),
             LOG_INT("attempt", try->number),
             LOG_STR("error", result.err == ERR_OK ? NULL : http_client_error(self->client)),
             LOG_STR("request_id", self->context.request_id),
             LOG_STR("trace_id", span.trace_id),
             LOG_STR("span_id", span.span_id),
             LOG_STR("parent_span_id", self->context.trace.span_id));
    return result;
}

static bool is_failure(const struct call_result *result)
{
    return result->err != ERR_OK || result->status >= 500;
}

static void back_off(int64_t number)
{
    const int64_t ms = CALL_BACKOFF_MS << (number < 5 ? number - 1 : 4);
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

// Tells whether a call may go out now; in HALF-OPEN only one may at a time.
static bool breaker_allows(struct caller *self, struct breaker *breaker, int64_t now_ms)
{
    pthread_mutex_lock(&self->options->mutex);
    bool allows = true;
    if (breaker->open_until_ms != 0) {
        allows = now_ms >= breaker->open_until_ms && !breaker->probing;
        breaker->probing = breaker->probing || allows;
    }
    pthread_mutex_unlock(&self->options->mutex);
    return allows;
}

static void breaker_report(struct caller *self, struct breaker *breaker, bool ok, int64_t now_ms)
{
    const int64_t failures_max = self->options->breaker_failures_max;
    pthread_mutex_lock(&self->options->mutex);
    breaker->probing = false;
    breaker->failures = ok ? 0 : breaker->failures + 1;
    if (ok) {
        breaker->open_until_ms = 0;
    } else if (failures_max > 0 && breaker->failures >= failures_max) {
        breaker->open_until_ms = now_ms + self->options->breaker_open_ms;
    }
    pthread_mutex_unlock(&self->options->mutex);
}

struct call_result caller_call(struct caller *self, const char *target, const char *method,
                               const char *path, const cJSON *json, const char *idempotency_key)
{
    size_t at = 0;
    while (at < self->options->targets_count &&
           strcmp(self->options->targets[at].name, target) != 0) {
        at++;
    }
    assert(at < self->options->targets_count); // targets are a table of ours
    struct breaker *breaker = &self->options->targets[at].breaker;
    char *url = mem_format("%s%s", self->options->targets[at].url, path);

    char *body = json_to_text(json);
    struct call_result result = {.err = ERR_UNAVAILABLE};
    bool unknown = false; // some try may have been heard
    for (int64_t number = 1; number <= 1 + self->options->retries_max; number++) {
        if (number > 1) {
            back_off(number - 1);
        }
        if (!breaker_allows(self, breaker, clock_mono_ms())) {
            log_warn("the circuit to a service is open, it is not called",
                     LOG_STR("correlation_id", self->context.correlation_id),
                     LOG_STR("target", target));
            break;
        }
        cJSON_Delete(result.json);
        result = try_once(self,
                          &(struct call_try){.target = target,
                                             .url = url,
                                             .method = method,
                                             .path = path,
                                             .body = body,
                                             .idempotency_key = idempotency_key,
                                             .number = number});
        unknown = unknown || result.err != ERR_UNAVAILABLE;
        breaker_report(self, breaker, !is_failure(&result), clock_mono_ms());
        if (!is_failure(&result)) {
            break;
        }
    }
    if (result.err == ERR_UNAVAILABLE && unknown) {
        result.err = ERR_TIMEOUT; // "nothing happened there" is true of the last try only
    }
    free(body);
    free(url);
    return result;
}
