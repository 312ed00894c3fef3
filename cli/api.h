// api - the HTTP interfaces of the stack that runs, as commands use them.
//
// Where a service answers: of a native stack, what stack.json says; otherwise the
// standard ports on 127.0.0.1, which the containers have.
#ifndef FAULTLINE_CLI_API_H
#define FAULTLINE_CLI_API_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/http_client.h"

struct api; // opaque; one thread's

// api_open looks where the stack of folder dir is. It never fails: whether somebody
// answers there, the first call tells.
struct api *api_open(const char *dir);
void api_destroy(struct api **self_p);

// api_bus_url is the broker's "tcp://127.0.0.1:5550"; borrowed.
const char *api_bus_url(const struct api *self);

// api_port is where a service answers HTTP on 127.0.0.1.
int api_port(const struct api *self, const char *service);

struct api_request {
    const char *service; // "order"
    const char *method;
    const char *path;  // "/orders"
    const cJSON *body; // or NULL
    const struct http_header *headers;
    int64_t timeout_ms;
    bool quiet; // say nothing when nobody answers
};

struct api_answer {
    int status;
    cJSON *json;     // owned; NULL when the body is no JSON
    int64_t took_us; // from the call to the whole answer
};

// api_call asks and waits. When there is no answer it says on standard error who did
// not answer and what to do, and returns what http_client_call did. Release the
// answer in any case.
enum err api_call(struct api *self, const struct api_request *request, struct api_answer *out);
void api_answer_release(struct api_answer *answer);

// api_say_problem writes an answer that is not 2xx as a sentence: its status, title,
// detail and the field at fault (RFC 9457).
void api_say_problem(const char *what, const struct api_answer *answer);

#endif
