#include "common/bus_session.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"

// --- messages

static void queue_push(struct bus_queue *queue, struct bus_message *message)
{
    message->next = NULL;
    *(queue->end == NULL ? &queue->first : queue->end) = message;
    queue->end = &message->next;
    queue->count++;
}

// Answers come nearly in the order of the requests: it is near the front.
static struct bus_message **queue_find(struct bus_queue *queue, uint64_t request)
{
    struct bus_message **at = &queue->first;
    while (*at != NULL && (*at)->request != request) {
        at = &(*at)->next;
    }
    return at;
}

static struct bus_message *queue_take(struct bus_queue *queue, struct bus_message **at)
{
    struct bus_message *message = *at;
    assert(message != NULL);
    *at = message->next;
    if (*at == NULL) {
        queue->end = at;
    }
    queue->count--;
    return message;
}

static void message_free(struct bus_message *message)
{
    buf_release(&message->control);
    buf_release(&message->batch);
    buf_release(&message->tags);
    free(message);
}

static void queue_clear(struct bus_queue *queue)
{
    while (queue->first != NULL) {
        message_free(queue_take(queue, &queue->first));
    }
}

// --- life

enum err bus_session_new(struct bus_session **out, const struct bus_options *options, uint64_t seed,
                         const char **problem)
{
    *out = NULL;
    const uint32_t credit = options->credit == 0 ? BUS_CREDIT_DEFAULT : options->credit;
    const uint32_t heartbeat_ms =
        options->heartbeat_ms == 0 ? BUS_HEARTBEAT_DEFAULT_MS : options->heartbeat_ms;
    const struct wire_control hello = {.type = WIRE_HELLO,
                                       .member = bytes_of_text(options->member),
                                       .incarnation = 1,
                                       .heartbeat_ms = heartbeat_ms};
    struct wire_control subscribe = {.type = options->group == NULL ? WIRE_CREDIT : WIRE_SUBSCRIBE,
                                     .group = bytes_of_text(options->group),
                                     .offset_reset = options->from_latest,
                                     .order = options->unordered,
                                     .retries_max = options->retries_max,
                                     .credit = credit};
    const bool fits = options->topics_count <= WIRE_TOPICS_MAX;
    subscribe.topics_count = fits ? (uint16_t)options->topics_count : UINT16_MAX;
    for (size_t i = 0; fits && i < options->topics_count; i++) {
        subscribe.topics[i] = bytes_of_text(options->topics[i]);
    }
    *problem = wire_control_problem(&hello);
    if (*problem == NULL) {
        *problem = wire_control_problem(&subscribe);
    }
    if (*problem != NULL) {
        return ERR_INVALID;
    }
    struct bus_session *self = mem_calloc(1, sizeof *self);
    snprintf(self->member, sizeof self->member, "%s", options->member);
    if (options->group != NULL) {
        wire_control_append(&self->subscribe, &subscribe);
    }
    self->subscribe_credit = credit;
    self->credit = credit;
    self->heartbeat_asked_ms = heartbeat_ms;
    self->without_acks = options->without_acks;
    self->jitter = seed | 1; // xorshift stays at 0 for ever
    self->backoff_ms = BUS_BACKOFF_MIN_MS;
    *out = self;
    return ERR_OK;
}

// Forgets all that belongs to one session.
static void session_clear(struct bus_session *self)
{
    queue_clear(&self->out);
    queue_clear(&self->unanswered);
    self->run.count = 0;
    buf_clear(&self->acks);
    buf_clear(&self->records);
    buf_clear(&self->tags);
    self->in_flight = 0;
    self->in_flight_bytes = 0;
    self->left_count = 0;
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
    buf_release(&self->records);
    buf_release(&self->tags);
    buf_release(&self->subscribe);
    free(self);
    *self_p = NULL;
}

// Ends the session. Of one that never was up the owner does not hear. A greeting
// that nobody answered has waited already: its pause counts from its beginning.
__attribute__((format(printf, 3, 4))) static void lose(struct bus_session *self, int64_t now_ms,
                                                       const char *why, ...)
{
    const bool was_up = self->state == SESSION_UP;
    if (was_up && now_ms - self->since_ms >= BUS_BACKOFF_MAX_MS) {
        self->backoff_ms = BUS_BACKOFF_MIN_MS;
    }
    self->jitter ^= self->jitter << 13; // Marsaglia's xorshift64
    self->jitter ^= self->jitter >> 7;
    self->jitter ^= self->jitter << 17;
    const int64_t half = self->backoff_ms / 2;
    self->retry_ms =
        (was_up ? now_ms : self->since_ms) + half + (int64_t)(self->jitter % (uint64_t)(half + 1));
    self->backoff_ms *= 2;
    if (self->backoff_ms > BUS_BACKOFF_MAX_MS) {
        self->backoff_ms = BUS_BACKOFF_MAX_MS;
    }
    session_clear(self);
    va_list args;
    va_start(args, why);
    vsnprintf(self->detail, sizeof self->detail, why, args);
    va_end(args);
    self->lost = self->lost || was_up;
    self->state = SESSION_CLOSED;
    self->left = self->leaving;
}

// --- sending

static struct bus_message *say(struct bus_session *self, const struct wire_control *control)
{
    struct bus_message *message = mem_calloc(1, sizeof *message);
    wire_control_append(&message->control, control);
    queue_push(&self->out, message);
    return message;
}

static void say_type(struct bus_session *self, enum wire_type type)
{
    say(self, &(struct wire_control){.type = type});
}

static uint32_t tags_count(const struct buf *tags)
{
    return (uint32_t)(tags->size / sizeof(uint64_t));
}

// Takes both buffers over.
static void say_publish(struct bus_session *self, struct buf *records, struct buf *tags)
{
    if (records->size == 0) {
        return;
    }
    struct bus_message *message =
        say(self,
            &(struct wire_control){.type = WIRE_PUBLISH,
                                   .request = ++self->requests,
                                   .acks = self->without_acks ? WIRE_ACKS_NONE : WIRE_ACKS_ALL,
                                   .count = tags_count(tags)});
    message->request = self->requests;
    message->batch = *records;
    message->tags = *tags;
    *records = (struct buf){0};
    *tags = (struct buf){0};
}

static void say_acks(struct bus_session *self)
{
    if (self->acks.size > 0) {
        const uint32_t count = (uint32_t)(self->acks.size / WIRE_ACK_SIZE);
        say(self, &(struct wire_control){.type = WIRE_ACK, .count = count})->batch = self->acks;
        self->acks = (struct buf){0};
    }
}

// The run of acks that has gathered is an entry now.
static void run_end(struct bus_session *self)
{
    if (self->run.count > 0) {
        wire_ack_append(&self->acks, self->run);
        self->run.count = 0;
    }
    if (self->acks.size == (size_t)WIRE_BATCH_MAX * WIRE_ACK_SIZE) {
        say_acks(self);
    }
}

void bus_session_flush(struct bus_session *self)
{
    if (self->state != SESSION_UP) {
        return;
    }
    say_publish(self, &self->records, &self->tags);
    run_end(self);
    say_acks(self);
    if (self->credit != self->credit_said && self->subscribe.size > 0) {
        say(self, &(struct wire_control){.type = WIRE_CREDIT, .credit = self->credit});
    }
    self->credit_said = self->credit;
}

void bus_session_sent(struct bus_session *self, int64_t now_ms)
{
    struct bus_message *message = queue_take(&self->out, &self->out.first);
    self->said_ms = now_ms;
    if (message->request != 0) {
        queue_push(&self->unanswered, message);
    } else {
        message_free(message);
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
    self->since_ms = now_ms;
    self->heard_ms = now_ms;
    self->said_ms = now_ms;
    // Higher each time, though the wall clock may stand still or go back.
    self->incarnation =
        wall_us > (int64_t)self->incarnation ? (uint64_t)wall_us : self->incarnation + 1;
    say(self,
        &(struct wire_control){.type = WIRE_HELLO,
                               .member = bytes_of_text(self->member),
                               .incarnation = self->incarnation,
                               .heartbeat_ms = self->heartbeat_asked_ms});
}

void bus_session_tick(struct bus_session *self, int64_t now_ms, int64_t wall_us)
{
    const int64_t silence_ms = now_ms - self->heard_ms;
    if (self->state == SESSION_CLOSED) {
        if (now_ms >= self->retry_ms) {
            connection_begin(self, now_ms, wall_us);
        }
    } else if (silence_ms >= patience_ms(self)) {
        lose(self, now_ms, "the broker was silent for %lld ms", (long long)silence_ms);
    } else if (self->out.count > BUS_OUT_MAX) {
        lose(self, now_ms, "the broker takes nothing");
    } else if (self->state == SESSION_UP && self->out.count == 0 &&
               now_ms - self->said_ms >= (int64_t)self->heartbeat_ms) {
        say_type(self, WIRE_PING);
    }
}

int64_t bus_session_due_ms(const struct bus_session *self)
{
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
    if (self->in_flight >= BUS_IN_FLIGHT_MAX || self->in_flight_bytes >= BUS_IN_FLIGHT_BYTES_MAX) {
        return ERR_FULL;
    }
    const size_t before = self->records.size;
    const enum err err = record_append(&self->records, record);
    if (err != ERR_OK) {
        return err;
    }
    const size_t size = self->records.size - before;
    if (self->records.size > WIRE_BATCH_BYTES_MAX || tags_count(&self->tags) == WIRE_BATCH_MAX) {
        // It begins the next batch: what is before it goes.
        struct buf next = {0};
        buf_put(&next, self->records.data + before, size);
        self->records.size = before;
        say_publish(self, &self->records, &self->tags);
        self->records = next;
    }
    buf_put_u64(&self->tags, tag);
    self->in_flight++;
    self->in_flight_bytes += size;
    return ERR_OK;
}

void bus_session_ack(struct bus_session *self, uint64_t offset, uint32_t attempt)
{
    if (self->state != SESSION_UP) {
        return;
    }
    struct wire_ack *run = &self->run;
    if (run->count == 0 || run->count == WIRE_CREDIT_MAX || run->attempt != attempt ||
        run->offset + run->count != offset) {
        run_end(self);
        *run = (struct wire_ack){.offset = offset, .attempt = attempt};
    }
    run->count++;
}

void bus_session_refuse(struct bus_session *self, enum wire_type type, uint64_t offset,
                        uint32_t attempt, int64_t delay_ms, const char *error)
{
    if (self->state != SESSION_UP) {
        return;
    }
    struct wire_control control = {.type = type, .offset = offset, .attempt = attempt};
    control.delay_ms = delay_ms < 0                    ? WIRE_DELAY_DEFAULT
                       : delay_ms < WIRE_DELAY_DEFAULT ? (uint32_t)delay_ms
                                                       : WIRE_DELAY_DEFAULT - 1;
    control.detail = bytes_of_text(error);
    if (control.detail.size > WIRE_ERROR_MAX) {
        control.detail.size = WIRE_ERROR_MAX;
    }
    say(self, &control);
}

void bus_session_bye(struct bus_session *self)
{
    bus_session_flush(self);
    self->leaving = true;
    self->left_count = 0; // no input is taken any more
    self->connected = false;
    self->lost = false;
    self->left = self->state != SESSION_UP;
    if (!self->left) {
        say_type(self, WIRE_BYE);
    }
}

// --- receiving

static void come_up(struct bus_session *self, int64_t now_ms)
{
    self->state = SESSION_UP;
    self->since_ms = now_ms;
    self->connected = true;
    bus_session_flush(self); // the credit may have changed meanwhile
}

static void on_welcome(struct bus_session *self, const struct wire_control *control, int64_t now_ms)
{
    self->heartbeat_ms = control->heartbeat_ms;
    self->credit_said = self->subscribe_credit;
    if (self->subscribe.size == 0) {
        come_up(self, now_ms);
        return;
    }
    self->state = SESSION_SUBSCRIBING;
    struct bus_message *message = mem_calloc(1, sizeof *message);
    buf_put(&message->control, self->subscribe.data, self->subscribe.size);
    queue_push(&self->out, message);
}

static void on_published(struct bus_session *self, const struct wire_control *control,
                         int64_t now_ms)
{
    struct bus_message *request = *queue_find(&self->unanswered, control->request);
    if (request == NULL || control->count > tags_count(&request->tags) - request->answered) {
        lose(self, now_ms, "the broker answered what was not asked");
        return;
    }
    self->request = request;
    self->left_count = control->count;
    self->offset = control->offset;
    self->duplicate = control->duplicate == 1;
    self->err = ERR_OK;
}

// Codes that end the session (ERR_OK), or what they mean for a request; what is not
// listed may pass.
// clang-format off
static const struct {
    const char *code;
    enum err err;
} codes[] = {
    {WIRE_CODE_NO_SESSION, ERR_OK}, {WIRE_CODE_STALE, ERR_OK}, {WIRE_CODE_EVICTED, ERR_OK},
    {WIRE_CODE_MALFORMED, ERR_INVALID}, {WIRE_CODE_FORBIDDEN, ERR_INVALID},
    {WIRE_CODE_TOO_LARGE, ERR_TOO_LARGE}, {WIRE_CODE_CORRUPT, ERR_CORRUPT},
};
// clang-format on

static enum err err_of_code(struct bytes code)
{
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (bytes_equal_text(code, codes[i].code)) {
            return codes[i].err;
        }
    }
    return ERR_FULL;
}

// One bad record must not hold back the others of its batch: they go again, as a new
// request, and the bad one is left as the last of this one.
static void say_others_again(struct bus_session *self, struct bus_message *request, uint32_t bad)
{
    struct buf records = {0};
    struct buf tags = {0};
    struct reader reader = {.rest = buf_view(&request->batch)};
    for (uint32_t i = 0; reader.rest.size > 0; i++) {
        const struct bytes record = reader_bytes(&reader, load_u32(reader.rest.data));
        if (i != bad && i >= request->answered) {
            buf_put(&records, record.data, record.size);
            buf_put(&tags, request->tags.data + i * sizeof(uint64_t), sizeof(uint64_t));
        }
    }
    request->answered = tags_count(&request->tags) - 1;
    store_u64(request->tags.data + request->answered * sizeof(uint64_t),
              load_u64(request->tags.data + bad * sizeof(uint64_t)));
    self->in_flight_bytes += records.size;
    say_publish(self, &records, &tags);
}

static void on_error(struct bus_session *self, const struct wire_control *control, int64_t now_ms)
{
    struct bus_message *request = *queue_find(&self->unanswered, control->request);
    const enum err err = err_of_code(control->code);
    const int code_size = (int)control->code.size;
    const int detail_size = (int)control->detail.size;
    const char *code = (const char *)control->code.data;
    const char *detail = (const char *)control->detail.data;
    if (err == ERR_OK || control->request == 0) {
        lose(self, now_ms, "%.*s: %.*s", code_size, code, detail_size, detail);
        self->lost = true; // told also when it never was up
        return;
    }
    if (request == NULL) {
        return; // sent without acks
    }
    if (control->index != WIRE_INDEX_NONE) {
        if (control->index < request->answered || control->index >= tags_count(&request->tags)) {
            lose(self, now_ms, "the broker refused a record that is not there");
            return;
        }
        say_others_again(self, request, control->index);
    }
    snprintf(self->detail, BUS_DETAIL_SIZE, "%.*s: %.*s", code_size, code, detail_size, detail);
    self->request = request;
    self->left_count = tags_count(&request->tags) - request->answered;
    self->offset = 0;
    self->err = err;
}

void bus_session_receive(struct bus_session *self, struct bytes control, struct bytes batch,
                         size_t frames, int64_t now_ms)
{
    assert(!bus_session_has_input(self));
    if (self->state == SESSION_CLOSED) {
        return;
    }
    struct wire_control parsed;
    const char *problem = NULL;
    if (wire_control_parse(control, &parsed, &problem) != ERR_OK) {
        lose(self, now_ms, "the broker sent what is no message: %s", problem);
        return;
    }
    self->heard_ms = now_ms;
    const enum wire_type type = parsed.type;
    const bool is_up = self->state == SESSION_UP;
    if (self->leaving && type != WIRE_BYE && type != WIRE_ERROR) {
        return; // nobody takes it any more
    }
    if (frames != (wire_type_has_batch(type) ? 2U : 1U)) {
        lose(self, now_ms, "the broker sent %s out of turn", wire_type_name(type));
    } else if (type == WIRE_WELCOME && self->state == SESSION_GREETING) {
        on_welcome(self, &parsed, now_ms);
    } else if (type == WIRE_SUBSCRIBED && self->state == SESSION_SUBSCRIBING) {
        come_up(self, now_ms);
    } else if (type == WIRE_PUBLISHED && is_up) {
        on_published(self, &parsed, now_ms);
    } else if (type == WIRE_DELIVER && is_up && self->subscribe.size > 0) {
        self->request = NULL;
        self->left_count = parsed.count;
        self->rest = batch;
    } else if (type == WIRE_ERROR) {
        on_error(self, &parsed, now_ms);
    } else if (type == WIRE_PING) {
        say_type(self, WIRE_PONG);
    } else if (type == WIRE_BYE) {
        lose(self, now_ms, "the broker stopped");
    } else if (type != WIRE_PONG) { // that one says all by coming
        lose(self, now_ms, "the broker sent %s out of turn", wire_type_name(type));
    }
}

// --- taking

// Without acks nobody answers: that a request was sent is all there is to know.
static bool has_unanswerable(const struct bus_session *self)
{
    return self->without_acks && self->unanswered.first != NULL;
}

bool bus_session_has_input(const struct bus_session *self)
{
    return self->lost || self->connected || self->left_count > 0 || has_unanswerable(self);
}

static void take_answer(struct bus_session *self, struct bus_message *request, enum err err,
                        uint64_t offset, struct bus_input *out)
{
    *out = (struct bus_input){.kind = err == ERR_OK ? BUS_PUBLISHED : BUS_REFUSED,
                              .tag = load_u64(request->tags.data + request->answered * 8),
                              .offset = offset,
                              .duplicate = err == ERR_OK && self->duplicate,
                              .err = err,
                              .detail = err == ERR_OK ? NULL : self->detail};
    self->in_flight--;
    if (++request->answered == tags_count(&request->tags)) {
        self->in_flight_bytes -= request->batch.size;
        (void)queue_take(&self->unanswered, queue_find(&self->unanswered, request->request));
        if (self->records.capacity == 0) { // its memory will do for the next batch
            self->records = request->batch;
            self->tags = request->tags;
            buf_clear(&self->records);
            buf_clear(&self->tags);
            request->batch = request->tags = (struct buf){0};
        }
        message_free(request);
    }
}

// Gives the next entry of a DELIVER. false: it was damaged and is rejected, or the
// message proved bad and the session is lost.
static bool take_delivery(struct bus_session *self, struct bus_input *out, int64_t now_ms)
{
    struct wire_delivered entry;
    const enum err err = wire_delivered_take(&self->rest, &entry);
    self->left_count--;
    if (err == ERR_INVALID || entry.attempt == 0 ||
        (self->left_count == 0 && self->rest.size > 0)) {
        lose(self, now_ms, "the broker sent deliveries that are none");
        return false;
    }
    if (err == ERR_CORRUPT) {
        const char *error = "its CRC was wrong at the consumer";
        bus_session_refuse(self, WIRE_REJECT, entry.offset, entry.attempt, -1, error);
        return false;
    }
    const struct record *record = &entry.record;
    *out = (struct bus_input){.kind = BUS_DELIVERY};
    out->delivery = (struct bus_delivery){entry.offset,
                                          entry.time_us,
                                          entry.attempt,
                                          record->topic,
                                          record->key,
                                          record->id,
                                          record->body};
    return true;
}

static bool take_one(struct bus_session *self, struct bus_input *out, int64_t now_ms)
{
    if (self->lost) {
        self->lost = false;
        *out = (struct bus_input){.kind = BUS_LOST, .detail = self->detail};
    } else if (self->connected) {
        self->connected = false;
        *out = (struct bus_input){.kind = BUS_CONNECTED};
    } else if (has_unanswerable(self)) {
        take_answer(self, self->unanswered.first, ERR_OK, 0, out);
    } else if (self->request != NULL) {
        self->left_count--;
        take_answer(self, self->request, self->err, self->offset++, out);
    } else {
        return take_delivery(self, out, now_ms);
    }
    return true;
}

size_t bus_session_take(struct bus_session *self, struct bus_input *inputs, size_t max,
                        int64_t now_ms)
{
    size_t count = 0;
    while (count < max && bus_session_has_input(self)) {
        count += take_one(self, &inputs[count], now_ms);
    }
    return count;
}
