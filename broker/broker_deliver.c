// What groups are given, and what their members say to it: DELIVER, ACK, NACK, REJECT.
#include <assert.h>

#include "broker/broker_state.h"
#include "common/crash_point.h"

// --- answers

// So many deliveries less in the member's hands.
static void release(struct session *session, uint32_t count)
{
    const uint32_t left = session->held > count ? session->held - count : 0;
    session->held_bytes = left == 0 ? 0 : session->held_bytes / session->held * left;
    session->held = left;
}

void broker_on_ack(struct broker *self, const struct message *message)
{
    struct session *session = message->session;
    struct consumer *consumer = session->consumer;
    struct wire_ack ack;
    uint32_t count = 0;
    uint32_t events = 0;
    struct bytes rest = message->batch;
    while (wire_ack_take(&rest, &ack) == ERR_OK) {
        count++;
        events += ack.count;
    }
    if (rest.size != 0 || count != message->control->count || events > WIRE_ACK_EVENTS_MAX) {
        const char *detail = "the batch must hold count entries, each a run of offsets and an "
                             "attempt of 1 or more, and 16384 offsets in all at most";
        broker_refuse(self, message, WIRE_CODE_MALFORMED, detail);
        return;
    }
    crash_point("broker-before-ack");
    rest = message->batch;
    while (wire_ack_take(&rest, &ack) == ERR_OK) {
        const uint32_t taken =
            group_ack(consumer->group, session->number, ack.offset, ack.count, ack.attempt);
        self->counters.acked += taken;
        self->counters.stale_acks += ack.count - taken;
        consumer->backlog -= consumer->backlog < taken ? consumer->backlog : taken;
        release(session, taken);
    }
    crash_point("broker-after-ack");
    broker_apply_credit(session);
}

// A NACK or a REJECT. If the event is to die of it, broker_append_dead_letters finds it.
void broker_on_nack(struct broker *self, const struct message *message)
{
    const struct wire_control *control = message->control;
    struct session *session = message->session;
    const bool own_delay = control->delay_ms == WIRE_DELAY_DEFAULT;
    const struct group_failure failure = {
        .now_ms = broker_now_ms(self),
        .wall_us = broker_wall_us(self),
        .error = control->detail,
        .fatal = control->type == WIRE_REJECT,
        .delay_ms = own_delay ? -1 : (int64_t)control->delay_ms,
        .random = self->world.random(self->world.context),
    };
    if (group_nack(session->consumer->group,
                   session->number,
                   control->offset,
                   control->attempt,
                   &failure) != ERR_OK) {
        self->counters.stale_acks++;
        return;
    }
    crash_point("broker-after-nack");
    self->counters.failed++;
    release(session, 1);
    broker_apply_credit(session);
}

// --- deliveries

static struct parcel *parcel_of(struct broker *self, uint64_t member)
{
    for (size_t i = 0; i < self->parcels_count; i++) {
        if (self->parcels[i].session->number == member) {
            return &self->parcels[i];
        }
    }
    assert(self->parcels_count < GROUP_MEMBERS_MAX);
    struct parcel *parcel = &self->parcels[self->parcels_count++];
    parcel->session = session_by_number(self->sessions, member);
    return parcel;
}

// Nothing of it was sent: the group has all of it back, as the same attempts.
static void parcel_undo(struct broker *self, const struct parcel *parcel, enum err err)
{
    struct session *session = parcel->session;
    struct wire_delivered entry;
    struct bytes rest = buf_view(&parcel->entries);
    while (wire_delivered_take(&rest, &entry) != ERR_INVALID) {
        const struct group_delivery delivery = {
            .offset = entry.offset, .member = session->number, .attempt = entry.attempt};
        group_undeliver(session->consumer->group, &delivery);
    }
    if (err == ERR_FULL) {
        session->blocked_until_ms = broker_now_ms(self) + BROKER_BLOCKED_MS;
    } else {
        broker_lose(self, session);
    }
}

static void parcel_send(struct broker *self, struct parcel *parcel)
{
    if (parcel->count == 0) {
        return;
    }
    struct session *session = parcel->session;
    const struct wire_control control = {.type = WIRE_DELIVER, .count = parcel->count};
    crash_point("broker-before-deliver");
    const enum err err = broker_transmit(self, session->peer, &control, buf_view(&parcel->entries));
    crash_point("broker-after-deliver");
    if (err == ERR_OK) {
        session->sent_ms = self->delivered_ms;
        session->held += parcel->count;
        session->held_bytes += parcel->entries.size;
        self->counters.delivered += parcel->count;
        self->counters.redelivered += parcel->again;
    } else {
        parcel_undo(self, parcel, err);
    }
    broker_apply_credit(session);
    parcel->count = parcel->again = 0;
    buf_clear(&parcel->entries);
}

static void parcel_add(struct broker *self, const struct group_delivery *delivery,
                       const struct event_log_entry *entry)
{
    struct parcel *parcel = parcel_of(self, delivery->member);
    struct record record = entry->record;
    dead_letter_restore(&record, &self->restored);
    const size_t size = WIRE_DELIVERED_HEADER_SIZE + record.whole.size;
    if (parcel->count == WIRE_BATCH_MAX || parcel->entries.size + size > WIRE_BATCH_BYTES_MAX) {
        parcel_send(self, parcel);
    }
    const struct wire_delivered delivered = {
        .offset = entry->offset,
        .time_us = entry->time_us,
        .attempt = delivery->attempt,
        .record = record,
    };
    parcel->count++;
    parcel->again += delivery->attempt > 1;
    wire_delivered_append(&parcel->entries, &delivered);
}

// The reader for the group's cursor. Groups that keep up read the same records in
// turn and share a buffer; one that lags would throw it away again and again.
static struct event_log_cursor *cursor_of(struct broker *self, struct consumer *consumer)
{
    if (group_cursor(consumer->group) >= self->tail_from) {
        return self->tail;
    }
    if (consumer->cursor == NULL) {
        consumer->cursor = event_log_cursor_new(self->log);
        self->tidy_due_ms = self->delivered_ms + BROKER_TIDY_MS;
    }
    return consumer->cursor;
}

// A record that cannot be read must not be served, nor skipped: its group waits
// for a person, and tries again meanwhile.
static bool read_for(struct broker *self, struct consumer *consumer,
                     struct event_log_cursor *cursor, uint64_t offset, struct event_log_entry *out)
{
    if (broker_read(self, cursor, offset, out) == ERR_OK) {
        return true;
    }
    consumer->paused_until_ms = broker_now_ms(self) + BROKER_RETRY_MS;
    return false;
}

// Hands out what is READY. offered, unless NULL, is the record at the offset just
// offered: as a rule the one that goes out, and still at hand.
static void hand_out(struct broker *self, struct consumer *consumer,
                     const struct event_log_entry *offered)
{
    struct group_delivery delivery;
    struct event_log_entry entry;
    while (group_deliver(consumer->group, self->delivered_ms, &delivery)) {
        if (offered != NULL && offered->offset == delivery.offset) {
            parcel_add(self, &delivery, offered);
        } else if (read_for(self, consumer, self->elsewhere, delivery.offset, &entry)) {
            parcel_add(self, &delivery, &entry);
        } else {
            group_undeliver(consumer->group, &delivery);
            return;
        }
    }
}

// Shows the group its next records, as long as it wants some, and hands them out.
static void offer(struct broker *self, struct consumer *consumer)
{
    struct event_log_entry entry;
    for (uint32_t offers = 0; consumer->paused_until_ms == 0; offers++) {
        const uint64_t offset = group_cursor(consumer->group);
        if (!group_wants_more(consumer->group) || offset >= event_log_next(self->log)) {
            return;
        }
        if (offers == BROKER_OFFERS_MAX) {
            self->more = true; // others first: acks, heartbeats, other groups
            return;
        }
        if (!read_for(self, consumer, cursor_of(self, consumer), offset, &entry)) {
            return;
        }
        const int topic = topic_find(&self->topics, entry.record.topic);
        const bool wanted = consumer_wants(consumer, topic);
        group_offer(consumer->group, wanted, group_key_hash(entry.record.key));
        hand_out(self, consumer, &entry);
    }
}

static void serve(struct broker *self, struct consumer *consumer)
{
    if (consumer->paused_until_ms > self->delivered_ms) {
        return;
    }
    consumer->paused_until_ms = 0;
    self->parcels_count = 0;
    hand_out(self, consumer, NULL);
    offer(self, consumer);
    for (size_t i = 0; i < self->parcels_count; i++) {
        self->tidy_due_ms = self->delivered_ms + BROKER_TIDY_MS;
        parcel_send(self, &self->parcels[i]);
    }
}

// Whoever was not served in time is first in the next round.
void broker_deliver(struct broker *self)
{
    self->delivered_ms = broker_now_ms(self);
    self->is_tail_new = false;
    for (size_t i = 0; i < self->consumers_count; i++) {
        if (broker_now_ms(self) - self->delivered_ms >= BROKER_ROUND_MS) {
            self->more = true;
            return;
        }
        serve(self, self->consumers[self->served++ % self->consumers_count]);
    }
}
