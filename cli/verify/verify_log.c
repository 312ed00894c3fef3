#include "cli/verify/verify_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/verify/id_table.h"
#include "cli/verify/verify_house.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

#define DEAD_LETTER "dead-letter."
#define REDRIVE     "redrive."

enum {
    HELLO_TIMEOUT_MS = 5000,
    AGAIN_MS = 15000, // how long a broker may not answer before we give up
    PROGRESS_EVENTS = 16384,
    NO_TOPIC = VERIFY_TOPICS,
    COUNT_MAX = 255,
    LOOK_AHEAD = 4, // events that might be the next in an inbox
};

// An event of the log; its index is its offset less the first one.
struct event {
    uint32_t id;      // number in ids; ID_NONE: a dead letter, a copy, or known before
    uint32_t subject; // number in subjects; ID_NONE: its key is empty
    uint8_t topic;    // index, NO_TOPIC: another one
    uint8_t handled;  // services whose inbox has it
    uint8_t given_up; // groups that have or had a dead letter of it
};

// Messages and entries of one order or transfer, by what verify_story counts of them.
enum told {
    TOLD_RECEIVED,
    TOLD_GOOD,
    TOLD_BAD,
    TOLD_COUNT
};
enum posted {
    POSTED_PAYMENT,
    POSTED_REVERSAL,
    POSTED_TRANSFER,
    POSTED_COUNT
};

// What is known of an order or a transfer from events, messages and entries.
struct about {
    uint32_t said;                   // topics, in the log or in an outbox
    uint32_t before;                 // topics in the log before the databases were looked at
    uint32_t heard[VERIFY_SERVICES]; // topics, by service
    uint32_t last[VERIFY_SERVICES];  // index + 1 of the last event in the order of handling
    uint8_t sent, sent_before;       // of notification-sent, of which there are several
    uint8_t given_up;                // groups
    uint8_t told[TOLD_COUNT];        // messages, by what they tell
    uint8_t posted[POSTED_COUNT];    // entries of the ledger, by kind
    int64_t posted_minor;            // what the payment's put on the account cash
};

struct group {
    uint32_t topics; // that it should handle
    uint64_t floor;
    bool has_order; // by key
};

struct verify_log {
    struct verify_db *db; // borrowed
    struct group groups[VERIFY_SERVICES];
    uint64_t end_before;  // the log's, before the databases were looked at
    struct event *events; // owned
    size_t events_count;
    size_t events_capacity;
    struct id_table *ids;  // owned; of events
    uint32_t *event_of_id; // owned; index of the first event with an id, by its number
    size_t event_of_id_capacity;
    struct id_table *subjects; // owned
    struct about *about;       // owned; by number of subject
    size_t about_capacity;
    struct verify_log_counts counts;
};

// letter: dead letters, and copies of events that were given back to a group, in the order
// of the log. twice: an event whose id the log had before. missing: an event that a group
// should handle and that its inbox does not have. stray: an inbox row of an event that the
// log does not have. repeated: a second row of the same event. disorder: an event that a
// group handled after a later one of the same key. waiting: a row of an outbox.
static const char tables_sql[] =
    "CREATE TABLE letter (grp TEXT, id TEXT, at INTEGER, is_dead INTEGER, error TEXT);"
    "CREATE INDEX letter_of ON letter (id, grp, at);"
    "CREATE TABLE twice (subject TEXT, topic TEXT, id TEXT, at INTEGER, first INTEGER);"
    "CREATE TABLE again (subject TEXT, topic TEXT, id TEXT, at INTEGER);"
    "CREATE TABLE missing (grp TEXT, subject TEXT, topic TEXT, id TEXT, at INTEGER,"
    " floor INTEGER, class TEXT, reason TEXT);"
    "CREATE INDEX missing_of ON missing (subject);"
    "CREATE TABLE stray (grp TEXT, topic TEXT, id TEXT, number INTEGER, known TEXT);"
    "CREATE TABLE repeated (grp TEXT, subject TEXT, topic TEXT, id TEXT, number INTEGER);"
    "CREATE TABLE disorder (grp TEXT, subject TEXT, topic TEXT, at INTEGER, later TEXT,"
    " later_at INTEGER);"
    "CREATE TABLE waiting (service TEXT, subject TEXT, topic TEXT, id TEXT, refused TEXT,"
    " at_ms INTEGER, in_log INTEGER);"
    "CREATE INDEX waiting_of ON waiting (subject);"
    "CREATE INDEX waiting_id ON waiting (id);";

// --- making and ending

static void read_group(struct verify_log *self, const cJSON *json)
{
    const char *name = json_text_of(json, "name");
    const size_t service =
        name == NULL ? VERIFY_SERVICES : verify_service_find(bytes_of_text(name));
    if (service == VERIFY_SERVICES) {
        return; // somebody else's group
    }
    struct group *group = &self->groups[service];
    const char *order = json_text_of(json, "order");
    *group = (struct group){.has_order = order == NULL || strcmp(order, "key") == 0};
    group->floor = (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(json, "floor"));
    const cJSON *topic = NULL;
    cJSON_ArrayForEach(topic, cJSON_GetObjectItemCaseSensitive(json, "topics"))
    {
        const size_t index = cJSON_IsString(topic)
                                 ? verify_topic_find(bytes_of_text(topic->valuestring))
                                 : VERIFY_TOPICS;
        group->topics |= index < VERIFY_TOPICS ? 1U << index : 0U;
    }
}

// SQL: the offset of the event with an id.
static int64_t offset_of_id(void *context, const char *text)
{
    const struct verify_log *self = context;
    const uint32_t id = id_table_find(self->ids, id_of_text(bytes_of_text(text)));
    return id == ID_NONE ? -1 : (int64_t)(self->counts.first_offset + self->event_of_id[id]);
}

struct verify_log *verify_log_new(struct verify_db *db, const cJSON *status)
{
    struct verify_log *self = mem_calloc(1, sizeof *self);
    *self = (struct verify_log){.db = db, .ids = id_table_new(), .subjects = id_table_new()};
    // A group that nobody has made yet gets everything, from the first event on.
    for (size_t i = 0; i < VERIFY_SERVICES; i++) {
        self->groups[i] = (struct group){.topics = verify_topics_heard(i), .has_order = true};
    }
    const cJSON *log = cJSON_GetObjectItemCaseSensitive(status, "log");
    self->counts.first_offset =
        (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(log, "first_offset"));
    self->end_before =
        (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(log, "next_offset"));
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(status, "groups"))
    {
        read_group(self, group);
    }
    verify_db_add_function(db, "offset_of_event", offset_of_id, self);
    return self;
}

void verify_log_destroy(struct verify_log **self_p)
{
    struct verify_log *self = *self_p;
    if (self == NULL) {
        return;
    }
    id_table_destroy(&self->ids);
    id_table_destroy(&self->subjects);
    free(self->event_of_id);
    free(self->about);
    free(self->events);
    free(self);
    *self_p = NULL;
}

struct verify_log_counts verify_log_counts(const struct verify_log *self)
{
    return self->counts;
}

size_t verify_log_offsets(const struct verify_log *self, const char *subject, uint64_t *out,
                          size_t max)
{
    const uint32_t number = id_table_find(self->subjects, id_of_text(bytes_of_text(subject)));
    size_t count = 0;
    for (size_t i = 0; number != ID_NONE && i < self->events_count && count < max; i++) {
        if (self->events[i].subject == number) {
            out[count++] = self->counts.first_offset + i;
        }
    }
    return count;
}

// --- what is kept

// Room for capacity elements; what is new is zero.
static void *grow_to(void *array, size_t *capacity, size_t needed, size_t size)
{
    if (needed <= *capacity) {
        return array;
    }
    const size_t old = *capacity;
    *capacity = needed;
    uint8_t *grown = mem_realloc(array, *capacity * size);
    memset(grown + old * size, 0, (*capacity - old) * size);
    return grown;
}

static void *grow(void *array, size_t *capacity, size_t needed, size_t size)
{
    return needed <= *capacity ? array : grow_to(array, capacity, needed + needed / 2 + 1024, size);
}

static uint32_t add_subject(struct verify_log *self, struct bytes key)
{
    if (key.size == 0) {
        return ID_NONE;
    }
    const uint32_t number = id_table_add(self->subjects, id_of_text(key));
    self->about = grow(self->about, &self->about_capacity, (size_t)number + 1, sizeof *self->about);
    return number;
}

static void subject_to_text(const struct verify_log *self, uint32_t subject, char out[UUID_SIZE])
{
    out[0] = '\0';
    if (subject != ID_NONE) {
        (void)id_to_text(id_table_at(self->subjects, subject), out);
    }
}

static void count_one(uint8_t *count)
{
    *count = (uint8_t)(*count < COUNT_MAX ? *count + 1 : COUNT_MAX);
}

static uint64_t offset_of(const struct verify_log *self, size_t index)
{
    return self->counts.first_offset + index;
}

// The statements of the tables above, made when they are first used.
struct writer {
    struct verify_db *db;
    const char *sql;
    struct verify_row *row;
};

enum value_kind {
    END,
    TEXT,
    NUMBER
};

struct value {
    enum value_kind kind;
    const char *text;
    int64_t number;
};

#define T(it)       ((struct value){.kind = TEXT, .text = (it)})
#define N(it)       ((struct value){.kind = NUMBER, .number = (int64_t)(it)})
#define VALUES(...) ((const struct value[]){__VA_ARGS__, {.kind = END}})

static enum err write_row(struct writer *writer, const struct value *values)
{
    if (writer->row == NULL) {
        writer->row = verify_db_query(writer->db, writer->sql);
    }
    if (writer->row == NULL) {
        return ERR_IO;
    }
    for (; values->kind != END; values++) {
        if (values->kind == TEXT) {
            verify_row_bind_text(writer->row, values->text);
        } else {
            verify_row_bind_int(writer->row, values->number);
        }
    }
    const enum err err = verify_row_next(writer->row);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

// --- the log

struct reading {
    struct verify_log *self;
    struct writer letters;
    struct writer twice;
    struct writer again;
};

// The group that a topic with this prefix names; VERIFY_SERVICES: none, or not a service's.
static size_t group_behind(struct bytes topic, const char *prefix)
{
    const size_t size = strlen(prefix);
    if (topic.size <= size || memcmp(topic.data, prefix, size) != 0) {
        return VERIFY_SERVICES;
    }
    return verify_service_find((struct bytes){topic.data + size, topic.size - size});
}

static enum err add_letter(struct reading *reading, const struct wire_delivered *entry,
                           size_t group, bool is_dead)
{
    struct verify_log *self = reading->self;
    const uint32_t id = id_table_find(self->ids, id_of_text(entry->record.id));
    const uint32_t subject = add_subject(self, entry->record.key);
    self->events[self->events_count - 1].subject = subject;
    if (id != ID_NONE) {
        self->events[self->event_of_id[id]].given_up |= (uint8_t)(1U << group);
    }
    if (subject != ID_NONE) {
        self->about[subject].given_up |= (uint8_t)(1U << group);
    }
    cJSON *headers = NULL;
    struct json_problem problem;
    (void)json_parse(entry->record.headers, &headers, &problem);
    char text[RECORD_ID_MAX + 1];
    snprintf(
        text, sizeof text, "%.*s", (int)entry->record.id.size, (const char *)entry->record.id.data);
    const enum err err = write_row(&reading->letters,
                                   VALUES(T(verify_service(group)),
                                          T(text),
                                          N(entry->offset),
                                          N(is_dead),
                                          T(json_text_of(headers, "error"))));
    cJSON_Delete(headers);
    return err;
}

// An event whose id the log has already.
static enum err add_twin(struct reading *reading, const struct wire_delivered *entry, uint32_t id)
{
    const struct record *record = &entry->record;
    char key[RECORD_KEY_MAX + 1];
    char topic[RECORD_TOPIC_MAX + 1];
    char text[RECORD_ID_MAX + 1];
    reading->self->events[reading->self->events_count - 1].subject =
        add_subject(reading->self, record->key);
    snprintf(key, sizeof key, "%.*s", (int)record->key.size, (const char *)record->key.data);
    snprintf(
        topic, sizeof topic, "%.*s", (int)record->topic.size, (const char *)record->topic.data);
    snprintf(text, sizeof text, "%.*s", (int)record->id.size, (const char *)record->id.data);
    return write_row(&reading->twice,
                     VALUES(T(key),
                            T(topic),
                            T(text),
                            N(entry->offset),
                            N(offset_of(reading->self, reading->self->event_of_id[id]))));
}

// Of all the events of a subject only messages come more than once.
static bool is_message(size_t topic)
{
    return strcmp(verify_topic(topic), "notification-sent") == 0;
}

static enum err add_again(struct reading *reading, const struct event *event, uint64_t offset)
{
    const struct verify_log *self = reading->self;
    char subject[UUID_SIZE];
    char id[UUID_SIZE];
    subject_to_text(self, event->subject, subject);
    (void)id_to_text(id_table_at(self->ids, event->id), id);
    return write_row(&reading->again,
                     VALUES(T(subject), T(verify_topic(event->topic)), T(id), N(offset)));
}

static enum err note_event(struct reading *reading, const struct event *event, uint64_t offset)
{
    struct verify_log *self = reading->self;
    if (event->topic == NO_TOPIC || event->subject == ID_NONE) {
        self->counts.strangers++;
        return ERR_OK;
    }
    self->counts.events++;
    struct about *about = &self->about[event->subject];
    const bool is_sent = is_message(event->topic);
    if (!is_sent && (about->said & 1U << event->topic) != 0) {
        return add_again(reading, event, offset);
    }
    about->said |= 1U << event->topic;
    if (is_sent) {
        count_one(&about->sent);
    }
    if (offset < self->end_before) {
        about->before |= 1U << event->topic;
        if (is_sent) {
            count_one(&about->sent_before);
        }
    }
    return ERR_OK;
}

static enum err add_entry(struct reading *reading, const struct wire_delivered *entry)
{
    struct verify_log *self = reading->self;
    const struct record *record = &entry->record;
    const size_t index = self->events_count++;
    self->events =
        grow(self->events, &self->events_capacity, self->events_count, sizeof *self->events);
    struct event *event = &self->events[index];
    *event = (struct event){.id = ID_NONE, .subject = ID_NONE, .topic = NO_TOPIC};
    const size_t dead = group_behind(record->topic, DEAD_LETTER);
    const size_t back = group_behind(record->topic, REDRIVE);
    if (dead < VERIFY_SERVICES || back < VERIFY_SERVICES) {
        return add_letter(
            reading, entry, dead < VERIFY_SERVICES ? dead : back, dead < VERIFY_SERVICES);
    }
    const uint32_t known = id_table_count(self->ids);
    const uint32_t id = id_table_add(self->ids, id_of_text(record->id));
    if (id < known) {
        return add_twin(reading, entry, id);
    }
    self->event_of_id = grow(
        self->event_of_id, &self->event_of_id_capacity, (size_t)id + 1, sizeof *self->event_of_id);
    self->event_of_id[id] = (uint32_t)index;
    event->id = id;
    event->subject = add_subject(self, record->key);
    event->topic = (uint8_t)verify_topic_find(record->topic);
    return note_event(reading, event, entry->offset);
}

static void make_room(struct verify_log *self)
{
    const uint64_t entries = self->counts.end - self->counts.first_offset;
    if (entries < ID_NONE) { // more than the table can number anyway
        id_table_reserve(self->ids, (uint32_t)entries);
        self->events =
            grow_to(self->events, &self->events_capacity, (size_t)entries, sizeof *self->events);
        self->event_of_id = grow_to(self->event_of_id,
                                    &self->event_of_id_capacity,
                                    (size_t)entries,
                                    sizeof *self->event_of_id);
    }
}

// Reads on behind a broker that was killed meanwhile, if it comes back.
static enum err read_to_end(struct reading *reading, const char *bus_url, verify_progress *progress,
                            void *context)
{
    struct verify_log *self = reading->self;
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
            err = add_entry(reading, &entry);
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
    struct reading reading = {
        .self = self,
        .letters = {self->db, "INSERT INTO letter VALUES (?, ?, ?, ?, ?)", NULL},
        .twice = {self->db, "INSERT INTO twice VALUES (?, ?, ?, ?, ?)", NULL},
        .again = {self->db, "INSERT INTO again VALUES (?, ?, ?, ?)", NULL},
    };
    enum err err = verify_db_run(self->db, tables_sql);
    if (err == ERR_OK) {
        err = read_to_end(&reading, bus_url, progress, context);
    }
    verify_row_done(&reading.letters.row);
    verify_row_done(&reading.twice.row);
    verify_row_done(&reading.again.row);
    return err;
}

// --- the outboxes

static enum err read_outbox(struct verify_log *self, size_t service)
{
    struct writer waiting = {self->db, "INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?)", NULL};
    char *sql = mem_format("SELECT id, topic, key, refused, at_ms FROM \"%s\".outbox ORDER BY seq",
                           verify_service(service));
    struct verify_row *row = verify_db_query(self->db, sql);
    enum err err = row == NULL ? ERR_IO : ERR_OK;
    while (err == ERR_OK && (err = verify_row_next(row)) == ERR_OK) {
        const struct bytes id = bytes_of_text(verify_row_text(row, 0));
        const size_t topic = verify_topic_find(bytes_of_text(verify_row_text(row, 1)));
        const uint32_t subject = add_subject(self, bytes_of_text(verify_row_text(row, 2)));
        const bool in_log = id_table_find(self->ids, id_of_text(id)) != ID_NONE;
        if (subject != ID_NONE && topic < VERIFY_TOPICS) {
            self->about[subject].said |= 1U << topic;
            if (!in_log && is_message(topic)) {
                count_one(&self->about[subject].sent);
            }
        }
        err = write_row(&waiting,
                        VALUES(T(verify_service(service)),
                               T(verify_row_text(row, 2)),
                               T(verify_row_text(row, 1)),
                               T(verify_row_text(row, 0)),
                               T(verify_row_text(row, 3)),
                               N(verify_row_int(row, 4)),
                               N(in_log)));
    }
    verify_row_done(&waiting.row);
    verify_row_done(&row);
    free(sql);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

// --- the inboxes

struct comparing {
    struct verify_log *self;
    size_t service;
    size_t expected; // index of the event that the next row should be of
    struct writer stray;
    struct writer repeated;
    struct writer disorder;
    struct writer missing;
};

static enum err add_disorder(struct comparing *comparing, size_t index, size_t later)
{
    const struct verify_log *self = comparing->self;
    const struct event *event = &self->events[index];
    char subject[UUID_SIZE];
    subject_to_text(self, event->subject, subject);
    return write_row(&comparing->disorder,
                     VALUES(T(verify_service(comparing->service)),
                            T(subject),
                            T(verify_topic(event->topic)),
                            N(offset_of(self, index)),
                            T(verify_topic(self->events[later].topic)),
                            N(offset_of(self, later))));
}

// Finds the event with an id; events_count: there is none. What a service handles next is
// mostly the next event that it hears, so we look there before we search: that is in the
// processor's cache, and a place in a table of all ids is not.
static size_t find_event(struct comparing *comparing, struct id id)
{
    const struct verify_log *self = comparing->self;
    const uint32_t topics = self->groups[comparing->service].topics;
    size_t at = comparing->expected;
    for (int i = 0; i < LOOK_AHEAD && at < self->events_count; at++) {
        const struct event *event = &self->events[at];
        if (event->topic == NO_TOPIC || (topics & 1U << event->topic) == 0) {
            continue;
        }
        if (id_is_equal(id_table_at(self->ids, event->id), id)) {
            comparing->expected = at + 1;
            return at;
        }
        i++;
    }
    const uint32_t number = id_table_find(self->ids, id);
    if (number == ID_NONE) {
        return self->events_count;
    }
    comparing->expected = self->event_of_id[number] + 1;
    return self->event_of_id[number];
}

// A row of an inbox: handler (a topic), event id, number.
static enum err take_handled(struct comparing *comparing, struct verify_row *row)
{
    struct verify_log *self = comparing->self;
    const char *service = verify_service(comparing->service);
    const uint8_t bit = (uint8_t)(1U << comparing->service);
    const char *handler = verify_row_text(row, 0);
    const char *id_text = verify_row_text(row, 1);
    const int64_t number = verify_row_int(row, 2);
    self->counts.handled++;
    const size_t index = find_event(comparing, id_of_text(bytes_of_text(id_text)));
    if (index == self->events_count) {
        return write_row(&comparing->stray,
                         VALUES(T(service), T(handler), T(id_text), N(number), T(NULL)));
    }
    struct event *event = &self->events[index];
    if (event->topic == NO_TOPIC || strcmp(verify_topic(event->topic), handler) != 0) {
        const char *known = event->topic == NO_TOPIC ? "another" : verify_topic(event->topic);
        return write_row(&comparing->stray,
                         VALUES(T(service), T(handler), T(id_text), N(number), T(known)));
    }
    char subject[UUID_SIZE];
    if ((event->handled & bit) != 0) {
        subject_to_text(self, event->subject, subject);
        return write_row(&comparing->repeated,
                         VALUES(T(service), T(subject), T(handler), T(id_text), N(number)));
    }
    event->handled |= bit;
    if (event->subject == ID_NONE) {
        return ERR_OK;
    }
    struct about *about = &self->about[event->subject];
    about->heard[comparing->service] |= 1U << event->topic;
    // What was given up lets the others of its key go on, and may be handled behind them.
    uint32_t *last = &about->last[comparing->service];
    if ((event->given_up & bit) != 0 || !self->groups[comparing->service].has_order) {
        return ERR_OK;
    }
    if (index + 1 < *last) {
        return add_disorder(comparing, index, *last - 1);
    }
    *last = (uint32_t)index + 1;
    return ERR_OK;
}

static enum err read_inbox(struct comparing *comparing)
{
    char *sql = mem_format("SELECT handler, id, number FROM \"%s\".inbox"
                           " WHERE request_hash IS NULL ORDER BY number",
                           verify_service(comparing->service));
    struct verify_row *row = verify_db_query(comparing->self->db, sql);
    enum err err = row == NULL ? ERR_IO : ERR_OK;
    while (err == ERR_OK && (err = verify_row_next(row)) == ERR_OK) {
        err = take_handled(comparing, row);
    }
    verify_row_done(&row);
    free(sql);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

// What the group should have handled and has no row for: below its floor it is lost, or
// a dead letter says what became of it (class_sql); from there on it waits.
static enum err find_missing(struct comparing *comparing)
{
    struct verify_log *self = comparing->self;
    const struct group *group = &self->groups[comparing->service];
    const uint8_t bit = (uint8_t)(1U << comparing->service);
    enum err err = ERR_OK;
    for (size_t i = 0; i < self->events_count && err == ERR_OK; i++) {
        const struct event *event = &self->events[i];
        if (event->topic == NO_TOPIC || (group->topics & 1U << event->topic) == 0 ||
            (event->handled & bit) != 0) {
            continue;
        }
        char subject[UUID_SIZE];
        char id[UUID_SIZE];
        subject_to_text(self, event->subject, subject);
        (void)id_to_text(id_table_at(self->ids, event->id), id);
        err = write_row(&comparing->missing,
                        VALUES(T(verify_service(comparing->service)),
                               T(subject),
                               T(verify_topic(event->topic)),
                               T(id),
                               N(offset_of(self, i)),
                               N(group->floor),
                               T(offset_of(self, i) < group->floor ? "lost" : "waiting")));
        const uint32_t last =
            event->subject == ID_NONE ? 0 : self->about[event->subject].last[comparing->service];
        if (err == ERR_OK && (event->given_up & bit) == 0 && i + 1 < last &&
            offset_of(self, i) >= group->floor) {
            err = add_disorder(comparing, i, last - 1);
        }
    }
    return err;
}

// The last letter of an event tells where it stands.
static const char class_sql[] =
    "UPDATE missing SET class = (SELECT CASE WHEN is_dead THEN 'dead'"
    "   WHEN letter.at >= floor THEN 'waiting' ELSE 'lost' END"
    "  FROM letter WHERE letter.id = missing.id AND letter.grp = missing.grp"
    "  ORDER BY letter.at DESC LIMIT 1),"
    " reason = (SELECT error FROM letter WHERE letter.id = missing.id AND letter.grp = missing.grp"
    "  ORDER BY letter.at DESC LIMIT 1)"
    " WHERE EXISTS (SELECT 1 FROM letter WHERE letter.id = missing.id AND letter.grp = "
    "missing.grp)";

// --- who they are about

static void note_told(struct about *about, const char *template, int64_t number)
{
    static const struct {
        const char *template;
        enum told told;
    } templates[] = {
        {"order-received", TOLD_RECEIVED},
        {"order-confirmed", TOLD_GOOD},
        {"order-cancelled", TOLD_BAD},
        {"transfer-received", TOLD_RECEIVED},
        {"transfer-completed", TOLD_GOOD},
        {"transfer-cancelled", TOLD_BAD},
    };
    (void)number;
    for (size_t i = 0; i < ARRAY_LEN(templates); i++) {
        if (strcmp(templates[i].template, template) == 0) {
            count_one(&about->told[templates[i].told]);
        }
    }
}

static void note_posted(struct about *about, const char *kind, int64_t number)
{
    static const char *const kinds[POSTED_COUNT] = {"payment", "reversal", "transfer"};
    (void)number;
    for (size_t i = 0; i < POSTED_COUNT; i++) {
        if (strcmp(kinds[i], kind) == 0) {
            count_one(&about->posted[i]);
        }
    }
}

static void note_cash(struct about *about, const char *kind, int64_t amount_minor)
{
    about->posted_minor += strcmp(kind, "payment") == 0 ? amount_minor : 0;
}

// Where orders and transfers are named, in the services' own order, and what is counted of
// them there.
static const struct {
    const char *sql; // subject, text, number
    void (*note)(struct about *about, const char *text, int64_t number);
} subject_sources[] = {
    {"SELECT order_id FROM orders", NULL},
    {"SELECT id FROM transfers", NULL},
    {"SELECT order_id FROM reservations", NULL},
    {"SELECT order_id FROM payments", NULL},
    {"SELECT subject FROM decisions", NULL},
    {"SELECT subject FROM cases", NULL},
    {"SELECT subject, kind, 0 FROM entries WHERE kind <> 'opening'", note_posted},
    {"SELECT subject, kind, amount_minor FROM lines JOIN entries ON number = entry"
     " WHERE account_id = 'cash'",
     note_cash},
    {"SELECT subject, template, 0 FROM notifications", note_told},
};

static enum err read_source(struct verify_log *self, size_t source)
{
    struct verify_row *row = verify_db_query(self->db, subject_sources[source].sql);
    enum err err = row == NULL ? ERR_IO : ERR_OK;
    while (err == ERR_OK && (err = verify_row_next(row)) == ERR_OK) {
        const uint32_t subject = add_subject(self, bytes_of_text(verify_row_text(row, 0)));
        if (subject != ID_NONE && subject_sources[source].note != NULL) {
            subject_sources[source].note(
                &self->about[subject], verify_row_text(row, 1), verify_row_int(row, 2));
        }
    }
    verify_row_done(&row);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err verify_log_each_subject(const struct verify_log *self, struct verify_row *row)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < id_table_count(self->subjects) && err == ERR_OK; i++) {
        const struct about *about = &self->about[i];
        char subject[UUID_SIZE];
        if (!id_to_text(id_table_at(self->subjects, i), subject)) {
            continue; // the key of somebody else's event
        }
        verify_row_bind_text(row, subject);
        const int64_t numbers[] = {about->said,
                                   about->before,
                                   about->sent,
                                   about->sent_before,
                                   about->given_up,
                                   about->posted[POSTED_PAYMENT],
                                   about->posted_minor,
                                   about->posted[POSTED_REVERSAL],
                                   about->posted[POSTED_TRANSFER],
                                   about->told[TOLD_RECEIVED],
                                   about->told[TOLD_GOOD],
                                   about->told[TOLD_BAD]};
        for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
            verify_row_bind_int(row, numbers[k]);
        }
        for (size_t k = 0; k < VERIFY_SERVICES; k++) {
            verify_row_bind_int(row, about->heard[k]);
        }
        err = verify_row_next(row);
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    return err;
}

enum err verify_log_compare(struct verify_log *self, verify_progress *progress, void *context)
{
    struct comparing comparing = {
        .self = self,
        .stray = {self->db, "INSERT INTO stray VALUES (?, ?, ?, ?, ?)", NULL},
        .repeated = {self->db, "INSERT INTO repeated VALUES (?, ?, ?, ?, ?)", NULL},
        .disorder = {self->db, "INSERT INTO disorder VALUES (?, ?, ?, ?, ?, ?)", NULL},
        .missing = {self->db, "INSERT INTO missing VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", NULL},
    };
    enum err err = ERR_OK;
    for (size_t i = 0; i < VERIFY_SERVICES && err == ERR_OK; i++) {
        progress(context, "comparing what was handled", i, VERIFY_SERVICES);
        comparing.service = i;
        comparing.expected = 0;
        err = read_outbox(self, i);
        if (err == ERR_OK) {
            err = read_inbox(&comparing);
        }
        if (err == ERR_OK) {
            err = find_missing(&comparing);
        }
    }
    if (err == ERR_OK) {
        err = verify_db_run(self->db, class_sql);
    }
    for (size_t i = 0; i < ARRAY_LEN(subject_sources) && err == ERR_OK; i++) {
        err = read_source(self, i);
    }
    verify_row_done(&comparing.stray.row);
    verify_row_done(&comparing.repeated.row);
    verify_row_done(&comparing.disorder.row);
    verify_row_done(&comparing.missing.row);
    return err;
}
