#include "common/http_exchange.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

#define METHODS "GET, HEAD, POST, PUT, PATCH, DELETE"

struct refusal {
    int status;
    const char *code;
    const char *detail;
    const char *header; // one more header; NULL: none
    const char *header_value;
};

static const struct refusal refusals[] = {
    [HTTP_MALFORMED_URL] =
        {400, "malformed-url", "The URL holds a character with the code 0.", NULL, NULL},
    [HTTP_UNKNOWN_METHOD] =
        {405, "method-not-allowed", "The method is none of " METHODS ".", "Allow", METHODS},
    [HTTP_BODY_TOO_LARGE] =
        {413, "body-too-large", "The body is over the limit of 65536 bytes.", NULL, NULL},
    [HTTP_OVERLOADED] =
        {503, "overloaded", "Too many requests wait already; try again later.", "Retry-After", "1"},
    [HTTP_STOPPING] = {503, "stopping", "This process is stopping.", "Connection", "close"},
};

struct http_exchange *http_exchange_new(struct http_server *server,
                                        struct MHD_Connection *connection,
                                        struct http_record *record, const char *uri)
{
    struct http_exchange *self = mem_calloc(1, sizeof *self);
    *self = (struct http_exchange){.server = server,
                                   .connection = connection,
                                   .record = record,
                                   .received_us = clock_mono_us()};
    // Decoded, it would end the text before its end.
    if (strstr(uri, "%00") != NULL) {
        self->refusal = HTTP_MALFORMED_URL;
    }
    return self;
}

void http_exchange_destroy(struct http_exchange **self_p)
{
    struct http_exchange *self = *self_p;
    if (self == NULL) {
        return;
    }
    if (self->response != NULL) {
        MHD_destroy_response(self->response);
    }
    buf_release(&self->body);
    buf_release(&self->headers);
    free(self);
    *self_p = NULL;
}

// --- the request

const char *http_method(const struct http_exchange *exchange)
{
    return exchange->method;
}

const char *http_path(const struct http_exchange *exchange)
{
    return exchange->path;
}

static enum MHD_Result put_argument(void *context, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    (void)kind;
    buf_printf(context, "&%s=%s", name, value == NULL ? "" : value);
    return MHD_YES;
}

void http_put_target(const struct http_exchange *exchange, struct buf *out)
{
    buf_put_text(out, exchange->path);
    MHD_get_connection_values(exchange->connection, MHD_GET_ARGUMENT_KIND, put_argument, out);
}

const char *http_query(const struct http_exchange *exchange, const char *name)
{
    const char *value = NULL;
    const enum MHD_Result found = MHD_lookup_connection_value_n(
        exchange->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, NULL);
    // "?name" has no value, but is there.
    return found == MHD_YES && value == NULL ? "" : value;
}

struct search {
    const char *const *names;
    const char *other;
};

static enum MHD_Result find_other(void *context, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    (void)kind;
    (void)value;
    struct search *search = context;
    if (name[0] == '\0') {
        return MHD_YES; // "?&limit=1"
    }
    for (const char *const *known = search->names; known != NULL && *known != NULL; known++) {
        if (strcmp(*known, name) == 0) {
            return MHD_YES;
        }
    }
    search->other = name;
    return MHD_NO;
}

const char *http_query_other(const struct http_exchange *exchange, const char *const *names)
{
    struct search search = {.names = names};
    (void)MHD_get_connection_values(
        exchange->connection, MHD_GET_ARGUMENT_KIND, find_other, &search);
    return search.other;
}

const char *http_header(const struct http_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

struct bytes http_body(const struct http_exchange *exchange)
{
    return buf_view(&exchange->body);
}

int64_t http_received_us(const struct http_exchange *exchange)
{
    return exchange->received_us;
}

// --- the answer

const char *http_status_text(int status)
{
    return MHD_get_reason_phrase_for((unsigned)status);
}

void http_set_header(struct http_exchange *exchange, const char *name, const char *value)
{
    buf_put(&exchange->headers, name, strlen(name) + 1);
    buf_put(&exchange->headers, value, strlen(value) + 1);
}

void http_exchange_respond(struct http_exchange *self, int status, const char *content_type,
                           struct bytes body)
{
    const size_t size = content_type == NULL ? 0 : body.size;
    // Copied here, since libmicrohttpd would copy only from what is not const.
    void *copy = mem_alloc(size);
    if (size > 0) {
        memcpy(copy, body.data, size);
    }
    self->response = MHD_create_response_from_buffer(size, copy, MHD_RESPMEM_MUST_FREE);
    if (self->response == NULL) {
        abort(); // out of memory
    }
    self->status = status;
    if (content_type != NULL) {
        MHD_add_response_header(self->response, "Content-Type", content_type);
    }
    const struct bytes headers = buf_view(&self->headers);
    for (size_t at = 0; at < headers.size;) {
        const char *name = (const char *)headers.data + at;
        const char *value = name + strlen(name) + 1;
        // One with a line break is refused, and then simply not there.
        MHD_add_response_header(self->response, name, value);
        at += strlen(name) + 1 + strlen(value) + 1;
    }
    http_record_add(self->record, self, body);
}

cJSON *http_problem_new(int status, const char *code, const char *detail)
{
    cJSON *problem = cJSON_CreateObject();
    char *type = mem_format("urn:faultline:problem:%s", code);
    cJSON_AddStringToObject(problem, "type", type);
    cJSON_AddStringToObject(problem, "title", http_status_text(status));
    cJSON_AddNumberToObject(problem, "status", status);
    cJSON_AddStringToObject(problem, "detail", detail);
    free(type);
    return problem;
}

static void respond_refusal(struct http_exchange *self, const struct refusal *refusal)
{
    struct buf body = {0};
    cJSON *problem = http_problem_new(refusal->status, refusal->code, refusal->detail);
    json_append(&body, problem);
    cJSON_Delete(problem);
    if (refusal->header != NULL) {
        http_set_header(self, refusal->header, refusal->header_value);
    }
    http_exchange_respond(self, refusal->status, HTTP_PROBLEM, buf_view(&body));
    buf_release(&body);
}

bool http_exchange_send(struct http_exchange *self)
{
    if (self->response == NULL) {
        respond_refusal(self, &refusals[self->refusal]);
    }
    const enum MHD_Result result =
        MHD_queue_response(self->connection, (unsigned)self->status, self->response);
    MHD_destroy_response(self->response);
    self->response = NULL;
    return result == MHD_YES;
}
