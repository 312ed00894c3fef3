#include "broker/report.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

#define NUMBER(value) ((unsigned long long)(value)) // for %llu

// A number that is to be seen: where it lies, and how it is called. Milliseconds of the
// JSON are seconds in the metrics.
struct number {
    const char *name;   // in the JSON
    const char *metric; // "faultline_broker_METRIC"; NULL: the metrics have it otherwise
    const char *help;
    size_t at; // of a uint64_t, in the struct that the table is about
};

#define AT(member) offsetof(struct broker_counters, member)
static const struct number counters[] = {
    {"published", "published_total", "Events stored and synced.", AT(published)},
    {"duplicates", "duplicates_total", "Events published again, not stored.", AT(duplicates)},
    {"delivered", "delivered_total", "Events sent to members, also again.", AT(delivered)},
    {"redelivered", "redelivered_total", "Events sent to members again.", AT(redelivered)},
    {"acked", "acked_total", "Events acked.", AT(acked)},
    {"stale_acks", "stale_acks_total", "Answers to what the member does not hold.", AT(stale_acks)},
    {"failed", "nacked_total", "Failures of events: nacks and rejects.", AT(failed)},
    {"dead_lettered",
     "dead_lettered_total",
     "Events given up, now dead letters.",
     AT(dead_lettered)},
    {"redriven", "redriven_total", "Dead letters given back to their group.", AT(redriven)},
    {"refused", NULL, NULL, AT(refused)}, // by code there
    {"evicted", "evicted_total", "Sessions ended by a newer incarnation.", AT(evicted)},
    {"syncs", "syncs_total", "Batches made durable.", AT(syncs)},
    {"send_failures", "send_failures_total", "Messages no peer could be given.", AT(send_failures)},
};
#undef AT

struct log_view {
    uint64_t first_offset, next_offset, segments, bytes, sessions;
};

#define AT(member) offsetof(struct log_view, member)
static const struct number log_numbers[] = {
    {"first_offset", "log_first_offset", "Offset of the oldest event.", AT(first_offset)},
    {"next_offset", "log_next_offset", "Offset of the next event.", AT(next_offset)},
    {"segments", "log_segments", "Files of the log.", AT(segments)},
    {"bytes", "log_bytes", "Bytes that the log's files take.", AT(bytes)},
};
static const struct number session_number = {
    "sessions", "sessions", "Sessions of clients.", AT(sessions)};
#undef AT

struct group_view {
    uint64_t retries, floor, lag_events, oldest_ms, ready, held, waiting, parked, dying;
    uint64_t dead_letters, members;
};

#define AT(member) offsetof(struct group_view, member)
static const struct number group_numbers[] = {
    {"retries", NULL, NULL, AT(retries)},
    {"floor", "group_floor", "Offset below which all is done.", AT(floor)},
    {"lag_events", "group_lag_events", "Events not done.", AT(lag_events)},
    {"oldest_ms", "group_lag_seconds", "Age of the oldest event not done.", AT(oldest_ms)},
    {"ready", "group_ready", "Events that wait for credit.", AT(ready)},
    {"held", "group_held", "Events at members.", AT(held)},
    {"waiting", "group_waiting", "Failed events that wait for their retry.", AT(waiting)},
    {"parked", "group_parked", "Events behind another one of their key.", AT(parked)},
    {"dying", "group_dying", "Events given up, not yet dead letters.", AT(dying)},
    {"dead_letters", "group_dead_letters", "Dead letters.", AT(dead_letters)},
};
static const struct number group_members = {NULL, "group_members", "Members.", AT(members)};
#undef AT

struct member_view {
    const struct session *session;
    uint64_t credit, held, last_seen_ms;
};

#define AT(member) offsetof(struct member_view, member)
static const struct number member_numbers[] = {
    {"credit", "member_credit", "Events the member may hold.", AT(credit)},
    {"held", "member_held", "Events the member holds.", AT(held)},
    {"last_seen_ms", "member_last_seen_seconds", "Since its last message.", AT(last_seen_ms)},
};
#undef AT

static uint64_t value_of(const struct number *number, const void *view)
{
    return *(const uint64_t *)(const void *)((const char *)view + number->at);
}

// --- what is to be seen

static struct log_view see_log(const struct broker *self)
{
    return (struct log_view){
        .first_offset = event_log_first(self->log),
        .next_offset = event_log_next(self->log),
        .segments = event_log_segments(self->log),
        .bytes = event_log_bytes(self->log),
        .sessions = session_count(self->sessions),
    };
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

static struct group_view see_group(struct broker *self, const struct consumer *consumer)
{
    struct group_stats stats;
    group_stats_get(consumer->group, &stats);
    return (struct group_view){
        .retries = group_retries(consumer->group),
        .floor = stats.floor,
        .lag_events = consumer->backlog,
        .oldest_ms = oldest_ms(self, consumer, &stats),
        .ready = stats.ready,
        .held = stats.held,
        .waiting = stats.waiting,
        .parked = stats.parked,
        .dying = stats.dying,
        .dead_letters = consumer->dead_letters_count,
        .members = stats.members,
    };
}

static size_t see_members(const struct broker *self, const struct consumer *consumer,
                          struct member_view out[GROUP_MEMBERS_MAX])
{
    struct group_member_stats members[GROUP_MEMBERS_MAX];
    const size_t count = group_members_get(consumer->group, members, GROUP_MEMBERS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct session *session = session_by_number(self->sessions, members[i].member);
        out[i] = (struct member_view){
            .session = session,
            .credit = session->credit,
            .held = members[i].held,
            .last_seen_ms = (uint64_t)(broker_now_ms(self) - session->seen_ms),
        };
    }
    return count;
}

// --- as JSON

// "a":1,"b":2
static void put_numbers(struct buf *out, const struct number *numbers, size_t count,
                        const void *view)
{
    for (size_t i = 0; i < count; i++) {
        const char *comma = i == 0 ? "" : ",";
        buf_printf(
            out, "%s\"%s\":%llu", comma, numbers[i].name, NUMBER(value_of(&numbers[i], view)));
    }
}

// A time, or null when there is none.
static void put_time(struct buf *out, int64_t wall_us)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(text, wall_us);
    buf_printf(out, wall_us == 0 ? "null" : "\"%s\"", text);
}

static void put_text(struct buf *out, const char *name, struct bytes text)
{
    buf_printf(out, ",\"%s\":", name);
    json_append_bytes(out, text);
}

static void put_failing(struct broker *self, const struct consumer *consumer, struct buf *out)
{
    struct event_log_entry entry;
    struct group_entry_info info;
    uint64_t from = 0;
    buf_put_text(out, "],\"failing\":[");
    for (int i = 0; i < REPORT_FAILING_MAX && group_failing_next(consumer->group, from, &info);
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
            dead_letter_restore(&entry.record, &self->restored);
            put_text(out, "key", entry.record.key);
            put_text(out, "topic", entry.record.topic);
            put_text(out, "event_id", entry.record.id);
        }
        buf_put_text(out, "}");
        from = info.offset + 1;
    }
    buf_put_text(out, "]}");
}

static void put_group(struct broker *self, const struct consumer *consumer, struct buf *out)
{
    const struct group_view view = see_group(self, consumer);
    buf_printf(out,
               "{\"name\":\"%s\",\"order\":\"%s\",\"topics\":[",
               group_name(consumer->group),
               group_has_order(consumer->group) ? "key" : "none");
    const char *comma = "";
    for (int topic = 0; topic < self->topics.count; topic++) {
        if (topic_set_has(&consumer->wanted, topic)) {
            buf_printf(out, "%s\"%s\"", comma, self->topics.topics[topic].name);
            comma = ",";
        }
    }
    buf_put_text(out, "],");
    put_numbers(out, group_numbers, ARRAY_LEN(group_numbers), &view);
    buf_put_text(out, ",\"no_member_since\":");
    put_time(out, consumer->no_member_since_us);
    struct member_view members[GROUP_MEMBERS_MAX];
    const size_t count = see_members(self, consumer, members);
    buf_put_text(out, ",\"members\":[");
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s{\"name\":\"%s\",", i == 0 ? "" : ",", members[i].session->member);
        put_numbers(out, member_numbers, ARRAY_LEN(member_numbers), &members[i]);
        buf_put_text(out, "}");
    }
    put_failing(self, consumer, out);
}

// What keeps retention from dropping what is due.
static void put_hold(const struct broker *self, struct buf *out)
{
    struct retention_hold hold;
    if (!broker_retention_hold(self, &hold)) {
        buf_put_text(out, ",\"held_back_by\":null");
        return;
    }
    buf_printf(out,
               ",\"held_back_by\":{\"group\":\"%s\",\"offset\":%llu,\"dead_letter\":%s}",
               hold.group,
               NUMBER(hold.offset),
               hold.is_dead_letter ? "true" : "false");
}

void report_json(struct broker *self, struct buf *out)
{
    const struct log_view log = see_log(self);
    buf_put_text(out, "{\"version\":\"" FAULTLINE_VERSION "\",\"started_at\":");
    put_time(out, self->started_us);
    buf_put_text(out, ",\"log\":{");
    put_numbers(out, log_numbers, ARRAY_LEN(log_numbers), &log);
    put_hold(self, out);
    buf_put_text(out, "},");
    put_numbers(out, &session_number, 1, &log);
    buf_put_text(out, ",\"groups\":[");
    for (size_t i = 0; i < self->consumers_count; i++) {
        buf_put_text(out, i == 0 ? "" : ",");
        put_group(self, self->consumers[i], out);
    }
    buf_put_text(out, "],\"counters\":{");
    put_numbers(out, counters, ARRAY_LEN(counters), &self->counters);
    buf_put_text(out, "}}");
}

// --- as metrics

static void put_head(struct buf *out, const struct number *number, const char *kind)
{
    buf_printf(out, "# HELP faultline_broker_%s %s\n", number->metric, number->help);
    buf_printf(out, "# TYPE faultline_broker_%s %s\n", number->metric, kind);
}

// labels: "{a=\"b\"}", or none.
static void put_value(struct buf *out, const struct number *number, const char *labels,
                      const void *view)
{
    const uint64_t value = value_of(number, view);
    const size_t size = strlen(number->metric);
    const bool is_seconds = size > 8 && strcmp(number->metric + size - 8, "_seconds") == 0;
    buf_printf(out, "faultline_broker_%s%s ", number->metric, labels);
    if (is_seconds) {
        buf_printf(out, "%llu.%03llu\n", NUMBER(value / 1000), NUMBER(value % 1000));
    } else {
        buf_printf(out, "%llu\n", NUMBER(value));
    }
}

static void put_plain(struct buf *out, const struct number *numbers, size_t count, const char *kind,
                      const void *view)
{
    for (size_t i = 0; i < count; i++) {
        if (numbers[i].metric != NULL) {
            put_head(out, &numbers[i], kind);
            put_value(out, &numbers[i], "", view);
        }
    }
}

static void put_of_groups(struct broker *self, const struct number *number,
                          const struct group_view *views, struct buf *out)
{
    char labels[WIRE_NAME_MAX + 16];
    if (number->metric == NULL) {
        return;
    }
    put_head(out, number, "gauge");
    for (size_t i = 0; i < self->consumers_count; i++) {
        const char *group = group_name(self->consumers[i]->group);
        snprintf(labels, sizeof labels, "{group=\"%s\"}", group);
        put_value(out, number, labels, &views[i]);
    }
}

static void put_of_members(struct broker *self, const struct number *number, struct buf *out)
{
    char labels[2 * WIRE_NAME_MAX + 32];
    struct member_view members[GROUP_MEMBERS_MAX];
    put_head(out, number, "gauge");
    for (size_t i = 0; i < self->consumers_count; i++) {
        const size_t count = see_members(self, self->consumers[i], members);
        for (size_t m = 0; m < count; m++) {
            snprintf(labels,
                     sizeof labels,
                     "{group=\"%s\",member=\"%s\"}",
                     group_name(self->consumers[i]->group),
                     members[m].session->member);
            put_value(out, number, labels, &members[m]);
        }
    }
}

void report_metrics(struct broker *self, struct buf *out)
{
    const struct log_view log = see_log(self);
    struct group_view *views = mem_calloc(self->consumers_count + 1, sizeof *views);
    for (size_t i = 0; i < self->consumers_count; i++) {
        views[i] = see_group(self, self->consumers[i]);
    }
    put_plain(out, counters, ARRAY_LEN(counters), "counter", &self->counters);
    put_plain(out, log_numbers, ARRAY_LEN(log_numbers), "gauge", &log);
    put_plain(out, &session_number, 1, "gauge", &log);
    for (size_t i = 0; i < ARRAY_LEN(group_numbers); i++) {
        put_of_groups(self, &group_numbers[i], views, out);
    }
    put_of_groups(self, &group_members, views, out);
    for (size_t i = 0; i < ARRAY_LEN(member_numbers); i++) {
        put_of_members(self, &member_numbers[i], out);
    }
    metrics_format(self->metrics, out);
    free(views);
}
