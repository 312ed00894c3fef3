// http_exchange - the inside of one request and its answer; http_server.c's alone.
// What others may do with an exchange is in http_server.h.
#ifndef FAULTLINE_HTTP_EXCHANGE_H
#define FAULTLINE_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/http_record.h"
#include "common/http_server.h"

struct MHD_Connection;
struct MHD_Response;

// Why the server itself refuses a request.
enum http_refusal {
    HTTP_REFUSAL_NONE,
    HTTP_MALFORMED_URL,
    HTTP_UNKNOWN_METHOD,
    HTTP_BODY_TOO_LARGE,
    HTTP_OVERLOADED,
    HTTP_STOPPING
};

//  NEW --headers--> READING --whole--> WAITING --http_reply--> ANSWERED --sent--> destroyed
//                      \----------------refused----------------/    \--client gone-/
//
// A WAITING exchange is suspended: libmicrohttpd does nothing with it, not even
// notice that the client has left.
enum http_exchange_state {
    EXCHANGE_NEW,
    EXCHANGE_READING,
    EXCHANGE_WAITING,
    EXCHANGE_ANSWERED,
};

struct http_exchange {
    struct http_server *server;        // borrowed
    struct MHD_Connection *connection; // borrowed
    struct http_record *record;        // borrowed; NULL: none is kept
    enum http_exchange_state state;
    const char *method;            // borrowed from the connection
    const char *path;              // borrowed from the connection
    struct buf body;               // at most HTTP_BODY_BYTES_MAX
    size_t body_bytes;             // that came, those thrown away included
    int64_t received_us;           // clock_mono_us at the request line
    enum http_refusal refusal;     // the answer once the request is read
    struct buf headers;            // of the answer: name NUL value NUL ...
    struct MHD_Response *response; // owned; from http_reply until it is queued
    int status;
    struct http_exchange *next; // borrowed; in the queue
};

// http_exchange_new starts an exchange; uri is the one of the request line, as sent. Its
// answer goes to record as well.
struct http_exchange *http_exchange_new(struct http_server *server,
                                        struct MHD_Connection *connection,
                                        struct http_record *record, const char *uri);
void http_exchange_destroy(struct http_exchange **self_p);

// http_exchange_respond makes the response that http_exchange_send will queue.
void http_exchange_respond(struct http_exchange *self, int status, const char *content_type,
                           struct bytes body);

// http_exchange_send queues the response, or the refusal when there is none. Only on
// the server's thread. false: the connection must be closed.
bool http_exchange_send(struct http_exchange *self);

#endif
