// The file of the groups, beside a log of some events: u8 flags, u8 how many events, and
// the bytes of the file. Flag 1 puts its frame right: how it begins, and its CRC.
//
// A broker that starts with it can be used, saves what it has read, and starts with that
// again as the same; one that does not start says why and has changed nothing.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "broker/group_file.h"
#include "common/log.h"
#include "common/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/log_check.h"

enum {
    FLAG_MEND = 1,
    ROUNDS = 8,
};

struct world {
    struct memory_disk disk;
    struct broker_options options;
    struct broker *broker;
    int64_t now_us;
    struct buf acks; // of what was delivered
    uint32_t acks_count;
};

static enum err world_send(void *context, struct bytes peer, struct bytes frame, struct bytes batch)
{
    struct world *self = context;
    struct wire_control control = {0};
    const char *problem = NULL;
    const enum err err = wire_control_parse(frame, &control, &problem);
    assert(err == ERR_OK && peer.size == 1);
    (void)err;
    struct wire_delivered delivered;
    while (control.type == WIRE_DELIVER && wire_delivered_take(&batch, &delivered) == ERR_OK) {
        assert(delivered.offset < event_log_next(self->broker->log));
        const struct wire_ack ack = {delivered.offset, 1, delivered.attempt};
        wire_ack_append(&self->acks, ack);
        self->acks_count++;
    }
    return ERR_OK;
}

static int64_t world_now_us(void *context)
{
    return ((struct world *)context)->now_us;
}

static uint64_t world_random(void *context)
{
    (void)context;
    return 0x9e3779b97f4a7c15U;
}

// The log, with events of two topics and a dead letter's topic.
static void log_make(struct world *self, uint8_t count)
{
    struct log_check check = {.disk = &self->disk};
    const enum err err = log_check_open(&check);
    assert(err == ERR_OK);
    (void)err;
    for (uint8_t i = 0; i < count; i++) {
        log_check_store(&check, (struct bytes){.data = &i, .size = 1});
    }
    log_check_close(&check);
}

static void say(struct world *self, const struct wire_control *control, struct bytes batch)
{
    struct buf frame = {0};
    wire_control_append(&frame, control);
    const struct bytes frames[] = {buf_view(&frame), batch};
    broker_receive(self->broker,
                   (struct bytes){.data = (const uint8_t *)"p", .size = 1},
                   frames,
                   wire_type_has_batch(control->type) ? 2 : 1);
    buf_release(&frame);
}

// A member joins the first group and acks what it is given, for some rounds.
static void use(struct world *self)
{
    const char *name = group_name(self->broker->consumers[0]->group);
    const struct wire_control hello = {
        .type = WIRE_HELLO, .member = bytes_of_text("m"), .incarnation = 1, .heartbeat_ms = 1000};
    const struct wire_control subscribe = {.type = WIRE_SUBSCRIBE,
                                           .group = bytes_of_text(name),
                                           .retries_max = 3,
                                           .credit = 16,
                                           .topics_count = 1,
                                           .topics = {bytes_of_text("t")}};
    say(self, &hello, (struct bytes){0});
    say(self, &subscribe, (struct bytes){0});
    for (int i = 0; i < ROUNDS; i++) {
        (void)broker_turn(self->broker, true);
        struct buf acks = self->acks;
        const uint32_t count = self->acks_count;
        self->acks = (struct buf){0};
        self->acks_count = 0;
        if (count > 0) {
            say(self, &(struct wire_control){.type = WIRE_ACK, .count = count}, buf_view(&acks));
        }
        buf_release(&acks);
        self->now_us += 700000;
    }
}

static enum err start(struct world *self)
{
    char *problem = NULL;
    const enum err err = broker_open(&self->broker, &self->options, &problem);
    assert((err == ERR_OK) == (problem == NULL));
    assert(err == ERR_OK || err == ERR_CORRUPT);
    free(problem);
    return err;
}

static void start_again(struct world *self)
{
    enum err err = broker_save(self->broker);
    assert(err == ERR_OK);
    broker_destroy(&self->broker);
    err = start(self);
    assert(err == ERR_OK);
    (void)err;
}

// What is kept is the same after a further start; time stands still meanwhile. The first
// start may name the topics of which the log has nothing in another order.
static void expect_kept(struct world *self)
{
    struct buf before = {0};
    struct buf after = {0};
    start_again(self);
    broker_put_kept(self->broker, &before);
    start_again(self);
    broker_put_kept(self->broker, &after);
    assert(fuzz_is_same(buf_view(&before), buf_view(&after)));
    buf_release(&before);
    buf_release(&after);
}

static void file_put(struct world *self, uint8_t flags, struct bytes bytes)
{
    memory_disk_put(&self->disk, GROUP_FILE_NAME, bytes);
    struct buf *file = memory_disk_find(&self->disk, GROUP_FILE_NAME);
    if ((flags & FLAG_MEND) != 0 && file->size >= 12) {
        memcpy(file->data, "FLgr\3\0\0\0", 8);
        store_u32(file->data + file->size - 4, record_crc32c(0, file->data, file->size - 4));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)log_open("broker", "json", "error");
    struct world *self = mem_calloc(1, sizeof *self);
    memory_disk_init(&self->disk);
    self->now_us = 1795466400000000;
    struct reader input = {.rest = {.data = data, .size = size}};
    const uint8_t flags = reader_u8(&input);
    log_make(self, reader_u8(&input));
    file_put(self, flags, input.rest);
    self->options = (struct broker_options){
        .log = {.disk = &self->disk.disk,
                .directory = "log",
                .segment_bytes = LOG_CHECK_SEGMENT_BYTES},
        .directory = "log",
        .heartbeat_ms = 10000,
        .event_bytes_max = 128,
        .world = {.context = self,
                  .send = world_send,
                  .mono_us = world_now_us,
                  .wall_us = world_now_us,
                  .random = world_random},
    };
    const uint64_t before = memory_disk_checksum(&self->disk);
    if (start(self) == ERR_OK) {
        expect_kept(self);
        if (self->broker->consumers_count > 0) {
            use(self);
            expect_kept(self);
        }
        broker_destroy(&self->broker);
    } else {
        assert(memory_disk_checksum(&self->disk) == before);
    }
    buf_release(&self->acks);
    memory_disk_release(&self->disk);
    free(self);
    return 0;
}
