// http_server - HTTP/1.1 for one core thread: libmicrohttpd's epoll thread reads
// requests, the core takes whole ones, and answers when it has committed. A
// request that waits holds no thread.
//
// The server itself refuses what never needs the core, always as
// application/problem+json: a body over the limit (413), a request line or header
// that is no HTTP (400), more than HTTP_WAITING_MAX requests at once (503), any
// method but GET, HEAD, POST, PUT, PATCH, DELETE (405 or 501). A connection that is
// silent for timeout_ms is closed. On stop, waiting requests get 503.
#ifndef FAULTLINE_HTTP_SERVER_H
#define FAULTLINE_HTTP_SERVER_H

#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"

struct http_server;   // opaque
struct http_exchange; // one request, and the answer it waits for

enum {
    HTTP_WAITING_MAX = 1024,
    HTTP_BODY_BYTES_MAX = 64 * 1024,
    HTTP_CONNECTIONS_MAX = 2048
};

struct http_server_options {
    const char *address; // "127.0.0.1"
    uint16_t port;       // 0: any free one
    int64_t timeout_ms;  // 0: 10000
};

// http_server_open listens. ERR_IO: it cannot; *problem, which the caller frees,
// says why and what to do ("port 8001 is in use: ..."). The caller owns *out.
enum err http_server_open(struct http_server **out, const struct http_server_options *options,
                          char **problem);

// http_server_destroy answers what waits with 503, stops the thread and frees
// *self_p. Every exchange that was taken must have been answered before.
void http_server_destroy(struct http_server **self_p);

uint16_t http_server_port(const struct http_server *self);

// http_server_fd is readable while requests wait to be taken. Core thread.
int http_server_fd(const struct http_server *self);

// http_server_take gives up to max whole requests, oldest first; each must be
// answered with http_reply, from any thread. Core thread.
size_t http_server_take(struct http_server *self, struct http_exchange **out, size_t max);

// The request; all borrowed from the exchange until it is answered. Header and
// query give NULL when absent; the query value is URL-decoded.
const char *http_method(const struct http_exchange *exchange);
const char *http_path(const struct http_exchange *exchange); // decoded, without query
const char *http_query(const struct http_exchange *exchange, const char *name);
const char *http_header(const struct http_exchange *exchange, const char *name);
struct bytes http_body(const struct http_exchange *exchange);
int64_t http_received_us(const struct http_exchange *exchange); // clock_mono_us at arrival

// http_set_header adds a header to the answer; both are copied.
void http_set_header(struct http_exchange *exchange, const char *name, const char *value);

// http_reply answers and gives the exchange back to the server: the caller must not
// touch it again. body is copied. content_type NULL: no body. Any thread.
void http_reply(struct http_exchange *exchange, int status, const char *content_type,
                struct bytes body);

#define HTTP_JSON    "application/json"
#define HTTP_PROBLEM "application/problem+json"
#define HTTP_TEXT    "text/plain; version=0.0.4; charset=utf-8"

// http_status_text: "Not Found".
const char *http_status_text(int status);

#endif
