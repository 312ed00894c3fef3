#include "broker/broker.h"

#include <stdlib.h>

#include "broker/broker_state.h"
#include "common/log.h"
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

int64_t broker_now_ms(const struct broker *self)
{
    return self->world.mono_us(self->world.context) / 1000;
}

int64_t broker_wall_us(const struct broker *self)
{
    return self->world.wall_us(self->world.context);
}

// --- what goes out

enum err broker_transmit(struct broker *self, struct bytes peer, const struct wire_control *control,
                         struct bytes batch)
{
    buf_clear(&self->frame);
    wire_control_append(&self->frame, control);
    const enum err err = self->world.send(self->world.context, peer, buf_view(&self->frame), batch);
    self->counters.send_failures += err != ERR_OK;
    return err;
}

static void send_batch(struct broker *self, struct session *session,
                       const struct wire_control *control, struct bytes batch)
{
    if (broker_transmit(self, session->peer, control, batch) == ERR_OK) {
        session->sent_ms = broker_now_ms(self);
    } else {
        broker_lose(self, session);
    }
}

void broker_send(struct broker *self, struct session *session, const struct wire_control *control)
{
    send_batch(self, session, control, (struct bytes){0});
}

bool broker_listens(struct broker *self, const struct message *message)
{
    const bool listens = message->session->unread_bytes < BROKER_UNREAD_BYTES_MAX;
    if (!listens) {
        broker_refuse(self, message, WIRE_CODE_LIMIT, "take what was answered, and answer PING");
    }
    return listens;
}

void broker_answer_large(struct broker *self, struct session *session,
                         const struct wire_control *control, struct bytes batch)
{
    send_batch(self, session, control, batch);
    session->unread_bytes += batch.size;
    if (session->unread_bytes >= BROKER_UNREAD_BYTES_MAX / 2) {
        broker_send(self, session, &(struct wire_control){.type = WIRE_PING}); // PONG: it listens
    }
}

void broker_refuse_record(struct broker *self, const struct message *message, uint32_t index,
                          const char *code, const char *detail)
{
    static const struct metric_def refused = {
        .name = "faultline_broker_refused_total",
        .help = "Messages answered with an error, by its code.",
        .kind = METRIC_COUNTER,
        .label_names = {"code"},
    };
    struct session *session = message->session;
    const struct wire_control answer = {
        .type = WIRE_ERROR,
        .request = message->control->request,
        .index = index,
        .code = bytes_of_text(code),
        .detail = bytes_of_text(detail),
    };
    const enum err err = broker_transmit(self, message->peer, &answer, (struct bytes){0});
    if (err != ERR_OK && session != NULL) {
        broker_lose(self, session); // as broker_send: it would wait for this answer
    }
    self->counters.refused++;
    metrics_add(self->metrics, &refused, METRIC_LABELS(code), 1);
    // A foreign client can send nonsense as fast as the network carries it: one line
    // a second says so, the metrics count.
    const int64_t now_ms = broker_now_ms(self);
    if (now_ms >= self->complain_ms) {
        self->complain_ms = now_ms + BROKER_RETRY_MS;
        log_warn("message refused",
                 LOG_STR("member", session == NULL ? NULL : session->member),
                 LOG_STR("code", code),
                 LOG_STR("detail", detail));
    }
}

void broker_refuse(struct broker *self, const struct message *message, const char *code,
                   const char *detail)
{
    broker_refuse_record(self, message, WIRE_INDEX_NONE, code, detail);
}

void broker_refuse_session(struct broker *self, struct session *session, const char *code,
                           const char *detail)
{
    static const struct wire_control none = {0};
    const struct message nothing = {.peer = session->peer, .session = session, .control = &none};
    broker_refuse(self, &nothing, code, detail);
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
