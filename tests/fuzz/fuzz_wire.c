// The wire parser: a control frame and the batch behind it. u8 flags, u16 size of the
// control frame, the frame, the batch. Flag 1 puts the CRCs of the batch's records right.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/wire.h"
#include "tests/fuzz/fuzz.h"

enum {
    FLAG_MEND = 1
};

// What is accepted is within its ranges, and encoded again it is the same bytes.
static bool read_control(struct bytes frame, struct wire_control *control)
{
    const char *problem = NULL;
    memset(control, 0, sizeof *control);
    const enum err err = wire_control_parse(frame, control, &problem);
    if (err != ERR_OK) {
        assert(err == ERR_INVALID && problem != NULL && *problem != '\0');
        return false;
    }
    assert(wire_control_problem(control) == NULL);
    assert(strcmp(wire_type_name(control->type), "unknown") != 0);
    struct buf again = {0};
    wire_control_append(&again, control);
    assert(fuzz_is_same(buf_view(&again), frame));
    buf_release(&again);
    return true;
}

static void mend_batch(enum wire_type type, uint8_t *data, size_t size)
{
    const size_t before = type == WIRE_PUBLISH ? 0 : WIRE_DELIVERED_HEADER_SIZE;
    for (size_t at = before; at < size;) {
        at = fuzz_mend_record(data, size, at) + before;
    }
}

// Takes one entry off the batch and, when it is whole, writes it again into out.
static enum err take_entry(enum wire_type type, struct bytes *rest, struct buf *out)
{
    struct wire_ack ack;
    struct record record;
    struct wire_delivered delivered = {0};
    enum err err = ERR_OK;
    if (type == WIRE_ACK) {
        err = wire_ack_take(rest, &ack);
        if (err == ERR_OK) {
            wire_ack_append(out, ack);
        }
    } else if (type == WIRE_PUBLISH) {
        err = record_take(rest, &record);
        if (err == ERR_OK) {
            buf_put(out, record.whole.data, record.whole.size);
        }
    } else {
        err = wire_delivered_take(rest, &delivered);
        if (err == ERR_OK || err == ERR_CORRUPT) {
            wire_delivered_append(out, &delivered);
        }
    }
    return err;
}

// Entries are read as far as they go; each is the bytes it came from, and a bad one
// leaves the rest as it was.
static void read_batch(enum wire_type type, struct bytes batch)
{
    struct bytes rest = batch;
    struct buf again = {0};
    for (enum err err = ERR_OK; err == ERR_OK && rest.size > 0;) {
        const struct bytes before = rest;
        buf_clear(&again);
        err = take_entry(type, &rest, &again);
        assert(err == ERR_OK || err == ERR_INVALID || err == ERR_CORRUPT);
        assert(rest.data == before.data + again.size && rest.size == before.size - again.size);
        assert(fuzz_is_same(buf_view(&again),
                            (struct bytes){.data = before.data, .size = again.size}));
        assert((err == ERR_OK) == (again.size > 0) || err == ERR_CORRUPT);
        if (err == ERR_CORRUPT && type != WIRE_PUBLISH) {
            err = ERR_OK; // the next one can be found
        }
    }
    buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader input = {.rest = {.data = data, .size = size}};
    const uint8_t flags = reader_u8(&input);
    const size_t frame_size = reader_u16(&input);
    struct bytes frame = input.rest;
    frame.size = frame_size < frame.size ? frame_size : frame.size;
    struct wire_control control;
    if (!read_control(frame, &control) || !wire_type_has_batch(control.type) ||
        control.type == WIRE_REPORT) { // whose batch is JSON, for people and jq
        return 0;
    }
    // A copy of its own, so that what is read behind it is seen.
    const size_t batch_size = input.rest.size - frame.size;
    uint8_t *batch = mem_alloc(batch_size);
    memcpy(batch, frame.data + frame.size, batch_size);
    if ((flags & FLAG_MEND) != 0 && control.type != WIRE_ACK) {
        mend_batch(control.type, batch, batch_size);
    }
    read_batch(control.type, (struct bytes){.data = batch, .size = batch_size});
    free(batch);
    return 0;
}
