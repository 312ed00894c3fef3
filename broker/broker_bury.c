// Dead letters: an event that a group gives up goes through the log, like any
// other record, and only when it is durable there is the event done for the group.
//
//   DYING --append--> batch --sync--> group_buried, indexed, told in the log lines
//     ^                  |
//     +---- disk full ---+
#include <assert.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/log.h"
#include "common/mem.h"

static void burial_add(struct broker *self, const struct burial *burial)
{
    if (self->burials_count == self->burials_capacity) {
        self->burials_capacity = self->burials_capacity == 0 ? 16 : 2 * self->burials_capacity;
        self->burials = mem_realloc(self->burials, self->burials_capacity * sizeof *self->burials);
    }
    self->burials[self->burials_count++] = *burial;
}

static void text_copy(char *out, size_t size, struct bytes text)
{
    const size_t kept = text.size < size ? text.size : size - 1;
    memcpy(out, text.data, kept);
    out[kept] = '\0';
}

// Writes the dead letter of an event as a record into self->entries.
static enum err dead_letter_encode(struct broker *self, const struct consumer *consumer,
                                   const struct group_entry_info *info, const struct record *event)
{
    const struct broker_world *world = &self->options.world;
    struct dead_letter letter = {
        .offset = info->offset,
        .attempts = info->attempts,
        .failures = info->failures,
    };
    text_copy(letter.group, sizeof letter.group, bytes_of_text(group_name(consumer->group)));
    text_copy(letter.topic, sizeof letter.topic, event->topic);
    dead_letter_set_error(&letter, info->error);
    clock_format_rfc3339(letter.first_failed_at, info->first_failed_us);
    clock_format_rfc3339(letter.dead_at, world->wall_us(world->context));

    struct buf headers = {0};
    dead_letter_format(&letter, event->headers, &headers);
    char topic[RECORD_TOPIC_MAX + 1] = TOPIC_DEAD_LETTER;
    text_copy(topic + strlen(topic), sizeof topic - strlen(topic), bytes_of_text(letter.group));
    buf_clear(&self->entries);
    const enum err err = record_append(&self->entries,
                                       &(struct record){
                                           .topic = bytes_of_text(topic),
                                           .key = event->key,
                                           .id = event->id,
                                           .headers = buf_view(&headers),
                                           .body = event->body,
                                       });
    buf_release(&headers);
    return err;
}

// Puts one dead letter into the batch. ERR_FULL: the batch holds enough; other
// errors concern this event alone.
static enum err append_one(struct broker *self, struct consumer *consumer,
                           const struct group_entry_info *info)
{
    struct event_log_entry event;
    struct record letter;
    enum err err = broker_read(self, self->elsewhere, info->offset, &event);
    if (err == ERR_OK) {
        err = dead_letter_encode(self, consumer, info, &event.record);
    }
    struct bytes rest = buf_view(&self->entries);
    if (err == ERR_OK) {
        err = record_take(&rest, &letter);
    }
    if (err != ERR_OK) {
        log_error("dead letter cannot be written",
                  LOG_STR("group", group_name(consumer->group)),
                  LOG_INT("offset", info->offset),
                  LOG_STR("error", err_name(err)),
                  LOG_END);
        return err;
    }
    if (self->batch_bytes + letter.whole.size > BROKER_BATCH_BYTES_MAX) {
        return ERR_FULL;
    }
    const int topic = topic_add(self->topics, letter.topic);
    assert(topic != TOPIC_NONE); // its place was taken with the group
    burial_add(self,
               &(struct burial){
                   .consumer = consumer,
                   .offset = info->offset,
                   .dead_letter = broker_append(self, letter.whole, topic),
               });
    return ERR_OK;
}

void broker_append_dead_letters(struct broker *self)
{
    const int64_t now_ms = broker_now_ms(self);
    if (now_ms < self->bury_after_ms) {
        return;
    }
    self->bury_after_ms = 0;
    for (size_t i = 0; i < self->consumers_count; i++) {
        struct consumer *consumer = self->consumers[i];
        struct group_entry_info info;
        uint64_t from = 0;
        while (group_dying_next(consumer->group, from, &info)) {
            const enum err err = append_one(self, consumer, &info);
            if (err == ERR_FULL) {
                self->more = true;
                return;
            }
            if (err != ERR_OK) {
                self->bury_after_ms = now_ms + BROKER_RETRY_MS;
            }
            from = info.offset + 1;
        }
    }
}

static void log_burial(struct broker *self, const struct burial *burial)
{
    struct event_log_entry entry;
    struct dead_letter letter;
    if (broker_read(self, self->elsewhere, burial->dead_letter, &entry) != ERR_OK ||
        dead_letter_parse(entry.record.headers, &letter) != ERR_OK) {
        return;
    }
    log_warn(LOG_EVENT_DEAD_LETTERED,
             LOG_BYTES("correlation_id", entry.record.key),
             LOG_BYTES("event_id", entry.record.id),
             LOG_STR("topic", letter.topic),
             LOG_INT("offset", letter.offset),
             LOG_INT("attempt", letter.attempts),
             LOG_STR("group", letter.group),
             LOG_STR("error", letter.error),
             LOG_END);
}

void broker_bury(struct broker *self)
{
    for (size_t i = 0; i < self->burials_count; i++) {
        const struct burial *burial = &self->burials[i];
        if (group_buried(burial->consumer->group, burial->offset)) {
            consumer_done(burial->consumer);
        }
        consumer_add_dead_letter(burial->consumer, burial->dead_letter);
        self->counters.dead_lettered++;
        log_burial(self, burial);
    }
    self->burials_count = 0;
}
