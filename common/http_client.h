// http_client - blocking HTTP calls over one kept libcurl handle. One thread owns a
// client; connections are kept and reused.
#ifndef FAULTLINE_HTTP_CLIENT_H
#define FAULTLINE_HTTP_CLIENT_H

#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"

struct http_client; // opaque

struct http_client *http_client_new(void);
void http_client_destroy(struct http_client **self_p);

struct http_header {
    const char *name;
    const char *value;
};

enum {
    HTTP_REPLY_BYTES_MAX = 4 * 1024 * 1024
};

struct http_response {
    int status;
    struct bytes body; // borrowed from the client until its next call; NUL-terminated
};

// http_client_call sends and waits for the whole answer, at most timeout_ms in all,
// connecting included. headers end with a NULL name, or are NULL; a body is sent as
// application/json, NULL body: none. Redirects are not followed, proxies not used,
// and a request is never sent twice: not even when a kept connection breaks.
// ERR_INVALID: url is no http URL. ERR_UNAVAILABLE: no connection could be made,
// nothing was sent. ERR_TIMEOUT: no answer in time, what happened is unknown.
// ERR_IO: the connection broke in mid-request or the answer is no HTTP; unknown as
// well. ERR_TOO_LARGE: the answer is over HTTP_REPLY_BYTES_MAX.
enum err http_client_call(struct http_client *self, const char *method, const char *url,
                          const struct http_header *headers, const char *body, int64_t timeout_ms,
                          struct http_response *out);

// http_client_error: a sentence about the last call's failure, "" when it was none;
// borrowed until the next call.
const char *http_client_error(const struct http_client *self);

#endif
