// The client's session: a script of messages from a broker that may say anything, of
// what the owner does, and of time that passes. Beside it stands what any owner relies
// on: each publish has one answer or is lost with its session, and what is said is a
// message that a client may send.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus_session.h"
#include "common/mem.h"
#include "tests/fuzz/fuzz.h"

enum {
    TAGS_MAX = 4096,
    INPUTS_MAX = 8, // of one take
    STEPS_MAX = 2000,
};

// What the script does next.
enum step {
    STEP_PASS,
    STEP_HEAR_BYTES,
    STEP_HEAR_FIELDS,
    STEP_HEAR_ANSWER,
    STEP_HEAR_DELIVERIES,
    STEP_PUBLISH,
    STEP_ANSWER,
    STEP_FLUSH,
    STEP_SEND,
    STEP_TAKE,
    STEP_CREDIT,
    STEP_BYE,
    STEPS
};

struct owner {
    struct reader script;
    struct bus_session *session;
    int64_t now_ms;
    bool is_outstanding[TAGS_MAX]; // by tag: published, not answered
    size_t outstanding;
    uint64_t tags;      // given out so far
    struct buf control; // what was heard last; the session borrows it
    struct buf batch;
    uint64_t offset; // of the last delivery
    uint32_t attempt;
};

// --- what the session says and gives

static void take(struct owner *self)
{
    struct bus_input inputs[INPUTS_MAX];
    const size_t count = bus_session_take(self->session, inputs, INPUTS_MAX, self->now_ms);
    assert(count <= INPUTS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct bus_input *input = &inputs[i];
        switch (input->kind) {
        case BUS_PUBLISHED:
        case BUS_REFUSED:
            assert((input->err == ERR_OK) == (input->kind == BUS_PUBLISHED));
            assert((input->detail == NULL) == (input->kind == BUS_PUBLISHED));
            assert(input->tag < self->tags && self->is_outstanding[input->tag]);
            self->is_outstanding[input->tag] = false;
            self->outstanding--;
            break;
        case BUS_LOST:
            assert(strlen(input->detail) < BUS_DETAIL_SIZE);
            memset(self->is_outstanding, 0, sizeof self->is_outstanding);
            self->outstanding = 0;
            break;
        case BUS_DELIVERY:
            assert(input->delivery.attempt > 0);
            assert(record_topic_is_valid(input->delivery.topic));
            self->offset = input->delivery.offset;
            self->attempt = input->delivery.attempt;
            break;
        case BUS_CONNECTED:
            break;
        }
    }
}

static void take_all(struct owner *self)
{
    while (bus_session_has_input(self->session)) {
        take(self);
    }
}

static void expect_entries(const struct wire_control *control, struct bytes batch)
{
    struct record record;
    struct wire_ack ack;
    for (uint32_t i = 0; i < control->count; i++) {
        const enum err err = control->type == WIRE_PUBLISH ? record_take(&batch, &record)
                                                           : wire_ack_take(&batch, &ack);
        assert(err == ERR_OK);
        (void)err;
    }
    assert(batch.size == 0);
}

static void send_one(struct owner *self)
{
    const struct bus_message *message = self->session->out.first;
    if (message == NULL) {
        return;
    }
    struct wire_control control;
    const char *problem = NULL;
    const enum err err = wire_control_parse(buf_view(&message->control), &control, &problem);
    assert(err == ERR_OK && wire_type_is_from_client(control.type));
    (void)err;
    assert(wire_type_has_batch(control.type) == (message->batch.size > 0));
    assert(message->batch.size <= WIRE_BATCH_BYTES_MAX);
    if (message->batch.size > 0) {
        expect_entries(&control, buf_view(&message->batch));
    }
    bus_session_sent(self->session, self->now_ms);
}

static void expect_books_balance(const struct owner *self)
{
    const struct bus_session *session = self->session;
    if (session->state == SESSION_UP && !session->leaving && !session->lost) {
        assert(session->in_flight == self->outstanding);
    }
    assert(session->in_flight > 0 || session->in_flight_bytes == 0);
    assert(session->state != SESSION_CLOSED || session->out.first == NULL);
    assert(bus_session_due_ms(session) < INT64_MAX / 2);
}

// --- what it hears

static void hear(struct owner *self, size_t frames)
{
    // Exactly as large as they are, so that what is read behind them is seen.
    self->control.data = mem_realloc(self->control.data, self->control.size);
    self->control.capacity = self->control.size;
    self->batch.data = mem_realloc(self->batch.data, self->batch.size);
    self->batch.capacity = self->batch.size;
    bus_session_receive(
        self->session, buf_view(&self->control), buf_view(&self->batch), frames, self->now_ms);
}

static void hear_control(struct owner *self, const struct wire_control *control)
{
    if (wire_control_problem(control) == NULL) {
        wire_control_append(&self->control, control);
        hear(self, wire_type_has_batch(control->type) ? 2 : 1);
    }
}

static void hear_bytes(struct owner *self)
{
    const size_t frames = 1 + reader_u8(&self->script) % 2;
    const struct bytes control = reader_string(&self->script);
    const struct bytes batch = reader_string(&self->script);
    buf_put(&self->control, control.data, control.size);
    buf_put(&self->batch, batch.data, batch.size);
    hear(self, frames);
}

// A message of any type, its numbers small: they have to mean something.
static void hear_fields(struct owner *self)
{
    struct reader *script = &self->script;
    const struct wire_control control = {
        .type = WIRE_WELCOME + reader_u8(script) % (WIRE_PONG - WIRE_WELCOME + 1),
        .heartbeat_ms = WIRE_HEARTBEAT_MIN_MS + reader_u8(script),
        .event_bytes_max = RECORD_SIZE_MAX,
        .group = bytes_of_text("g"),
        .offset = reader_u8(script),
        .request = reader_u8(script),
        .count = reader_u8(script),
        .index = reader_u8(script),
        .code = bytes_of_text("x"),
    };
    if (strcmp(wire_type_name(control.type), "unknown") != 0) {
        hear_control(self, &control);
    }
}

// An answer to one of the last requests.
static void hear_answer(struct owner *self)
{
    static const char *const codes[] = {
        WIRE_CODE_DISK_FULL, WIRE_CODE_CORRUPT, WIRE_CODE_TOO_LARGE, WIRE_CODE_NO_SESSION};
    const uint8_t what = reader_u8(&self->script);
    const uint8_t number = reader_u8(&self->script);
    const struct wire_control control = {
        .type = what % 2 == 0 ? WIRE_PUBLISHED : WIRE_ERROR,
        .request = self->session->requests - number % 4,
        .offset = what,
        .count = 1 + number / 4 % 8,
        .index = number >= 0xf0 ? WIRE_INDEX_NONE : number / 4U,
        .code = bytes_of_text(codes[what / 2 % ARRAY_LEN(codes)]),
        .detail = bytes_of_text("d"),
    };
    hear_control(self, &control);
}

static void hear_deliveries(struct owner *self)
{
    const uint8_t count = reader_u8(&self->script) % 8;
    const uint8_t damaged = reader_u8(&self->script); // which one, and how
    for (uint8_t i = 0; i < count; i++) {
        struct buf bytes = {0};
        const struct bytes body = reader_bytes(&self->script, reader_u8(&self->script) % 32);
        const struct record record = {
            .topic = bytes_of_text("t"), .id = bytes_of_text("i"), .body = body};
        const enum err err = record_append(&bytes, &record);
        assert(err == ERR_OK);
        (void)err;
        if (i == damaged % 8) {
            bytes.data[damaged % bytes.size] ^= 1;
        }
        const struct wire_delivered delivered = {.offset = self->offset + 1 + i,
                                                 .attempt = damaged == 0xff ? 0 : 1,
                                                 .record = {.whole = buf_view(&bytes)}};
        wire_delivered_append(&self->batch, &delivered);
        buf_release(&bytes);
    }
    hear_control(self, &(struct wire_control){.type = WIRE_DELIVER, .count = count});
}

// --- what its owner does

static void publish(struct owner *self)
{
    const struct bytes body = reader_bytes(&self->script, reader_u16(&self->script));
    const struct record record = {
        .topic = bytes_of_text("t"), .id = bytes_of_text("i"), .body = body};
    if (self->tags < TAGS_MAX &&
        bus_session_publish(self->session, self->tags, &record) == ERR_OK) {
        self->is_outstanding[self->tags++] = true;
        self->outstanding++;
    }
}

static void answer(struct owner *self)
{
    const uint8_t how = reader_u8(&self->script);
    const uint64_t offset = self->offset + how / 4;
    if (how % 4 < 2) {
        bus_session_ack(self->session, offset, self->attempt == 0 ? 1 : self->attempt);
    } else {
        bus_session_refuse(self->session,
                           how % 4 == 2 ? WIRE_NACK : WIRE_REJECT,
                           offset,
                           1,
                           (int64_t)how - 10,
                           how > 128 ? "no" : NULL);
    }
}

static void pass(struct owner *self)
{
    self->now_ms += reader_u16(&self->script) % 8192;
    bus_session_tick(self->session, self->now_ms, self->now_ms * 1000 - 2000000);
}

static void step_run(struct owner *self, enum step step)
{
    buf_clear(&self->control);
    switch (step) {
    case STEP_PASS:
        pass(self);
        break;
    case STEP_HEAR_BYTES:
        hear_bytes(self);
        break;
    case STEP_HEAR_FIELDS:
        hear_fields(self);
        break;
    case STEP_HEAR_ANSWER:
        hear_answer(self);
        break;
    case STEP_HEAR_DELIVERIES:
        hear_deliveries(self);
        break;
    case STEP_PUBLISH:
        publish(self);
        break;
    case STEP_ANSWER:
        answer(self);
        break;
    case STEP_FLUSH:
        bus_session_flush(self->session);
        break;
    case STEP_SEND:
        send_one(self);
        break;
    case STEP_TAKE:
        take(self);
        break;
    case STEP_CREDIT:
        self->session->credit = reader_u8(&self->script);
        break;
    default: // what goes out then is lost with the session
        bus_session_bye(self->session);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct owner *self = mem_calloc(1, sizeof *self);
    self->script = (struct reader){.rest = {.data = data, .size = size}};
    const uint8_t flags = reader_u8(&self->script);
    const char *const topics[] = {"t"};
    const struct bus_options options = {.member = "m",
                                        .group = flags % 2 == 0 ? "g" : NULL,
                                        .topics = topics,
                                        .topics_count = 1,
                                        .from_latest = (flags & 2) != 0,
                                        .without_acks = (flags & 4) != 0};
    const char *problem = NULL;
    const enum err err = bus_session_new(&self->session, &options, flags, &problem);
    assert(err == ERR_OK);
    (void)err;
    for (size_t i = 0; i < STEPS_MAX && self->script.rest.size > 0; i++) {
        const enum step step = reader_u8(&self->script) % STEPS;
        const bool hears = step >= STEP_HEAR_BYTES && step <= STEP_HEAR_DELIVERIES;
        if (hears) { // only when everything was taken, and it borrows no batch any more
            take_all(self);
            buf_clear(&self->batch);
        }
        if (step != STEP_BYE || !self->session->leaving) {
            step_run(self, step);
        }
        expect_books_balance(self);
    }
    take_all(self);
    expect_books_balance(self);
    bus_session_destroy(&self->session);
    buf_release(&self->control);
    buf_release(&self->batch);
    free(self);
    return 0;
}
