// http_record - what an HTTP server was asked and what it answered, one JSON object a
// line, for whoever holds that against contracts/openapi:
//
//   {"service":"order","method":"POST","path":"/orders","query":{"mode":"sync"},
//    "request_headers":{"Content-Type":"application/json"},"request":"{...}","status":201,
//    "headers":{"Location":"/orders/01...","Content-Type":"application/json"},
//    "response":"{...}"}
//
// query is decoded; of the request's headers those are there that the contract names, of the
// answer's those that we set; response is null when there is no body. Bodies are text, with U+FFFD
// for what is not UTF-8. An answer to HEAD is recorded with the body that GET would get. What
// libmicrohttpd answers by itself (http_server.h) is not seen. Bodies are recorded as they are,
// payment tokens too: it is for tests. Any thread.
#ifndef FAULTLINE_HTTP_RECORD_H
#define FAULTLINE_HTTP_RECORD_H

#include "common/bytes.h"
#include "common/err.h"

struct http_record; // opaque
struct http_exchange;

// http_record_open appends to the file at path, which is made when it is not there; several
// processes may share it, since each line is one write. ERR_IO: it cannot be opened, and
// *problem, which the caller frees, says why. With path "" *out is NULL. service is copied.
enum err http_record_open(struct http_record **out, const char *path, const char *service,
                          char **problem);
void http_record_destroy(struct http_record **self_p);

// http_record_add writes one line about exchange, which has its response, or does nothing
// when self is NULL; body is the response's. A failed write is logged, the first one, and
// harms no request.
void http_record_add(struct http_record *self, const struct http_exchange *exchange,
                     struct bytes body);

#endif
