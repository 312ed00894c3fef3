// What operators ask for: RESET, DELETE, STATUS; REDRIVE is in broker_letters.c. Each answer
// comes when what it says is on disk.
#include <stdio.h>

#include "broker/broker_state.h"
#include "broker/report.h"
#include "common/crash_point.h"
#include "common/log.h"

enum {
    DETAIL_SIZE = 128
};

void broker_done(struct broker *self, const struct message *message, uint64_t offset, size_t count)
{
    const struct wire_control answer = {
        .type = WIRE_DONE,
        .request = message->control->request,
        .offset = offset,
        .count = (uint32_t)count,
    };
    broker_send(self, message->session, &answer);
}

struct consumer *broker_group_of(struct broker *self, const struct message *message)
{
    (void)broker_sync(self); // a full disk was told to those whom it concerns
    struct consumer *consumer = broker_find_consumer(self, message->control->group);
    if (consumer == NULL) {
        broker_refuse(self, message, WIRE_CODE_UNKNOWN_GROUP, "there is no such group");
    }
    return consumer;
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
    enum err err = broker_count(self, consumer, event_log_next(self->log), &consumer->backlog);
    if (err == ERR_OK) {
        crash_point("broker-before-reset");
        err = broker_save(self);
    }
    if (err != ERR_OK) {
        group_destroy(&consumer->group);
        consumer->group = before;
        consumer->backlog = backlog;
        return err;
    }
    crash_point("broker-after-reset");
    group_destroy(&before);
    consumer->paused_until_ms = 0;
    return ERR_OK;
}

void broker_on_reset(struct broker *self, const struct message *message)
{
    struct consumer *consumer = broker_group_of(self, message);
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
             LOG_INT("lag_events", consumer->backlog));
    broker_done(self, message, offset, 0);
    broker_end_members(self, consumer, "the group was reset");
}

void broker_on_delete(struct broker *self, const struct message *message)
{
    struct consumer *consumer = broker_group_of(self, message);
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
    crash_point("broker-before-delete");
    if (broker_save(self) != ERR_OK) {
        self->consumers[self->consumers_count++] = consumer;
        broker_refuse(self, message, WIRE_CODE_DISK_FULL, "the groups could not be stored");
        return;
    }
    crash_point("broker-after-delete");
    log_info("group deleted",
             LOG_STR("group", group_name(consumer->group)),
             LOG_INT("lag_events", consumer->backlog),
             LOG_INT("dead_letters", consumer->dead_letters_count));
    consumer_destroy(&consumer);
    broker_done(self, message, 0, 0);
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
