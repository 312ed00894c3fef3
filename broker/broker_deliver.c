// What groups are given, and what their members say to it: DELIVER, ACK, NACK, REJECT.
#include <assert.h>

#include "broker/broker_state.h"
#include "common/mem.h"

// --- answers

// One delivery less in the member's hands.
static void session_release(struct session *session)
{
    if (session->held > 0) {
        session->held_bytes -= session->held_bytes / session->held;
        session->held--;
    }
    if (session->held == 0) {
        session->held_bytes = 0;
    }
}

void broker_on_ack(struct broker *self, const struct message *message)
{
    struct session *session = message->session;
    struct consumer *consumer = session->consumer;
    if (message->batch.size != (size_t)message->control->count * WIRE_ACK_SIZE) {
        broker_refuse_message(
            self, message, WIRE_CODE_MALFORMED, "the batch must hold count entries of 12 bytes");
        return;
    }
    struct wire_ack ack;
    for (struct bytes rest = message->batch; rest.size > 0;) {
        if (wire_ack_take(&rest, &ack) != ERR_OK) {
            broker_refuse_message(
                self, message, WIRE_CODE_MALFORMED, "an attempt must be 1 or more");
            return;
        }
    }
    struct bytes rest = message->batch;
    while (wire_ack_take(&rest, &ack) == ERR_OK) {
        if (group_ack(consumer->group, session->number, ack.offset, ack.attempt) == ERR_OK) {
            self->counters.acked++;
            consumer_done(consumer);
            session_release(session);
        } else {
            self->counters.stale_acks++;
        }
    }
    broker_apply_credit(self, session);
}

// A NACK or REJECT was taken, or was stale.
static void failed(struct broker *self, struct session *session, enum err err)
{
    if (err != ERR_OK) {
        self->counters.stale_acks++;
        return;
    }
    self->counters.failed++;
    session_release(session);
    broker_apply_credit(self, session);
}

static struct group_failure failure_of(const struct broker *self, const struct message *message)
{
    const struct broker_world *world = &self->options.world;
    return (struct group_failure){
        .now_ms = broker_now_ms(self),
        .wall_us = world->wall_us(world->context),
        .error = message->control->detail,
    };
}

void broker_on_nack(struct broker *self, const struct message *message)
{
    const struct broker_world *world = &self->options.world;
    const struct wire_control *control = message->control;
    struct session *session = message->session;
    const struct group_failure failure = failure_of(self, message);
    bool dying = false; // broker_append_dead_letters finds it
    const enum err err =
        group_nack(session->consumer->group,
                   session->number,
                   control->offset,
                   control->attempt,
                   control->delay_ms == WIRE_DELAY_DEFAULT ? -1 : (int64_t)control->delay_ms,
                   world->random(world->context),
                   &failure,
                   &dying);
    failed(self, session, err);
}

void broker_on_reject(struct broker *self, const struct message *message)
{
    const struct wire_control *control = message->control;
    struct session *session = message->session;
    const struct group_failure failure = failure_of(self, message);
    const enum err err = group_reject(
        session->consumer->group, session->number, control->offset, control->attempt, &failure);
    failed(self, session, err);
}

// --- deliveries

static struct parcel *parcel_of(struct broker *self, uint64_t member)
{
    for (size_t i = 0; i < self->parcels_count; i++) {
        if (self->parcels[i].member == member) {
            return &self->parcels[i];
        }
    }
    assert(self->parcels_count < GROUP_MEMBERS_MAX);
    struct parcel *parcel = &self->parcels[self->parcels_count++];
    parcel->member = member;
    parcel->count = 0;
    buf_clear(&parcel->entries);
    return parcel;
}

// Nothing of it was sent: the group has all of it back.
static void parcel_undo(struct broker *self, struct consumer *consumer, struct parcel *parcel,
                        enum err err)
{
    struct session *session = session_by_number(self->sessions, parcel->member);
    self->counters.send_failures++;
    for (uint32_t i = parcel->count; i-- > 0;) {
        group_undeliver(consumer->group, &parcel->deliveries[i]);
    }
    if (err == ERR_FULL) {
        session->blocked_until_ms = broker_now_ms(self) + BROKER_BLOCKED_MS;
    } else {
        session->lost = true;
    }
    broker_apply_credit(self, session);
}

static void parcel_send(struct broker *self, struct consumer *consumer, struct parcel *parcel)
{
    if (parcel->count == 0) {
        return;
    }
    const struct broker_world *world = &self->options.world;
    struct session *session = session_by_number(self->sessions, parcel->member);
    buf_clear(&self->frame);
    wire_control_append(&self->frame,
                        &(struct wire_control){.type = WIRE_DELIVER, .count = parcel->count});
    const enum err err = world->send(
        world->context, session->peer, buf_view(&self->frame), buf_view(&parcel->entries));
    if (err == ERR_OK) {
        session->sent_ms = broker_now_ms(self);
        session->held += parcel->count;
        session->held_bytes += parcel->entries.size;
        self->counters.delivered += parcel->count;
        for (uint32_t i = 0; i < parcel->count; i++) {
            self->counters.redelivered += parcel->deliveries[i].attempt > 1;
        }
        broker_apply_credit(self, session);
    } else {
        parcel_undo(self, consumer, parcel, err);
    }
    parcel->count = 0;
    buf_clear(&parcel->entries);
}

static void parcel_add(struct broker *self, struct consumer *consumer,
                       const struct group_delivery *delivery, const struct event_log_entry *entry)
{
    struct parcel *parcel = parcel_of(self, delivery->member);
    const size_t size = WIRE_DELIVERED_HEADER_SIZE + entry->record.whole.size;
    if (parcel->count == WIRE_BATCH_MAX || parcel->entries.size + size > WIRE_BATCH_BYTES_MAX) {
        parcel_send(self, consumer, parcel);
    }
    if (parcel->count == parcel->capacity) {
        parcel->capacity = parcel->capacity == 0 ? 64 : 2 * parcel->capacity;
        parcel->deliveries =
            mem_realloc(parcel->deliveries, parcel->capacity * sizeof *parcel->deliveries);
    }
    parcel->deliveries[parcel->count++] = *delivery;
    wire_delivered_append(&parcel->entries,
                          &(struct wire_delivered){
                              .offset = entry->offset,
                              .time_us = entry->time_us,
                              .attempt = delivery->attempt,
                              .record = entry->record,
                          });
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
static void pause_consumer(struct broker *self, struct consumer *consumer)
{
    consumer->paused_until_ms = broker_now_ms(self) + BROKER_RETRY_MS;
}

// Hands out what is READY. offered, unless NULL, is the record at the offset just
// offered: as a rule the one that goes out, and still at hand.
static void hand_out(struct broker *self, struct consumer *consumer,
                     const struct event_log_entry *offered)
{
    struct group_delivery delivery;
    while (consumer->paused_until_ms == 0 &&
           group_deliver(consumer->group, self->delivered_ms, &delivery)) {
        struct event_log_entry entry;
        if (offered != NULL && offered->offset == delivery.offset) {
            entry = *offered;
        } else if (broker_read(self, self->elsewhere, delivery.offset, &entry) != ERR_OK) {
            group_undeliver(consumer->group, &delivery);
            pause_consumer(self, consumer);
            return;
        }
        parcel_add(self, consumer, &delivery, &entry);
    }
}

// Shows the group its next record. false: it could not be read.
static bool offer_next(struct broker *self, struct consumer *consumer,
                       struct event_log_entry *entry)
{
    if (broker_read(self, cursor_of(self, consumer), group_cursor(consumer->group), entry) !=
        ERR_OK) {
        pause_consumer(self, consumer);
        return false;
    }
    const int topic = topic_find(self->topics, entry->record.topic);
    assert(topic != TOPIC_NONE);
    group_offer(consumer->group,
                topic_set_has(&consumer->wanted, topic),
                group_key_hash(entry->record.key),
                entry->time_us);
    return true;
}

static void serve(struct broker *self, struct consumer *consumer)
{
    if (consumer->paused_until_ms > self->delivered_ms) {
        return;
    }
    consumer->paused_until_ms = 0;
    self->parcels_count = 0;
    hand_out(self, consumer, NULL);
    for (uint32_t offers = 0; consumer->paused_until_ms == 0; offers++) {
        if (!group_wants_more(consumer->group) ||
            group_cursor(consumer->group) >= event_log_next(self->log)) {
            break;
        }
        if (offers == BROKER_OFFERS_MAX) {
            self->more = true; // others first: acks, heartbeats, other groups
            break;
        }
        struct event_log_entry entry;
        if (offer_next(self, consumer, &entry)) {
            hand_out(self, consumer, &entry);
        }
    }
    if (self->parcels_count > 0) {
        self->tidy_due_ms = self->delivered_ms + BROKER_TIDY_MS;
    }
    for (size_t i = 0; i < self->parcels_count; i++) {
        parcel_send(self, consumer, &self->parcels[i]);
    }
}

void broker_deliver(struct broker *self)
{
    self->delivered_ms = broker_now_ms(self);
    for (size_t i = 0; i < self->consumers_count; i++) {
        serve(self, self->consumers[i]);
    }
}
