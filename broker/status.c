#include "broker/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/json.h"
#include "common/mem.h"

// --- pieces

#define NUMBER(value) ((unsigned long long)(value)) // for %llu

// A time, or null when there is none.
static void put_time(struct buf *out, int64_t wall_us)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(text, wall_us);
    buf_printf(out, wall_us == 0 ? "null" : "\"%s\"", text);
}

// A member whose text may be any bytes.
static void put_text(struct buf *out, const char *name, struct bytes text)
{
    buf_printf(out, ",\"%s\":", name);
    dead_letter_append_text(out, text);
}

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

// Counted in struct broker_counters, where counting costs nothing.
static const struct {
    const char *name;   // in /status
    const char *metric; // in /metrics, "faultline_broker_METRIC_total"; NULL: it has labels there
    const char *help;
    size_t at; // in struct broker_counters
} counters[] = {
#define AT(field) offsetof(struct broker_counters, field)
    {"published", "published", "Events stored and synced.", AT(published)},
    {"delivered", "delivered", "Events sent to members, also again.", AT(delivered)},
    {"redelivered", "redelivered", "Events sent to members again.", AT(redelivered)},
    {"acked", "acked", "Events acked.", AT(acked)},
    {"stale_acks", "stale_acks", "Answers to what the member does not hold.", AT(stale_acks)},
    {"failed", "nacked", "Failures of events: nacks and rejects.", AT(failed)},
    {"dead_lettered", "dead_lettered", "Events given up, now dead letters.", AT(dead_lettered)},
    {"refused", NULL, NULL, AT(refused)},
    {"evicted", "evicted", "Sessions ended by a newer incarnation.", AT(evicted)},
    {"syncs", "syncs", "Batches made durable.", AT(syncs)},
    {"send_failures", "send_failures", "Messages no peer could be given.", AT(send_failures)},
#undef AT
};

static unsigned long long counter(const struct broker *self, size_t i)
{
    const char *field = (const char *)&self->counters + counters[i].at;
    return *(const uint64_t *)(const void *)field;
}

// --- GET /status

static void put_members(struct broker *self, const struct consumer *consumer, struct buf *out)
{
    struct group_member_stats members[GROUP_MEMBERS_MAX];
    const size_t count = group_members_get(consumer->group, members, GROUP_MEMBERS_MAX);
    buf_put_text(out, ",\"members\":[");
    for (size_t i = 0; i < count; i++) {
        const struct session *session = session_by_number(self->sessions, members[i].member);
        buf_printf(out,
                   "%s{\"name\":\"%s\",\"credit\":%u,\"held\":%u,\"last_seen_ms\":%lld}",
                   i == 0 ? "" : ",",
                   session->member,
                   session->credit,
                   members[i].held,
                   (long long)(broker_now_ms(self) - session->seen_ms));
    }
}

static void put_failing(struct broker *self, const struct consumer *consumer, struct buf *out)
{
    struct event_log_entry entry;
    struct group_entry_info info;
    uint64_t from = 0;
    buf_put_text(out, "],\"failing\":[");
    for (int i = 0; i < STATUS_FAILING_MAX && group_failing_next(consumer->group, from, &info);
         i++) {
        const int64_t due_in_ms = info.waiting ? info.due_ms - broker_now_ms(self) : 0;
        buf_printf(out,
                   "%s{\"offset\":%llu,\"attempts\":%u,\"failures\":%u,\"due_in_ms\":%lld",
                   i == 0 ? "" : ",",
                   NUMBER(info.offset),
                   info.attempts,
                   info.failures,
                   due_in_ms > 0 ? (long long)due_in_ms : 0);
        put_text(out, "error", bytes_of_text(info.error));
        if (broker_read(self, self->elsewhere, info.offset, &entry) == ERR_OK) {
            put_text(out, "key", entry.record.key);
            put_text(out, "topic", entry.record.topic);
            put_text(out, "event_id", entry.record.id);
        }
        buf_put_text(out, "}");
        from = info.offset + 1;
    }
    buf_put_text(out, "]}");
}

// How long the oldest event that is not done lies in the log.
static uint64_t oldest_ms(struct broker *self, const struct consumer *consumer,
                          const struct group_stats *stats)
{
    uint64_t time_us = stats->floor_time_us;
    struct event_log_entry entry;
    if (consumer->backlog == 0) {
        return 0;
    }
    // Nothing was offered yet, for want of members: what comes next is the oldest.
    if (time_us == 0 && event_log_cursor_read(self->elsewhere, stats->cursor, &entry) == ERR_OK) {
        time_us = entry.time_us;
    }
    const uint64_t now_us = (uint64_t)broker_wall_us(self);
    return time_us != 0 && now_us > time_us ? (now_us - time_us) / 1000 : 0;
}

static void put_group(struct broker *self, const struct consumer *consumer, struct buf *out)
{
    struct group_stats stats;
    group_stats_get(consumer->group, &stats);
    buf_printf(out, "{\"name\":\"%s\",\"topics\":[", group_name(consumer->group));
    const char *comma = "";
    for (int topic = 0; topic < self->topics.count; topic++) {
        if (topic_set_has(&consumer->wanted, topic)) {
            buf_printf(out, "%s\"%s\"", comma, self->topics.topics[topic].name);
            comma = ",";
        }
    }
    buf_printf(out,
               "],\"retries\":%u,\"floor\":%llu,\"lag_events\":%llu,\"oldest_ms\":%llu,"
               "\"ready\":%u,\"held\":%u,\"waiting\":%u,\"parked\":%u,\"dead_letters\":%llu,"
               "\"no_member_since\":",
               group_retries(consumer->group),
               NUMBER(stats.floor),
               NUMBER(consumer->backlog),
               NUMBER(oldest_ms(self, consumer, &stats)),
               stats.ready,
               stats.held,
               stats.waiting,
               stats.parked,
               NUMBER(consumer->dead_letters_count));
    put_time(out, consumer->no_member_since_us);
    put_members(self, consumer, out);
    put_failing(self, consumer, out);
}

static void on_status(struct broker *self, struct http_exchange *exchange)
{
    struct buf out = {0};
    buf_put_text(&out, "{\"version\":\"" FAULTLINE_VERSION "\",\"started_at\":");
    put_time(&out, self->started_us);
    buf_printf(&out,
               ",\"log\":{\"first_offset\":%llu,\"next_offset\":%llu,\"segments\":%llu,"
               "\"bytes\":%llu},\"groups\":[",
               NUMBER(event_log_first(self->log)),
               NUMBER(event_log_next(self->log)),
               NUMBER(event_log_segments(self->log)),
               NUMBER(event_log_bytes(self->log)));
    for (size_t i = 0; i < self->consumers_count; i++) {
        buf_put_text(&out, i == 0 ? "" : ",");
        put_group(self, self->consumers[i], &out);
    }
    for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
        buf_put_text(&out, i == 0 ? "],\"counters\":{" : ",");
        buf_printf(&out, "\"%s\":%llu", counters[i].name, counter(self, i));
    }
    buf_put_text(&out, "}}");
    http_reply(exchange, 200, HTTP_JSON, buf_view(&out));
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
    put_text(out, "key", entry.record.key);
    put_text(out, "event_id", entry.record.id);
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

// --- GET /metrics

static void put_head(struct buf *out, const char *name, const char *kind, const char *help)
{
    buf_printf(out, "# HELP faultline_broker_%s %s\n", name, help);
    buf_printf(out, "# TYPE faultline_broker_%s %s\n", name, kind);
}

static void put_gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
    put_head(out, name, "gauge", help);
    buf_printf(out, "faultline_broker_%s %llu\n", name, NUMBER(value));
}

static void put_groups(const struct broker *self, struct buf *out)
{
    static const char *const names[] = {"group_lag_events", "group_dead_letters", "group_members"};
    static const char *const helps[] = {"Events not done.", "Dead letters.", "Members."};
    for (size_t m = 0; m < ARRAY_LEN(names); m++) {
        put_head(out, names[m], "gauge", helps[m]);
        for (size_t i = 0; i < self->consumers_count; i++) {
            const struct consumer *consumer = self->consumers[i];
            struct group_stats stats;
            group_stats_get(consumer->group, &stats);
            const uint64_t values[] = {
                consumer->backlog, consumer->dead_letters_count, stats.members};
            const char *group = group_name(consumer->group);
            buf_printf(out,
                       "faultline_broker_%s{group=\"%s\"} %llu\n",
                       names[m],
                       group,
                       NUMBER(values[m]));
        }
    }
}

static void on_metrics(struct broker *self, struct http_exchange *exchange)
{
    struct buf out = {0};
    char name[64];
    for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
        if (counters[i].metric != NULL) {
            snprintf(name, sizeof name, "%s_total", counters[i].metric);
            put_head(&out, name, "counter", counters[i].help);
            buf_printf(&out, "faultline_broker_%s %llu\n", name, counter(self, i));
        }
    }
    put_groups(self, &out);
    put_gauge(&out, "sessions", "Sessions of clients.", session_count(self->sessions));
    put_gauge(&out, "log_bytes", "Bytes that the log's files take.", event_log_bytes(self->log));
    put_gauge(&out, "log_segments", "Files of the log.", event_log_segments(self->log));
    put_gauge(&out, "log_next_offset", "Offset of the next event.", event_log_next(self->log));
    metrics_format(self->metrics, &out);
    http_reply(exchange, 200, HTTP_TEXT, buf_view(&out));
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
