#include "cli/verify/verify_handled.h"

#include <stdlib.h>
#include <string.h>

#include "cli/verify/id_table.h"
#include "cli/verify/verify_house.h"
#include "cli/verify/verify_insert.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    LOOK_AHEAD = 4 // events that might be the next in an inbox
};

struct group {
    uint32_t topics; // that it should handle
    uint64_t floor;
    uint64_t dead_letters; // that the broker lists
    bool has_order;        // by key
};

struct comparing {
    struct verify_db *db;             // borrowed
    struct verify_log *log;           // borrowed
    struct verify_subjects *subjects; // borrowed
    struct group groups[VERIFY_SERVICES];
    size_t service;
    size_t expected;  // index of the event that the next row should be of
    uint64_t handled; // inbox rows of events
    struct verify_insert waiting, stray, repeated, disorder, missing;
};

static const char tables_sql[] =
    "CREATE TABLE grp (name TEXT, floor INTEGER, dead_letters INTEGER);"
    "CREATE TABLE missing (grp TEXT, subject TEXT, topic TEXT, id TEXT, at INTEGER,"
    " floor INTEGER, class TEXT, reason TEXT, letter INTEGER);"
    "CREATE INDEX missing_of ON missing (subject);"
    "CREATE TABLE stray (grp TEXT, topic TEXT, id TEXT, number INTEGER, known TEXT);"
    "CREATE TABLE repeated (grp TEXT, subject TEXT, topic TEXT, id TEXT, number INTEGER);"
    "CREATE TABLE disorder (grp TEXT, subject TEXT, topic TEXT, at INTEGER, later TEXT,"
    " later_at INTEGER);"
    "CREATE TABLE waiting (service TEXT, subject TEXT, topic TEXT, id TEXT, refused TEXT,"
    " at_ms INTEGER, in_log INTEGER);"
    "CREATE INDEX waiting_of ON waiting (subject);"
    "CREATE INDEX waiting_id ON waiting (id);";

// --- the groups

static void read_group(struct comparing *self, const cJSON *json)
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
    group->dead_letters =
        (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(json, "dead_letters"));
    const cJSON *topic = NULL;
    cJSON_ArrayForEach(topic, cJSON_GetObjectItemCaseSensitive(json, "topics"))
    {
        const size_t index = cJSON_IsString(topic)
                                 ? verify_topic_find(bytes_of_text(topic->valuestring))
                                 : VERIFY_TOPICS;
        group->topics |= index < VERIFY_TOPICS ? 1U << index : 0U;
    }
}

static void read_groups(struct comparing *self, const cJSON *status)
{
    // A group that nobody has made yet gets everything, from the first event on.
    for (size_t i = 0; i < VERIFY_SERVICES; i++) {
        self->groups[i] = (struct group){.topics = verify_topics_heard(i), .has_order = true};
    }
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(status, "groups"))
    {
        read_group(self, group);
    }
}

static enum err add_groups(struct comparing *self)
{
    struct verify_insert table = {self->db, "INSERT INTO grp VALUES (?, ?, ?)", NULL};
    enum err err = ERR_OK;
    for (size_t i = 0; i < VERIFY_SERVICES && err == ERR_OK; i++) {
        err = verify_insert_row(&table,
                                VERIFY_ROW(VERIFY_TEXT(verify_service(i)),
                                           VERIFY_NUMBER(self->groups[i].floor),
                                           VERIFY_NUMBER(self->groups[i].dead_letters)));
    }
    verify_row_done(&table.row);
    return err;
}

// --- the outboxes

static enum err read_outbox(struct comparing *self)
{
    const char *service = verify_service(self->service);
    char *sql = mem_format("SELECT id, topic, key, refused, at_ms FROM \"%s\".outbox ORDER BY seq",
                           service);
    struct verify_row *row = verify_db_query(self->db, sql);
    enum err err = row == NULL ? ERR_IO : ERR_OK;
    while (err == ERR_OK && (err = verify_row_next(row)) == ERR_OK) {
        const struct bytes id = bytes_of_text(verify_row_text(row, 0));
        const size_t topic = verify_topic_find(bytes_of_text(verify_row_text(row, 1)));
        const uint32_t subject =
            verify_subjects_add(self->subjects, bytes_of_text(verify_row_text(row, 2)));
        const bool in_log = verify_log_find(self->log, id_of_text(id)) != VERIFY_NO_EVENT;
        if (subject != ID_NONE && topic < VERIFY_TOPICS) {
            struct verify_about *about = verify_subjects_about(self->subjects, subject);
            about->said |= 1U << topic;
            if (!in_log && verify_topic_is_message(topic)) {
                verify_subjects_count_one(&about->sent);
            }
        }
        err = verify_insert_row(&self->waiting,
                                VERIFY_ROW(VERIFY_TEXT(service),
                                           VERIFY_TEXT(verify_row_text(row, 2)),
                                           VERIFY_TEXT(verify_row_text(row, 1)),
                                           VERIFY_TEXT(verify_row_text(row, 0)),
                                           VERIFY_TEXT(verify_row_text(row, 3)),
                                           VERIFY_NUMBER(verify_row_int(row, 4)),
                                           VERIFY_NUMBER(in_log)));
    }
    verify_row_done(&row);
    free(sql);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

// --- the inboxes

static enum err add_disorder(struct comparing *self, size_t index, size_t later)
{
    const struct verify_event *event = verify_log_event(self->log, index);
    char subject[UUID_SIZE];
    verify_subjects_text(self->subjects, event->subject, subject);
    return verify_insert_row(
        &self->disorder,
        VERIFY_ROW(VERIFY_TEXT(verify_service(self->service)),
                   VERIFY_TEXT(subject),
                   VERIFY_TEXT(verify_topic(event->topic)),
                   VERIFY_NUMBER(verify_log_offset(self->log, index)),
                   VERIFY_TEXT(verify_topic(verify_log_event(self->log, later)->topic)),
                   VERIFY_NUMBER(verify_log_offset(self->log, later))));
}

// Finds the event with an id, or VERIFY_NO_EVENT. What a service handles next is
// mostly the next event that it hears, so we look there before we search: that is in the
// processor's cache, and a place in a table of all ids is not.
static size_t find_event(struct comparing *self, struct id id)
{
    const uint32_t topics = self->groups[self->service].topics;
    const size_t events = verify_log_events(self->log);
    size_t at = self->expected;
    for (int i = 0; i < LOOK_AHEAD && at < events; at++) {
        const struct verify_event *event = verify_log_event(self->log, at);
        if (event->topic == VERIFY_NO_TOPIC || (topics & 1U << event->topic) == 0) {
            continue;
        }
        if (id_is_equal(verify_log_id(self->log, at), id)) {
            self->expected = at + 1;
            return at;
        }
        i++;
    }
    at = verify_log_find(self->log, id);
    self->expected = at == VERIFY_NO_EVENT ? self->expected : at + 1;
    return at;
}

// A row of an inbox: handler (a topic), event id, number.
static enum err take_handled(struct comparing *self, struct verify_row *row)
{
    const char *service = verify_service(self->service);
    const uint8_t bit = (uint8_t)(1U << self->service);
    const char *handler = verify_row_text(row, 0);
    const char *id_text = verify_row_text(row, 1);
    const int64_t number = verify_row_int(row, 2);
    self->handled++;
    const size_t index = find_event(self, id_of_text(bytes_of_text(id_text)));
    if (index == VERIFY_NO_EVENT) {
        return verify_insert_row(&self->stray,
                                 VERIFY_ROW(VERIFY_TEXT(service),
                                            VERIFY_TEXT(handler),
                                            VERIFY_TEXT(id_text),
                                            VERIFY_NUMBER(number),
                                            VERIFY_TEXT(NULL)));
    }
    struct verify_event *event = verify_log_event(self->log, index);
    if (event->topic == VERIFY_NO_TOPIC || strcmp(verify_topic(event->topic), handler) != 0) {
        const char *known =
            event->topic == VERIFY_NO_TOPIC ? "another" : verify_topic(event->topic);
        return verify_insert_row(&self->stray,
                                 VERIFY_ROW(VERIFY_TEXT(service),
                                            VERIFY_TEXT(handler),
                                            VERIFY_TEXT(id_text),
                                            VERIFY_NUMBER(number),
                                            VERIFY_TEXT(known)));
    }
    char subject[UUID_SIZE];
    if ((event->handled & bit) != 0) {
        verify_subjects_text(self->subjects, event->subject, subject);
        return verify_insert_row(&self->repeated,
                                 VERIFY_ROW(VERIFY_TEXT(service),
                                            VERIFY_TEXT(subject),
                                            VERIFY_TEXT(handler),
                                            VERIFY_TEXT(id_text),
                                            VERIFY_NUMBER(number)));
    }
    event->handled |= bit;
    if (event->subject == ID_NONE) {
        return ERR_OK;
    }
    struct verify_about *about = verify_subjects_about(self->subjects, event->subject);
    about->heard[self->service] |= 1U << event->topic;
    // What was given up lets the others of its key go on, and may be handled behind them.
    uint32_t *last = &about->last[self->service];
    if ((event->given_up & bit) != 0 || !self->groups[self->service].has_order) {
        return ERR_OK;
    }
    if (index + 1 < *last) {
        return add_disorder(self, index, *last - 1);
    }
    *last = (uint32_t)index + 1;
    return ERR_OK;
}

static enum err read_inbox(struct comparing *self)
{
    char *sql = mem_format("SELECT handler, id, number FROM \"%s\".inbox"
                           " WHERE request_hash IS NULL ORDER BY number",
                           verify_service(self->service));
    struct verify_row *row = verify_db_query(self->db, sql);
    enum err err = row == NULL ? ERR_IO : ERR_OK;
    while (err == ERR_OK && (err = verify_row_next(row)) == ERR_OK) {
        err = take_handled(self, row);
    }
    verify_row_done(&row);
    free(sql);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

// What the group should have handled and has no row for: below its floor it is lost, or
// a dead letter says what became of it (class_sql); from there on it waits.
static enum err find_missing(struct comparing *self)
{
    const struct group *group = &self->groups[self->service];
    const uint8_t bit = (uint8_t)(1U << self->service);
    const size_t events = verify_log_events(self->log);
    enum err err = ERR_OK;
    for (size_t i = 0; i < events && err == ERR_OK; i++) {
        const struct verify_event *event = verify_log_event(self->log, i);
        if (event->topic == VERIFY_NO_TOPIC || (group->topics & 1U << event->topic) == 0 ||
            (event->handled & bit) != 0) {
            continue;
        }
        char subject[UUID_SIZE];
        char id[UUID_SIZE];
        verify_subjects_text(self->subjects, event->subject, subject);
        (void)id_to_text(verify_log_id(self->log, i), id);
        err = verify_insert_row(
            &self->missing,
            VERIFY_ROW(
                VERIFY_TEXT(verify_service(self->service)),
                VERIFY_TEXT(subject),
                VERIFY_TEXT(verify_topic(event->topic)),
                VERIFY_TEXT(id),
                VERIFY_NUMBER(verify_log_offset(self->log, i)),
                VERIFY_NUMBER(group->floor),
                VERIFY_TEXT(verify_log_offset(self->log, i) < group->floor ? "lost" : "waiting")));
        const uint32_t last =
            event->subject == ID_NONE
                ? 0
                : verify_subjects_about(self->subjects, event->subject)->last[self->service];
        if (err == ERR_OK && (event->given_up & bit) == 0 && i + 1 < last &&
            verify_log_offset(self->log, i) >= group->floor) {
            err = add_disorder(self, i, last - 1);
        }
    }
    return err;
}

// The last letter of an event tells where it stands.
static const char class_sql[] =
    "UPDATE missing SET (class, reason, letter) = (SELECT CASE WHEN is_dead THEN 'dead'"
    "   WHEN letter.at >= floor THEN 'waiting' ELSE 'lost' END, error, letter.at"
    "  FROM letter WHERE letter.event = missing.at AND letter.grp = missing.grp"
    "  ORDER BY letter.at DESC LIMIT 1)"
    " WHERE EXISTS (SELECT 1 FROM letter WHERE letter.event = missing.at"
    "  AND letter.grp = missing.grp)";

static enum err compare_service(struct comparing *self)
{
    self->expected = 0;
    enum err err = read_outbox(self);
    if (err == ERR_OK) {
        err = read_inbox(self);
    }
    return err == ERR_OK ? find_missing(self) : err;
}

enum err verify_handled_compare(struct verify_db *db, struct verify_log *log,
                                struct verify_subjects *subjects, const cJSON *status,
                                uint64_t *handled, verify_progress *progress, void *context)
{
    struct comparing self = {
        .db = db,
        .log = log,
        .subjects = subjects,
        .waiting = {db, "INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?)", NULL},
        .stray = {db, "INSERT INTO stray VALUES (?, ?, ?, ?, ?)", NULL},
        .repeated = {db, "INSERT INTO repeated VALUES (?, ?, ?, ?, ?)", NULL},
        .disorder = {db, "INSERT INTO disorder VALUES (?, ?, ?, ?, ?, ?)", NULL},
        .missing = {db, "INSERT INTO missing VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)", NULL},
    };
    read_groups(&self, status);
    enum err err = verify_db_run(db, tables_sql);
    if (err == ERR_OK) {
        err = add_groups(&self);
    }
    for (; self.service < VERIFY_SERVICES && err == ERR_OK; self.service++) {
        progress(context, "comparing what was handled", self.service, VERIFY_SERVICES);
        err = compare_service(&self);
    }
    if (err == ERR_OK) {
        err = verify_db_run(db, class_sql);
    }
    verify_row_done(&self.waiting.row);
    verify_row_done(&self.stray.row);
    verify_row_done(&self.repeated.row);
    verify_row_done(&self.disorder.row);
    verify_row_done(&self.missing.row);
    *handled = self.handled;
    return err;
}
