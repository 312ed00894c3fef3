#include "common/http_client.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum {
    ERROR_SIZE = 512,
    // Shorter than the time after which a server closes an idle connection, so that
    // it does not close one on which a request is just being sent.
    IDLE_SECONDS_MAX = 5,
    // A container that was started again has another address.
    DNS_SECONDS_MAX = 5,
    CONNECTIONS_MAX = 8,
};

struct http_client {
    CURL *easy;             // owned
    struct buf body;        // of the last answer
    bool is_body_too_large; // the last answer's
    bool is_head_whole;     // the last answer's
    char detail[CURL_ERROR_SIZE];
    char error[ERROR_SIZE];
};

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct http_client *self = context;
    const size_t bytes = size * count;
    if (self->body.size + bytes > HTTP_REPLY_BYTES_MAX) {
        self->is_body_too_large = true;
        return 0;
    }
    buf_put(&self->body, data, bytes);
    return bytes;
}

// libcurl takes a head that ends in mid-line for a whole one: look for the empty line.
static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    struct http_client *self = context;
    const size_t bytes = size * count;
    if (bytes >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        self->is_head_whole = false;
    } else if (line[0] == '\r' || line[0] == '\n') {
        self->is_head_whole = true;
    }
    return bytes;
}

// libcurl sends a request again by itself when a kept connection breaks before the
// first byte of an answer. It cannot know whether the other side acted on the first
// one, nor can we: a new connection is refused once something was sent.
static curl_socket_t on_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    struct http_client *self = context;
    long sent_bytes = 0;
    curl_easy_getinfo(self->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
    if (sent_bytes > 0) {
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

struct http_client *http_client_new(void)
{
    struct http_client *self = mem_calloc(1, sizeof *self);
    // Before curl_easy_init, which would set up TLS too, and that takes a while.
    const CURLcode rc = curl_global_init(CURL_GLOBAL_NOTHING);
    self->easy = rc == CURLE_OK ? curl_easy_init() : NULL;
    if (self->easy == NULL) {
        abort(); // out of memory
    }
    curl_easy_setopt(self->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(self->easy, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(self->easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(self->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(self->easy, CURLOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
    curl_easy_setopt(self->easy, CURLOPT_MAXAGE_CONN, (long)IDLE_SECONDS_MAX);
    curl_easy_setopt(self->easy, CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_SECONDS_MAX);
    curl_easy_setopt(self->easy, CURLOPT_ERRORBUFFER, self->detail);
    curl_easy_setopt(self->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(self->easy, CURLOPT_WRITEDATA, self);
    curl_easy_setopt(self->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(self->easy, CURLOPT_HEADERDATA, self);
    curl_easy_setopt(self->easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(self->easy, CURLOPT_OPENSOCKETDATA, self);
    return self;
}

void http_client_destroy(struct http_client **self_p)
{
    struct http_client *self = *self_p;
    if (self == NULL) {
        return;
    }
    curl_easy_cleanup(self->easy);
    buf_release(&self->body);
    free(self);
    *self_p = NULL;
}

static void method_set(CURL *easy, const char *method, const char *body)
{
    // Back to a plain GET first, which also forgets the last body.
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    if (body != NULL || strcmp(method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body == NULL ? "" : body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, body == NULL ? 0L : (long)strlen(body));
    }
    curl_easy_setopt(easy, CURLOPT_NOBODY, strcmp(method, "HEAD") == 0 ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

static void header_add(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer == NULL) {
        abort(); // out of memory
    }
    *list = longer;
}

static struct curl_slist *headers_new(const struct http_header *headers, const char *body)
{
    struct curl_slist *list = NULL;
    // Without it a body over 1 MiB would wait a second for "100 Continue".
    header_add(&list, "Expect:");
    header_add(&list, body == NULL ? "Content-Type:" : "Content-Type: application/json");
    for (const struct http_header *header = headers; header != NULL && header->name != NULL;
         header++) {
        char *line = mem_format("%s: %s", header->name, header->value);
        header_add(&list, line);
        free(line);
    }
    return list;
}

// Whether anything left this process decides between "not there" and "unknown".
static enum err err_of(const struct http_client *self, CURLcode code)
{
    long sent_bytes = 0;
    curl_easy_getinfo(self->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
    if (self->is_body_too_large) {
        return ERR_TOO_LARGE;
    }
    switch (code) {
    case CURLE_OK:
        return self->is_head_whole ? ERR_OK : ERR_IO;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: // also of an answer that is no HTTP
        return sent_bytes == 0 ? ERR_INVALID : ERR_IO;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return sent_bytes == 0 ? ERR_UNAVAILABLE : ERR_IO;
    case CURLE_OPERATION_TIMEDOUT:
        return sent_bytes == 0 ? ERR_UNAVAILABLE : ERR_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        abort();
    default:
        return ERR_IO;
    }
}

static const char *const reasons[ERR_COUNT] = {
    [ERR_INVALID] = "is no http URL",
    [ERR_UNAVAILABLE] = "could not be reached",
    [ERR_TIMEOUT] = "did not answer in time",
    [ERR_TOO_LARGE] = "answered more than is taken",
    [ERR_IO] = "broke the connection or answered no HTTP",
};

enum err http_client_call(struct http_client *self, const char *method, const char *url,
                          const struct http_header *headers, const char *body, int64_t timeout_ms,
                          struct http_response *out)
{
    assert(timeout_ms > 0);
    *out = (struct http_response){0};
    buf_clear(&self->body);
    self->is_body_too_large = false;
    self->is_head_whole = false;
    self->detail[0] = '\0';
    self->error[0] = '\0';

    struct curl_slist *list = headers_new(headers, body);
    method_set(self->easy, method, body);
    curl_easy_setopt(self->easy, CURLOPT_URL, url);
    curl_easy_setopt(self->easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(self->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(self->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
    const CURLcode code = curl_easy_perform(self->easy);
    curl_easy_setopt(self->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(list);

    const enum err err = err_of(self, code);
    if (err != ERR_OK) {
        snprintf(self->error,
                 sizeof self->error,
                 "%.200s %s: %s",
                 url,
                 reasons[err],
                 self->detail[0] != '\0' ? self->detail
                 : code == CURLE_OK      ? "the answer ends in its head"
                                         : curl_easy_strerror(code));
        return err;
    }
    long status = 0;
    curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &status);
    *buf_reserve(&self->body, 1) = '\0';
    *out = (struct http_response){.status = (int)status, .body = buf_view(&self->body)};
    return ERR_OK;
}

const char *http_client_error(const struct http_client *self)
{
    return self->error;
}
