#include "broker/report.h"

#include <string.h>

#include "broker/broker_state.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

// --- as JSON

static void add(cJSON *json, const char *name, uint64_t number)
{
    cJSON_AddNumberToObject(json, name, (double)number);
}

// A time; 0: null.
static void add_time(cJSON *json, const char *name, int64_t wall_us)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(text, wall_us);
    cJSON_AddItemToObject(json, name, wall_us == 0 ? cJSON_CreateNull() : cJSON_CreateString(text));
}

static cJSON *add_object(cJSON *array)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToArray(array, object);
    return object;
}

static void add_members(struct broker *self, const struct consumer *consumer, cJSON *array)
{
    struct group_member_stats members[GROUP_MEMBERS_MAX];
    const size_t count = group_members_get(consumer->group, members, GROUP_MEMBERS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct session *session = session_by_number(self->sessions, members[i].member);
        cJSON *json = add_object(array);
        cJSON_AddStringToObject(json, "name", session->member);
        add(json, "credit", session->credit);
        add(json, "held", members[i].held);
        add(json, "last_seen_ms", (uint64_t)(broker_now_ms(self) - session->seen_ms));
    }
}

static void add_failing(struct broker *self, const struct consumer *consumer, cJSON *array)
{
    struct event_log_entry entry;
    struct group_entry_info info;
    uint64_t from = 0;
    for (int i = 0; i < REPORT_FAILING_MAX && group_failing_next(consumer->group, from, &info);
         i++) {
        const int64_t due_in_ms = info.waiting ? info.due_ms - broker_now_ms(self) : 0;
        cJSON *json = add_object(array);
        add(json, "offset", info.offset);
        add(json, "attempts", info.attempts);
        add(json, "failures", info.failures);
        add(json, "due_in_ms", due_in_ms > 0 ? (uint64_t)due_in_ms : 0);
        json_add_bytes(json, "error", bytes_of_text(info.error));
        if (broker_read(self, self->elsewhere, info.offset, &entry) == ERR_OK) {
            dead_letter_restore(&entry.record, &self->restored);
            json_add_bytes(json, "key", entry.record.key);
            json_add_bytes(json, "topic", entry.record.topic);
            json_add_bytes(json, "event_id", entry.record.id);
        }
        from = info.offset + 1;
    }
}

// How long the oldest event that is not done lies in the log.
static uint64_t oldest_ms(struct broker *self, const struct consumer *consumer,
                          const struct group_stats *stats)
{
    struct event_log_entry entry;
    if (consumer->backlog == 0 ||
        event_log_cursor_read(self->elsewhere, stats->floor, &entry) != ERR_OK) {
        return 0;
    }
    const uint64_t now_us = (uint64_t)broker_wall_us(self);
    return now_us > entry.time_us ? (now_us - entry.time_us) / 1000 : 0;
}

static void add_group(struct broker *self, const struct consumer *consumer, cJSON *json)
{
    struct group_stats stats;
    group_stats_get(consumer->group, &stats);
    cJSON_AddStringToObject(json, "name", group_name(consumer->group));
    cJSON_AddStringToObject(json, "order", group_has_order(consumer->group) ? "key" : "none");
    cJSON *topics = cJSON_AddArrayToObject(json, "topics");
    for (int topic = 0; topic < self->topics.count; topic++) {
        if (topic_set_has(&consumer->wanted, topic)) {
            cJSON_AddItemToArray(topics, cJSON_CreateString(self->topics.topics[topic].name));
        }
    }
    add(json, "retries", group_retries(consumer->group));
    add(json, "floor", stats.floor);
    add(json, "lag_events", consumer->backlog);
    add(json, "oldest_ms", oldest_ms(self, consumer, &stats));
    add(json, "ready", stats.ready);
    add(json, "held", stats.held);
    add(json, "waiting", stats.waiting);
    add(json, "parked", stats.parked);
    add(json, "dying", stats.dying);
    add(json, "dead_letters", consumer->dead_letters_count);
    add_time(json, "no_member_since", consumer->no_member_since_us);
    add_members(self, consumer, cJSON_AddArrayToObject(json, "members"));
    add_failing(self, consumer, cJSON_AddArrayToObject(json, "failing"));
}

static void add_log(const struct broker *self, cJSON *json)
{
    struct retention_hold hold;
    add(json, "first_offset", event_log_first(self->log));
    add(json, "next_offset", event_log_next(self->log));
    add(json, "segments", event_log_segments(self->log));
    add(json, "bytes", event_log_bytes(self->log));
    if (!broker_retention_hold(self, &hold)) {
        cJSON_AddNullToObject(json, "held_back_by");
        return;
    }
    json = cJSON_AddObjectToObject(json, "held_back_by");
    cJSON_AddStringToObject(json, "group", hold.group);
    add(json, "offset", hold.offset);
    cJSON_AddBoolToObject(json, "dead_letter", hold.is_dead_letter);
}

static void add_counters(const struct broker_counters *counters, cJSON *json)
{
    add(json, "published", counters->published);
    add(json, "duplicates", counters->duplicates);
    add(json, "delivered", counters->delivered);
    add(json, "redelivered", counters->redelivered);
    add(json, "acked", counters->acked);
    add(json, "stale_acks", counters->stale_acks);
    add(json, "failed", counters->failed);
    add(json, "dead_lettered", counters->dead_lettered);
    add(json, "redriven", counters->redriven);
    add(json, "refused", counters->refused);
    add(json, "evicted", counters->evicted);
    add(json, "syncs", counters->syncs);
    add(json, "send_failures", counters->send_failures);
}

static cJSON *report(struct broker *self)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "version", FAULTLINE_VERSION);
    add_time(json, "started_at", self->started_us);
    add_log(self, cJSON_AddObjectToObject(json, "log"));
    add(json, "sessions", session_count(self->sessions));
    cJSON *groups = cJSON_AddArrayToObject(json, "groups");
    for (size_t i = 0; i < self->consumers_count; i++) {
        add_group(self, self->consumers[i], add_object(groups));
    }
    add_counters(&self->counters, cJSON_AddObjectToObject(json, "counters"));
    return json;
}

void report_json(struct broker *self, struct buf *out)
{
    cJSON *json = report(self);
    json_append(out, json);
    cJSON_Delete(json);
}

// --- as metrics

// clang-format off
// Where in the JSON a metric's number stands.
enum place { COUNTERS, LOG, BROKER, GROUP, MEMBER };

#define COUNTER(member, metric, text)                                                    \
    {COUNTERS, member,                                                                   \
     {.name = "faultline_broker_" metric "_total", .help = text, .kind = METRIC_COUNTER}}
#define GAUGE(place, member, metric, text)                                               \
    {place, member,                                                                      \
     {.name = "faultline_broker_" metric, .help = text, .kind = METRIC_GAUGE,            \
      .label_names = {place >= GROUP ? "group" : NULL, place == MEMBER ? "member" : NULL}}}

static const struct shown {
    enum place place;
    const char *member; // milliseconds are seconds in the metric
    struct metric_def def;
} shown[] = {
    COUNTER("published", "published", "Events stored and synced."),
    COUNTER("duplicates", "duplicates", "Events published again, not stored."),
    COUNTER("delivered", "delivered", "Events sent to members, also again."),
    COUNTER("redelivered", "redelivered", "Events sent to members again."),
    COUNTER("acked", "acked", "Events acked."),
    COUNTER("stale_acks", "stale_acks", "Answers to what the member does not hold."),
    COUNTER("failed", "nacked", "Failures of events: nacks and rejects."),
    COUNTER("dead_lettered", "dead_lettered", "Events given up, now dead letters."),
    COUNTER("redriven", "redriven", "Dead letters given back to their group."),
    COUNTER("evicted", "evicted", "Sessions ended by a newer incarnation."),
    COUNTER("syncs", "syncs", "Batches made durable."),
    COUNTER("send_failures", "send_failures", "Messages no peer could be given."),
    GAUGE(LOG, "first_offset", "log_first_offset", "Offset of the oldest event."),
    GAUGE(LOG, "next_offset", "log_next_offset", "Offset of the next event."),
    GAUGE(LOG, "segments", "log_segments", "Files of the log."),
    GAUGE(LOG, "bytes", "log_bytes", "Bytes that the log's files take."),
    GAUGE(BROKER, "sessions", "sessions", "Sessions of clients."),
    GAUGE(GROUP, "floor", "group_floor", "Offset below which all is done."),
    GAUGE(GROUP, "lag_events", "group_lag_events", "Events not done."),
    GAUGE(GROUP, "oldest_ms", "group_lag_seconds", "Age of the oldest event not done."),
    GAUGE(GROUP, "ready", "group_ready", "Events that wait for credit."),
    GAUGE(GROUP, "held", "group_held", "Events at members."),
    GAUGE(GROUP, "waiting", "group_waiting", "Failed events that wait for their retry."),
    GAUGE(GROUP, "parked", "group_parked", "Events behind another one of their key."),
    GAUGE(GROUP, "dying", "group_dying", "Events given up, not yet dead letters."),
    GAUGE(GROUP, "dead_letters", "group_dead_letters", "Dead letters."),
    GAUGE(GROUP, "members", "group_members", "Members."),
    GAUGE(MEMBER, "credit", "member_credit", "Events the member may hold."),
    GAUGE(MEMBER, "held", "member_held", "Events the member holds."),
    GAUGE(MEMBER, "last_seen_ms", "member_last_seen_seconds", "Since its last message."),
};
// clang-format on

// Sets the metrics of a place from its object.
static void set_place(struct metrics *metrics, enum place place, const cJSON *object,
                      const char *group, const char *member)
{
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, shown[i].member);
        if (shown[i].place == place) {
            const bool is_ms = strstr(shown[i].member, "_ms") != NULL;
            const double value =
                cJSON_IsArray(number) ? cJSON_GetArraySize(number) : cJSON_GetNumberValue(number);
            metrics_set(
                metrics, &shown[i].def, METRIC_LABELS(group, member), is_ms ? value / 1000 : value);
        }
    }
}

void report_metrics(struct broker *self, struct buf *out)
{
    cJSON *json = report(self);
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        metrics_forget(self->metrics, &shown[i].def); // groups and members may be gone
    }
    const cJSON *counters = cJSON_GetObjectItemCaseSensitive(json, "counters");
    set_place(self->metrics, COUNTERS, counters, NULL, NULL);
    set_place(self->metrics, LOG, cJSON_GetObjectItemCaseSensitive(json, "log"), NULL, NULL);
    set_place(self->metrics, BROKER, json, NULL, NULL);
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(json, "groups"))
    {
        const char *name = json_text_of(group, "name");
        set_place(self->metrics, GROUP, group, name, NULL);
        const cJSON *member = NULL;
        cJSON_ArrayForEach(member, cJSON_GetObjectItemCaseSensitive(group, "members"))
        {
            set_place(self->metrics, MEMBER, member, name, json_text_of(member, "name"));
        }
    }
    cJSON_Delete(json);
    metrics_format(self->metrics, out);
}
