#include "cli/verify/verify_lineage.h"

#include <stdlib.h>
#include <string.h>

#include "cli/bus_guest.h"
#include "cli/verify/verify_house.h"
#include "common/clock.h"
#include "common/event.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"

enum {
    HELLO_TIMEOUT_MS = 5000,
    EVENTS_MAX = 64, // of one order; it has a dozen, and twice that when all is given back
    GAPS_MAX = 64
};

struct reading {
    struct verify_lineage *out;
    struct verify_db *db;
    const char *subject;
};

void verify_lineage_release(struct verify_lineage *lineage)
{
    for (size_t i = 0; i < lineage->gaps_count; i++) {
        free(lineage->gaps[i].event_id);
        free(lineage->gaps[i].group);
        free(lineage->gaps[i].reason);
    }
    free(lineage->gaps);
    buf_release(&lineage->lines);
    free(lineage->subject);
    *lineage = (struct verify_lineage){0};
}

// --- lines

// A line with these members, pairs of name and text ended by NULL; no text, no member.
static void add_line(struct reading *reading, const char *msg, const char *service, const char *at,
                     const char *const *members)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "ts", at);
    cJSON_AddStringToObject(json, "service", service);
    cJSON_AddStringToObject(json, "msg", msg);
    cJSON_AddStringToObject(json, "correlation_id", reading->subject);
    for (; *members != NULL; members += 2) {
        if (members[1] != NULL) {
            cJSON_AddStringToObject(json, members[0], members[1]);
        }
    }
    json_append(&reading->out->lines, json);
    buf_put_u8(&reading->out->lines, '\n');
    cJSON_Delete(json);
}

#define MEMBERS(...) ((const char *const[]){__VA_ARGS__, NULL, NULL})

// Runs a query with one parameter, or two, and hands its rows on.
static void each_row(struct reading *reading, const char *sql, const char *first,
                     const char *second,
                     void (*take)(struct reading *reading, struct verify_row *row))
{
    struct verify_row *row = verify_db_query(reading->db, sql);
    if (row != NULL) {
        verify_row_bind_text(row, first);
        if (second != NULL) {
            verify_row_bind_text(row, second);
        }
        while (verify_row_next(row) == ERR_OK) {
            take(reading, row);
        }
    }
    verify_row_done(&row);
}

static void take_handled(struct reading *reading, struct verify_row *row)
{
    add_line(reading,
             LOG_EVENT_HANDLED,
             verify_row_text(row, 0),
             verify_row_text(row, 1),
             MEMBERS("event_id",
                     verify_row_text(row, 2),
                     "topic",
                     verify_row_text(row, 3),
                     "result",
                     "done"));
}

static void add_handlers(struct reading *reading, const struct event *event)
{
    for (size_t i = 0; i < VERIFY_SERVICES; i++) {
        const char *service = verify_service(i);
        char *sql = mem_format("SELECT '%s', at, id, handler FROM \"%s\".inbox"
                               " WHERE handler = ?1 AND id = ?2",
                               service,
                               service);
        each_row(reading, sql, event->type, event->id, take_handled);
        free(sql);
    }
}

static void add_event(struct reading *reading, struct bytes body)
{
    struct json_problem problem;
    struct event *event = NULL;
    if (event_parse(&event, body, &problem) != ERR_OK) {
        return; // no event of ours
    }
    const char *service = strrchr(event->source, '/');
    add_line(
        reading,
        LOG_EVENT_STORED,
        service == NULL ? event->source : service + 1,
        event->time,
        MEMBERS("event_id", event->id, "topic", event->type, "causation_id", event->causation_id));
    add_handlers(reading, event);
    event_destroy(&event);
}

static void add_published(struct reading *reading, const struct wire_delivered *entry)
{
    char at[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(at, (int64_t)entry->time_us);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "ts", at);
    cJSON_AddStringToObject(json, "msg", LOG_EVENT_PUBLISHED);
    cJSON_AddStringToObject(json, "correlation_id", reading->subject);
    json_add_bytes(json, "event_id", entry->record.id);
    json_add_bytes(json, "topic", entry->record.topic);
    cJSON_AddNumberToObject(json, "offset", (double)entry->offset);
    json_append(&reading->out->lines, json);
    buf_put_u8(&reading->out->lines, '\n');
    cJSON_Delete(json);
}

// A dead letter, or its copy that was given back; both tell the group in their headers.
static void add_letter(struct reading *reading, const struct wire_delivered *entry, bool is_dead)
{
    struct json_problem problem;
    cJSON *headers = NULL;
    char at[CLOCK_RFC3339_SIZE];
    char *id = mem_format("%.*s", (int)entry->record.id.size, (const char *)entry->record.id.data);
    clock_format_rfc3339(at, (int64_t)entry->time_us);
    (void)json_parse(entry->record.headers, &headers, &problem);
    add_line(reading,
             is_dead ? LOG_EVENT_DEAD_LETTERED : LOG_EVENT_REDRIVEN,
             "broker",
             at,
             MEMBERS("event_id",
                     id,
                     "group",
                     json_text_of(headers, "group"),
                     "error",
                     json_text_of(headers, "error")));
    cJSON_Delete(headers);
    free(id);
}

static bool begins_with(struct bytes text, const char *prefix)
{
    return text.size > strlen(prefix) && memcmp(text.data, prefix, strlen(prefix)) == 0;
}

static void add_entries(struct reading *reading, const struct verify_log *log, const char *bus_url)
{
    uint64_t offsets[EVENTS_MAX];
    const size_t count = verify_log_offsets(log, reading->subject, offsets, EVENTS_MAX);
    struct bus_guest *guest = NULL;
    if (count == 0 || bus_guest_open(&guest, bus_url, HELLO_TIMEOUT_MS) != ERR_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t at = offsets[i];
        struct wire_delivered entry;
        if (bus_guest_next(guest, &at, &entry) != ERR_OK) {
            break;
        }
        const bool is_dead = begins_with(entry.record.topic, "dead-letter.");
        if (is_dead || begins_with(entry.record.topic, "redrive.")) {
            add_letter(reading, &entry, is_dead);
        } else {
            add_published(reading, &entry);
            add_event(reading, entry.record.body);
        }
    }
    bus_guest_destroy(&guest);
}

// --- what waits in outboxes, moves and gaps

static void take_waiting(struct reading *reading, struct verify_row *row)
{
    add_event(reading, bytes_of_text(verify_row_text(row, 0)));
}

static void add_waiting(struct reading *reading)
{
    for (size_t i = 0; i < VERIFY_SERVICES; i++) {
        char *sql = mem_format("SELECT body FROM \"%s\".outbox WHERE key = ?1"
                               " AND offset_of_event(id) IS NULL",
                               verify_service(i));
        each_row(reading, sql, reading->subject, NULL, take_waiting);
        free(sql);
    }
}

static void take_move(struct reading *reading, struct verify_row *row)
{
    add_line(reading,
             LOG_STATUS_CHANGED,
             verify_row_text(row, 0),
             verify_row_text(row, 1),
             MEMBERS("status",
                     verify_row_text(row, 2),
                     "event_id",
                     verify_row_text(row, 3),
                     "reason",
                     verify_row_text(row, 4)));
}

static const char moves_sql[] =
    "SELECT 'order', created_at, 'pending', created_event, NULL FROM orders WHERE order_id = ?1"
    " UNION ALL SELECT 'order', ended_at, status, ended_event, reason FROM orders"
    "  WHERE order_id = ?1 AND ended_at IS NOT NULL"
    " UNION ALL SELECT 'transfer', at, status, event_id, NULL FROM steps WHERE transfer_id = ?1";

static void take_gap(struct reading *reading, struct verify_row *row)
{
    struct verify_lineage *out = reading->out;
    if (out->gaps_count < GAPS_MAX) {
        out->gaps[out->gaps_count++] =
            (struct verify_gap){.event_id = mem_strdup(verify_row_text(row, 0)),
                                .group = mem_strdup(verify_row_text(row, 1)),
                                .reason = mem_strdup(verify_row_text(row, 2))};
    }
}

static const char gaps_sql[] =
    "SELECT id, grp, iif(class = 'lost', 'its inbox does not have it', reason)"
    " FROM missing WHERE subject = ?1 AND class <> 'dead'";

void verify_lineage_read(struct verify_lineage *out, const char *subject, struct verify_db *db,
                         const struct verify_log *log, const char *bus_url)
{
    *out = (struct verify_lineage){.subject = mem_strdup(subject),
                                   .gaps = mem_calloc(GAPS_MAX, sizeof *out->gaps)};
    struct reading reading = {.out = out, .db = db, .subject = subject};
    add_entries(&reading, log, bus_url);
    add_waiting(&reading);
    each_row(&reading, moves_sql, subject, NULL, take_move);
    each_row(&reading, gaps_sql, subject, NULL, take_gap);
}
