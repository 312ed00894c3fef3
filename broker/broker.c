#include "broker/broker.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/broker_state.h"
#include "common/log.h"
#include "common/mem.h"

const char *const broker_codes[BROKER_CODES] = {
    WIRE_CODE_MALFORMED,
    WIRE_CODE_NO_SESSION,
    WIRE_CODE_STALE,
    WIRE_CODE_EVICTED,
    WIRE_CODE_CORRUPT,
    WIRE_CODE_TOO_LARGE,
    WIRE_CODE_FORBIDDEN,
    WIRE_CODE_DISK_FULL,
    WIRE_CODE_LIMIT,
    WIRE_CODE_NOT_SUBSCRIBED,
    WIRE_CODE_SUBSCRIBED,
    WIRE_CODE_RANGE,
};

enum err broker_open(struct broker **out, const struct broker_options *options, char **problem)
{
    *out = NULL;
    struct broker *self = mem_calloc(1, sizeof *self);
    self->options = *options;
    self->log = options->log;
    self->sessions = session_table_new(options->sessions_max);
    self->topics = topic_table_new();
    self->tail = event_log_cursor_new(self->log);
    self->elsewhere = event_log_cursor_new(self->log);
    self->checked = mem_calloc(WIRE_BATCH_MAX, sizeof *self->checked);
    self->started_us = options->world.wall_us(options->world.context);
    const enum err err = broker_load(self, problem);
    if (err != ERR_OK) {
        broker_destroy(&self);
        return err;
    }
    self->tail_from = event_log_next(self->log);
    *out = self;
    return ERR_OK;
}

void broker_destroy(struct broker **self_p)
{
    struct broker *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < GROUP_MEMBERS_MAX; i++) {
        buf_release(&self->parcels[i].entries);
        free(self->parcels[i].deliveries);
    }
    for (size_t i = 0; i < self->consumers_count; i++) {
        consumer_destroy(&self->consumers[i]);
    }
    buf_release(&self->frame);
    buf_release(&self->entries);
    free(self->checked);
    free(self->burials);
    free(self->publishes);
    event_log_cursor_destroy(&self->elsewhere);
    event_log_cursor_destroy(&self->tail);
    topic_table_destroy(&self->topics);
    session_table_destroy(&self->sessions);
    free(self);
    *self_p = NULL;
}

int64_t broker_now_ms(const struct broker *self)
{
    return self->options.world.mono_us(self->options.world.context) / 1000;
}

void broker_send(struct broker *self, struct session *session, const struct wire_control *control,
                 struct bytes batch)
{
    const struct broker_world *world = &self->options.world;
    buf_clear(&self->frame);
    wire_control_append(&self->frame, control);
    if (world->send(world->context, session->peer, buf_view(&self->frame), batch) == ERR_OK) {
        session->sent_ms = broker_now_ms(self);
    } else {
        self->counters.send_failures++;
        session->lost = true;
    }
}

// A foreign client can send nonsense as fast as the network carries it: one line a
// second says so.
static void complain(struct broker *self, struct bytes peer, const struct refusal *refusal)
{
    const int64_t now_ms = broker_now_ms(self);
    if (now_ms < self->complain_ms) {
        self->complaints++;
        return;
    }
    const struct session *session = session_by_peer(self->sessions, peer);
    log_warn("message refused",
             LOG_STR("member", session == NULL ? NULL : session->member),
             LOG_STR("code", refusal->code),
             LOG_STR("detail", refusal->detail),
             LOG_INT("not_logged", self->complaints),
             LOG_END);
    self->complain_ms = now_ms + 1000;
    self->complaints = 0;
}

void broker_refuse(struct broker *self, struct bytes peer, const struct refusal *refusal)
{
    const struct broker_world *world = &self->options.world;
    buf_clear(&self->frame);
    wire_control_append(&self->frame,
                        &(struct wire_control){
                            .type = WIRE_ERROR,
                            .request = refusal->request,
                            .index = refusal->index,
                            .code = bytes_of_text(refusal->code),
                            .detail = bytes_of_text(refusal->detail),
                        });
    if (world->send(world->context, peer, buf_view(&self->frame), (struct bytes){0}) != ERR_OK) {
        struct session *session = session_by_peer(self->sessions, peer);
        self->counters.send_failures++;
        if (session != NULL) {
            session->lost = true; // as broker_send: it would wait for this answer
        }
    }
    self->counters.refused++;
    for (size_t i = 0; i < BROKER_CODES; i++) {
        self->refused[i] += bytes_equal_text(bytes_of_text(refusal->code), broker_codes[i]);
    }
    complain(self, peer, refusal);
}

void broker_refuse_session(struct broker *self, struct bytes peer, const char *code,
                           const char *detail)
{
    broker_refuse(
        self, peer, &(struct refusal){.index = WIRE_INDEX_NONE, .code = code, .detail = detail});
}

void broker_refuse_message(struct broker *self, const struct message *message, const char *code,
                           const char *detail)
{
    broker_refuse(self,
                  message->session->peer,
                  &(struct refusal){
                      .request = message->control->request,
                      .index = WIRE_INDEX_NONE,
                      .code = code,
                      .detail = detail,
                  });
}

static void on_ping(struct broker *self, const struct message *message)
{
    broker_send(
        self, message->session, &(struct wire_control){.type = WIRE_PONG}, (struct bytes){0});
}

static void on_pong(struct broker *self, const struct message *message)
{
    (void)self;
    (void)message; // that it came is all there is to it
}

// What a client may send once it has a session.
static const struct handler {
    enum wire_type type;
    bool as_consumer; // only after SUBSCRIBE
    void (*handle)(struct broker *self, const struct message *message);
} handlers[] = {
    {.type = WIRE_PUBLISH, .handle = broker_on_publish},
    {.type = WIRE_ACK, .as_consumer = true, .handle = broker_on_ack},
    {.type = WIRE_NACK, .as_consumer = true, .handle = broker_on_nack},
    {.type = WIRE_REJECT, .as_consumer = true, .handle = broker_on_reject},
    {.type = WIRE_CREDIT, .as_consumer = true, .handle = broker_on_credit},
    {.type = WIRE_SUBSCRIBE, .handle = broker_on_subscribe},
    {.type = WIRE_READ, .handle = broker_on_read},
    {.type = WIRE_PING, .handle = on_ping},
    {.type = WIRE_PONG, .handle = on_pong},
    {.type = WIRE_BYE, .handle = broker_on_bye},
};

static const struct handler *handler_of(enum wire_type type)
{
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
        if (handlers[i].type == type) {
            return &handlers[i];
        }
    }
    assert(!"wire_type_is_from_client knows a type that nobody handles");
    return NULL;
}

static void dispatch(struct broker *self, const struct message *message, size_t frames_count)
{
    const enum wire_type type = message->control->type;
    const struct handler *handler = handler_of(type);
    const bool has_batch = wire_type_has_batch(type);
    if (handler->as_consumer && message->session->consumer == NULL) {
        broker_refuse_message(self, message, WIRE_CODE_NOT_SUBSCRIBED, "SUBSCRIBE first");
    } else if (frames_count != (has_batch ? 2 : 1)) {
        broker_refuse_message(self,
                              message,
                              WIRE_CODE_MALFORMED,
                              has_batch ? "a batch frame must follow"
                                        : "there is a frame too much");
    } else {
        handler->handle(self, message);
    }
}

// The order of these checks is docs/protocol.md, section 3.
void broker_receive(struct broker *self, struct bytes peer, const struct bytes *frames,
                    size_t frames_count)
{
    struct session *session = session_by_peer(self->sessions, peer);
    if (session != NULL) {
        session->seen_ms = broker_now_ms(self); // even nonsense is a sign of life
    }
    struct wire_control control = {0};
    const char *problem = "a message has one or two frames";
    if (frames_count < 1 || frames_count > 2 ||
        wire_control_parse(frames[0], &control, &problem) != ERR_OK) {
        broker_refuse(self,
                      peer,
                      &(struct refusal){
                          .request = control.request,
                          .index = WIRE_INDEX_NONE,
                          .code = WIRE_CODE_MALFORMED,
                          .detail = problem,
                      });
        return;
    }
    struct message message = {
        .session = session,
        .control = &control,
        .batch = frames_count == 2 ? frames[1] : (struct bytes){0},
    };
    if (!wire_type_is_from_client(control.type)) {
        broker_refuse_session(self, peer, WIRE_CODE_MALFORMED, "only the broker sends this type");
    } else if (control.type == WIRE_HELLO && frames_count == 2) {
        broker_refuse_session(self, peer, WIRE_CODE_MALFORMED, "there is a frame too much");
    } else if (control.type == WIRE_HELLO) {
        broker_on_hello(self, peer, &control);
    } else if (session == NULL || session->lost) {
        broker_refuse(self,
                      peer,
                      &(struct refusal){
                          .request = control.request,
                          .index = WIRE_INDEX_NONE,
                          .code = WIRE_CODE_NO_SESSION,
                          .detail = "say HELLO first",
                      });
    } else {
        dispatch(self, &message, frames_count);
    }
}

static void save_when_due(struct broker *self)
{
    const int64_t now_ms = broker_now_ms(self);
    if (self->save_due_ms == 0) {
        for (size_t i = 0; i < self->consumers_count && self->save_due_ms == 0; i++) {
            if (group_is_dirty(self->consumers[i]->group)) {
                self->save_due_ms = now_ms + BROKER_SAVE_MS;
            }
        }
    } else if (now_ms >= self->save_due_ms && broker_save(self) != ERR_OK) {
        self->save_due_ms = now_ms + BROKER_RETRY_MS;
    }
}

// Buffers that a burst has blown up are given back a second after it.
static void tidy_when_due(struct broker *self)
{
    if (self->tidy_due_ms == 0 || broker_now_ms(self) < self->tidy_due_ms) {
        return;
    }
    self->tidy_due_ms = 0;
    for (size_t i = 0; i < GROUP_MEMBERS_MAX; i++) {
        struct parcel *parcel = &self->parcels[i];
        buf_release(&parcel->entries);
        free(parcel->deliveries);
        *parcel = (struct parcel){0};
    }
    buf_release(&self->entries);
    for (size_t i = 0; i < self->consumers_count; i++) {
        event_log_cursor_destroy(&self->consumers[i]->cursor);
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
    tidy_when_due(self);
    self->awake_by_ms = broker_now_ms(self); // or later, if broker_deadline_ms says so
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
    sooner(&deadline_ms, self->bury_after_ms);
    size_t slot = 0;
    for (struct session *s; (s = session_next(self->sessions, &slot)) != NULL;) {
        sooner(&deadline_ms, s->blocked_until_ms);
        sooner(&deadline_ms, s->lost ? now_ms : 0);
    }
    for (size_t i = 0; i < self->consumers_count; i++) {
        const struct consumer *consumer = self->consumers[i];
        struct group_stats stats;
        group_stats_get(consumer->group, &stats);
        sooner(&deadline_ms, consumer->paused_until_ms);
        // What was due in the last round and is still here has no member with
        // credit to go to: an ack will wake us, not the clock.
        const int64_t due_ms = group_next_due_ms(consumer->group);
        sooner(&deadline_ms, stats.members > 0 && due_ms > self->delivered_ms ? due_ms : 0);
    }
    self->awake_by_ms = deadline_ms > now_ms ? deadline_ms : now_ms;
    return self->awake_by_ms - now_ms;
}
