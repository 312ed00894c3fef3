#include "broker/status.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "broker/status_metrics.h"
#include "common/http_server.h"
#include "common/json.h"
#include "common/mem.h"

// --- pieces

static cJSON *json_text(struct bytes bytes)
{
    char *text = mem_strndup((const char *)bytes.data, bytes.size);
    cJSON *json = cJSON_CreateString(text);
    free(text);
    return json;
}

static void add_number(cJSON *json, const char *name, uint64_t value)
{
    cJSON_AddNumberToObject(json, name, (double)value);
}

static void add_time(cJSON *json, const char *name, int64_t wall_us)
{
    char text[CLOCK_RFC3339_SIZE];
    if (wall_us == 0) {
        cJSON_AddNullToObject(json, name);
        return;
    }
    clock_format_rfc3339(text, wall_us);
    cJSON_AddStringToObject(json, name, text);
}

static void reply_json(struct http_exchange *exchange, cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);
    http_reply(exchange, 200, HTTP_JSON, bytes_of_text(text));
    free(text);
    cJSON_Delete(json);
}

// As the services answer problems: RFC 9457.
static void reply_problem(struct http_exchange *exchange, int status, const char *type,
                          const char *detail)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "type", type);
    cJSON_AddStringToObject(json, "title", http_status_text(status));
    cJSON_AddNumberToObject(json, "status", status);
    cJSON_AddStringToObject(json, "detail", detail);
    char *text = cJSON_PrintUnformatted(json);
    http_reply(exchange, status, HTTP_PROBLEM, bytes_of_text(text));
    free(text);
    cJSON_Delete(json);
}

// --- GET /status

static cJSON *log_json(const struct broker *self)
{
    cJSON *json = cJSON_CreateObject();
    add_number(json, "first_offset", event_log_first(self->log));
    add_number(json, "next_offset", event_log_next(self->log));
    add_number(json, "segments", event_log_segments(self->log));
    add_number(json, "bytes", event_log_bytes(self->log));
    return json;
}

static cJSON *members_json(const struct broker *self, const struct consumer *consumer)
{
    struct group_member_stats members[GROUP_MEMBERS_MAX];
    const size_t count = group_members_get(consumer->group, members, GROUP_MEMBERS_MAX);
    cJSON *json = cJSON_CreateArray();
    for (size_t i = 0; i < count; i++) {
        const struct session *session = session_by_number(self->sessions, members[i].member);
        cJSON *member = cJSON_CreateObject();
        cJSON_AddStringToObject(member, "name", session->member);
        add_number(member, "credit", session->credit);
        add_number(member, "held", members[i].held);
        add_number(member, "last_seen_ms", (uint64_t)(broker_now_ms(self) - session->seen_ms));
        cJSON_AddItemToArray(json, member);
    }
    return json;
}

static cJSON *failing_one(struct broker *self, const struct group_entry_info *info)
{
    cJSON *json = cJSON_CreateObject();
    add_number(json, "offset", info->offset);
    add_number(json, "attempts", info->attempts);
    add_number(json, "failures", info->failures);
    struct dead_letter shown; // its rule for text that is none
    dead_letter_set_error(&shown, info->error);
    cJSON_AddStringToObject(json, "error", shown.error);
    struct event_log_entry entry;
    if (broker_read(self, self->elsewhere, info->offset, &entry) == ERR_OK) {
        cJSON_AddItemToObject(json, "key", json_text(entry.record.key));
        cJSON_AddItemToObject(json, "topic", json_text(entry.record.topic));
        cJSON_AddItemToObject(json, "event_id", json_text(entry.record.id));
    }
    const int64_t due_in_ms = info->due_ms - broker_now_ms(self);
    add_number(json, "due_in_ms", info->waiting && due_in_ms > 0 ? (uint64_t)due_in_ms : 0);
    return json;
}

static cJSON *failing_json(struct broker *self, const struct consumer *consumer)
{
    cJSON *json = cJSON_CreateArray();
    struct group_entry_info info;
    uint64_t from = 0;
    for (int i = 0; i < STATUS_FAILING_MAX && group_failing_next(consumer->group, from, &info);
         i++) {
        cJSON_AddItemToArray(json, failing_one(self, &info));
        from = info.offset + 1;
    }
    return json;
}

// How long the oldest event that is not done lies in the log.
static uint64_t oldest_ms(struct broker *self, const struct consumer *consumer,
                          const struct group_stats *stats)
{
    const struct broker_world *world = &self->options.world;
    uint64_t time_us = stats->floor_time_us;
    struct event_log_entry entry;
    if (consumer->backlog == 0) {
        return 0;
    }
    // Nothing was offered yet, for want of members: what comes next is the oldest.
    if (time_us == 0 && event_log_cursor_read(self->elsewhere, stats->cursor, &entry) == ERR_OK) {
        time_us = entry.time_us;
    }
    const uint64_t now_us = (uint64_t)world->wall_us(world->context);
    return time_us != 0 && now_us > time_us ? (now_us - time_us) / 1000 : 0;
}

static cJSON *group_json(struct broker *self, const struct consumer *consumer)
{
    struct group_stats stats;
    group_stats_get(consumer->group, &stats);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", group_name(consumer->group));
    cJSON *topics = cJSON_AddArrayToObject(json, "topics");
    for (size_t i = 0; i < consumer->topics_count; i++) {
        const char *topic = topic_name(self->topics, consumer->topics[i]);
        cJSON_AddItemToArray(topics, cJSON_CreateString(topic));
    }
    add_number(json, "retries", group_retries(consumer->group));
    add_number(json, "floor", stats.floor);
    add_number(json, "lag_events", consumer->backlog);
    add_number(json, "oldest_ms", oldest_ms(self, consumer, &stats));
    add_number(json, "ready", stats.ready);
    add_number(json, "held", stats.held);
    add_number(json, "waiting", stats.waiting);
    add_number(json, "parked", stats.parked);
    add_number(json, "dead_letters", consumer->dead_letters_count);
    add_time(json, "no_member_since", consumer->no_member_since_us);
    cJSON_AddItemToObject(json, "members", members_json(self, consumer));
    cJSON_AddItemToObject(json, "failing", failing_json(self, consumer));
    return json;
}

static cJSON *counters_json(const struct broker_counters *counters)
{
    cJSON *json = cJSON_CreateObject();
    add_number(json, "published", counters->published);
    add_number(json, "delivered", counters->delivered);
    add_number(json, "redelivered", counters->redelivered);
    add_number(json, "acked", counters->acked);
    add_number(json, "stale_acks", counters->stale_acks);
    add_number(json, "failed", counters->failed);
    add_number(json, "dead_lettered", counters->dead_lettered);
    add_number(json, "refused", counters->refused);
    add_number(json, "evicted", counters->evicted);
    add_number(json, "syncs", counters->syncs);
    return json;
}

static void on_status(struct broker *self, struct http_exchange *exchange)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "version", FAULTLINE_VERSION);
    add_time(json, "started_at", self->started_us);
    cJSON_AddItemToObject(json, "log", log_json(self));
    cJSON *groups = cJSON_AddArrayToObject(json, "groups");
    for (size_t i = 0; i < self->consumers_count; i++) {
        cJSON_AddItemToArray(groups, group_json(self, self->consumers[i]));
    }
    cJSON_AddItemToObject(json, "counters", counters_json(&self->counters));
    reply_json(exchange, json);
}

// --- GET /dead-letters

// The dead letter at offset as JSON; NULL: it cannot be read.
static cJSON *dead_letter_json(struct broker *self, uint64_t offset, bool with_event)
{
    struct event_log_entry entry;
    struct dead_letter letter;
    if (broker_read(self, self->elsewhere, offset, &entry) != ERR_OK ||
        dead_letter_parse(entry.record.headers, &letter) != ERR_OK) {
        return NULL;
    }
    cJSON *json = cJSON_CreateObject();
    add_number(json, "offset", offset);
    cJSON_AddStringToObject(json, "group", letter.group);
    cJSON_AddStringToObject(json, "topic", letter.topic);
    cJSON_AddItemToObject(json, "key", json_text(entry.record.key));
    cJSON_AddItemToObject(json, "event_id", json_text(entry.record.id));
    add_number(json, "original_offset", letter.offset);
    add_number(json, "attempts", letter.attempts);
    add_number(json, "failures", letter.failures);
    cJSON_AddStringToObject(json, "error", letter.error);
    cJSON_AddStringToObject(json, "first_failed_at", letter.first_failed_at);
    cJSON_AddStringToObject(json, "dead_at", letter.dead_at);
    if (with_event) {
        cJSON *event = NULL;
        struct json_problem problem;
        if (json_parse(entry.record.body, &event, &problem) != ERR_OK) {
            event = cJSON_CreateNull(); // not ours to judge: a body may be anything
        }
        cJSON_AddItemToObject(json, "event", event);
    }
    return json;
}

// The oldest dead letter at or above offset of one group, or, only NULL, of all.
static bool dead_letter_from(const struct broker *self, const struct consumer *only,
                             uint64_t offset, uint64_t *out)
{
    bool found = false;
    for (size_t i = 0; i < self->consumers_count; i++) {
        uint64_t candidate = 0;
        const struct consumer *consumer = self->consumers[i];
        if ((only == NULL || only == consumer) &&
            consumer_dead_letter_from(consumer, offset, &candidate) &&
            (!found || candidate < *out)) {
            *out = candidate;
            found = true;
        }
    }
    return found;
}

// Reads a whole number that may be absent. false: it is none, or out of range.
static bool query_number(const struct http_exchange *exchange, const char *name, uint64_t max,
                         uint64_t *out)
{
    const char *text = http_query(exchange, name);
    if (text == NULL || text[0] == '\0') {
        return true;
    }
    if (strlen(text) > 16 || strspn(text, "0123456789") != strlen(text)) {
        return false;
    }
    *out = strtoull(text, NULL, 10);
    return *out <= max;
}

static void on_dead_letters(struct broker *self, struct http_exchange *exchange)
{
    uint64_t limit = STATUS_LIMIT_DEFAULT;
    uint64_t after = UINT64_MAX;
    const char *name = http_query(exchange, "group");
    const struct consumer *only =
        name == NULL ? NULL : broker_find_consumer(self, bytes_of_text(name));
    if (!query_number(exchange, "limit", STATUS_LIMIT_MAX, &limit) || limit == 0) {
        reply_problem(exchange, 400, "invalid-field", "limit must be a number from 1 to 500");
        return;
    }
    if (!query_number(exchange, "after", UINT64_MAX - 1, &after)) {
        reply_problem(exchange, 400, "invalid-field", "after must be the offset of a dead letter");
        return;
    }
    if (name != NULL && only == NULL) {
        reply_problem(exchange, 404, "not-found", "there is no such group");
        return;
    }
    cJSON *json = cJSON_CreateObject();
    cJSON *letters = cJSON_AddArrayToObject(json, "dead_letters");
    uint64_t offset = 0;
    uint64_t last = after; // adding one to "none" gives the first
    uint64_t shown = 0;
    while (shown < limit && dead_letter_from(self, only, last + 1, &offset)) {
        cJSON *letter = dead_letter_json(self, offset, false);
        if (letter != NULL) {
            cJSON_AddItemToArray(letters, letter);
            shown++;
        }
        last = offset;
    }
    if (dead_letter_from(self, only, last + 1, &offset)) {
        add_number(json, "next", last);
    } else {
        cJSON_AddNullToObject(json, "next");
    }
    reply_json(exchange, json);
}

static void on_dead_letter(struct broker *self, struct http_exchange *exchange, const char *text)
{
    uint64_t offset = 0;
    cJSON *json = NULL;
    const size_t size = strlen(text);
    const bool number = size > 0 && size <= 16 && strspn(text, "0123456789") == size;
    const uint64_t wanted = number ? strtoull(text, NULL, 10) : 0;
    if (number && dead_letter_from(self, NULL, wanted, &offset) && offset == wanted) {
        json = dead_letter_json(self, offset, true);
    }
    if (json == NULL) {
        reply_problem(exchange, 404, "not-found", "no dead letter has this offset");
        return;
    }
    reply_json(exchange, json);
}

// --- requests

static void on_healthz(struct broker *self, struct http_exchange *exchange)
{
    (void)self;
    http_reply(exchange, 200, HTTP_JSON, bytes_of_text("{\"status\":\"alive\"}"));
}

// The log is open and the groups are loaded before anything listens: who can ask
// may publish.
static void on_readyz(struct broker *self, struct http_exchange *exchange)
{
    (void)self;
    http_reply(exchange, 200, HTTP_JSON, bytes_of_text("{\"status\":\"ready\",\"log\":\"open\"}"));
}

static void on_metrics(struct broker *self, struct http_exchange *exchange)
{
    struct buf text = {0};
    status_metrics_format(self, &text);
    http_reply(exchange, 200, HTTP_TEXT, buf_view(&text));
    buf_release(&text);
}

static const struct {
    const char *path;
    void (*handle)(struct broker *self, struct http_exchange *exchange);
} routes[] = {
    {"/healthz", on_healthz},
    {"/readyz", on_readyz},
    {"/metrics", on_metrics},
    {"/status", on_status},
    {"/dead-letters", on_dead_letters},
};

static void answer(struct broker *self, struct http_exchange *exchange)
{
    static const char one[] = "/dead-letters/";
    const char *path = http_path(exchange);
    const char *method = http_method(exchange);
    const bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    size_t route = 0;
    while (route < ARRAY_LEN(routes) && strcmp(routes[route].path, path) != 0) {
        route++;
    }
    const bool is_one = strncmp(path, one, sizeof one - 1) == 0;
    if (route == ARRAY_LEN(routes) && !is_one) {
        reply_problem(exchange, 404, "not-found", "the broker has no such path");
    } else if (!reads) {
        http_set_header(exchange, "Allow", "GET, HEAD");
        reply_problem(exchange, 405, "method-not-allowed", "this can only be read");
    } else if (is_one) {
        on_dead_letter(self, exchange, path + sizeof one - 1);
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
