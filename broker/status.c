#include "broker/status.h"

#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "broker/report.h"
#include "common/http_server.h"
#include "common/json.h"
#include "common/mem.h"

// --- answers

static void reply(struct http_exchange *exchange, int status, const char *type, cJSON *json)
{
    struct buf out = {0};
    json_append(&out, json);
    http_reply(exchange, status, type, buf_view(&out));
    buf_release(&out);
    cJSON_Delete(json);
}

// As the services answer problems: RFC 9457. field NULL: none is at fault.
static void reply_problem(struct http_exchange *exchange, int status, const char *code,
                          const char *field, const char *detail)
{
    cJSON *json = http_problem_new(status, code, detail);
    if (field != NULL) {
        cJSON_AddStringToObject(json, "field", field);
    }
    reply(exchange, status, HTTP_PROBLEM, json);
}

// --- GET /dead-letters

// The dead letter at offset: what its headers say, and what they are about. NULL: it
// cannot be read.
static cJSON *letter_at(struct broker *self, uint64_t offset, bool with_event)
{
    struct event_log_entry entry;
    struct json_problem problem;
    cJSON *json = NULL;
    cJSON *event = NULL;
    if (broker_read(self, self->elsewhere, offset, &entry) != ERR_OK ||
        json_parse(entry.record.headers, &json, &problem) != ERR_OK) {
        return NULL;
    }
    cJSON *original = cJSON_DetachItemFromObjectCaseSensitive(json, "offset");
    cJSON_AddItemToObject(json, "original_offset", original);
    cJSON_DeleteItemFromObjectCaseSensitive(json, "headers");
    cJSON_AddNumberToObject(json, "offset", (double)offset);
    json_add_bytes(json, "key", entry.record.key);
    json_add_bytes(json, "event_id", entry.record.id);
    if (with_event) { // a body may be anything: it is shown when it is JSON
        const bool is_json = json_parse(entry.record.body, &event, &problem) == ERR_OK;
        cJSON_AddItemToObject(json, "event", is_json ? event : cJSON_CreateNull());
    }
    return json;
}

// Reads a whole number. false: it is none, or out of range.
static bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    const size_t size = strlen(text);
    *out = strtoull(text, NULL, 10);
    return size > 0 && size <= 16 && strspn(text, "0123456789") == size && *out >= min &&
           *out <= max;
}

static void on_dead_letters(struct broker *self, struct http_exchange *exchange)
{
    const char *group = http_query(exchange, "group");
    const char *limit_text = http_query(exchange, "limit");
    const char *after_text = http_query(exchange, "after");
    const struct consumer *only =
        group == NULL ? NULL : broker_find_consumer(self, bytes_of_text(group));
    uint64_t limit = STATUS_LIMIT_DEFAULT;
    uint64_t last = UINT64_MAX; // adding one to "none" gives the first
    const char *other =
        http_query_other(exchange, (const char *const[]){"group", "limit", "after", NULL});
    if (other != NULL) {
        reply_problem(exchange, 400, "unknown-parameter", other, "there are: group, limit, after");
        return;
    }
    if (limit_text != NULL && !parse_number(limit_text, 1, STATUS_LIMIT_MAX, &limit)) {
        reply_problem(
            exchange, 400, "invalid-parameter", "limit", "must be a number from 1 to 500");
        return;
    }
    if (after_text != NULL && !parse_number(after_text, 0, UINT64_MAX - 1, &last)) {
        reply_problem(
            exchange, 400, "invalid-parameter", "after", "must be the offset of a dead letter");
        return;
    }
    if (group != NULL && only == NULL) {
        reply_problem(exchange, 404, "not-found", "group", "there is no such group");
        return;
    }
    cJSON *json = cJSON_CreateObject();
    cJSON *letters = cJSON_AddArrayToObject(json, "dead_letters");
    uint64_t offset = 0;
    for (; limit > 0 && broker_dead_letter_from(self, only, last + 1, &offset); last = offset) {
        cJSON *letter = letter_at(self, offset, false);
        limit -= letter != NULL;
        cJSON_AddItemToArray(letters, letter);
    }
    const bool more = broker_dead_letter_from(self, only, last + 1, &offset);
    cJSON *next = more ? cJSON_CreateNumber((double)last) : cJSON_CreateNull();
    cJSON_AddItemToObject(json, "next", next);
    reply(exchange, 200, HTTP_JSON, json);
}

static void on_dead_letter(struct broker *self, struct http_exchange *exchange, const char *text)
{
    uint64_t offset = 0;
    uint64_t found = 0;
    cJSON *letter = NULL;
    if (parse_number(text, 0, UINT64_MAX, &offset) &&
        broker_dead_letter_from(self, NULL, offset, &found) && found == offset) {
        letter = letter_at(self, offset, true);
    }
    if (letter != NULL) {
        reply(exchange, 200, HTTP_JSON, letter);
    } else {
        reply_problem(exchange, 404, "not-found", NULL, "no dead letter has this offset");
    }
}

// --- requests

static const struct {
    const char *path;
    const char *text; // the answer, or
    void (*put)(struct broker *self, struct buf *out);
    const char *type; // what it puts, or
    void (*handle)(struct broker *self, struct http_exchange *exchange);
} routes[] = {
    {.path = "/healthz", .text = "{\"status\":\"alive\"}"},
    // The log is open and the groups are loaded before anything listens: who can ask
    // may publish.
    {.path = "/readyz", .text = "{\"status\":\"ready\",\"log\":\"open\"}"},
    {.path = "/metrics", .put = report_metrics, .type = HTTP_TEXT},
    {.path = "/status", .put = report_json, .type = HTTP_JSON},
    {.path = "/dead-letters", .handle = on_dead_letters},
};

static void answer(struct broker *self, struct http_exchange *exchange)
{
    static const char one[] = "/dead-letters/";
    const char *path = http_path(exchange);
    const char *method = http_method(exchange);
    size_t route = 0;
    while (route < ARRAY_LEN(routes) && strcmp(routes[route].path, path) != 0) {
        route++;
    }
    const bool is_one = strncmp(path, one, sizeof one - 1) == 0;
    if (route == ARRAY_LEN(routes) && !is_one) {
        reply_problem(exchange, 404, "not-found", NULL, "the broker has no such path; see --help");
    } else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        http_set_header(exchange, "Allow", "GET");
        reply_problem(exchange, 405, "method-not-allowed", NULL, "this path allows GET");
    } else if (is_one) {
        on_dead_letter(self, exchange, path + sizeof one - 1);
    } else if (routes[route].text != NULL) {
        http_reply(exchange, 200, HTTP_JSON, bytes_of_text(routes[route].text));
    } else if (routes[route].put != NULL) {
        struct buf out = {0};
        routes[route].put(self, &out);
        http_reply(exchange, 200, routes[route].type, buf_view(&out));
        buf_release(&out);
    } else {
        routes[route].handle(self, exchange);
    }
}

void status_serve(struct broker *broker, struct http_server *http)
{
    struct http_exchange *exchanges[STATUS_REQUESTS_MAX];
    const size_t count = http_server_take(http, exchanges, STATUS_REQUESTS_MAX);
    for (size_t i = 0; i < count; i++) {
        answer(broker, exchanges[i]);
    }
}
