#include "broker/status.h"

#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "broker/report.h"
#include "common/http_server.h"
#include "common/json.h"
#include "common/mem.h"

// --- pieces

#define NUMBER(value) ((unsigned long long)(value)) // for %llu

// As the services answer problems: RFC 9457. field NULL: none is at fault.
static void reply_problem(struct http_exchange *exchange, int status, const char *code,
                          const char *field, const char *detail)
{
    struct buf out = {0};
    buf_printf(&out,
               "{\"type\":\"urn:faultline:problem:%s\",\"title\":\"%s\",\"status\":%d,"
               "\"detail\":\"%s\"",
               code,
               http_status_text(status),
               status,
               detail);
    if (field != NULL) {
        buf_printf(&out, ",\"field\":\"%s\"", field);
    }
    buf_put_text(&out, "}");
    http_reply(exchange, status, HTTP_PROBLEM, buf_view(&out));
    buf_release(&out);
}

// --- GET /status, /metrics

static void on_status(struct broker *self, struct http_exchange *exchange)
{
    struct buf out = {0};
    report_json(self, &out);
    http_reply(exchange, 200, HTTP_JSON, buf_view(&out));
    buf_release(&out);
}

static void on_metrics(struct broker *self, struct http_exchange *exchange)
{
    struct buf out = {0};
    report_metrics(self, &out);
    http_reply(exchange, 200, HTTP_TEXT, buf_view(&out));
    buf_release(&out);
}

// --- GET /dead-letters

// Appends the dead letter at offset: what its headers say, and what they are about.
// false: it cannot be read.
static bool put_letter(struct broker *self, uint64_t offset, bool with_event, struct buf *out)
{
    struct event_log_entry entry;
    struct json_problem problem;
    cJSON *headers = NULL;
    cJSON *event = NULL;
    if (broker_read(self, self->elsewhere, offset, &entry) != ERR_OK ||
        json_parse(entry.record.headers, &headers, &problem) != ERR_OK) {
        return false;
    }
    cJSON *original = cJSON_GetObjectItemCaseSensitive(headers, "offset");
    if (original != NULL) {
        free(original->string);
        original->string = mem_strdup("original_offset");
    }
    cJSON_DeleteItemFromObjectCaseSensitive(headers, "headers");
    buf_printf(out, "{\"offset\":%llu", NUMBER(offset));
    buf_put_text(out, ",\"key\":");
    json_append_bytes(out, entry.record.key);
    buf_put_text(out, ",\"event_id\":");
    json_append_bytes(out, entry.record.id);
    const size_t at = out->size;
    json_append(out, headers);
    out->data[at] = ','; // its members go on here
    out->size--;
    if (with_event) { // a body may be anything: it is shown when it is JSON
        const bool is_json = json_parse(entry.record.body, &event, &problem) == ERR_OK;
        buf_put_text(out, ",\"event\":");
        buf_put(out,
                is_json ? entry.record.body.data : (const uint8_t *)"null",
                is_json ? entry.record.body.size : 4);
    }
    buf_put_text(out, "}");
    cJSON_Delete(event);
    cJSON_Delete(headers);
    return true;
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
    struct buf out = {0};
    buf_put_text(&out, "{\"dead_letters\":[");
    uint64_t offset = 0;
    for (bool comma = false; limit > 0 && broker_dead_letter_from(self, only, last + 1, &offset);
         last = offset) {
        const size_t before = out.size;
        buf_put_text(&out, comma ? "," : "");
        if (put_letter(self, offset, false, &out)) {
            comma = true;
            limit--;
        } else {
            out.size = before;
        }
    }
    const bool more = broker_dead_letter_from(self, only, last + 1, &offset);
    buf_printf(&out, more ? "],\"next\":%llu}" : "],\"next\":null}", NUMBER(last));
    http_reply(exchange, 200, HTTP_JSON, buf_view(&out));
    buf_release(&out);
}

static void on_dead_letter(struct broker *self, struct http_exchange *exchange, const char *text)
{
    struct buf out = {0};
    uint64_t offset = 0;
    uint64_t found = 0;
    if (parse_number(text, 0, UINT64_MAX, &offset) &&
        broker_dead_letter_from(self, NULL, offset, &found) && found == offset &&
        put_letter(self, offset, true, &out)) {
        http_reply(exchange, 200, HTTP_JSON, buf_view(&out));
    } else {
        reply_problem(exchange, 404, "not-found", NULL, "no dead letter has this offset");
    }
    buf_release(&out);
}

// --- requests

static const struct {
    const char *path;
    void (*handle)(struct broker *self, struct http_exchange *exchange);
    const char *text; // the answer when nobody needs to be asked
} routes[] = {
    {.path = "/healthz", .text = "{\"status\":\"alive\"}"},
    // The log is open and the groups are loaded before anything listens: who can ask
    // may publish.
    {.path = "/readyz", .text = "{\"status\":\"ready\",\"log\":\"open\"}"},
    {.path = "/metrics", .handle = on_metrics},
    {.path = "/status", .handle = on_status},
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
