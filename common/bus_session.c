#include "common/bus_session.h"

#include <assert.h>
#include <stdlib.h>

#include "common/bus_session_state.h"
#include "common/mem.h"

// --- life

static bool text_is_name(const char *text)
{
    return text != NULL && wire_name_is_valid(bytes_of_text(text));
}

static const char *options_problem(const struct bus_options *options)
{
    if (!text_is_name(options->member)) {
        return "member must be 1 to 64 of a-z 0-9 . -";
    }
    if (options->group != NULL && !text_is_name(options->group)) {
        return "group must be 1 to 64 of a-z 0-9 . -";
    }
    if (options->group != NULL &&
        (options->topics_count < 1 || options->topics_count > WIRE_TOPICS_MAX)) {
        return "a group needs 1 to 64 topics";
    }
    for (size_t i = 0; options->group != NULL && i < options->topics_count; i++) {
        if (!record_topic_is_valid(bytes_of_text(options->topics[i]))) {
            return "a topic must be 1 to 128 of a-z 0-9 . -";
        }
    }
    if (options->credit > WIRE_CREDIT_MAX) {
        return "credit must be at most 4096";
    }
    if (options->heartbeat_ms != 0 && (options->heartbeat_ms < WIRE_HEARTBEAT_MIN_MS ||
                                       options->heartbeat_ms > WIRE_HEARTBEAT_MAX_MS)) {
        return "heartbeat_ms must be 50 to 60000";
    }
    return NULL;
}

enum err bus_session_new(struct bus_session **out, const struct bus_options *options, uint64_t seed,
                         const char **problem)
{
    assert(out != NULL);
    assert(options != NULL);
    *out = NULL;
    *problem = options_problem(options);
    if (*problem != NULL) {
        return ERR_INVALID;
    }
    struct bus_session *self = mem_calloc(1, sizeof *self);
    *self = (struct bus_session){
        .member = mem_strdup(options->member),
        .group = mem_strdup(options->group),
        .from_latest = options->from_latest,
        .without_acks = options->without_acks,
        .retries_max = options->retries_max,
        .credit = options->credit == 0 ? BUS_CREDIT_DEFAULT : options->credit,
        .heartbeat_asked_ms =
            options->heartbeat_ms == 0 ? BUS_HEARTBEAT_DEFAULT_MS : options->heartbeat_ms,
        .jitter = seed | 1, // xorshift stays at 0 for ever
        .backoff_ms = BUS_BACKOFF_MIN_MS,
    };
    for (size_t i = 0; self->group != NULL && i < options->topics_count; i++) {
        self->topics[self->topics_count++] = mem_strdup(options->topics[i]);
    }
    *out = self;
    return ERR_OK;
}

// Forgets all that belongs to one session.
static void session_clear(struct bus_session *self)
{
    bus_out_clear(&self->out);
    bus_requests_clear(&self->requests);
    buf_clear(&self->acks);
    self->acks_count = 0;
    self->credit_changed = false;
    self->present = (struct present){0};
    self->connected = false;
}

void bus_session_destroy(struct bus_session **self_p)
{
    struct bus_session *self = *self_p;
    if (self == NULL) {
        return;
    }
    session_clear(self);
    buf_release(&self->acks);
    for (size_t i = 0; i < self->topics_count; i++) {
        free(self->topics[i]);
    }
    free(self->lost_why);
    free(self->detail);
    free(self->group);
    free(self->member);
    free(self);
    *self_p = NULL;
}

// --- losing a session

static uint64_t jitter_next(struct bus_session *self)
{
    self->jitter ^= self->jitter << 13; // Marsaglia's xorshift64
    self->jitter ^= self->jitter >> 7;
    self->jitter ^= self->jitter << 17;
    return self->jitter;
}

// Sets when to begin again. A greeting that nobody answered has waited already: its
// pause counts from its beginning.
static void retry_plan(struct bus_session *self, int64_t now_ms)
{
    const bool was_up = self->state == SESSION_UP;
    if (was_up && now_ms - self->up_ms >= BUS_BACKOFF_MAX_MS) {
        self->backoff_ms = BUS_BACKOFF_MIN_MS;
    }
    const int64_t half = self->backoff_ms / 2;
    const int64_t pause = half + (int64_t)(jitter_next(self) % (uint64_t)(half + 1));
    self->retry_ms = (was_up ? now_ms : self->opened_ms) + pause;
    self->backoff_ms *= 2;
    if (self->backoff_ms > BUS_BACKOFF_MAX_MS) {
        self->backoff_ms = BUS_BACKOFF_MAX_MS;
    }
}

void bus_session_lose(struct bus_session *self, int64_t now_ms, char *why, bool told)
{
    if (self->state == SESSION_CLOSED) {
        free(why);
        return;
    }
    retry_plan(self, now_ms);
    self->lost = self->lost || told || self->state == SESSION_UP;
    session_clear(self);
    free(self->lost_why);
    self->lost_why = why;
    self->state = SESSION_CLOSED;
    self->left = self->leaving;
}

// --- sending

void bus_session_say(struct bus_session *self, enum wire_type type)
{
    bus_out_push(&self->out, &(struct wire_control){.type = type});
}

static void say_hello(struct bus_session *self, int64_t wall_us)
{
    // Higher each time, though the wall clock may stand still or go back.
    self->incarnation =
        wall_us > (int64_t)self->incarnation ? (uint64_t)wall_us : self->incarnation + 1;
    bus_out_push(&self->out,
                 &(struct wire_control){.type = WIRE_HELLO,
                                        .member = bytes_of_text(self->member),
                                        .incarnation = self->incarnation,
                                        .heartbeat_ms = self->heartbeat_asked_ms});
}

void bus_session_say_subscribe(struct bus_session *self)
{
    struct wire_control control = {.type = WIRE_SUBSCRIBE,
                                   .group = bytes_of_text(self->group),
                                   .offset_reset = self->from_latest ? WIRE_LATEST : WIRE_EARLIEST,
                                   .retries_max = self->retries_max,
                                   .credit = self->credit,
                                   .topics_count = self->topics_count};
    for (size_t i = 0; i < self->topics_count; i++) {
        control.topics[i] = bytes_of_text(self->topics[i]);
    }
    self->credit_changed = false;
    bus_out_push(&self->out, &control);
}

void bus_session_say_publish(struct bus_session *self, struct bus_request *request)
{
    if (request == NULL) {
        return;
    }
    const struct wire_control control = {.type = WIRE_PUBLISH,
                                         .request = request->number,
                                         .acks =
                                             self->without_acks ? WIRE_ACKS_NONE : WIRE_ACKS_ALL,
                                         .count = request->count};
    bus_out_push(&self->out, &control)->request = request;
}

static void say_acks(struct bus_session *self)
{
    if (self->acks_count == 0) {
        return;
    }
    const struct wire_control control = {.type = WIRE_ACK, .count = self->acks_count};
    bus_out_push(&self->out, &control)->acks = self->acks;
    self->acks = (struct buf){0};
    self->acks_count = 0;
}

void bus_session_flush(struct bus_session *self)
{
    if (self->state != SESSION_UP) {
        return;
    }
    bus_session_say_publish(self, bus_requests_seal(&self->requests));
    say_acks(self);
    if (self->credit_changed && self->group != NULL) {
        bus_out_push(&self->out,
                     &(struct wire_control){.type = WIRE_CREDIT, .credit = self->credit});
    }
    self->credit_changed = false;
}

bool bus_session_next_out(const struct bus_session *self, struct bytes *control,
                          struct bytes *batch)
{
    const struct bus_message *message = self->out.first;
    if (message == NULL) {
        return false;
    }
    *control = buf_view(&message->control);
    *batch = bus_message_batch(message);
    return true;
}

void bus_session_sent(struct bus_session *self, int64_t now_ms)
{
    struct bus_request *request = self->out.first->request;
    bus_out_pop(&self->out);
    self->said_ms = now_ms;
    if (request != NULL) {
        request->sent = true;
    }
}

// --- time

static int64_t patience_ms(const struct bus_session *self)
{
    if (self->state == SESSION_UP) {
        return (int64_t)self->heartbeat_ms * WIRE_MISSES_MAX;
    }
    const int64_t asked = (int64_t)self->heartbeat_asked_ms * WIRE_MISSES_MAX;
    return asked > BUS_GREETING_MIN_MS ? asked : BUS_GREETING_MIN_MS;
}

static void connection_begin(struct bus_session *self, int64_t now_ms, int64_t wall_us)
{
    self->state = SESSION_GREETING;
    self->connection++;
    self->opened_ms = now_ms;
    self->heard_ms = now_ms;
    self->said_ms = now_ms;
    self->up_ms = 0;
    say_hello(self, wall_us);
}

void bus_session_tick(struct bus_session *self, int64_t now_ms, int64_t wall_us)
{
    if (self->leaving) {
        return;
    }
    if (self->state == SESSION_CLOSED) {
        if (now_ms >= self->retry_ms) {
            connection_begin(self, now_ms, wall_us);
        }
        return;
    }
    const int64_t silence_ms = now_ms - self->heard_ms;
    if (silence_ms >= patience_ms(self)) {
        bus_session_lose(self,
                         now_ms,
                         mem_format("the broker was silent for %lld ms", (long long)silence_ms),
                         false);
    } else if (self->out.count > BUS_OUT_MAX) {
        bus_session_lose(self, now_ms, mem_strdup("the broker takes nothing"), false);
    } else if (self->state == SESSION_UP && self->out.count == 0 &&
               now_ms - self->said_ms >= (int64_t)self->heartbeat_ms) {
        bus_session_say(self, WIRE_PING);
    }
}

int64_t bus_session_due_ms(const struct bus_session *self)
{
    if (self->leaving) {
        return INT64_MAX;
    }
    if (self->state == SESSION_CLOSED) {
        return self->retry_ms;
    }
    const int64_t silence_ms = self->heard_ms + patience_ms(self);
    const int64_t ping_ms = self->said_ms + (int64_t)self->heartbeat_ms;
    return self->state == SESSION_UP && self->out.count == 0 && ping_ms < silence_ms ? ping_ms
                                                                                     : silence_ms;
}

uint64_t bus_session_connection(const struct bus_session *self)
{
    return self->state == SESSION_CLOSED ? 0 : self->connection;
}

// --- what the owner says

enum err bus_session_publish(struct bus_session *self, uint64_t tag, const struct record *record)
{
    if (self->state != SESSION_UP || self->leaving) {
        return ERR_UNAVAILABLE;
    }
    if (self->requests.tags_count >= BUS_IN_FLIGHT_MAX ||
        self->requests.bytes >= BUS_IN_FLIGHT_BYTES_MAX) {
        return ERR_FULL;
    }
    const size_t record_bytes = RECORD_HEADER_SIZE + record->topic.size + record->key.size +
                                record->id.size + record->headers.size + record->body.size;
    if (record_bytes > RECORD_SIZE_MAX) {
        return ERR_TOO_LARGE;
    }
    if (!bus_requests_has_room(&self->requests, record_bytes)) {
        bus_session_say_publish(self, bus_requests_seal(&self->requests));
    }
    return bus_requests_add(&self->requests, tag, record);
}

void bus_session_ack(struct bus_session *self, uint64_t offset, uint32_t attempt)
{
    if (self->state != SESSION_UP || attempt == 0) {
        return;
    }
    wire_ack_append(&self->acks, (struct wire_ack){.offset = offset, .attempt = attempt});
    self->acks_count++;
    if (self->acks_count == WIRE_BATCH_MAX) {
        say_acks(self);
    }
}

static struct bytes detail_of(const char *error)
{
    struct bytes text = bytes_of_text(error == NULL ? "" : error);
    if (text.size > WIRE_ERROR_MAX) {
        text.size = WIRE_ERROR_MAX;
    }
    return text;
}

void bus_session_nack(struct bus_session *self, uint64_t offset, uint32_t attempt, int64_t delay_ms,
                      const char *error)
{
    if (self->state != SESSION_UP || attempt == 0) {
        return;
    }
    uint32_t delay = WIRE_DELAY_DEFAULT;
    if (delay_ms >= 0) {
        delay = delay_ms < WIRE_DELAY_DEFAULT ? (uint32_t)delay_ms : WIRE_DELAY_DEFAULT - 1;
    }
    bus_out_push(&self->out,
                 &(struct wire_control){.type = WIRE_NACK,
                                        .offset = offset,
                                        .attempt = attempt,
                                        .delay_ms = delay,
                                        .detail = detail_of(error)});
}

void bus_session_reject(struct bus_session *self, uint64_t offset, uint32_t attempt,
                        const char *error)
{
    if (self->state != SESSION_UP || attempt == 0) {
        return;
    }
    bus_out_push(
        &self->out,
        &(struct wire_control){
            .type = WIRE_REJECT, .offset = offset, .attempt = attempt, .detail = detail_of(error)});
}

void bus_session_set_credit(struct bus_session *self, uint32_t credit)
{
    const uint32_t wanted = credit < WIRE_CREDIT_MAX ? credit : WIRE_CREDIT_MAX;
    self->credit_changed = self->credit_changed || wanted != self->credit;
    self->credit = wanted;
}

void bus_session_bye(struct bus_session *self)
{
    bus_session_flush(self);
    self->leaving = true;
    self->present = (struct present){0}; // no input is taken any more
    self->connected = false;
    self->lost = false;
    if (self->state == SESSION_UP) {
        bus_session_say(self, WIRE_BYE);
    } else {
        self->left = true;
    }
}

bool bus_session_has_left(const struct bus_session *self)
{
    return self->left;
}

bool bus_session_is_up(const struct bus_session *self)
{
    return self->state == SESSION_UP;
}

size_t bus_session_in_flight(const struct bus_session *self)
{
    return self->requests.tags_count;
}
