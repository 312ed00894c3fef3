#include "broker/broker.h"

#include <stdlib.h>

#include "broker/broker_state.h"
#include "common/mem.h"

enum err broker_open(struct broker **out, const struct broker_options *options, char **problem)
{
    *out = NULL;
    struct broker *self = mem_calloc(1, sizeof *self);
    self->options = *options;
    self->world = options->world;
    self->metrics = metrics_new();
    self->sessions = session_table_new(options->sessions_max);
    self->checked = mem_calloc(WIRE_BATCH_MAX, sizeof *self->checked);
    duplicates_init(&self->duplicates, self->world.random, self->world.context);
    self->started_us = broker_wall_us(self);
    self->items_max = BROKER_BATCH_ITEMS_MAX;
    const enum err err = broker_load(self, problem);
    if (err != ERR_OK) {
        broker_destroy(&self);
        return err;
    }
    *out = self;
    return ERR_OK;
}

// Buffers that a burst has blown up.
static void tidy(struct broker *self)
{
    for (size_t i = 0; i < GROUP_MEMBERS_MAX; i++) {
        buf_release(&self->parcels[i].entries);
    }
    buf_release(&self->entries);
    buf_release(&self->restored);
    for (size_t i = 0; i < self->consumers_count; i++) {
        event_log_cursor_destroy(&self->consumers[i]->cursor);
        group_tidy(self->consumers[i]->group);
    }
}

void broker_destroy(struct broker **self_p)
{
    struct broker *self = *self_p;
    if (self == NULL) {
        return;
    }
    tidy(self);
    while (self->consumers_count > 0) {
        consumer_destroy(&self->consumers[--self->consumers_count]);
    }
    buf_release(&self->frame);
    free(self->checked);
    duplicates_release(&self->duplicates);
    tallies_release(&self->tallies);
    event_log_cursor_destroy(&self->elsewhere);
    event_log_cursor_destroy(&self->tail);
    session_table_destroy(&self->sessions);
    metrics_destroy(&self->metrics);
    event_log_destroy(&self->log);
    free(self);
    *self_p = NULL;
}

// --- what comes in

// What a client may send, and what it must be for that.
static const struct handler {
    enum {
        ANYBODY,
        SESSION,
        CONSUMER
    } needs;
    void (*handle)(struct broker *self, const struct message *message);
} handlers[] = {
    [WIRE_HELLO] = {ANYBODY, broker_on_hello},
    [WIRE_PUBLISH] = {SESSION, broker_on_publish},
    [WIRE_READ] = {SESSION, broker_on_read},
    [WIRE_REDRIVE] = {SESSION, broker_on_redrive},
    [WIRE_RESET] = {SESSION, broker_on_reset},
    [WIRE_DELETE] = {SESSION, broker_on_delete},
    [WIRE_STATUS] = {SESSION, broker_on_status},
    [WIRE_SUBSCRIBE] = {SESSION, broker_on_subscribe},
    [WIRE_BYE] = {SESSION, broker_on_bye},
    [WIRE_PING] = {SESSION, broker_on_ping},
    [WIRE_PONG] = {SESSION, broker_on_pong},
    [WIRE_ACK] = {CONSUMER, broker_on_ack},
    [WIRE_NACK] = {CONSUMER, broker_on_nack},
    [WIRE_REJECT] = {CONSUMER, broker_on_nack},
    [WIRE_CREDIT] = {CONSUMER, broker_on_credit},
};

// The order of these checks is docs/protocol.md, section 3.
void broker_receive(struct broker *self, struct bytes peer, const struct bytes *frames,
                    size_t frames_count)
{
    struct wire_control control = {0};
    const char *problem = "a message has one or two frames";
    struct session *session = session_by_peer(self->sessions, peer);
    struct message message = {.peer = peer, .session = session, .control = &control};
    if (session != NULL) {
        session->seen_ms = broker_now_ms(self); // even nonsense is a sign of life
    }
    if (frames_count < 1 || frames_count > 2 ||
        wire_control_parse(frames[0], &control, &problem) != ERR_OK) {
        broker_refuse(self, &message, WIRE_CODE_MALFORMED, problem);
        return;
    }
    const struct handler *handler = &handlers[control.type];
    if (!wire_type_is_from_client(control.type)) {
        broker_refuse(self, &message, WIRE_CODE_MALFORMED, "only the broker sends this type");
    } else if (handler->needs != ANYBODY && (session == NULL || session->lost)) {
        broker_refuse(self, &message, WIRE_CODE_NO_SESSION, "say HELLO first");
    } else if (handler->needs == CONSUMER && session->consumer == NULL) {
        broker_refuse(self, &message, WIRE_CODE_NOT_SUBSCRIBED, "SUBSCRIBE first");
    } else if (frames_count == 1 && wire_type_has_batch(control.type)) {
        broker_refuse(self, &message, WIRE_CODE_MALFORMED, "a batch frame must follow");
    } else if (frames_count == 2 && !wire_type_has_batch(control.type)) {
        broker_refuse(self, &message, WIRE_CODE_MALFORMED, "there is a frame too much");
    } else {
        message.batch = frames_count == 2 ? frames[1] : (struct bytes){0};
        handler->handle(self, &message);
    }
}

// --- rounds

void broker_save_soon(struct broker *self)
{
    if (self->save_due_ms == 0) { // else what is due already would be put off
        self->save_due_ms = broker_now_ms(self) + BROKER_SAVE_MS;
    }
}

static void save_when_due(struct broker *self)
{
    const int64_t now_ms = broker_now_ms(self);
    for (size_t i = 0; i < self->consumers_count && self->save_due_ms == 0; i++) {
        if (group_is_dirty(self->consumers[i]->group)) {
            broker_save_soon(self);
        }
    }
    if (self->save_due_ms != 0 && now_ms >= self->save_due_ms && broker_save(self) != ERR_OK) {
        self->save_due_ms = now_ms + BROKER_RETRY_MS;
    }
}

bool broker_turn(struct broker *self, bool all_read)
{
    self->more = false;
    broker_append_dead_letters(self);
    (void)broker_sync(self); // a full disk was told to those whom it concerns
    broker_heartbeats(self, all_read);
    broker_deliver(self);
    save_when_due(self);
    broker_retain(self);
    if (self->tidy_due_ms != 0 && broker_now_ms(self) >= self->tidy_due_ms) {
        self->tidy_due_ms = 0;
        tidy(self);
        event_log_tidy(self->log);
    }
    return self->more;
}

static void sooner(int64_t *deadline_ms, int64_t candidate_ms)
{
    if (candidate_ms != 0 && candidate_ms < *deadline_ms) {
        *deadline_ms = candidate_ms;
    }
}

int64_t broker_deadline_ms(struct broker *self)
{
    const int64_t now_ms = broker_now_ms(self);
    int64_t deadline_ms = now_ms + BROKER_DEADLINE_MAX_MS;
    sooner(&deadline_ms, session_deadline_ms(self->sessions));
    sooner(&deadline_ms, self->save_due_ms);
    sooner(&deadline_ms, self->tidy_due_ms);
    sooner(&deadline_ms, self->retain_due_ms);
    sooner(&deadline_ms, self->bury_after_ms);
    for (size_t i = 0; i < self->consumers_count; i++) {
        const struct consumer *consumer = self->consumers[i];
        sooner(&deadline_ms, consumer->paused_until_ms);
        // What was due in the last round and is still here has no member with
        // credit to go to: an ack will wake us, not the clock.
        const int64_t due_ms = group_next_due_ms(consumer->group);
        const bool has_members = consumer->no_member_since_us == 0;
        sooner(&deadline_ms, has_members && due_ms > self->delivered_ms ? due_ms : 0);
    }
    const int64_t wait_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    self->awake_by_ms += wait_ms;
    return wait_ms;
}
