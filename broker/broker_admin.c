// What operators ask for: REDRIVE, RESET, DELETE, STATUS. Each answer comes when what it
// says is on disk.
#include <stdio.h>

#include "broker/broker_state.h"
#include "broker/report.h"
#include "common/log.h"

enum {
    DETAIL_SIZE = 128
};

// Answers what was asked for: it is done.
static void done(struct broker *self, const struct message *message, uint64_t offset, size_t count)
{
    const struct wire_control answer = {
        .type = WIRE_DONE,
        .request = message->control->request,
        .offset = offset,
        .count = (uint32_t)count,
    };
    broker_send(self, message->session, &answer);
}

// The group that a message names; NULL: there is none, which was answered. The batch is
// synced: what comes next stands or falls alone.
static struct consumer *group_of(struct broker *self, const struct message *message)
{
    (void)broker_sync(self); // a full disk was told to those whom it concerns
    struct consumer *consumer = broker_find_consumer(self, message->control->group);
    if (consumer == NULL) {
        broker_refuse(self, message, WIRE_CODE_UNKNOWN_GROUP, "there is no such group");
    }
    return consumer;
}

// --- REDRIVE
//
//   dead-letter.GROUP at 9 --copy--> batch --sync--> 9 is no longer listed --> DONE
//
// A crash behind the sync: the next start finds the copy and takes 9 off the list.

// Appends the copy that goes back to the group. Errors as of broker_append_copy.
static enum err append_one(struct broker *self, const struct consumer *consumer,
                           uint64_t dead_letter)
{
    struct event_log_entry entry;
    struct buf headers = {0};
    uint64_t offset = 0;
    enum err err = broker_read(self, self->elsewhere, dead_letter, &entry);
    if (err == ERR_OK) {
        dead_letter_redrive_format(dead_letter, entry.record.headers, &headers);
        err = broker_append_copy(
            self, consumer, TOPIC_REDRIVE, &entry.record, buf_view(&headers), &offset);
    }
    buf_release(&headers);
    return err;
}

static void log_redriven(struct broker *self, const struct consumer *consumer, uint64_t dead_letter)
{
    struct event_log_entry entry;
    struct dead_letter letter;
    if (broker_read(self, self->elsewhere, dead_letter, &entry) == ERR_OK &&
        dead_letter_parse(entry.record.headers, &letter) == ERR_OK) {
        log_info(LOG_EVENT_REDRIVEN,
                 LOG_BYTES("correlation_id", entry.record.key),
                 LOG_BYTES("event_id", entry.record.id),
                 LOG_STR("topic", letter.topic),
                 LOG_INT("offset", dead_letter),
                 LOG_STR("group", group_name(consumer->group)),
                 LOG_END);
    }
}

void broker_on_redrive(struct broker *self, const struct message *message)
{
    const struct wire_control *control = message->control;
    struct consumer *consumer = group_of(self, message);
    if (consumer == NULL) {
        return;
    }
    uint64_t taken[BROKER_REDRIVES_MAX];
    size_t count = 0;
    uint64_t next = control->offset;
    uint64_t letter = 0;
    for (size_t looked = 0; looked < BROKER_REDRIVES_MAX; looked++, next = letter + 1) {
        if (!broker_dead_letter_from(self, consumer, next, &letter) || letter >= control->end) {
            next = control->end;
            break;
        }
        const enum err err = append_one(self, consumer, letter);
        if (err == ERR_FULL) {
            break;
        }
        if (err == ERR_OK) {
            taken[count++] = letter;
        }
    }
    char name[RECORD_TOPIC_MAX + 1];
    const char *group = group_name(consumer->group);
    consumer->redrive_topic = topic_find(&self->topics, topic_of_group(name, TOPIC_REDRIVE, group));
    if (broker_sync(self) != ERR_OK) {
        const char *detail = "no room in the log; nothing was redriven";
        broker_refuse(self, message, WIRE_CODE_DISK_FULL, detail);
        return;
    }
    consumer_unlist(consumer, taken, count);
    self->counters.redriven += count;
    broker_save_soon(self);
    for (size_t i = 0; i < count; i++) {
        log_redriven(self, consumer, taken[i]);
    }
    done(self, message, next, count);
}

// --- RESET, DELETE

// Where a RESET leads. false: outside of the log; detail says so.
static bool reset_offset(struct broker *self, const struct wire_control *control, uint64_t *out,
                         char detail[DETAIL_SIZE])
{
    const uint64_t first = event_log_first(self->log);
    const uint64_t next = event_log_next(self->log);
    enum err err = ERR_OK;
    *out = control->offset;
    switch ((enum wire_reset_to)control->reset_to) {
    case WIRE_RESET_EARLIEST:
        *out = first;
        break;
    case WIRE_RESET_LATEST:
        *out = next;
        break;
    case WIRE_RESET_OFFSET:
        break;
    case WIRE_RESET_TIME:
        err = event_log_cursor_find_time(self->elsewhere, control->offset, out);
        break;
    }
    if (err != ERR_OK) {
        snprintf(detail, DETAIL_SIZE, "the log cannot be read there: %s", err_name(err));
        return false;
    }
    snprintf(detail,
             DETAIL_SIZE,
             "the log holds offsets from %llu on, the next is %llu",
             (unsigned long long)first,
             (unsigned long long)next);
    return *out >= first && *out <= next;
}

// Gives the group a new beginning. Not ERR_OK: it could not be saved, all is as before.
static enum err reset(struct broker *self, struct consumer *consumer, uint64_t offset)
{
    struct group *before = consumer->group;
    const uint64_t backlog = consumer->backlog;
    consumer->group = group_new(group_name(before), offset);
    group_set_retries(consumer->group, group_retries(before));
    group_set_order(consumer->group, group_has_order(before));
    enum err err = broker_count_fresh(self, consumer);
    if (err == ERR_OK) {
        err = broker_save(self);
    }
    if (err != ERR_OK) {
        group_destroy(&consumer->group);
        consumer->group = before;
        consumer->backlog = backlog;
        return err;
    }
    group_destroy(&before);
    consumer->paused_until_ms = 0;
    return ERR_OK;
}

void broker_on_reset(struct broker *self, const struct message *message)
{
    struct consumer *consumer = group_of(self, message);
    if (consumer == NULL) {
        return;
    }
    char detail[DETAIL_SIZE];
    uint64_t offset = 0;
    if (!reset_offset(self, message->control, &offset, detail)) {
        broker_refuse(self, message, WIRE_CODE_RANGE, detail);
        return;
    }
    if (reset(self, consumer, offset) != ERR_OK) {
        broker_refuse(self, message, WIRE_CODE_DISK_FULL, "the group could not be stored");
        return;
    }
    log_info("group reset",
             LOG_STR("group", group_name(consumer->group)),
             LOG_INT("offset", offset),
             LOG_INT("lag_events", consumer->backlog),
             LOG_END);
    done(self, message, offset, 0);
    broker_end_members(self, consumer, "the group was reset");
}

void broker_on_delete(struct broker *self, const struct message *message)
{
    struct consumer *consumer = group_of(self, message);
    if (consumer == NULL) {
        return;
    }
    struct group_stats stats;
    group_stats_get(consumer->group, &stats);
    if (stats.members > 0) {
        broker_refuse(self, message, WIRE_CODE_GROUP_BUSY, "the group has members; end them first");
        return;
    }
    broker_remove_consumer(self, consumer);
    if (broker_save(self) != ERR_OK) {
        self->consumers[self->consumers_count++] = consumer;
        broker_refuse(self, message, WIRE_CODE_DISK_FULL, "the groups could not be stored");
        return;
    }
    log_info("group deleted",
             LOG_STR("group", group_name(consumer->group)),
             LOG_INT("lag_events", consumer->backlog),
             LOG_INT("dead_letters", consumer->dead_letters_count),
             LOG_END);
    consumer_destroy(&consumer);
    done(self, message, 0, 0);
}

// --- STATUS

void broker_on_status(struct broker *self, const struct message *message)
{
    const struct wire_control answer = {.type = WIRE_REPORT, .request = message->control->request};
    struct buf json = {0};
    if (broker_listens(self, message)) {
        report_json(self, &json);
        broker_answer_large(self, message->session, &answer, buf_view(&json));
    }
    buf_release(&json);
}
