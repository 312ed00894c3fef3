#include "cli/rebuild/rebuild_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bus_guest.h"
#include "common/event.h"
#include "common/mem.h"
#include "common/rebuild.h"
#include "common/store.h"

enum {
    OPEN_TIMEOUT_MS = 2000
};

struct rebuild_plan {
    struct store *store;                // owned
    struct buf text;                    // owned; of a record, as text
    const char *const *topics;          // borrowed
    char source[EVENT_TEXT_MAX];        // "/services/ledger"
    char source_member[EVENT_TEXT_MAX]; // as it stands in an envelope
    char letters[EVENT_TEXT_MAX];       // "dead-letter.ledger"
    char copies[EVENT_TEXT_MAX];        // "redrive.ledger"
    int64_t log_end;
};

static const char schema_sql[] =
    "CREATE TABLE letters (offset INTEGER PRIMARY KEY, event INTEGER NOT NULL);"
    "CREATE INDEX letters_of_event ON letters (event);"
    "CREATE TABLE handled (id TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE chosen (offset INTEGER PRIMARY KEY, key TEXT NOT NULL, is_dead INTEGER NOT NULL,"
    " is_handled INTEGER NOT NULL, turn INTEGER NOT NULL, position INTEGER NOT NULL);";

static const char delivery_sql[] =
    "INSERT INTO deliveries (offset, time_us, topic, key, id, body) VALUES (?, ?, ?, ?, ?, ?)";
static const char letter_sql[] = "INSERT INTO letters (offset, event) VALUES (?, ?)";
static const char output_sql[] =
    "INSERT INTO outputs (offset, cause, id, topic, at, body) VALUES (?, ?, ?, ?, ?, ?)";

static const char attach_sql[] = "ATTACH ? AS living";
static const char handled_sql[] =
    "INSERT OR IGNORE INTO handled SELECT id FROM living.inbox WHERE request_hash IS NULL";

// One delivery an event: turn is where it stands in its key, position when it was handled.
static const char choose_sql[] =
    "INSERT INTO chosen (offset, key, is_dead, is_handled, turn, position)"
    " WITH tries AS (SELECT offset, id, key,"
    "   offset IN (SELECT event FROM letters) AS is_dead,"
    "   (SELECT min(offset) FROM outputs WHERE cause = deliveries.id) AS said FROM deliveries),"
    " ranked AS (SELECT *, row_number() OVER (PARTITION BY id"
    "   ORDER BY is_dead, CASE WHEN is_dead THEN -offset ELSE offset END) AS rank FROM tries)"
    " SELECT offset, CASE key WHEN '' THEN id ELSE key END, is_dead,"
    "   id IN (SELECT id FROM handled),"
    "   CASE WHEN is_dead THEN max(offset, coalesce(said, offset)) ELSE offset END,"
    "   max(offset, coalesce(said, offset))"
    " FROM ranked WHERE rank = 1"
    "   AND (NOT is_dead OR said IS NOT NULL OR id IN (SELECT id FROM handled))";

static const char schedule_sql[] =
    "INSERT INTO inputs (offset) SELECT offset FROM (SELECT offset, turn, is_handled,"
    " max(position) OVER (PARTITION BY key ORDER BY turn ROWS UNBOUNDED PRECEDING) AS at"
    " FROM chosen) WHERE offset < ? OR is_handled ORDER BY at, turn";

static const char inputs_count_sql[] = "SELECT count(*) FROM inputs";
static const char chosen_count_sql[] = "SELECT count(*) FROM chosen";
static const char events_count_sql[] = "SELECT count(DISTINCT id) FROM deliveries";

// --- the file

enum err rebuild_plan_open(struct rebuild_plan **out, const char *path, const char *service,
                           const char *const *topics, char **problem)
{
    *out = NULL;
    struct rebuild_plan *self = mem_calloc(1, sizeof *self);
    self->topics = topics;
    snprintf(self->source, sizeof self->source, "/services/%s", service);
    snprintf(self->source_member, sizeof self->source_member, "\"/services/%s\"", service);
    snprintf(self->letters, sizeof self->letters, "dead-letter.%s", service);
    snprintf(self->copies, sizeof self->copies, "redrive.%s", service);
    enum err err = store_open(&self->store, path, problem);
    if (err == ERR_OK) {
        err = store_without_syncs(self->store);
    }
    if (err == ERR_OK) {
        err = store_exec_script(self->store, rebuild_plan_schema);
    }
    if (err == ERR_OK) {
        err = store_exec_script(self->store, schema_sql);
    }
    if (err == ERR_OK) {
        *out = self;
        self = NULL; // handed to the caller
    } else if (*problem == NULL) {
        *problem = mem_format("cannot write %s: %s", path, store_last_error(self->store));
    }
    rebuild_plan_destroy(&self);
    return err == ERR_OK ? ERR_OK : ERR_IO;
}

void rebuild_plan_destroy(struct rebuild_plan **self_p)
{
    struct rebuild_plan *self = *self_p;
    if (self == NULL) {
        return;
    }
    store_destroy(&self->store);
    buf_release(&self->text);
    free(self);
    *self_p = NULL;
}

static enum err say_store_problem(struct rebuild_plan *self, char **problem)
{
    *problem = mem_format("cannot write the plan: %s", store_last_error(self->store));
    return ERR_IO;
}

// --- the log

static void bind_bytes(struct store_row *row, struct bytes bytes)
{
    char *text = mem_strndup((const char *)bytes.data, bytes.size);
    store_bind_text(row, text == NULL ? "" : text);
    free(text);
}

static enum err add_delivery(struct rebuild_plan *self, const struct wire_delivered *entry,
                             struct bytes topic)
{
    struct store_row *row = store_query(self->store, delivery_sql);
    store_bind_int(row, (int64_t)entry->offset);
    store_bind_int(row, (int64_t)entry->time_us);
    bind_bytes(row, topic);
    bind_bytes(row, entry->record.key);
    bind_bytes(row, entry->record.id);
    bind_bytes(row, entry->record.body);
    return store_run(row);
}

static cJSON *read_headers(const struct wire_delivered *entry)
{
    const struct bytes headers = entry->record.headers;
    return cJSON_ParseWithLength((const char *)headers.data, headers.size);
}

// A copy that went back to the group has the event's own topic there.
static enum err add_copy(struct rebuild_plan *self, const struct wire_delivered *entry)
{
    cJSON *headers = read_headers(entry);
    const char *topic = json_text_of(headers, "topic");
    const enum err err = topic == NULL ? ERR_OK : add_delivery(self, entry, bytes_of_text(topic));
    cJSON_Delete(headers);
    return err;
}

static enum err add_letter(struct rebuild_plan *self, const struct wire_delivered *entry)
{
    cJSON *headers = read_headers(entry);
    const cJSON *event = cJSON_GetObjectItemCaseSensitive(headers, "offset");
    struct store_row *row = store_query(self->store, letter_sql);
    store_bind_int(row, (int64_t)entry->offset);
    store_bind_int(row, cJSON_IsNumber(event) ? (int64_t)event->valuedouble : -1);
    cJSON_Delete(headers);
    return store_run(row);
}

// An event that the service made itself; to look for its name first is quicker than to
// read every envelope.
static enum err add_if_output(struct rebuild_plan *self, const struct wire_delivered *entry)
{
    const struct bytes body = entry->record.body;
    buf_clear(&self->text);
    buf_put(&self->text, body.data, body.size);
    buf_put_u8(&self->text, 0);
    struct event *event = NULL;
    struct json_problem problem;
    if (strstr((const char *)self->text.data, self->source_member) == NULL ||
        event_parse(&event, body, &problem) != ERR_OK) {
        return ERR_OK;
    }
    enum err err = ERR_OK;
    if (strcmp(event->source, self->source) == 0) {
        struct store_row *row = store_query(self->store, output_sql);
        store_bind_int(row, (int64_t)entry->offset);
        store_bind_text(row, event->causation_id);
        store_bind_text(row, event->id);
        store_bind_text(row, event->type);
        store_bind_text(row, event->time);
        store_bind_text(row, (const char *)self->text.data);
        err = store_run(row);
    }
    event_destroy(&event);
    return err;
}

static bool is_heard(const struct rebuild_plan *self, struct bytes topic)
{
    const char *const *heard = self->topics;
    while (*heard != NULL && !bytes_equal_text(topic, *heard)) {
        heard++;
    }
    return *heard != NULL;
}

enum err rebuild_plan_add(struct rebuild_plan *self, const struct wire_delivered *entry)
{
    const struct bytes topic = entry->record.topic;
    if (bytes_equal_text(topic, self->letters)) {
        return add_letter(self, entry);
    }
    if (bytes_equal_text(topic, self->copies)) {
        return add_copy(self, entry);
    }
    const enum err err = is_heard(self, topic) ? add_delivery(self, entry, topic) : ERR_OK;
    // Letters and copies of others repeat events: no outputs are among them.
    const bool is_broker = topic.size > 0 && memchr(topic.data, '.', topic.size) != NULL;
    return err == ERR_OK && !is_broker ? add_if_output(self, entry) : err;
}

static enum err read_log(struct rebuild_plan *self, struct bus_guest *guest, char **problem)
{
    uint64_t end = 0;
    uint64_t offset = 0;
    enum err err = bus_guest_end(guest, &end);
    while (err == ERR_OK && offset < end) {
        struct wire_delivered entry;
        err = bus_guest_next(guest, &offset, &entry);
        if (err == ERR_OK && rebuild_plan_add(self, &entry) != ERR_OK) {
            return say_store_problem(self, problem);
        }
    }
    self->log_end = (int64_t)end;
    if (err == ERR_INVALID) {
        *problem = mem_strdup("the log does not reach back to its beginning any more (retention "
                              "has dropped files), so it cannot give a database back");
    } else if (err != ERR_OK) {
        *problem = mem_strdup("the broker went away while its log was read");
    }
    return err;
}

enum err rebuild_plan_read(struct rebuild_plan *self, const char *url, char **problem)
{
    struct bus_guest *guest = NULL;
    if (bus_guest_open(&guest, url, OPEN_TIMEOUT_MS) != ERR_OK) {
        *problem = mem_format("the broker does not answer at %s", url);
        return ERR_UNAVAILABLE;
    }
    enum err err = store_begin(self->store);
    if (err == ERR_OK) {
        err = read_log(self, guest, problem);
    }
    if (err == ERR_OK) {
        err = store_commit(self->store);
    }
    if (err != ERR_OK && *problem == NULL) {
        err = say_store_problem(self, problem);
    }
    bus_guest_destroy(&guest);
    return err;
}

// --- the order

static enum err read_handled(struct rebuild_plan *self, const char *database)
{
    struct store_row *row = store_query(self->store, attach_sql);
    store_bind_text(row, database);
    const enum err err = store_run(row);
    return err == ERR_OK ? store_run(store_query(self->store, handled_sql)) : err;
}

static int64_t count(struct rebuild_plan *self, const char *sql)
{
    struct store_row *row = store_query(self->store, sql);
    const int64_t number = store_next(row) == ERR_OK ? store_int(row, 0) : 0;
    store_done(row);
    return number;
}

enum err rebuild_plan_schedule(struct rebuild_plan *self, const struct rebuild_choice *choice,
                               struct rebuild_counts *out, char **problem)
{
    enum err err = choice->database == NULL ? ERR_OK : read_handled(self, choice->database);
    if (err == ERR_OK) {
        err = store_begin(self->store);
    }
    if (err == ERR_OK) {
        err = store_run(store_query(self->store, choose_sql));
    }
    if (err == ERR_OK) {
        struct store_row *row = store_query(self->store, schedule_sql);
        store_bind_int(row, choice->only_handled ? (int64_t)choice->floor : INT64_MAX);
        err = store_run(row);
    }
    if (err == ERR_OK) {
        err = store_commit(self->store);
    }
    if (err != ERR_OK) {
        return say_store_problem(self, problem);
    }
    const int64_t chosen = count(self, chosen_count_sql);
    *out =
        (struct rebuild_counts){.log_end = self->log_end, .inputs = count(self, inputs_count_sql)};
    out->given_up = count(self, events_count_sql) - chosen;
    out->under_way = chosen - out->inputs;
    return ERR_OK;
}
