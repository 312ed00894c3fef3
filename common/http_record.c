#include "common/http_record.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/http_exchange.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"

struct http_record {
    char *service; // owned
    int fd;
    atomic_flag has_failed; // and it was logged
};

enum err http_record_open(struct http_record **out, const char *path, const char *service,
                          char **problem)
{
    *out = NULL;
    if (path[0] == '\0') {
        return ERR_OK;
    }
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        *problem = mem_format("cannot write to HTTP_RECORD=%s: %s", path, strerror(errno));
        return ERR_IO;
    }
    struct http_record *self = mem_calloc(1, sizeof *self);
    *self = (struct http_record){.service = mem_strdup(service), .fd = fd};
    atomic_flag_clear(&self->has_failed);
    *out = self;
    return ERR_OK;
}

void http_record_destroy(struct http_record **self_p)
{
    struct http_record *self = *self_p;
    if (self == NULL) {
        return;
    }
    close(self->fd);
    free(self->service);
    free(self);
    *self_p = NULL;
}

// Begins another member of the object that out ends in.
static void put_name(struct buf *out, const char *name)
{
    if (out->data[out->size - 1] != '{') {
        buf_put_u8(out, ',');
    }
    json_append_text(out, name);
    buf_put_u8(out, ':');
}

static enum MHD_Result put_value(void *context, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    (void)kind;
    put_name(context, name);
    json_append_text(context, value == NULL ? "" : value);
    return MHD_YES;
}

// Those that the contract names; others are the client's own.
static const char *const request_headers[] = {"Content-Type",
                                              "Idempotency-Key",
                                              "X-Request-Id",
                                              "X-Correlation-Id",
                                              "X-Attempt",
                                              "traceparent"};

static void put_request(struct buf *out, const struct http_exchange *exchange)
{
    buf_put_text(out, ",\"method\":");
    json_append_text(out, http_method(exchange));
    buf_put_text(out, ",\"path\":");
    json_append_text(out, http_path(exchange));
    buf_put_text(out, ",\"query\":{");
    MHD_get_connection_values(exchange->connection, MHD_GET_ARGUMENT_KIND, put_value, out);
    buf_put_text(out, "},\"request_headers\":{");
    for (size_t i = 0; i < ARRAY_LEN(request_headers); i++) {
        const char *value = http_header(exchange, request_headers[i]);
        if (value != NULL) {
            (void)put_value(out, MHD_HEADER_KIND, request_headers[i], value);
        }
    }
    buf_put_text(out, "},\"request\":");
    json_append_bytes(out, http_body(exchange));
}

void http_record_add(struct http_record *self, const struct http_exchange *exchange,
                     struct bytes body)
{
    if (self == NULL) {
        return;
    }
    struct buf line = {0};
    buf_put_text(&line, "{\"service\":");
    json_append_text(&line, self->service);
    put_request(&line, exchange);
    buf_printf(&line, ",\"status\":%d,\"headers\":{", exchange->status);
    MHD_get_response_headers(exchange->response, put_value, &line);
    buf_put_text(&line, "},\"response\":");
    if (MHD_get_response_header(exchange->response, "Content-Type") == NULL) {
        buf_put_text(&line, "null");
    } else {
        json_append_bytes(&line, body);
    }
    buf_put_text(&line, "}\n");
    const ssize_t written = write(self->fd, line.data, line.size);
    if (written != (ssize_t)line.size && !atomic_flag_test_and_set(&self->has_failed)) {
        log_warn("an HTTP exchange could not be recorded; this is said once",
                 LOG_STR("error", written < 0 ? strerror(errno) : "the file took a part only"));
    }
    buf_release(&line);
}
