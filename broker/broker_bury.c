// Dead letters: an event that a group gives up goes through the log, like any
// other record, and only when it is durable there is the event done for the group.
//
//   DYING --append--> batch --sync--> group_buried, indexed, told in the log lines
//     ^                  |
//     +---- disk full ---+

#include "broker/broker_state.h"
#include "common/log.h"

enum err broker_append_copy(struct broker *self, const struct consumer *consumer,
                            const char *prefix, const struct record *record, struct bytes headers,
                            uint64_t *offset)
{
    char name[RECORD_TOPIC_MAX + 1];
    struct record copy = *record; // key, id and body stay
    copy.topic = topic_of_group(name, prefix, group_name(consumer->group));
    copy.headers = headers;
    const int topic = topic_add(&self->topics, copy.topic, TOPIC_SLOTS);
    buf_clear(&self->entries);
    const enum err err = topic == TOPIC_NONE ? ERR_TOO_LARGE : record_append(&self->entries, &copy);
    if (err != ERR_OK) {
        log_error("record cannot be written",
                  LOG_STR("topic", name),
                  LOG_BYTES("event_id", record->id),
                  LOG_STR("error", err_name(err)),
                  LOG_END);
        return err;
    }
    if (self->batch_bytes + self->entries.size > BROKER_BATCH_BYTES_MAX) {
        return ERR_FULL;
    }
    *offset = broker_append(self, buf_view(&self->entries), topic);
    return ERR_OK;
}

// Puts one dead letter into the batch. ERR_FULL: the batch holds enough; other errors
// concern this event alone, and were logged.
static enum err append_one(struct broker *self, struct consumer *consumer,
                           const struct group_entry_info *info)
{
    struct event_log_entry event;
    struct buf headers = {0};
    if (self->burials_count == BROKER_BATCH_ITEMS_MAX) {
        return ERR_FULL;
    }
    struct burial *burial = &self->burials[self->burials_count];
    *burial = (struct burial){.consumer = consumer, .offset = info->offset};
    enum err err = broker_read(self, self->elsewhere, info->offset, &event);
    if (err == ERR_OK) {
        const char *group = group_name(consumer->group);
        dead_letter_format(group, info, &event.record, broker_wall_us(self), &headers);
        err = broker_append_copy(self,
                                 consumer,
                                 TOPIC_DEAD_LETTER,
                                 &event.record,
                                 buf_view(&headers),
                                 &burial->dead_letter);
    }
    self->burials_count += err == ERR_OK;
    buf_release(&headers);
    return err;
}

// How many dead letters the group may have more. A list that is full is told of.
static size_t room_for(struct broker *self, const struct consumer *consumer)
{
    const size_t max = self->options.dead_letters_max == 0 ? BROKER_DEAD_LETTERS_MAX
                                                           : self->options.dead_letters_max;
    struct group_entry_info info;
    if (consumer->dead_letters_count < max) {
        return max - consumer->dead_letters_count;
    }
    if (broker_now_ms(self) >= self->complain_ms && group_dying_next(consumer->group, 0, &info)) {
        self->complain_ms = broker_now_ms(self) + BROKER_RETRY_MS;
        log_warn("the group has as many dead letters as it may have: events it gives up wait, and "
                 "those of their keys; redrive some",
                 LOG_STR("group", group_name(consumer->group)),
                 LOG_INT("offset", info.offset),
                 LOG_INT("dead_letters", consumer->dead_letters_count),
                 LOG_END);
    }
    return 0;
}

void broker_append_dead_letters(struct broker *self)
{
    if (broker_now_ms(self) < self->bury_after_ms) {
        return;
    }
    self->bury_after_ms = 0;
    for (size_t i = 0; i < self->consumers_count; i++) {
        struct consumer *consumer = self->consumers[i];
        struct group_entry_info info = {0};
        size_t room = room_for(self, consumer);
        for (uint64_t from = 0; room > 0 && group_dying_next(consumer->group, from, &info);
             from = info.offset + 1) {
            const enum err err = append_one(self, consumer, &info);
            if (err == ERR_FULL) {
                self->more = true;
                return;
            }
            if (err == ERR_OK) {
                room--;
            } else {
                self->bury_after_ms = broker_now_ms(self) + BROKER_RETRY_MS;
            }
        }
    }
}

// The entry is still there: it ends with group_buried.
static void log_burial(struct broker *self, const struct burial *burial)
{
    struct group *group = burial->consumer->group;
    struct event_log_entry entry;
    struct dead_letter letter;
    struct group_entry_info info;
    if (!group_dying_next(group, burial->offset, &info) || info.offset != burial->offset ||
        broker_read(self, self->elsewhere, burial->dead_letter, &entry) != ERR_OK ||
        dead_letter_parse(entry.record.headers, &letter) != ERR_OK) {
        return;
    }
    log_warn(LOG_EVENT_DEAD_LETTERED,
             LOG_BYTES("correlation_id", entry.record.key),
             LOG_BYTES("event_id", entry.record.id),
             LOG_STR("topic", letter.topic),
             LOG_INT("offset", burial->offset),
             LOG_INT("attempt", info.attempts),
             LOG_STR("group", group_name(group)),
             LOG_STR("error", info.error),
             LOG_END);
}

void broker_bury(struct broker *self)
{
    for (size_t i = 0; i < self->burials_count; i++) {
        const struct burial *burial = &self->burials[i];
        log_burial(self, burial);
        consumer_bury(burial->consumer, burial->offset, burial->dead_letter);
        self->counters.dead_lettered++;
    }
}
