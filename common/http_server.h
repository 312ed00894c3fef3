// http_server - HTTP/1.1 for one core thread: another thread, libmicrohttpd on epoll, reads
// requests, the core takes whole ones, and answers when it has committed. A
// request that waits holds no thread.
//
// The server itself refuses what never needs the core, as application/problem+json:
//
//   400 malformed-url       %00 in the URL
//   405 method-not-allowed  any method but GET, HEAD, POST, PUT, PATCH, DELETE
//   413 body-too-large      over HTTP_BODY_BYTES_MAX, announced or in chunks
//   503 overloaded          HTTP_WAITING_MAX requests wait already
//   503 stopping            what waits when the server stops
//
// What is no HTTP at all (a header without a colon, a head over 32 KiB) gets a 4xx
// of libmicrohttpd's own, in HTML, or is hung up on. So is a connection that is
// silent for timeout_ms, a body that is not whole after three times that, and one in
// chunks that goes on past 16 MiB. A request that waits for the core is not
// timed, and a client that leaves meanwhile is not noticed.
#ifndef FAULTLINE_HTTP_SERVER_H
#define FAULTLINE_HTTP_SERVER_H

#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"
#include "common/json.h"

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
    int64_t timeout_ms;  // 0: 10000; rounded up to seconds
    const char *name;    // of the service, for the record
    const char *record;  // path of a file for http_record; NULL, "": nothing is recorded
};

// http_server_open listens. ERR_IO: it cannot, or the record's file cannot be opened;
// *problem, which the caller frees, says why and what to do ("port 8001 is in use: ...").
// The caller owns *out. It
// raises the process's soft limit of open files to HTTP_CONNECTIONS_MAX and some.
enum err http_server_open(struct http_server **out, const struct http_server_options *options,
                          char **problem);

// http_server_destroy stops listening, answers what waits with 503, gives all answers
// half a second to leave, stops the thread and frees *self_p. Every exchange that
// was taken must have been answered before.
void http_server_destroy(struct http_server **self_p);

uint16_t http_server_port(const struct http_server *self);

// http_server_fd is readable while requests wait to be taken. Core thread.
int http_server_fd(const struct http_server *self);

// http_server_take gives up to max whole requests, oldest first; each must be
// answered with http_reply, from any thread. Core thread.
size_t http_server_take(struct http_server *self, struct http_exchange **out, size_t max);

// The request; all borrowed from the exchange until it is answered. Header and
// query give NULL when absent; the query value is URL-decoded, "" for "?name".
const char *http_method(const struct http_exchange *exchange);
const char *http_path(const struct http_exchange *exchange); // decoded, without query
const char *http_query(const struct http_exchange *exchange, const char *name);

// http_query_other is the name of a query argument that is none of names (ended by NULL, or
// NULL for none); NULL: there is no such.
const char *http_query_other(const struct http_exchange *exchange, const char *const *names);

// http_put_target appends what the request is about to out: the path and every query
// argument as it came, decoded.
void http_put_target(const struct http_exchange *exchange, struct buf *out);
const char *http_header(const struct http_exchange *exchange, const char *name);
struct bytes http_body(const struct http_exchange *exchange);
int64_t http_received_us(const struct http_exchange *exchange); // clock_mono_us at arrival

// http_set_header adds a header to the answer; both are copied. One that would
// break the head (a line break in it) is left out.
void http_set_header(struct http_exchange *exchange, const char *name, const char *value);

// http_reply answers and gives the exchange back to the server: the caller must not
// touch it again. body is copied. content_type NULL: no body. Any thread.
void http_reply(struct http_exchange *exchange, int status, const char *content_type,
                struct bytes body);

#define HTTP_JSON    "application/json"
#define HTTP_PROBLEM "application/problem+json"
#define HTTP_TEXT    "text/plain; version=0.0.4; charset=utf-8"

// http_problem_new makes a problem document (RFC 9457) of type
// "urn:faultline:problem:CODE", which the caller may add to and deletes.
cJSON *http_problem_new(int status, const char *code, const char *detail);

// http_status_text: "Not Found".
const char *http_status_text(int status);

#endif
