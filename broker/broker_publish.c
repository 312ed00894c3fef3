// PUBLISH and READ, and the group commit: one sync for everything that came in
// since the last one, and only then the answers.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/crash_point.h"
#include "common/log.h"
#include "common/mem.h"

enum {
    SUSPECTS_MAX = 4, // events that one id is compared with; one is the rule
};

// --- answers

// Answers the waiting publishes from a run on: they are in the log, or dropped.
static void answer_publishes(struct broker *self, size_t from, bool stored)
{
    for (size_t i = from; i < self->publishes_count; i++) {
        const struct waiting_publish *publish = &self->publishes[i];
        struct session *session = session_by_number(self->sessions, publish->session);
        const struct wire_control answer = {
            .type = WIRE_PUBLISHED,
            .request = publish->request,
            .offset = publish->offset,
            .count = publish->count,
            .duplicate = publish->duplicate,
        };
        if (stored) {
            *(publish->duplicate ? &self->counters.duplicates : &self->counters.published) +=
                publish->count;
        }
        if (session != NULL && !stored && publish->is_first) { // refused as a whole
            const struct message refused = {
                .peer = session->peer, .session = session, .control = &answer};
            const char *detail = "no room in the log; nothing was stored";
            broker_refuse(self, &refused, WIRE_CODE_DISK_FULL, detail);
        } else if (session != NULL && stored && publish->answered && !session->lost) {
            broker_send(self, session, &answer);
        }
    }
    self->publishes_count = from;
}

// --- PUBLISH

// Why a record may not be stored: NULL, or the code.
static const char *record_fault(const struct broker *self, enum err err,
                                const struct record *record, const char **detail)
{
    if (err == ERR_CORRUPT) {
        *detail = "the record's CRC-32C is wrong";
        return WIRE_CODE_CORRUPT;
    }
    if (err != ERR_OK) {
        *detail = "no well-formed record lies here";
        return WIRE_CODE_MALFORMED;
    }
    if (record->body.size > self->options.event_bytes_max) {
        *detail = "the event is over the broker's EVENT_BYTES_MAX";
        return WIRE_CODE_TOO_LARGE;
    }
    *detail = "only the broker writes to dead-letter. and redrive. topics";
    return topic_is_own(record->topic) ? WIRE_CODE_FORBIDDEN : NULL;
}

// Checks the batch whole, before anything of it is taken, and leaves its records in
// self->checked. false: it was refused.
static bool publish_is_good(struct broker *self, const struct message *message)
{
    const uint32_t count = message->control->count;
    const char *detail = NULL;
    if (message->batch.size > WIRE_BATCH_BYTES_MAX) {
        broker_refuse(self, message, WIRE_CODE_TOO_LARGE, "the batch is over 1 MiB");
        return false;
    }
    assert(count <= WIRE_BATCH_MAX);
    struct bytes rest = message->batch;
    for (uint32_t i = 0; i < count; i++) {
        struct checked *checked = &self->checked[i];
        const enum err err = record_take(&rest, &checked->record);
        const char *code = record_fault(self, err, &checked->record, &detail);
        if (code != NULL) {
            broker_refuse_record(self, message, i, code, detail);
            return false;
        }
        checked->hash = duplicates_hash(&self->duplicates, checked->record.id);
        duplicates_warm(&self->duplicates, checked->hash);
    }
    if (rest.size != 0) {
        detail = "the batch has bytes behind its last record";
        broker_refuse(self, message, WIRE_CODE_MALFORMED, detail);
        return false;
    }
    // Last, since it leaves a trace: the table of topics grows.
    for (uint32_t i = 0; i < count; i++) {
        struct checked *checked = &self->checked[i];
        checked->topic = topic_add(&self->topics, checked->record.topic, TOPICS_MAX);
        if (checked->topic == TOPIC_NONE) {
            detail = "the broker has as many topics as it may have";
            broker_refuse_record(self, message, i, WIRE_CODE_LIMIT, detail);
            return false;
        }
    }
    return true;
}

uint64_t broker_append(struct broker *self, struct bytes record, int topic)
{
    uint64_t offset = 0;
    const enum err err = event_log_append(self->log, record, &offset);
    assert(err == ERR_OK); // the caller made room
    self->batch_bytes += record.size;
    self->topics.topics[topic].pending++;
    return offset;
}

// Whether an event of this id is stored or waits for the sync; *offset then is where.
// What cannot be read counts as another one: stored twice is better than not at all.
static bool is_duplicate(struct broker *self, const struct checked *checked, uint64_t *offset)
{
    const struct bytes id = checked->record.id;
    *offset = UINT64_MAX;
    for (int i = 0; i < SUSPECTS_MAX && duplicates_find(&self->duplicates, checked->hash, offset);
         i++) {
        struct event_log_entry entry;
        const enum err err = *offset >= event_log_next(self->log)
                                 ? event_log_peek(self->log, *offset, &entry.record)
                                 : broker_read(self, self->elsewhere, *offset, &entry);
        if (err == ERR_OK && entry.record.id.size == id.size &&
            memcmp(entry.record.id.data, id.data, id.size) == 0) {
            return true;
        }
    }
    return false;
}

// Puts one more record of a publish into its runs, of which the first one is runs.
static void wait(struct broker *self, const struct message *message, size_t runs, uint64_t offset,
                 bool duplicate)
{
    struct waiting_publish *next = &self->publishes[self->publishes_count];
    if (self->publishes_count > runs && next[-1].duplicate == duplicate &&
        next[-1].offset + next[-1].count == offset) {
        next[-1].count++;
        return;
    }
    *next = (struct waiting_publish){
        .session = message->session->number,
        .request = message->control->request,
        .offset = offset,
        .count = 1,
        .is_first = self->publishes_count == runs,
        .answered = message->control->acks == WIRE_ACKS_ALL,
        .duplicate = duplicate,
    };
    self->publishes_count++;
}

void broker_on_publish(struct broker *self, const struct message *message)
{
    const uint32_t count = message->control->count;
    if (!publish_is_good(self, message)) {
        return;
    }
    if (self->batch_bytes + message->batch.size > BROKER_BATCH_BYTES_MAX ||
        self->publishes_count >= BROKER_BATCH_ITEMS_MAX ||
        self->messages_count >= self->items_max) {
        (void)broker_sync(self);
    }
    crash_point("broker-before-append");
    const size_t runs = self->publishes_count;
    bool all_stored = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct checked *checked = &self->checked[i];
        uint64_t offset = 0;
        const bool duplicate = is_duplicate(self, checked, &offset);
        if (!duplicate) {
            offset = broker_append(self, checked->record.whole, checked->topic);
            duplicates_add(&self->duplicates, offset, checked->hash);
        }
        wait(self, message, runs, offset, duplicate);
        all_stored = all_stored && offset < event_log_next(self->log);
    }
    crash_point("broker-after-append");
    if (all_stored) { // also when the disk is full
        answer_publishes(self, runs, true);
    } else {
        self->messages_count++;
    }
}

// --- the sync

// The records of the batch are in the log now, or dropped: what that means for the lag.
static void settle_topics(struct broker *self, uint64_t first, bool stored)
{
    for (int topic = 0; topic < self->topics.count; topic++) {
        const uint32_t records = self->topics.topics[topic].pending;
        self->topics.topics[topic].pending = 0;
        if (records == 0 || !stored) {
            continue;
        }
        tallies_add(&self->tallies, event_log_newest(self->log), first, topic, records);
        for (size_t i = 0; i < self->consumers_count; i++) {
            const bool wanted = consumer_wants(self->consumers[i], topic);
            self->consumers[i]->backlog += wanted ? records : 0;
        }
    }
}

static void measure(struct broker *self, uint64_t records, int64_t took_us)
{
    static const double bounds[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000};
    static const struct metric_def batch_events = {
        .name = "faultline_broker_batch_events",
        .help = "Records that one sync made durable.",
        .kind = METRIC_HISTOGRAM,
        .bounds = bounds,
        .bounds_count = ARRAY_LEN(bounds),
    };
    static const struct metric_def sync_seconds = {
        .name = "faultline_broker_sync_seconds",
        .help = "Time to write and sync one batch.",
        .kind = METRIC_HISTOGRAM,
    };
    self->counters.syncs++;
    metrics_observe(self->metrics, &batch_events, METRIC_NO_LABELS, (double)records);
    metrics_observe(self->metrics, &sync_seconds, METRIC_NO_LABELS, (double)took_us / 1e6);
}

// The batch found no room. The next one holds a single item of it, and if retention can make room
// for that, it does now.
static void refused(struct broker *self, uint64_t first)
{
    const bool is_one = self->messages_count + self->own_count == 1;
    const uint64_t most = is_one ? self->batch_bytes : WIRE_BATCH_BYTES_MAX;
    self->refused_bytes =
        EVENT_LOG_OVERHEAD_MAX + (self->batch_bytes < most ? self->batch_bytes : most);
    self->retain_due_ms = 0;
    self->items_max = 1;
    duplicates_cut(&self->duplicates, first);
    if (self->own_count > 0) {
        broker_own_refused(self);
    }
}

enum err broker_sync(struct broker *self)
{
    const uint64_t pending = event_log_pending(self->log);
    if (pending == 0) {
        return ERR_OK;
    }
    const uint64_t first = event_log_next(self->log);
    const int64_t started_us = self->world.mono_us(self->world.context);
    const bool is_own = self->own_count > 0;
    const enum err err = event_log_sync(self->log, (uint64_t)broker_wall_us(self), is_own);
    const bool stored = err == ERR_OK;
    if (stored) {
        crash_point("broker-after-sync");
    }
    settle_topics(self, first, stored);
    answer_publishes(self, 0, stored);
    if (stored) {
        crash_point("broker-after-answer");
        measure(self, pending, self->world.mono_us(self->world.context) - started_us);
        if (!self->is_tail_new) { // else groups have not seen the batch before
            self->tail_from = first;
            self->is_tail_new = true;
        }
        self->refused_bytes = 0;
        self->items_max = 2 * self->items_max < BROKER_BATCH_ITEMS_MAX ? 2 * self->items_max
                                                                       : BROKER_BATCH_ITEMS_MAX;
        broker_settle_own(self);
    } else {
        refused(self, first);
    }
    if (self->batch_bytes > BROKER_BURST_BYTES) {
        self->tidy_due_ms = broker_now_ms(self) + BROKER_TIDY_MS;
    }
    self->own_count = 0;
    self->messages_count = 0;
    self->batch_bytes = 0;
    return err;
}

// --- reading

enum err broker_read(struct broker *self, struct event_log_cursor *cursor, uint64_t offset,
                     struct event_log_entry *out)
{
    const enum err err = event_log_cursor_read(cursor, offset, out);
    if (err != ERR_OK && err != ERR_NOT_FOUND && broker_now_ms(self) >= self->complain_ms) {
        self->complain_ms = broker_now_ms(self) + BROKER_RETRY_MS;
        log_error(
            "record cannot be read", LOG_INT("offset", offset), LOG_STR("error", err_name(err)));
    }
    return err;
}

// Puts records from *offset on into self->entries and moves *offset behind them.
static uint32_t read_entries(struct broker *self, uint64_t *offset, uint32_t entries_max)
{
    uint32_t count = 0;
    struct event_log_entry entry;
    buf_clear(&self->entries);
    while (count < entries_max && broker_read(self, self->elsewhere, *offset, &entry) == ERR_OK &&
           self->entries.size + WIRE_DELIVERED_HEADER_SIZE + entry.record.whole.size <=
               WIRE_BATCH_BYTES_MAX) {
        const struct wire_delivered delivered = {
            .offset = entry.offset, .time_us = entry.time_us, .record = entry.record};
        wire_delivered_append(&self->entries, &delivered);
        count++;
        (*offset)++;
    }
    return count;
}

void broker_on_read(struct broker *self, const struct message *message)
{
    static const struct bytes nothing = {.data = (const uint8_t *)""}; // a batch, too
    const struct wire_control *control = message->control;
    const uint64_t first = event_log_first(self->log);
    const uint64_t end = event_log_next(self->log);
    if (control->offset < first) {
        char *detail = mem_format("the first offset kept is %llu", (unsigned long long)first);
        broker_refuse(self, message, WIRE_CODE_RANGE, detail);
        free(detail);
        return;
    }
    if (!broker_listens(self, message)) {
        return;
    }
    struct wire_control answer = {
        .type = WIRE_RECORDS,
        .request = control->request,
        .offset = control->offset < end ? control->offset : end,
        .end = end,
    };
    answer.count = read_entries(self, &answer.offset, control->credit);
    const struct bytes batch = answer.count == 0 ? nothing : buf_view(&self->entries);
    broker_answer_large(self, message->session, &answer, batch);
    self->tidy_due_ms = broker_now_ms(self) + BROKER_TIDY_MS;
}
