#include "common/request.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/service_state.h"
#include "common/utf8.h"

enum {
    PAGE_DEFAULT = 50,
    PAGE_MAX = 500,
    DETAIL_SIZE = 512,
    ATTEMPT_MAX = 1000
};

#define KEY_HEADER "Idempotency-Key"

// Answers at once, for a request that needs no handler; false, for the caller's return.
static bool refuse(struct request *self, int status, const char *code, const char *field,
                   const char *detail)
{
    (void)request_reply_problem(self, status, code, field, "%s", detail);
    return false;
}

// --- the route

static const char *segment_end(const char *at)
{
    const char *slash = strchr(at, '/');
    return slash == NULL ? at + strlen(at) : slash;
}

// Walks pattern and path together, segment by segment.
static bool path_matches(const char *pattern, const char *path, struct request *self)
{
    self->parameters_count = 0;
    while (*pattern == '/' && *path == '/') {
        pattern++;
        path++;
        const char *pattern_end = segment_end(pattern);
        const char *path_end = segment_end(path);
        const size_t size = (size_t)(path_end - path);
        if (*pattern == '{') {
            if (size == 0 || size >= EVENT_TEXT_MAX) {
                return false;
            }
            assert(self->parameters_count < REQUEST_PARAMETERS_MAX);
            const size_t at = self->parameters_count++;
            self->parameters[at].name = pattern + 1;
            memcpy(self->parameters[at].value, path, size);
            self->parameters[at].value[size] = '\0';
        } else if ((size_t)(pattern_end - pattern) != size || memcmp(pattern, path, size) != 0) {
            return false;
        }
        pattern = pattern_end;
        path = path_end;
    }
    return *pattern == '\0' && *path == '\0';
}

static bool method_matches(const char *route, const char *method)
{
    return strcmp(route, method) == 0 || (strcmp(route, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

// What the runtime answers itself, without a handler: answer_own.
static const char *const own_paths[] = {"/healthz", "/readyz", "/metrics"};

static bool is_utf8(const char *text)
{
    const size_t size = strlen(text);
    size_t at = 0;
    while (at < size) {
        const size_t step = utf8_size((const uint8_t *)text + at, size - at);
        if (step == 0) {
            return false;
        }
        at += step;
    }
    return true;
}

// Finds the route; without one it stages 404 or 405.
static bool find_route(struct request *self)
{
    const struct service_def *def = self->service->def;
    const char *path = http_path(self->exchange);
    if (!is_utf8(path)) {
        (void)request_reply_problem(self, 400, "malformed-url", NULL, "the path is not UTF-8");
        return false;
    }
    struct buf allow = {0};
    for (size_t i = 0; i < def->routes_count; i++) {
        if (!path_matches(def->routes[i].path, path, self)) {
            continue;
        }
        if (method_matches(def->routes[i].method, http_method(self->exchange))) {
            self->route = &def->routes[i];
            buf_release(&allow);
            return true;
        }
        buf_printf(&allow, "%s%s", allow.size == 0 ? "" : ", ", def->routes[i].method);
    }
    self->parameters_count = 0;
    for (size_t i = 0; i < ARRAY_LEN(own_paths); i++) {
        if (strcmp(own_paths[i], path) == 0) {
            buf_put_text(&allow, "GET");
        }
    }
    if (allow.size == 0) {
        return refuse(self, 404, "not-found", NULL, "there is no such path; see --help");
    }
    buf_put_u8(&allow, '\0');
    const char *methods = (const char *)allow.data;
    http_set_header(self->exchange, "Allow", methods);
    (void)request_reply_problem(
        self, 405, "method-not-allowed", NULL, "this path allows %s", methods);
    buf_release(&allow);
    return false;
}

// --- what came with it

static bool is_plain(const char *text, size_t max)
{
    const size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        if (!isgraph((unsigned char)text[i])) {
            return false;
        }
    }
    return size > 0 && size <= max;
}

// Copies an id that came in a header; false: none came that is one.
static bool read_id(const struct request *self, const char *header, char out[EVENT_TEXT_MAX])
{
    const char *id = http_header(self->exchange, header);
    const bool is_id = id != NULL && is_plain(id, EVENT_TEXT_MAX - 1);
    if (is_id) {
        snprintf(out, EVENT_TEXT_MAX, "%s", id);
    }
    return is_id;
}

static void read_identity(struct request *self)
{
    if (!read_id(self, "X-Request-Id", self->id)) {
        uuid_new(self->id);
    }
    (void)read_id(self, "X-Correlation-Id", self->correlation_id);
    const char *attempt = http_header(self->exchange, HTTP_ATTEMPT_HEADER);
    const long number = attempt == NULL ? 1 : strtol(attempt, NULL, 10);
    self->attempt = number < 1 || number > ATTEMPT_MAX ? 1 : (uint32_t)number;
    struct trace_context parent;
    (void)trace_parse(&parent, http_header(self->exchange, "traceparent")); // else empty
    memcpy(self->parent_span_id, parent.span_id, sizeof self->parent_span_id);
    trace_child(&self->trace, &parent);
}

// "?mod=sync" must not order by events.
static bool check_query(struct request *self)
{
    const char *other = http_query_other(self->exchange, self->route->query);
    if (other == NULL) {
        return true;
    }
    struct buf known = {0};
    for (const char *const *name = self->route->query; name != NULL && *name != NULL; name++) {
        buf_printf(&known, "%s%s", known.size == 0 ? "this path has: " : ", ", *name);
    }
    buf_put_u8(&known, '\0');
    const char *detail = known.size > 1 ? (const char *)known.data : "this path has none";
    const bool is_good = refuse(self, 400, "unknown-parameter", other, detail);
    buf_release(&known);
    return is_good;
}

static bool read_body(struct request *self)
{
    if (strcmp(self->route->method, "POST") != 0 && strcmp(self->route->method, "PUT") != 0) {
        return true;
    }
    const char *type = http_header(self->exchange, "Content-Type");
    const size_t size = strlen(HTTP_JSON);
    if (type == NULL || strncasecmp(type, HTTP_JSON, size) != 0 ||
        (type[size] != '\0' && strchr("; \t", type[size]) == NULL)) {
        const char *detail = "send the header Content-Type: application/json";
        return refuse(self, 415, "unsupported-media-type", NULL, detail);
    }
    struct json_problem problem;
    if (json_parse(http_body(self->exchange), &self->json, &problem) != ERR_OK) {
        return refuse(self, 400, "malformed-json", NULL, problem.reason);
    }
    return cJSON_IsObject(self->json) ||
           refuse(self, 400, "malformed-json", NULL, "the body must be a JSON object");
}

static bool read_key(struct request *self)
{
    const char *key = http_header(self->exchange, KEY_HEADER);
    if (key == NULL || strcmp(self->route->method, "POST") != 0) {
        return true;
    }
    if (!is_plain(key, REQUEST_KEY_MAX)) {
        const char *detail = "1 to 128 visible ASCII characters";
        return refuse(self, 400, "invalid-idempotency-key", KEY_HEADER, detail);
    }
    self->idempotency_key = key;
    return true;
}

// --- the runtime's own paths

static bool answer_own(struct service *service, struct http_exchange *exchange)
{
    const char *path = http_path(exchange);
    if (!method_matches("GET", http_method(exchange))) {
        return false;
    }
    if (strcmp(path, "/healthz") == 0) {
        http_reply(exchange, 200, HTTP_JSON, bytes_of_text("{\"status\":\"alive\"}"));
        return true;
    }
    struct buf body = {0};
    if (strcmp(path, "/readyz") == 0) {
        const bool ready = bus_is_connected(service->bus) && !service->store_failed;
        const char *bus = bus_is_connected(service->bus) ? "connected" : "not connected";
        const char *store = service->store_failed ? "the last commit failed" : "ok";
        buf_printf(&body, "{\"ready\":%s,\"bus\":\"%s\",", ready ? "true" : "false", bus);
        buf_printf(&body, "\"store\":\"%s\"}", store);
        http_reply(exchange, ready ? 200 : 503, HTTP_JSON, buf_view(&body));
    } else if (strcmp(path, "/metrics") == 0) {
        service_metrics_format(service, &body);
        http_reply(exchange, 200, HTTP_TEXT, buf_view(&body));
    } else {
        return false;
    }
    buf_release(&body);
    return true;
}

struct request *request_open(struct service *service, struct http_exchange *exchange)
{
    if (answer_own(service, exchange)) {
        return NULL;
    }
    struct request *self = mem_calloc(1, sizeof *self);
    self->service = service;
    self->exchange = exchange;
    read_identity(self);
    if (find_route(self) && check_query(self) && read_body(self) && read_key(self)) {
        return self;
    }
    request_send(&self);
    return NULL;
}

// --- the end

void request_drop_answer(struct request *self)
{
    free(self->body);
    free(self->location);
    work_destroy(&self->work);
    self->body = NULL;
    self->location = NULL;
    self->status = 0;
    self->is_problem = false;
    self->is_replay = false;
}

void request_fail(struct request *self, int status, const char *code, const char *detail)
{
    request_drop_answer(self);
    (void)request_reply_problem(self, status, code, NULL, "%s", detail);
}

static void account(const struct request *self)
{
    const int64_t duration_us = clock_mono_us() - http_received_us(self->exchange);
    const char *route = self->route == NULL ? "unknown" : self->route->path;
    char status[16];
    snprintf(status, sizeof status, "%d", self->status);
    struct metrics *metrics = self->service->metrics;
    const char *const *labels =
        METRIC_LABELS(self->route == NULL ? "other" : self->route->method, route, status);
    metrics_add(metrics, &service_metric_requests, labels, 1);
    labels = METRIC_LABELS(route);
    metrics_observe(metrics, &service_metric_request_seconds, labels, (double)duration_us / 1e6);
    // Reading changes nothing: it is no part of a story.
    const char *method = http_method(self->exchange);
    log_write(method_matches("GET", method) ? LOG_DEBUG : LOG_INFO,
              LOG_REQUEST_ANSWERED,
              LOG_FIELDS(LOG_STR("correlation_id", text_or_null(self->correlation_id)),
                         LOG_STR("method", method),
                         LOG_STR("path", http_path(self->exchange)),
                         LOG_INT("status", self->status),
                         LOG_INT("duration_us", duration_us),
                         LOG_STR("request_id", self->id),
                         LOG_STR("trace_id", self->trace.trace_id),
                         LOG_STR("span_id", self->trace.span_id),
                         LOG_STR("parent_span_id", text_or_null(self->parent_span_id))));
}

void request_send(struct request **self_p)
{
    struct request *self = *self_p;
    assert(self->status != 0 && self->work == NULL);
    account(self);
    if (self->location != NULL) {
        http_set_header(self->exchange, "Location", self->location);
    }
    if (self->is_replay) {
        http_set_header(self->exchange, "Idempotency-Replayed", "true");
    }
    http_set_header(self->exchange, "X-Request-Id", self->id);
    const char *type = self->is_problem ? HTTP_PROBLEM : HTTP_JSON;
    const struct bytes body = bytes_of_text(self->body);
    http_reply(self->exchange, self->status, self->body == NULL ? NULL : type, body);
    request_drop_answer(self);
    cJSON_Delete(self->json);
    free(self);
    *self_p = NULL;
}

// --- Idempotency-Key

enum err request_claim_key(struct request *self, bool *run)
{
    *run = true;
    const char *key = self->idempotency_key;
    if (key == NULL) {
        return ERR_OK;
    }
    struct service *service = self->service;
    struct inbox_answer answer = {0};
    struct buf what = {0};
    http_put_target(self->exchange, &what);
    buf_put(&what, http_body(self->exchange).data, http_body(self->exchange).size);
    const struct inbox_claim claim = {
        self->route->path, key, buf_view(&what), service_member(service), service->now};
    const enum err err = inbox_begin_request(service->store, &claim, &answer);
    buf_release(&what);
    *run = err == ERR_OK;
    if (err == ERR_CONFLICT) {
        const char *detail = "this key was used for another request";
        return request_reply_problem(self, 422, "idempotency-key-reused", KEY_HEADER, "%s", detail);
    }
    if (err == ERR_EXISTS && answer.status == 0) {
        const char *detail = "the request with this key is still being worked on";
        return request_reply_problem(self, 409, "request-in-progress", KEY_HEADER, "%s", detail);
    }
    if (err == ERR_EXISTS) {
        self->status = answer.status;
        self->body = answer.body;
        self->location = answer.location;
        self->is_problem = answer.status >= 400;
        self->is_replay = true;
        return ERR_OK;
    }
    return err;
}

enum err request_settle_key(struct request *self)
{
    const char *key = self->idempotency_key;
    if (key == NULL || self->status == 0) {
        return ERR_OK;
    }
    // A failure of ours may be tried again under the same key.
    if (self->status >= 500) {
        return inbox_forget_request(self->service->store, self->route->path, key);
    }
    const struct inbox_answer answer = {self->status, self->body, self->location};
    return inbox_end_request(self->service->store, self->route->path, key, &answer);
}

// --- service.h: what a handler asks and says

const char *request_parameter(const struct request *self, const char *name)
{
    const size_t size = strlen(name);
    for (size_t i = 0; i < self->parameters_count; i++) {
        const char *other = self->parameters[i].name;
        if (strncmp(other, name, size) == 0 && other[size] == '}') {
            return self->parameters[i].value;
        }
    }
    assert(!"a handler asks for a parameter that its route has not");
    return NULL;
}

const char *request_query(const struct request *self, const char *name)
{
    return http_query(self->exchange, name);
}

const cJSON *request_json(const struct request *self)
{
    return self->json;
}

void request_correlate(struct request *self, const char *subject)
{
    snprintf(self->correlation_id, sizeof self->correlation_id, "%s", subject);
}

enum err request_page(struct request *self, int64_t *limit, const char **after)
{
    *limit = PAGE_DEFAULT;
    const char *text = request_query(self, "limit");
    if (text != NULL) {
        char *end = NULL;
        *limit = strtoll(text, &end, 10);
        if (!isdigit((unsigned char)text[0]) || *end != '\0' || *limit < 1 || *limit > PAGE_MAX) {
            (void)refuse(
                self, 400, "invalid-parameter", "limit", "must be a whole number from 1 to 500");
            return ERR_INVALID;
        }
    }
    text = request_query(self, "after");
    *after = text == NULL ? "" : text;
    return ERR_OK;
}

enum err request_reply_created(struct request *self, int status, const char *location, cJSON *json)
{
    assert(self->status == 0 && self->work == NULL);
    self->status = status;
    self->location = mem_strdup(location);
    self->body = json_to_text(json);
    cJSON_Delete(json);
    return ERR_OK;
}

enum err request_reply(struct request *self, int status, cJSON *json)
{
    return request_reply_created(self, status, NULL, json);
}

enum err request_reply_problem(struct request *self, int status, const char *code,
                               const char *field, const char *detail, ...)
{
    char text[DETAIL_SIZE];
    va_list args;
    va_start(args, detail);
    vsnprintf(text, sizeof text, detail, args);
    va_end(args);
    cJSON *problem = http_problem_new(status, code, text);
    if (field != NULL) {
        cJSON_AddStringToObject(problem, "field", field);
    }
    self->is_problem = true;
    return request_reply(self, status, problem);
}

enum err request_reply_problem_with(struct request *self, int status, const char *code,
                                    const char *detail, cJSON *extra)
{
    cJSON *problem = http_problem_new(status, code, detail);
    while (extra->child != NULL) {
        cJSON *member = cJSON_DetachItemViaPointer(extra, extra->child);
        cJSON_AddItemToObject(problem, member->string, member);
    }
    cJSON_Delete(extra);
    self->is_problem = true;
    return request_reply(self, status, problem);
}

enum err request_reply_invalid(struct request *self, const struct json_problem *problem)
{
    const char *field = text_or_null(problem->field);
    return request_reply_problem(self, 422, "invalid-field", field, "%s", problem->reason);
}

enum err request_run_job(struct service *service, struct request *self,
                         const struct service_job *job, cJSON *input)
{
    assert(self->status == 0 && self->work == NULL);
    if (!worker_pool_has_room(service->workers, service->jobs_staged)) {
        cJSON_Delete(input);
        return ERR_FULL;
    }
    service->jobs_staged++;
    self->work = mem_calloc(1, sizeof *self->work);
    *self->work = (struct work){.job = job, .request = self, .input = input};
    memcpy(self->work->calls.correlation_id, self->correlation_id, sizeof self->correlation_id);
    memcpy(self->work->calls.request_id, self->id, sizeof self->id);
    self->work->calls.trace = self->trace;
    return ERR_OK;
}
