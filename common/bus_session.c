#include "common/bus_session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus_out.h"
#include "common/bus_requests.h"
#include "common/mem.h"
#include "common/wire.h"

enum state {
    CLOSED,      // no connection; the next one at retry_ms
    GREETING,    // HELLO is out
    SUBSCRIBING, // SUBSCRIBE is out
    UP,
    STATE_COUNT
};

// What the last received message still has to give.
enum present_kind {
    NOTHING,
    DELIVERING, // left entries at rest
    ANSWERING,  // the next left records of request, with err
};

struct present {
    enum present_kind kind;
    uint32_t left;
    struct bytes rest;           // borrowed from the message
    struct bus_request *request; // borrowed from requests
    uint64_t offset;             // of the next record answered
    enum err err;
};

struct bus_session {
    // What was asked for.
    char *member; // owned
    char *group;  // owned; NULL: publishes only
    char *topics[WIRE_TOPICS_MAX];
    uint16_t topics_count;
    bool from_latest;
    bool without_acks;
    uint32_t retries_max;
    uint32_t credit;
    uint32_t heartbeat_asked_ms;

    enum state state;
    uint64_t connection;  // counts connections; wanted unless CLOSED
    uint64_t incarnation; // of the last HELLO
    uint64_t jitter;      // state of the random numbers
    uint32_t heartbeat_ms;
    int64_t opened_ms; // when the present or last connection began
    int64_t up_ms;     // when it became UP; 0: never
    int64_t heard_ms;  // last message from the broker
    int64_t said_ms;   // last message to it
    int64_t retry_ms;
    int64_t backoff_ms;

    struct bus_requests requests;
    struct buf acks; // gathering
    uint32_t acks_count;
    bool credit_changed;
    struct bus_out out;

    struct present present;
    bool connected; // BUS_CONNECTED is to be given
    bool lost;      // BUS_LOST is to be given, before it
    char *lost_why; // owned; NULL until the first
    char *detail;   // owned; of the last ERROR
    bool leaving;   // BYE was said
    bool left;      // and answered, or there is nobody to answer
};

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
    const bool was_up = self->state == UP;
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

// Ends the session; why is taken over. told: the owner hears of it though the
// session never was up.
static void lose(struct bus_session *self, int64_t now_ms, char *why, bool told)
{
    if (self->state == CLOSED) {
        free(why);
        return;
    }
    retry_plan(self, now_ms);
    self->lost = self->lost || told || self->state == UP;
    session_clear(self);
    free(self->lost_why);
    self->lost_why = why;
    self->state = CLOSED;
    self->left = self->leaving;
}

// --- sending

static void say(struct bus_session *self, enum wire_type type)
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

static void say_subscribe(struct bus_session *self)
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

static void say_publish(struct bus_session *self, const struct bus_request *request)
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
    if (self->state != UP) {
        return;
    }
    say_publish(self, bus_requests_seal(&self->requests));
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
    const struct bus_request *request = self->out.first->request;
    bus_out_pop(&self->out);
    self->said_ms = now_ms;
    if (request != NULL && self->without_acks) {
        // Nobody will answer: that it was sent is all there is to know.
        struct bus_request *sent = bus_requests_find(&self->requests, request->number);
        bus_requests_answer(&self->requests, sent, sent->count);
    }
}

// --- time

static int64_t patience_ms(const struct bus_session *self)
{
    if (self->state == UP) {
        return (int64_t)self->heartbeat_ms * WIRE_MISSES_MAX;
    }
    const int64_t asked = (int64_t)self->heartbeat_asked_ms * WIRE_MISSES_MAX;
    return asked > BUS_GREETING_MIN_MS ? asked : BUS_GREETING_MIN_MS;
}

static void connection_begin(struct bus_session *self, int64_t now_ms, int64_t wall_us)
{
    self->state = GREETING;
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
    if (self->state == CLOSED) {
        if (now_ms >= self->retry_ms) {
            connection_begin(self, now_ms, wall_us);
        }
        return;
    }
    const int64_t silence_ms = now_ms - self->heard_ms;
    if (silence_ms >= patience_ms(self)) {
        lose(self,
             now_ms,
             mem_format("the broker was silent for %lld ms", (long long)silence_ms),
             false);
    } else if (self->out.count > BUS_OUT_MAX) {
        lose(self, now_ms, mem_strdup("the broker takes nothing"), false);
    } else if (self->state == UP && self->out.count == 0 &&
               now_ms - self->said_ms >= (int64_t)self->heartbeat_ms) {
        say(self, WIRE_PING);
    }
}

int64_t bus_session_due_ms(const struct bus_session *self)
{
    if (self->leaving) {
        return INT64_MAX;
    }
    if (self->state == CLOSED) {
        return self->retry_ms;
    }
    const int64_t silence_ms = self->heard_ms + patience_ms(self);
    const int64_t ping_ms = self->said_ms + (int64_t)self->heartbeat_ms;
    return self->state == UP && self->out.count == 0 && ping_ms < silence_ms ? ping_ms : silence_ms;
}

uint64_t bus_session_connection(const struct bus_session *self)
{
    return self->state == CLOSED ? 0 : self->connection;
}

// --- receiving

static void come_up(struct bus_session *self, int64_t now_ms)
{
    self->state = UP;
    self->up_ms = now_ms;
    self->connected = true;
    if (self->credit_changed) {
        bus_session_flush(self); // changed since SUBSCRIBE went out
    }
}

static void on_welcome(struct bus_session *self, const struct wire_control *control, int64_t now_ms)
{
    self->heartbeat_ms = control->heartbeat_ms;
    if (self->group == NULL) {
        come_up(self, now_ms);
        return;
    }
    self->state = SUBSCRIBING;
    say_subscribe(self);
}

static void on_published(struct bus_session *self, const struct wire_control *control,
                         int64_t now_ms)
{
    struct bus_request *request = bus_requests_find(&self->requests, control->request);
    if (request == NULL || control->count > request->count - request->answered) {
        lose(self, now_ms, mem_strdup("the broker answered what was not asked"), false);
        return;
    }
    self->present = (struct present){.kind = ANSWERING,
                                     .left = control->count,
                                     .request = request,
                                     .offset = control->offset,
                                     .err = ERR_OK};
}

// What the codes of ERROR mean for a request; what is not listed may pass.
static const struct code {
    const char *code;
    bool ends_session;
    enum err err;
} codes[] = {
    {WIRE_CODE_NO_SESSION, true, ERR_FULL},
    {WIRE_CODE_STALE, true, ERR_FULL},
    {WIRE_CODE_EVICTED, true, ERR_FULL},
    {WIRE_CODE_MALFORMED, false, ERR_INVALID},
    {WIRE_CODE_FORBIDDEN, false, ERR_INVALID},
    {WIRE_CODE_TOO_LARGE, false, ERR_TOO_LARGE},
    {WIRE_CODE_CORRUPT, false, ERR_CORRUPT},
    {WIRE_CODE_DISK_FULL, false, ERR_FULL},
    {WIRE_CODE_LIMIT, false, ERR_FULL},
};

static struct code code_of(struct bytes text)
{
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (bytes_equal_text(text, codes[i].code)) {
            return codes[i];
        }
    }
    return (struct code){.err = ERR_FULL};
}

static char *error_text(const struct wire_control *control)
{
    return mem_format("%.*s: %.*s",
                      (int)control->code.size,
                      (const char *)control->code.data,
                      (int)control->detail.size,
                      (const char *)control->detail.data);
}

static void on_error(struct bus_session *self, const struct wire_control *control, int64_t now_ms)
{
    const struct code code = code_of(control->code);
    if (code.ends_session || control->request == 0) {
        lose(self, now_ms, error_text(control), true);
        return;
    }
    struct bus_request *request = bus_requests_find(&self->requests, control->request);
    if (request == NULL) {
        return; // sent without acks
    }
    if (control->index != WIRE_INDEX_NONE) {
        if (control->index < request->answered || control->index >= request->count) {
            lose(self, now_ms, mem_strdup("the broker refused a record that is not there"), false);
            return;
        }
        // One bad record must not hold back the others of its batch.
        say_publish(self, bus_requests_split(&self->requests, request, control->index));
    }
    free(self->detail);
    self->detail = error_text(control);
    self->present = (struct present){.kind = ANSWERING,
                                     .left = request->count - request->answered,
                                     .request = request,
                                     .err = code.err};
}

// Acts on a message; false: it must not come in this state.
static bool act(struct bus_session *self, const struct wire_control *control, struct bytes batch,
                int64_t now_ms)
{
    switch (control->type) {
    case WIRE_WELCOME:
        if (self->state != GREETING) {
            return false;
        }
        on_welcome(self, control, now_ms);
        return true;
    case WIRE_SUBSCRIBED:
        if (self->state != SUBSCRIBING) {
            return false;
        }
        come_up(self, now_ms);
        return true;
    case WIRE_PUBLISHED:
        if (self->state != UP) {
            return false;
        }
        on_published(self, control, now_ms);
        return true;
    case WIRE_DELIVER:
        if (self->state != UP || self->group == NULL) {
            return false;
        }
        self->present = (struct present){.kind = DELIVERING, .left = control->count, .rest = batch};
        return true;
    case WIRE_ERROR:
        on_error(self, control, now_ms);
        return true;
    case WIRE_PING:
        say(self, WIRE_PONG);
        return true;
    case WIRE_PONG:
        return true; // that it came is all it says
    case WIRE_BYE:
        lose(self, now_ms, mem_strdup("the broker stopped"), false);
        return true;
    default:
        return false;
    }
}

void bus_session_receive(struct bus_session *self, struct bytes control, struct bytes batch,
                         size_t frames, int64_t now_ms)
{
    assert(!bus_session_has_input(self));
    if (self->state == CLOSED) {
        return;
    }
    struct wire_control parsed;
    const char *problem = NULL;
    if (wire_control_parse(control, &parsed, &problem) != ERR_OK) {
        lose(self, now_ms, mem_format("the broker sent what is no message: %s", problem), false);
        return;
    }
    self->heard_ms = now_ms;
    if (self->leaving && parsed.type != WIRE_BYE && parsed.type != WIRE_ERROR) {
        return; // nobody takes it any more
    }
    const size_t frames_expected = wire_type_has_batch(parsed.type) ? 2 : 1;
    if (frames != frames_expected || !act(self, &parsed, batch, now_ms)) {
        lose(self,
             now_ms,
             mem_format("the broker sent %s out of turn", wire_type_name(parsed.type)),
             false);
    }
}

// --- taking

bool bus_session_has_input(const struct bus_session *self)
{
    return self->lost || self->connected || self->present.kind != NOTHING;
}

static void take_answer(struct bus_session *self, struct bus_input *out)
{
    struct present *present = &self->present;
    struct bus_request *request = present->request;
    *out = (struct bus_input){.kind = present->err == ERR_OK ? BUS_PUBLISHED : BUS_REFUSED,
                              .tag = request->tags[request->answered],
                              .offset = present->offset,
                              .err = present->err,
                              .detail = present->err == ERR_OK ? NULL : self->detail};
    bus_requests_answer(&self->requests, request, 1);
    present->offset++;
    present->left--;
    if (present->left == 0) {
        *present = (struct present){0};
    }
}

// Gives the next entry of a DELIVER; false: there is none any more, or the
// message proved bad and the session is lost.
static bool take_delivery(struct bus_session *self, struct bus_input *out, int64_t now_ms)
{
    struct present *present = &self->present;
    while (present->left > 0) {
        struct wire_delivered delivered;
        const enum err err = wire_delivered_take(&present->rest, &delivered);
        if (err == ERR_INVALID) {
            break;
        }
        present->left--;
        if (err == ERR_CORRUPT) {
            bus_session_reject(
                self, delivered.offset, delivered.attempt, "its CRC was wrong at the consumer");
            continue;
        }
        *out = (struct bus_input){.kind = BUS_DELIVERY,
                                  .delivery = {.offset = delivered.offset,
                                               .time_us = delivered.time_us,
                                               .attempt = delivered.attempt,
                                               .topic = delivered.record.topic,
                                               .key = delivered.record.key,
                                               .id = delivered.record.id,
                                               .body = delivered.record.body}};
        if (present->left == 0 && present->rest.size == 0) {
            *present = (struct present){0};
        }
        return true;
    }
    const bool whole = present->left == 0 && present->rest.size == 0;
    *present = (struct present){0};
    if (!whole) {
        lose(self, now_ms, mem_strdup("the broker sent deliveries that are none"), false);
    }
    return false;
}

static bool take_one(struct bus_session *self, struct bus_input *out, int64_t now_ms)
{
    if (self->lost) {
        self->lost = false;
        *out = (struct bus_input){.kind = BUS_LOST, .detail = self->lost_why};
        return true;
    }
    if (self->connected) {
        self->connected = false;
        *out = (struct bus_input){.kind = BUS_CONNECTED};
        return true;
    }
    switch (self->present.kind) {
    case ANSWERING:
        take_answer(self, out);
        return true;
    case DELIVERING:
        return take_delivery(self, out, now_ms) || (self->lost && take_one(self, out, now_ms));
    case NOTHING:
        break;
    }
    return false;
}

size_t bus_session_take(struct bus_session *self, struct bus_input *inputs, size_t max,
                        int64_t now_ms)
{
    size_t count = 0;
    while (count < max && take_one(self, &inputs[count], now_ms)) {
        count++;
    }
    return count;
}

// --- what the owner says

enum err bus_session_publish(struct bus_session *self, uint64_t tag, const struct record *record)
{
    if (self->state != UP || self->leaving) {
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
        say_publish(self, bus_requests_seal(&self->requests));
    }
    return bus_requests_add(&self->requests, tag, record);
}

void bus_session_ack(struct bus_session *self, uint64_t offset, uint32_t attempt)
{
    if (self->state != UP || attempt == 0) {
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
    if (self->state != UP || attempt == 0) {
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
    if (self->state != UP || attempt == 0) {
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
    if (self->state == UP) {
        say(self, WIRE_BYE);
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
    return self->state == UP;
}

size_t bus_session_in_flight(const struct bus_session *self)
{
    return self->requests.tags_count;
}
