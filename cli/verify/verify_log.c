#include "cli/verify/verify_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/verify/id_table.h"
#include "cli/verify/verify_envelope.h"
#include "cli/verify/verify_house.h"
#include "cli/verify/verify_insert.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

#define DEAD_LETTER "dead-letter."
#define REDRIVE     "redrive."

enum {
    HELLO_TIMEOUT_MS = 5000,
    AGAIN_MS = 15000, // how long a broker may not answer before we give up
    PROGRESS_EVENTS = 16384
};

struct verify_log {
    struct verify_db *db;             // borrowed
    struct verify_subjects *subjects; // borrowed
    uint64_t end_before;              // the log's, before the databases were looked at
    struct verify_event *events;      // owned
    size_t events_count;
    size_t events_capacity;
    struct id_table *ids;  // owned; of events
    uint32_t *event_of_id; // owned; index of the first event with an id, by its number
    size_t event_of_id_capacity;
    struct verify_log_counts counts;
    struct verify_insert letters, twice, again, odd;
};

static const char tables_sql[] =
    "CREATE TABLE letter (grp TEXT, event INTEGER, at INTEGER, is_dead INTEGER, error TEXT);"
    "CREATE INDEX letter_of ON letter (event, grp, at);"
    "CREATE TABLE twice (subject TEXT, topic TEXT, id TEXT, at INTEGER, first INTEGER);"
    "CREATE TABLE again (subject TEXT, topic TEXT, id TEXT, at INTEGER);"
    "CREATE TABLE odd (subject TEXT, topic TEXT, id TEXT, at INTEGER, what TEXT);";

// SQL: the offset of the event with an id.
static int64_t offset_of_id(void *context, const char *const *texts)
{
    const struct verify_log *self = context;
    const size_t index = texts[0] == NULL
                             ? VERIFY_NO_EVENT
                             : verify_log_find(self, id_of_text(bytes_of_text(texts[0])));
    return index == VERIFY_NO_EVENT ? -1 : (int64_t)verify_log_offset(self, index);
}

// SQL: whether the event with an id is of a topic and about a subject.
static int64_t is_event(void *context, const char *const *texts)
{
    const struct verify_log *self = context;
    if (texts[0] == NULL || texts[1] == NULL || texts[2] == NULL) {
        return 0;
    }
    const size_t index = verify_log_find(self, id_of_text(bytes_of_text(texts[0])));
    return index != VERIFY_NO_EVENT &&
           self->events[index].topic == verify_topic_find(bytes_of_text(texts[1])) &&
           self->events[index].subject == verify_subjects_find(self->subjects, texts[2]);
}

struct verify_log *verify_log_new(struct verify_db *db, struct verify_subjects *subjects,
                                  const cJSON *status)
{
    struct verify_log *self = mem_calloc(1, sizeof *self);
    *self = (struct verify_log){
        .db = db,
        .subjects = subjects,
        .ids = id_table_new(),
        .letters = {db, "INSERT INTO letter VALUES (?, ?, ?, ?, ?)", NULL},
        .twice = {db, "INSERT INTO twice VALUES (?, ?, ?, ?, ?)", NULL},
        .again = {db, "INSERT INTO again VALUES (?, ?, ?, ?)", NULL},
        .odd = {db, "INSERT INTO odd VALUES (?, ?, ?, ?, ?)", NULL},
    };
    const cJSON *log = cJSON_GetObjectItemCaseSensitive(status, "log");
    self->counts.first_offset =
        (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(log, "first_offset"));
    self->end_before =
        (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(log, "next_offset"));
    verify_db_add_function(db, "offset_of_event", 1, offset_of_id, self);
    verify_db_add_function(db, "event_is", 3, is_event, self);
    return self;
}

void verify_log_destroy(struct verify_log **self_p)
{
    struct verify_log *self = *self_p;
    if (self == NULL) {
        return;
    }
    id_table_destroy(&self->ids);
    free(self->event_of_id);
    free(self->events);
    free(self);
    *self_p = NULL;
}

struct verify_log_counts verify_log_counts(const struct verify_log *self)
{
    return self->counts;
}

size_t verify_log_events(const struct verify_log *self)
{
    return self->events_count;
}

struct verify_event *verify_log_event(struct verify_log *self, size_t index)
{
    return &self->events[index];
}

struct id verify_log_id(const struct verify_log *self, size_t index)
{
    return id_table_at(self->ids, self->events[index].id);
}

uint64_t verify_log_offset(const struct verify_log *self, size_t index)
{
    return self->counts.first_offset + index;
}

size_t verify_log_find(const struct verify_log *self, struct id id)
{
    const uint32_t number = id_table_find(self->ids, id);
    return number == ID_NONE ? VERIFY_NO_EVENT : self->event_of_id[number];
}

size_t verify_log_offsets(const struct verify_log *self, const char *subject, uint64_t *out,
                          size_t max)
{
    const uint32_t number = verify_subjects_find(self->subjects, subject);
    size_t count = 0;
    for (size_t i = 0; number != ID_NONE && i < self->events_count && count < max; i++) {
        if (self->events[i].subject == number) {
            out[count++] = verify_log_offset(self, i);
        }
    }
    return count;
}

// --- reading it

// What a record of the broker's own is of; prefix is that of its topic.
static bool is_own(struct bytes topic, const char *prefix, struct bytes *group)
{
    const size_t size = strlen(prefix);
    if (topic.size <= size || memcmp(topic.data, prefix, size) != 0) {
        return false;
    }
    *group = (struct bytes){topic.data + size, topic.size - size};
    return true;
}

static enum err add_letter(struct verify_log *self, const struct wire_delivered *entry,
                           struct bytes name, bool is_dead)
{
    const size_t group = verify_service_find(name);
    if (group == VERIFY_SERVICES) {
        return ERR_OK; // somebody else's
    }
    const size_t event = verify_log_find(self, id_of_text(entry->record.id));
    const uint32_t subject = verify_subjects_add(self->subjects, entry->record.key);
    self->events[self->events_count - 1].subject = subject;
    if (event != VERIFY_NO_EVENT) {
        self->events[event].given_up |= (uint8_t)(1U << group);
    }
    if (subject != ID_NONE) {
        verify_subjects_about(self->subjects, subject)->given_up |= (uint8_t)(1U << group);
    }
    cJSON *headers = NULL;
    struct json_problem problem;
    (void)json_parse(entry->record.headers, &headers, &problem);
    const enum err err = verify_insert_row(
        &self->letters,
        VERIFY_ROW(
            VERIFY_TEXT(verify_service(group)),
            VERIFY_NUMBER(event == VERIFY_NO_EVENT ? -1 : (int64_t)verify_log_offset(self, event)),
            VERIFY_NUMBER(entry->offset),
            VERIFY_NUMBER(is_dead),
            VERIFY_TEXT(json_text_of(headers, "error"))));
    cJSON_Delete(headers);
    return err;
}

// An event whose id the log has already.
static enum err add_twin(struct verify_log *self, const struct wire_delivered *entry, uint32_t id)
{
    const struct record *record = &entry->record;
    char key[RECORD_KEY_MAX + 1];
    char topic[RECORD_TOPIC_MAX + 1];
    char text[RECORD_ID_MAX + 1];
    self->events[self->events_count - 1].subject = verify_subjects_add(self->subjects, record->key);
    snprintf(key, sizeof key, "%.*s", (int)record->key.size, (const char *)record->key.data);
    snprintf(
        topic, sizeof topic, "%.*s", (int)record->topic.size, (const char *)record->topic.data);
    snprintf(text, sizeof text, "%.*s", (int)record->id.size, (const char *)record->id.data);
    return verify_insert_row(
        &self->twice,
        VERIFY_ROW(VERIFY_TEXT(key),
                   VERIFY_TEXT(topic),
                   VERIFY_TEXT(text),
                   VERIFY_NUMBER(entry->offset),
                   VERIFY_NUMBER(verify_log_offset(self, self->event_of_id[id]))));
}

// A row about an event that does not fit; what NULL: the table has no such column.
static enum err add_misfit(struct verify_log *self, struct verify_insert *table, size_t index,
                           const char *what)
{
    const struct verify_event *event = &self->events[index];
    char subject[UUID_SIZE];
    char id[UUID_SIZE];
    verify_subjects_text(self->subjects, event->subject, subject);
    (void)id_to_text(id_table_at(self->ids, event->id), id);
    const struct verify_value row[] = {
        VERIFY_TEXT(subject),
        VERIFY_TEXT(verify_topic(event->topic)),
        VERIFY_TEXT(id),
        VERIFY_NUMBER(verify_log_offset(self, index)),
        what == NULL ? (struct verify_value){.kind = VERIFY_VALUE_END} : VERIFY_TEXT(what),
        {.kind = VERIFY_VALUE_END}};
    return verify_insert_row(table, row);
}

// Counts an event as said.
static enum err note_said(struct verify_log *self, size_t index)
{
    const struct verify_event *event = &self->events[index];
    struct verify_about *about = verify_subjects_about(self->subjects, event->subject);
    const bool is_sent = verify_topic_is_message(event->topic);
    self->counts.events++;
    if (!is_sent && (about->said & 1U << event->topic) != 0) {
        return add_misfit(self, &self->again, index, NULL);
    }
    about->said |= 1U << event->topic;
    if (is_sent) {
        verify_subjects_count_one(&about->sent);
    }
    if (verify_log_offset(self, index) < self->end_before) {
        about->before |= 1U << event->topic;
        if (is_sent) {
            verify_subjects_count_one(&about->sent_before);
        }
    }
    return ERR_OK;
}

static enum err note_event(struct verify_log *self, size_t index, const struct record *record)
{
    struct verify_event *event = &self->events[index];
    if (event->topic == VERIFY_NO_TOPIC || event->subject == ID_NONE) {
        self->counts.strangers++;
        return ERR_OK;
    }
    struct verify_about *about = verify_subjects_about(self->subjects, event->subject);
    char what[VERIFY_ENVELOPE_SIZE];
    const enum verify_envelope envelope = verify_envelope_check(self, index, record, about, what);
    if (envelope == VERIFY_ENVELOPE_STRANGE) {
        event->is_strange = true;
        return ERR_OK;
    }
    const enum err err =
        envelope == VERIFY_ENVELOPE_GOOD ? ERR_OK : add_misfit(self, &self->odd, index, what);
    return err == ERR_OK ? note_said(self, index) : err;
}

static bool is_heard(size_t topic)
{
    uint32_t heard = 0;
    for (size_t i = 0; i < VERIFY_SERVICES; i++) {
        heard |= verify_topics_heard(i);
    }
    return (heard & 1U << topic) != 0;
}

enum err verify_log_note_strange(struct verify_log *self)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < self->events_count && err == ERR_OK; i++) {
        const struct verify_event *event = &self->events[i];
        if (!event->is_strange) {
            continue;
        }
        if (event->handled == 0 && is_heard(event->topic)) {
            self->counts.strangers++;
            continue;
        }
        err = add_misfit(self, &self->odd, i, "was said by nobody of the house");
        if (err == ERR_OK) {
            err = note_said(self, i);
        }
    }
    verify_row_done(&self->odd.row);
    verify_row_done(&self->again.row);
    return err;
}

static enum err add_entry(struct verify_log *self, const struct wire_delivered *entry)
{
    const struct record *record = &entry->record;
    const size_t index = self->events_count++;
    self->events =
        mem_grow(self->events, &self->events_capacity, self->events_count, sizeof *self->events);
    struct verify_event *event = &self->events[index];
    *event = (struct verify_event){.id = ID_NONE, .subject = ID_NONE, .topic = VERIFY_NO_TOPIC};
    struct bytes group;
    const bool is_dead = is_own(record->topic, DEAD_LETTER, &group);
    if (is_dead || is_own(record->topic, REDRIVE, &group)) {
        return add_letter(self, entry, group, is_dead);
    }
    const uint32_t known = id_table_count(self->ids);
    const uint32_t id = id_table_add(self->ids, id_of_text(record->id));
    if (id < known) {
        return add_twin(self, entry, id);
    }
    self->event_of_id = mem_grow(
        self->event_of_id, &self->event_of_id_capacity, (size_t)id + 1, sizeof *self->event_of_id);
    self->event_of_id[id] = (uint32_t)index;
    event->id = id;
    event->subject = verify_subjects_add(self->subjects, record->key);
    event->topic = (uint8_t)verify_topic_find(record->topic);
    return note_event(self, index, record);
}

static void make_room(struct verify_log *self)
{
    const uint64_t entries = self->counts.end - self->counts.first_offset;
    if (entries < ID_NONE) { // more than the table can number anyway
        id_table_reserve(self->ids, (uint32_t)entries);
        self->events = mem_reserve(
            self->events, &self->events_capacity, (size_t)entries, sizeof *self->events);
        self->event_of_id = mem_reserve(self->event_of_id,
                                        &self->event_of_id_capacity,
                                        (size_t)entries,
                                        sizeof *self->event_of_id);
    }
}

// Reads on behind a broker that was killed meanwhile, if it comes back.
static enum err read_to_end(struct verify_log *self, const char *bus_url, verify_progress *progress,
                            void *context)
{
    struct bus_guest *guest = NULL;
    uint64_t offset = self->counts.first_offset;
    int64_t deadline_ms = clock_mono_ms() + AGAIN_MS;
    enum err err = ERR_OK;
    while (err == ERR_OK || err == ERR_UNAVAILABLE) {
        if (guest == NULL) {
            err = bus_guest_open(&guest, bus_url, HELLO_TIMEOUT_MS);
            if (err == ERR_OK && self->counts.end == 0) {
                err = bus_guest_end(guest, &self->counts.end);
            }
            if (err == ERR_OK) {
                make_room(self);
                bus_guest_read_ahead(guest);
            }
        }
        if (err == ERR_OK && offset >= self->counts.end) {
            break;
        }
        struct wire_delivered entry;
        if (err == ERR_OK) {
            err = bus_guest_next(guest, &offset, &entry);
        }
        if (err == ERR_OK) {
            deadline_ms = clock_mono_ms() + AGAIN_MS;
            err = add_entry(self, &entry);
            if (entry.offset % PROGRESS_EVENTS == 0) {
                progress(context, "reading the log", entry.offset, self->counts.end);
            }
        } else if (err == ERR_UNAVAILABLE && clock_mono_ms() < deadline_ms) {
            bus_guest_destroy(&guest);
        } else {
            break;
        }
    }
    bus_guest_destroy(&guest);
    return err;
}

enum err verify_log_read(struct verify_log *self, const char *bus_url, verify_progress *progress,
                         void *context)
{
    enum err err = verify_db_run(self->db, tables_sql);
    if (err == ERR_OK) {
        err = read_to_end(self, bus_url, progress, context);
    }
    verify_row_done(&self->letters.row);
    verify_row_done(&self->twice.row);
    verify_row_done(&self->again.row);
    verify_row_done(&self->odd.row);
    return err;
}
