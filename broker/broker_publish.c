// PUBLISH and READ, and the group commit: one sync for everything that came in
// since the last one, and only then the answers.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/log.h"
#include "common/mem.h"

static const struct metric_def batch_events = {
    .name = "faultline_broker_batch_events",
    .help = "Records that one sync made durable.",
    .kind = METRIC_HISTOGRAM,
    .bounds = (const double[]){1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000},
    .bounds_count = 13,
};

static const struct metric_def sync_seconds = {
    .name = "faultline_broker_sync_seconds",
    .help = "Time to write and sync one batch.",
    .kind = METRIC_HISTOGRAM,
};

static void refuse_record(struct broker *self, const struct message *message, uint32_t index,
                          const char *code, const char *detail)
{
    broker_refuse(self,
                  message->session->peer,
                  &(struct refusal){
                      .request = message->control->request,
                      .index = index,
                      .code = code,
                      .detail = detail,
                  });
}

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
    if (topic_is_dead_letter(record->topic)) {
        *detail = "only the broker writes dead letters";
        return WIRE_CODE_FORBIDDEN;
    }
    return NULL;
}

// Checks the batch whole, before anything of it is taken, and leaves its records in
// self->checked. false: it was refused.
static bool publish_is_good(struct broker *self, const struct message *message)
{
    const uint32_t count = message->control->count;
    const char *detail = NULL;
    if (message->batch.size > WIRE_BATCH_BYTES_MAX) {
        broker_refuse_message(self, message, WIRE_CODE_TOO_LARGE, "the batch is over 1 MiB");
        return false;
    }
    assert(count <= WIRE_BATCH_MAX);
    struct bytes rest = message->batch;
    for (uint32_t i = 0; i < count; i++) {
        const enum err err = record_take(&rest, &self->checked[i]);
        const char *code = record_fault(self, err, &self->checked[i], &detail);
        if (code != NULL) {
            refuse_record(self, message, i, code, detail);
            return false;
        }
    }
    if (rest.size != 0) {
        broker_refuse_message(
            self, message, WIRE_CODE_MALFORMED, "the batch has bytes behind its last record");
        return false;
    }
    // Last, since it leaves a trace: the table of topics grows.
    for (uint32_t i = 0; i < count; i++) {
        if (topic_add(self->topics, self->checked[i].topic) == TOPIC_NONE) {
            refuse_record(
                self, message, i, WIRE_CODE_LIMIT, "the broker has as many topics as it may have");
            return false;
        }
    }
    return true;
}

uint64_t broker_append(struct broker *self, struct bytes record, int topic)
{
    uint64_t offset = 0;
    const enum err err = event_log_append(self->log, record, &offset);
    assert(err == ERR_OK); // broker_make_room came before
    (void)err;
    self->batch_bytes += record.size;
    self->batch_records[topic]++;
    return offset;
}

void broker_make_room(struct broker *self, size_t bytes)
{
    if (self->batch_bytes + bytes > BROKER_BATCH_BYTES_MAX) {
        (void)broker_sync(self);
    }
}

static void publish_wait(struct broker *self, const struct waiting_publish *publish)
{
    if (self->publishes_count == self->publishes_capacity) {
        self->publishes_capacity =
            self->publishes_capacity == 0 ? 256 : 2 * self->publishes_capacity;
        self->publishes =
            mem_realloc(self->publishes, self->publishes_capacity * sizeof *self->publishes);
    }
    self->publishes[self->publishes_count++] = *publish;
}

void broker_on_publish(struct broker *self, const struct message *message)
{
    if (!publish_is_good(self, message)) {
        return;
    }
    broker_make_room(self, message->batch.size);
    const uint32_t count = message->control->count;
    uint64_t first = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct record *record = &self->checked[i];
        const uint64_t offset =
            broker_append(self, record->whole, topic_find(self->topics, record->topic));
        first = i == 0 ? offset : first;
    }
    publish_wait(self,
                 &(struct waiting_publish){
                     .session = message->session->number,
                     .request = message->control->request,
                     .offset = first,
                     .count = count,
                     .answered = message->control->acks == WIRE_ACKS_ALL,
                 });
}

// The records of the batch are in the log now: what that means for the lag.
static void count_batch(struct broker *self)
{
    for (int topic = 0; topic < topic_count(self->topics); topic++) {
        const uint32_t records = self->batch_records[topic];
        if (records == 0) {
            continue;
        }
        self->batch_records[topic] = 0;
        topic_records_add(self->topics, topic, records);
        for (size_t i = 0; i < self->consumers_count; i++) {
            if (topic_set_has(&self->consumers[i]->wanted, topic)) {
                self->consumers[i]->backlog += records;
            }
        }
    }
}

static void answer_publishes(struct broker *self, enum err err)
{
    for (size_t i = 0; i < self->publishes_count; i++) {
        const struct waiting_publish *publish = &self->publishes[i];
        struct session *session = session_by_number(self->sessions, publish->session);
        self->counters.published += err == ERR_OK ? publish->count : 0;
        if (session == NULL) {
            continue;
        }
        if (err != ERR_OK) {
            broker_refuse(self,
                          session->peer,
                          &(struct refusal){
                              .request = publish->request,
                              .index = WIRE_INDEX_NONE,
                              .code = WIRE_CODE_DISK_FULL,
                              .detail = "no room in the log; nothing was stored",
                          });
        } else if (publish->answered && !session->lost) {
            broker_send(self,
                        session,
                        &(struct wire_control){
                            .type = WIRE_PUBLISHED,
                            .request = publish->request,
                            .offset = publish->offset,
                            .count = publish->count,
                        },
                        (struct bytes){0});
        }
    }
    self->publishes_count = 0;
}

enum err broker_sync(struct broker *self)
{
    const struct broker_world *world = &self->options.world;
    const uint64_t pending = event_log_pending(self->log);
    if (pending == 0) {
        return ERR_OK;
    }
    const uint64_t first = event_log_next(self->log);
    const int64_t started_us = world->mono_us(world->context);
    const enum err err = event_log_sync(self->log, (uint64_t)world->wall_us(world->context));
    if (err == ERR_OK) {
        self->tail_from = first;
        self->counters.syncs++;
        if (self->options.metrics != NULL) {
            const int64_t took_us = world->mono_us(world->context) - started_us;
            metrics_observe(
                self->options.metrics, &batch_events, METRIC_NO_LABELS, (double)pending);
            metrics_observe(
                self->options.metrics, &sync_seconds, METRIC_NO_LABELS, (double)took_us / 1e6);
        }
        count_batch(self);
        answer_publishes(self, err);
        broker_bury(self);
    } else {
        memset(self->batch_records, 0, sizeof self->batch_records);
        answer_publishes(self, err);
        self->bury_after_ms = broker_now_ms(self) + BROKER_RETRY_MS;
    }
    self->burials_count = 0;
    self->batch_bytes = 0;
    return err;
}

enum err broker_read(struct broker *self, struct event_log_cursor *cursor, uint64_t offset,
                     struct event_log_entry *out)
{
    const enum err err = event_log_cursor_read(cursor, offset, out);
    if (err != ERR_OK && err != ERR_NOT_FOUND && broker_now_ms(self) >= self->complain_ms) {
        self->complain_ms = broker_now_ms(self) + BROKER_RETRY_MS;
        log_error("record cannot be read",
                  LOG_INT("offset", offset),
                  LOG_STR("error", err_name(err)),
                  LOG_END);
    }
    return err;
}

// Puts records from *offset on into self->entries and moves *offset behind them.
static uint32_t read_entries(struct broker *self, uint64_t *offset, uint32_t entries_max)
{
    uint32_t count = 0;
    struct event_log_entry entry;
    while (count < entries_max && broker_read(self, self->elsewhere, *offset, &entry) == ERR_OK) {
        const size_t size = WIRE_DELIVERED_HEADER_SIZE + entry.record.whole.size;
        if (self->entries.size + size > WIRE_BATCH_BYTES_MAX) {
            break;
        }
        wire_delivered_append(&self->entries,
                              &(struct wire_delivered){
                                  .offset = entry.offset,
                                  .time_us = entry.time_us,
                                  .record = entry.record,
                              });
        count++;
        (*offset)++;
    }
    return count;
}

void broker_on_read(struct broker *self, const struct message *message)
{
    const struct wire_control *control = message->control;
    const uint64_t first = event_log_first(self->log);
    const uint64_t end = event_log_next(self->log);
    if (control->offset < first) {
        char *detail = mem_format("the first offset kept is %llu", (unsigned long long)first);
        broker_refuse_message(self, message, WIRE_CODE_RANGE, detail);
        free(detail);
        return;
    }
    uint64_t offset = control->offset < end ? control->offset : end;
    const struct bytes nothing = {.data = (const uint8_t *)""}; // an empty batch is one, too
    buf_clear(&self->entries);
    const uint32_t entries_max =
        control->credit < WIRE_BATCH_MAX ? control->credit : WIRE_BATCH_MAX;
    const uint32_t count = read_entries(self, &offset, entries_max);
    broker_send(self,
                message->session,
                &(struct wire_control){
                    .type = WIRE_RECORDS,
                    .request = control->request,
                    .offset = offset,
                    .end = end,
                    .count = count,
                },
                self->entries.size == 0 ? nothing : buf_view(&self->entries));
    self->tidy_due_ms = broker_now_ms(self) + BROKER_TIDY_MS;
}
