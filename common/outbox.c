#include "common/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "common/crash_point.h"
#include "common/log.h"
#include "common/mem.h"

enum {
    RELAY_ROWS_MAX = 512,  // rows read and published in one round
    FULL_BACKOFF_MS = 500, // after the broker said that its disk is full
    SWEEP_MS = 2000,       // how often to look for rows that nobody publishes
    SWEEP_AGE_MS = 5000,   // a row this old with nothing in flight was left behind
};

// A row that the transaction has added and not yet committed.
struct added {
    int64_t seq;
    struct event event; // without its data
    char *body;         // owned
};

// A row that the broker has answered; it is to be deleted.
struct answered {
    int64_t seq;
    uint64_t offset;
};

struct outbox {
    struct store *store; // borrowed
    size_t event_bytes_max;
    struct buf added;    // owned; of struct added
    struct buf answered; // owned; of struct answered
    size_t cleaned_size; // of answered: deleted in the present transaction
    bool backlog;        // rows behind sent_seq wait in the table
    int64_t sent_seq;    // rows up to here were published on this connection
    int64_t relayed_seq; // rows up to here went from the table, when any did
    int64_t retry_ms;    // do not relay before
    int64_t sweep_ms;    // when to sweep next
};

static const char schema_sql[] =
    "CREATE TABLE IF NOT EXISTS outbox ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, topic TEXT NOT NULL,"
    " key TEXT NOT NULL, body TEXT NOT NULL, at_ms INTEGER NOT NULL, refused TEXT)";
static const char insert_sql[] =
    "INSERT INTO outbox (id, topic, key, body, at_ms) VALUES (?, ?, ?, ?, ?)";
static const char delete_sql[] = "DELETE FROM outbox WHERE seq = ? RETURNING id, topic, key";
static const char forget_sql[] = "DELETE FROM outbox WHERE seq = ?";
static const char offer_again_sql[] = "UPDATE outbox SET refused = NULL WHERE refused IS NOT NULL";
static const char refuse_sql[] =
    "UPDATE outbox SET refused = ? WHERE seq = ? RETURNING id, topic, key";
static const char read_sql[] = "SELECT seq, topic, key, id, body FROM outbox"
                               " WHERE seq > ? AND refused IS NULL ORDER BY seq LIMIT ?";
static const char oldest_sql[] =
    "SELECT at_ms FROM outbox WHERE refused IS NULL ORDER BY seq LIMIT 1";
static const char depth_sql[] = "SELECT count(*) FROM outbox WHERE refused IS NULL";
static const char refused_sql[] = "SELECT count(*) FROM outbox WHERE refused IS NOT NULL";

enum err outbox_open(struct outbox **out, struct store *store, size_t event_bytes_max)
{
    *out = NULL;
    enum err err = store_exec_script(store, schema_sql);
    if (err == ERR_OK) {
        err = store_run(store_query(store, offer_again_sql));
    }
    if (err != ERR_OK) {
        return err;
    }
    struct outbox *self = mem_calloc(1, sizeof *self);
    *self = (struct outbox){.store = store, .event_bytes_max = event_bytes_max, .backlog = true};
    *out = self;
    return ERR_OK;
}

void outbox_destroy(struct outbox **self_p)
{
    struct outbox *self = *self_p;
    if (self == NULL) {
        return;
    }
    outbox_undo(self, 0);
    buf_release(&self->added);
    buf_release(&self->answered);
    free(self);
    *self_p = NULL;
}

enum err outbox_add(struct outbox *self, const struct event *event, int64_t now_ms, size_t *bytes)
{
    char *body = event_format(event);
    *bytes = strlen(body);
    if (*bytes > self->event_bytes_max) {
        free(body);
        return ERR_TOO_LARGE;
    }
    struct store_row *row = store_query(self->store, insert_sql);
    store_bind_text(row, event->id);
    store_bind_text(row, event->type);
    store_bind_text(row, event->subject);
    store_bind_text(row, body);
    store_bind_int(row, now_ms);
    const enum err err = store_run(row);
    if (err != ERR_OK) {
        free(body);
        return err;
    }
    const struct added added = {store_last_id(self->store), *event, body};
    buf_put(&self->added, &added, sizeof added);
    return ERR_OK;
}

size_t outbox_mark(const struct outbox *self)
{
    return self->added.size;
}

void outbox_undo(struct outbox *self, size_t mark)
{
    while (self->added.size > mark) {
        self->added.size -= sizeof(struct added);
        struct added added;
        memcpy(&added, self->added.data + self->added.size, sizeof added);
        free(added.body);
    }
}

size_t outbox_added_count(const struct outbox *self, size_t mark, const char *topic,
                          const char *key)
{
    size_t count = 0;
    for (size_t at = mark; at < self->added.size; at += sizeof(struct added)) {
        struct added added;
        memcpy(&added, self->added.data + at, sizeof added);
        count += strcmp(added.event.type, topic) == 0 && strcmp(added.event.subject, key) == 0;
    }
    return count;
}

enum err outbox_forget(struct outbox *self, size_t mark, const char *id)
{
    for (size_t at = mark; at < self->added.size; at += sizeof(struct added)) {
        struct added added;
        memcpy(&added, self->added.data + at, sizeof added);
        if (strcmp(added.event.id, id) == 0) {
            struct store_row *row = store_query(self->store, forget_sql);
            store_bind_int(row, added.seq);
            return store_run(row);
        }
    }
    return ERR_NOT_FOUND;
}

bool outbox_is_dirty(const struct outbox *self)
{
    return self->answered.size > 0;
}

enum err outbox_clean(struct outbox *self)
{
    for (size_t at = 0; at < self->answered.size; at += sizeof(struct answered)) {
        struct answered answered;
        memcpy(&answered, self->answered.data + at, sizeof answered);
        struct store_row *row = store_query(self->store, delete_sql);
        store_bind_int(row, answered.seq);
        enum err err = store_next(row);
        if (err == ERR_OK) {
            log_info(LOG_EVENT_PUBLISHED,
                     LOG_STR("correlation_id", store_text(row, 2)),
                     LOG_STR("event_id", store_text(row, 0)),
                     LOG_STR("topic", store_text(row, 1)),
                     LOG_INT("offset", answered.offset));
            // Only the end of the statement makes sure that the row is deleted.
            err = store_next(row);
        }
        // Not found: another replica had published and deleted it as well.
        if (err != ERR_NOT_FOUND) {
            return err;
        }
    }
    self->cleaned_size = self->answered.size;
    return ERR_OK;
}

static void publish_added(struct outbox *self, struct bus *bus, const struct added *added)
{
    const struct event *event = &added->event;
    const struct bytes body = bytes_of_text(added->body);
    // Behind a backlog the relay will come to it, in its order.
    if (!self->backlog &&
        bus_publish(bus, (uint64_t)added->seq, event->type, event->subject, event->id, body) ==
            ERR_OK) {
        self->sent_seq = added->seq;
    } else {
        self->backlog = true;
    }
}

void outbox_committed(struct outbox *self, struct bus *bus)
{
    for (size_t at = 0; at < self->added.size; at += sizeof(struct added)) {
        struct added added;
        memcpy(&added, self->added.data + at, sizeof added);
        log_info(LOG_EVENT_STORED,
                 LOG_STR("correlation_id", added.event.subject),
                 LOG_STR("event_id", added.event.id),
                 LOG_STR("topic", added.event.type),
                 LOG_STR("causation_id", added.event.causation_id),
                 LOG_STR("trace_id", text_or_null(added.event.trace.trace_id)));
        crash_point("service-before-publish");
        publish_added(self, bus, &added);
    }
    outbox_undo(self, 0);
    self->answered.size -= self->cleaned_size; // nothing is answered within a transaction
    self->cleaned_size = 0;
}

void outbox_aborted(struct outbox *self)
{
    outbox_undo(self, 0);
    self->cleaned_size = 0;
}

static void on_refused(struct outbox *self, const struct bus_input *input, int64_t now_ms)
{
    if (input->err == ERR_FULL || input->err == ERR_CORRUPT) {
        const int64_t before = (int64_t)input->tag - 1;
        self->sent_seq = before < self->sent_seq ? before : self->sent_seq;
        self->backlog = true;
        self->retry_ms = now_ms + FULL_BACKOFF_MS;
        return;
    }
    // It would be refused each time: keep it out of the others' way until the next start, when
    // the broker may have other limits.
    struct store_row *row = store_query(self->store, refuse_sql);
    store_bind_text(row, input->detail);
    store_bind_int(row, (int64_t)input->tag);
    enum err err = store_next(row);
    if (err == ERR_OK) {
        log_error(LOG_EVENT_REFUSED,
                  LOG_STR("correlation_id", store_text(row, 2)),
                  LOG_STR("event_id", store_text(row, 0)),
                  LOG_STR("topic", store_text(row, 1)),
                  LOG_STR("error", input->detail));
        err = store_next(row);
    }
    if (err != ERR_NOT_FOUND) {
        log_error("cannot mark the refused event",
                  LOG_INT("outbox_seq", input->tag),
                  LOG_STR("error", store_last_error(self->store)));
    }
}

void outbox_on_input(struct outbox *self, const struct bus_input *input, int64_t now_ms)
{
    if (input->kind == BUS_PUBLISHED) {
        const struct answered answered = {(int64_t)input->tag, input->offset};
        buf_put(&self->answered, &answered, sizeof answered);
        crash_point(answered.seq > self->relayed_seq ? "service-publish-acked"
                                                     : "service-relay-acked");
    } else if (input->kind == BUS_REFUSED) {
        on_refused(self, input, now_ms);
    } else {
        // What was in flight is unknown: all that is in the table goes again.
        self->backlog = true;
        self->sent_seq = 0;
        self->retry_ms = 0;
    }
}

// Rows of a process that died, in a table that replicas share: nothing of ours is
// in flight, so whatever is old was left behind.
static void sweep(struct outbox *self, const struct bus *bus, int64_t now_ms)
{
    if (self->backlog || now_ms < self->sweep_ms) {
        return;
    }
    self->sweep_ms = now_ms + SWEEP_MS;
    if (bus_in_flight(bus) > 0 || self->answered.size > 0) {
        return;
    }
    struct store_row *row = store_query(self->store, oldest_sql);
    if (store_next(row) == ERR_OK) {
        if (store_int(row, 0) < now_ms - SWEEP_AGE_MS) {
            self->backlog = true;
            self->sent_seq = 0;
        }
        store_done(row);
    }
}

// Without a session, or with as much in flight as the bus takes, there is nothing
// to do until the bus says something.
static bool can_publish(const struct bus *bus)
{
    return bus_is_connected(bus) && bus_in_flight(bus) + RELAY_ROWS_MAX <= BUS_IN_FLIGHT_MAX;
}

void outbox_relay(struct outbox *self, struct bus *bus, int64_t now_ms)
{
    if (!can_publish(bus)) {
        return;
    }
    sweep(self, bus, now_ms);
    if (!self->backlog || now_ms < self->retry_ms) {
        return;
    }
    struct store_row *row = store_query(self->store, read_sql);
    store_bind_int(row, self->sent_seq);
    store_bind_int(row, RELAY_ROWS_MAX);
    size_t rows = 0;
    enum err err = ERR_OK;
    while ((err = store_next(row)) == ERR_OK) {
        rows++;
        err = bus_publish(bus,
                          (uint64_t)store_int(row, 0),
                          store_text(row, 1),
                          store_text(row, 2),
                          store_text(row, 3),
                          bytes_of_text(store_text(row, 4)));
        if (err == ERR_FULL || err == ERR_UNAVAILABLE) {
            store_done(row);
            return;
        }
        self->sent_seq = store_int(row, 0);
        self->relayed_seq = self->sent_seq;
        crash_point("service-relay-row");
    }
    if (err == ERR_NOT_FOUND && rows < RELAY_ROWS_MAX) {
        self->backlog = false;
    }
}

int64_t outbox_timer_ms(const struct outbox *self, const struct bus *bus, int64_t now_ms)
{
    if (!self->backlog || !can_publish(bus)) {
        return -1;
    }
    return self->retry_ms > now_ms ? self->retry_ms - now_ms : 0;
}

static int64_t count(struct outbox *self, const char *sql)
{
    struct store_row *row = store_query(self->store, sql);
    int64_t rows = 0;
    if (store_next(row) == ERR_OK) {
        rows = store_int(row, 0);
        store_done(row);
    }
    return rows;
}

int64_t outbox_depth(struct outbox *self)
{
    return count(self, depth_sql);
}

int64_t outbox_refused(struct outbox *self)
{
    return count(self, refused_sql);
}
