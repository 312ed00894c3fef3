// The broker without its sockets: a script of what four peers say, of rounds, of time
// that passes, of peers that cannot be reached, of a disk that fills up and of crashes.
//
// Whatever it is told, all that it says is a message of the protocol, what it delivers
// is in the log and synced, nobody is given more than his credit, what it said is
// published is there after each crash, and is stored once.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/log.h"
#include "common/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/memory_disk.h"

enum {
    PEERS = 4,
    HELD_MAX = 4096,
    REQUESTS_MAX = 256,
    RECORDS_MAX = 8, // of one publish
    STEPS_MAX = 400,
    TURNS_MAX = 1000,
};

enum step {
    STEP_BYTES,
    STEP_FIELDS,
    STEP_HELLO,
    STEP_SUBSCRIBE,
    STEP_PUBLISH,
    STEP_PUBLISH_MORE, // twice: the most common thing
    STEP_ACK,
    STEP_ACK_ALL,
    STEP_NACK,
    STEP_REJECT,
    STEP_READ,
    STEP_CREDIT,
    STEP_ADMIN,
    STEP_TURN,
    STEP_TURN_MORE,
    STEP_PASS,
    STEP_QUEUE,
    STEP_DISK,
    STEP_CRASH,
    STEP_STOP,
    STEPS
};

// A publish, and what was said about it.
struct request {
    uint8_t ids[RECORDS_MAX];
    uint64_t offsets[RECORDS_MAX]; // of those that were answered
    uint32_t count, answered;
    bool failed;
};

struct peer {
    enum err queue; // what sending to it gives
    struct wire_ack held[HELD_MAX];
    size_t held_count;
    size_t unanswered; // of these at least so many count against its credit
    uint32_t credit;   // the most it had in this session
};

struct world {
    struct reader script;
    struct memory_disk disk;
    struct broker_options options;
    struct broker *broker;
    struct event_log_cursor *cursor; // of the broker's log
    int64_t now_us;
    uint64_t random;
    uint64_t incarnation;
    struct peer peers[PEERS];
    struct request requests[REQUESTS_MAX]; // number N is at N - 1
    uint64_t requests_count;
    bool has_known[256]; // by id: where it is said to be stored
    uint64_t known[256];
};

// --- what the broker says

static void expect_stored(struct world *self, uint64_t offset, uint8_t id)
{
    struct event_log_entry entry;
    assert(offset < event_log_next(self->broker->log));
    if (offset < event_log_first(self->broker->log)) {
        return; // retention
    }
    const enum err err = event_log_cursor_read(self->cursor, offset, &entry);
    assert(err == ERR_OK);
    (void)err;
    assert(entry.record.id.size == 1 && entry.record.id.data[0] == id);
    assert(entry.record.body.size > 0 && entry.record.body.data[0] == id);
}

// An id that the log still holds is not stored a second time.
static void expect_first(struct world *self, uint64_t offset, uint8_t id)
{
    if (self->has_known[id] && self->known[id] >= event_log_first(self->broker->log)) {
        assert(offset == self->known[id]);
    }
    self->has_known[id] = true;
    self->known[id] = offset;
}

static void hear_published(struct world *self, const struct wire_control *control)
{
    assert(control->request <= self->requests_count);
    struct request *request = &self->requests[control->request - 1];
    assert(!request->failed && control->count <= request->count - request->answered);
    for (uint32_t i = 0; i < control->count; i++) {
        request->offsets[request->answered] = control->offset + i;
        const uint8_t id = request->ids[request->answered];
        expect_stored(self, control->offset + i, id);
        expect_first(self, control->offset + i, id);
        request->answered++;
    }
}

static void hear_delivered(struct world *self, struct peer *peer, struct bytes batch,
                           uint32_t count, bool keep)
{
    struct wire_delivered delivered;
    for (; count > 0; count--) {
        const enum err err = wire_delivered_take(&batch, &delivered);
        assert(err == ERR_OK);
        (void)err;
        assert(delivered.offset < event_log_next(self->broker->log));
        assert((delivered.attempt > 0) == keep);
        if (keep && peer->held_count < HELD_MAX) {
            peer->held[peer->held_count++] =
                (struct wire_ack){.offset = delivered.offset, .attempt = delivered.attempt};
            peer->unanswered++;
        }
    }
    assert(batch.size == 0);
    // Retention may end what a member holds; then its place is free without an answer.
    assert(!keep || peer->unanswered <= peer->credit || self->options.retention_ignores_groups);
}

static void held_forget(struct peer *peer)
{
    peer->held_count = 0;
    peer->unanswered = 0;
}

static void hear_error(struct world *self, struct peer *peer, const struct wire_control *control)
{
    if (control->request > 0 && control->request <= self->requests_count) {
        struct request *request = &self->requests[control->request - 1];
        request->failed = request->answered == 0;
    }
    if (bytes_equal_text(control->code, WIRE_CODE_NO_SESSION) ||
        bytes_equal_text(control->code, WIRE_CODE_EVICTED)) {
        held_forget(peer);
    }
}

static enum err world_send(void *context, struct bytes name, struct bytes frame, struct bytes batch)
{
    struct world *self = context;
    assert(name.size == 1 && name.data[0] < PEERS);
    struct peer *peer = &self->peers[name.data[0]];
    struct wire_control control = {0};
    const char *problem = NULL;
    const enum err err = wire_control_parse(frame, &control, &problem);
    assert(err == ERR_OK);
    (void)err;
    assert(control.type >= WIRE_WELCOME || control.type == WIRE_PING || control.type == WIRE_BYE);
    assert(wire_type_has_batch(control.type) == (batch.data != NULL));
    assert(batch.size <= WIRE_BATCH_BYTES_MAX);
    if (peer->queue != ERR_OK) {
        return peer->queue;
    }
    if (control.type == WIRE_PUBLISHED) {
        hear_published(self, &control);
    } else if (control.type == WIRE_DELIVER || control.type == WIRE_RECORDS) {
        hear_delivered(self, peer, batch, control.count, control.type == WIRE_DELIVER);
    } else if (control.type == WIRE_ERROR) {
        hear_error(self, peer, &control);
    }
    return ERR_OK;
}

static int64_t world_now_us(void *context)
{
    return ((struct world *)context)->now_us;
}

static uint64_t world_random(void *context)
{
    struct world *self = context;
    self->random = self->random * 6364136223846793005U + 1442695040888963407U;
    return self->random ^ self->random >> 29 ^ self->random << 32;
}

// --- what peers say

static void say(struct world *self, uint8_t peer, const struct wire_control *control,
                struct bytes batch)
{
    if (wire_control_problem(control) != NULL) {
        return;
    }
    struct buf frame = {0};
    wire_control_append(&frame, control);
    const struct bytes frames[] = {buf_view(&frame), batch};
    broker_receive(self->broker,
                   (struct bytes){.data = &peer, .size = 1},
                   frames,
                   wire_type_has_batch(control->type) ? 2 : 1);
    buf_release(&frame);
}

static void say_bytes(struct world *self, uint8_t peer)
{
    const size_t count = reader_u8(&self->script) % 4;
    struct bytes frames[2];
    frames[0] = reader_string(&self->script);
    frames[1] = reader_string(&self->script);
    broker_receive(self->broker, (struct bytes){.data = &peer, .size = 1}, frames, count);
}

// Any type, whether it makes sense or not, with numbers that may mean something.
static void say_fields(struct world *self, uint8_t peer)
{
    static const char *const groups[] = {"g", "h", "x"};
    struct reader *script = &self->script;
    struct wire_control control = {
        .type = reader_u8(script),
        .member = bytes_of_text("m"),
        .incarnation = reader_u8(script),
        .group = bytes_of_text(groups[reader_u8(script) % ARRAY_LEN(groups)]),
        .topics_count = 1,
        .topics = {bytes_of_text("t")},
        .request = UINT64_MAX - reader_u8(script), // nobody's
        .count = reader_u8(script),
        .offset = reader_u8(script),
        .end = reader_u8(script),
        .attempt = 1,
    };
    control.heartbeat_ms = WIRE_HEARTBEAT_MIN_MS + control.count;
    control.credit = control.count;
    const bool is_known = strcmp(wire_type_name(control.type), "unknown") != 0;
    if (is_known && control.type != WIRE_SUBSCRIBE && control.type != WIRE_CREDIT) {
        if (control.type == WIRE_HELLO || control.type == WIRE_BYE) {
            held_forget(&self->peers[peer]);
        }
        say(self, peer, &control, reader_string(script));
    }
}

static void say_hello(struct world *self, uint8_t peer)
{
    const char member[] = {'m', '-', (char)('0' + reader_u8(&self->script) % PEERS), '\0'};
    held_forget(&self->peers[peer]);
    self->peers[peer].credit = 0;
    say(self,
        peer,
        &(struct wire_control){.type = WIRE_HELLO,
                               .member = bytes_of_text(member),
                               .incarnation = ++self->incarnation,
                               .heartbeat_ms = 1000},
        (struct bytes){0});
}

static void say_subscribe(struct world *self, uint8_t peer)
{
    static const char *const topics[] = {"t", "u", "dead-letter.g"};
    const uint8_t what = reader_u8(&self->script);
    const struct wire_control control = {
        .type = WIRE_SUBSCRIBE,
        .group = bytes_of_text(what % 2 == 0 ? "g" : "h"),
        .offset_reset = what / 2 % 2,
        .order = what / 4 % 2,
        .retries_max = what / 8 % 4,
        .credit = what / 32,
        .topics_count = (uint16_t)(1 + what % 3),
        .topics = {bytes_of_text(topics[what / 2 % 3]), bytes_of_text("u"), bytes_of_text("t")},
    };
    struct peer *self_peer = &self->peers[peer];
    self_peer->credit = control.credit > self_peer->credit ? control.credit : self_peer->credit;
    for (size_t i = 0; i < PEERS; i++) { // what the group wants no more is done for all
        self->peers[i].unanswered = 0;
    }
    say(self, peer, &control, (struct bytes){0});
}

static void say_publish(struct world *self, uint8_t peer)
{
    const uint8_t what = reader_u8(&self->script);
    if (self->requests_count == REQUESTS_MAX) {
        return;
    }
    struct request *request = &self->requests[self->requests_count++];
    request->count = 1 + what % RECORDS_MAX;
    struct buf batch = {0};
    uint8_t body[200];
    for (uint32_t i = 0; i < request->count; i++) {
        const uint8_t id = reader_u8(&self->script);
        request->ids[i] = id;
        memset(body, id, sizeof body);
        const struct record record = {.topic = bytes_of_text(id % 5 == 0 ? "u" : "t"),
                                      .key = {.data = body, .size = id % 3},
                                      .id = {.data = &id, .size = 1},
                                      .body = {.data = body, .size = 1 + id % sizeof body}};
        const enum err err = record_append(&batch, &record);
        assert(err == ERR_OK);
        (void)err;
    }
    if (what == 0xff) {
        batch.data[batch.size - 1] ^= 1;
    }
    say(self,
        peer,
        &(struct wire_control){.type = WIRE_PUBLISH,
                               .request = self->requests_count,
                               .acks = what / 8 % 4 == 0 ? WIRE_ACKS_NONE : WIRE_ACKS_ALL,
                               .count = request->count},
        buf_view(&batch));
    buf_release(&batch);
}

// Takes one delivery out of what the peer holds; false: it holds none.
static bool held_take(struct world *self, struct peer *peer, struct wire_ack *out)
{
    if (peer->held_count == 0) {
        return false;
    }
    const size_t at = reader_u8(&self->script) % peer->held_count;
    *out = peer->held[at];
    peer->held[at] = peer->held[--peer->held_count];
    peer->unanswered -= peer->unanswered > 0;
    return true;
}

static void say_ack(struct world *self, uint8_t number, bool all)
{
    struct peer *peer = &self->peers[number];
    struct buf batch = {0};
    struct wire_ack ack;
    uint32_t count = 0;
    while (held_take(self, peer, &ack)) {
        ack.count = 1;
        wire_ack_append(&batch, ack);
        count++;
        if (!all) {
            break;
        }
    }
    say(self, number, &(struct wire_control){.type = WIRE_ACK, .count = count}, buf_view(&batch));
    buf_release(&batch);
}

static void say_refusal(struct world *self, uint8_t peer, enum wire_type type)
{
    struct wire_ack held;
    if (held_take(self, &self->peers[peer], &held)) {
        const struct wire_control control = {.type = type,
                                             .offset = held.offset,
                                             .attempt = held.attempt,
                                             .delay_ms = reader_u8(&self->script),
                                             .detail = reader_string(&self->script)};
        say(self, peer, &control, (struct bytes){0});
    }
}

static void say_credit(struct world *self, uint8_t number)
{
    struct peer *peer = &self->peers[number];
    const uint32_t credit = reader_u8(&self->script);
    peer->credit = credit > peer->credit ? credit : peer->credit;
    say(self,
        number,
        &(struct wire_control){.type = WIRE_CREDIT, .credit = credit},
        (struct bytes){0});
}

static void say_admin(struct world *self, uint8_t peer)
{
    static const enum wire_type types[] = {WIRE_REDRIVE, WIRE_RESET, WIRE_DELETE, WIRE_STATUS};
    const uint8_t what = reader_u8(&self->script);
    const struct wire_control control = {.type = types[what % ARRAY_LEN(types)],
                                         .request = UINT64_MAX,
                                         .group = bytes_of_text(what & 4 ? "g" : "h"),
                                         .reset_to = what / 8 % 4,
                                         .offset = reader_u8(&self->script),
                                         .end = 255};
    say(self, peer, &control, (struct bytes){0});
}

static void say_read(struct world *self, uint8_t peer)
{
    const struct wire_control control = {.type = WIRE_READ,
                                         .request = UINT64_MAX,
                                         .offset = reader_u8(&self->script),
                                         .credit = reader_u8(&self->script)};
    say(self, peer, &control, (struct bytes){0});
}

// --- the world

static void start(struct world *self)
{
    char *problem = NULL;
    const enum err err = broker_open(&self->broker, &self->options, &problem);
    assert(err == ERR_OK);
    (void)err;
    self->cursor = event_log_cursor_new(self->broker->log);
    for (uint64_t i = 0; i < self->requests_count; i++) {
        struct request *request = &self->requests[i];
        for (uint32_t r = 0; r < request->answered; r++) {
            expect_stored(self, request->offsets[r], request->ids[r]);
        }
        request->failed = request->failed || request->answered < request->count;
    }
}

static void stop(struct world *self)
{
    event_log_cursor_destroy(&self->cursor);
    broker_destroy(&self->broker);
}

static void crash(struct world *self)
{
    stop(self);
    for (size_t i = 0; i < PEERS; i++) {
        held_forget(&self->peers[i]);
        self->peers[i].credit = 0;
    }
    start(self);
}

static void turn(struct world *self)
{
    const bool all_read = reader_u8(&self->script) % 4 != 0;
    size_t turns = 0;
    while (broker_turn(self->broker, all_read)) {
        assert(++turns < TURNS_MAX);
    }
}

static void pass(struct world *self)
{
    const int64_t wait_ms = broker_deadline_ms(self->broker);
    assert(wait_ms >= 0 && wait_ms <= 60000);
    const uint8_t ms = reader_u8(&self->script);
    self->now_us += 1000 * (ms < 250 ? (int64_t)ms * 4 : ms < 254 ? wait_ms + 1 : 3600000);
}

static void peer_step(struct world *self, enum step step, uint8_t peer)
{
    static const enum err queues[] = {ERR_OK, ERR_OK, ERR_FULL, ERR_UNAVAILABLE};
    switch (step) {
    case STEP_BYTES:
        say_bytes(self, peer);
        break;
    case STEP_FIELDS:
        say_fields(self, peer);
        break;
    case STEP_HELLO:
        say_hello(self, peer);
        break;
    case STEP_SUBSCRIBE:
        say_subscribe(self, peer);
        break;
    case STEP_PUBLISH:
    case STEP_PUBLISH_MORE:
        say_publish(self, peer);
        break;
    case STEP_ACK:
    case STEP_ACK_ALL:
        say_ack(self, peer, step == STEP_ACK_ALL);
        break;
    case STEP_NACK:
    case STEP_REJECT:
        say_refusal(self, peer, step == STEP_NACK ? WIRE_NACK : WIRE_REJECT);
        break;
    case STEP_READ:
        say_read(self, peer);
        break;
    case STEP_CREDIT:
        say_credit(self, peer);
        break;
    case STEP_ADMIN:
        say_admin(self, peer);
        break;
    default: // STEP_QUEUE
        self->peers[peer].queue = queues[reader_u8(&self->script) % ARRAY_LEN(queues)];
        break;
    }
}

static void step_run(struct world *self)
{
    const uint8_t what = reader_u8(&self->script);
    const enum step step = what % STEPS;
    if (step == STEP_TURN || step == STEP_TURN_MORE) {
        turn(self);
    } else if (step == STEP_PASS) {
        pass(self);
    } else if (step == STEP_DISK) {
        const uint8_t room = reader_u8(&self->script);
        self->disk.room = room % 2 == 0 ? UINT64_MAX : room * 8U;
    } else if (step == STEP_CRASH) {
        crash(self);
    } else if (step == STEP_STOP) {
        (void)broker_stop(self->broker);
        crash(self);
    } else {
        peer_step(self, step, (uint8_t)(what / STEPS % PEERS));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)log_open("broker", "json", "error");
    struct world *self = mem_calloc(1, sizeof *self);
    *self = (struct world){.script = {.rest = {.data = data, .size = size}},
                           .now_us = 1795466400000000};
    memory_disk_init(&self->disk);
    const uint8_t flags = reader_u8(&self->script);
    self->options = (struct broker_options){
        .log = {.disk = &self->disk.disk,
                .directory = "d",
                .segment_bytes = flags % 2 == 0 ? 1024 : 4096,
                .disk_bytes_max = flags % 8 == 7 ? 4096 : 0},
        .directory = "d",
        .heartbeat_ms = 1000,
        .retention_bytes = flags & 16 ? 2048 : 0,
        .retention_hours = flags & 32 ? 1 : 0,
        .retention_ignores_groups = (flags & 64) != 0,
        .dead_letters_max = 2,
        .event_bytes_max = 128,
        .sessions_max = 3,
        .world = {.context = self,
                  .send = world_send,
                  .mono_us = world_now_us,
                  .wall_us = world_now_us,
                  .random = world_random},
    };
    start(self);
    for (size_t i = 0; i < STEPS_MAX && self->script.rest.size > 0; i++) {
        step_run(self);
    }
    self->disk.room = UINT64_MAX;
    crash(self);
    stop(self);
    memory_disk_release(&self->disk);
    free(self);
    return 0;
}
