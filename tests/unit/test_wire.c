// Control frames: what one side writes the other reads, and anything else is
// refused with words that say what is wrong.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/wire.h"

static const enum wire_type types[] = {
    WIRE_HELLO,   WIRE_SUBSCRIBE, WIRE_CREDIT,  WIRE_PUBLISH,    WIRE_ACK,       WIRE_NACK,
    WIRE_REJECT,  WIRE_READ,      WIRE_BYE,     WIRE_PING,       WIRE_REDRIVE,   WIRE_RESET,
    WIRE_DELETE,  WIRE_STATUS,    WIRE_WELCOME, WIRE_SUBSCRIBED, WIRE_PUBLISHED, WIRE_DELIVER,
    WIRE_RECORDS, WIRE_ERROR,     WIRE_DONE,    WIRE_REPORT,     WIRE_PONG,
};

// Every field set to something that no other field has.
static struct wire_control sample(enum wire_type type)
{
    return (struct wire_control){
        .type = type,
        .member = bytes_of_text("payment-1"),
        .incarnation = 0x1122334455667788,
        .heartbeat_ms = 1000,
        .group = bytes_of_text("payment"),
        .offset_reset = WIRE_LATEST,
        .order = WIRE_ORDER_NONE,
        .reset_to = WIRE_RESET_TIME,
        .retries_max = 3,
        .credit = 512,
        .topics_count = 2,
        .topics = {bytes_of_text("order-created"), bytes_of_text("order-confirmed")},
        .request = 77,
        .acks = WIRE_ACKS_ALL,
        .count = 4096,
        .offset = 0x0102030405060708,
        .duplicate = 1,
        .end = 0x1112131415161718,
        .attempt = 9,
        .delay_ms = 250,
        .event_bytes_max = 65536,
        .index = 3,
        .code = bytes_of_text(WIRE_CODE_DISK_FULL),
        .detail = bytes_of_text("the disk is full"),
    };
}

static struct buf encoded(const struct wire_control *control)
{
    struct buf frame = {0};
    wire_control_append(&frame, control);
    return frame;
}

static void expect_refused(const struct buf *frame, const char *words)
{
    struct wire_control control;
    const char *problem = NULL;
    cr_expect_eq(wire_control_parse(buf_view(frame), &control, &problem), ERR_INVALID, "%s", words);
    cr_assert_not_null(problem);
    cr_expect_not_null(strstr(problem, words), "'%s' does not say '%s'", problem, words);
}

Test(wire, a_frame_of_each_type_reads_back_as_it_was_written)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const struct wire_control written = sample(types[i]);
        struct buf frame = encoded(&written);
        struct wire_control read;
        const char *problem = NULL;
        cr_assert_eq(wire_control_parse(buf_view(&frame), &read, &problem), ERR_OK, "%s", problem);
        cr_expect_null(problem);
        cr_expect_eq(read.type, types[i]);

        // The same bytes come out again: no field was lost or changed.
        struct buf again = encoded(&read);
        cr_expect_eq(again.size, frame.size);
        cr_expect_arr_eq(again.data, frame.data, frame.size);
        buf_release(&again);
        buf_release(&frame);
    }
}

Test(wire, hello_carries_member_incarnation_and_heartbeat_in_this_order)
{
    const struct wire_control control = sample(WIRE_HELLO);
    struct buf frame = encoded(&control);
    cr_assert_eq(frame.size, 2 + 2 + 9 + 8 + 4);
    cr_expect_arr_eq(
        frame.data, "\2\1\x9\0payment-1\x88\x77\x66\x55\x44\x33\x22\x11\xe8\3\0\0", 25);
    buf_release(&frame);
}

Test(wire, reset_carries_request_group_where_and_offset_in_this_order)
{
    const struct wire_control control = sample(WIRE_RESET);
    struct buf frame = encoded(&control);
    cr_assert_eq(frame.size, 2 + 8 + 2 + 7 + 1 + 8);
    cr_expect_arr_eq(frame.data, "\2\x0c\x4d\0\0\0\0\0\0\0\7\0payment\3\x08\7\6\5\4\3\2\1", 28);
    buf_release(&frame);
}

Test(wire, subscribe_reads_back_its_topics)
{
    const struct wire_control control = sample(WIRE_SUBSCRIBE);
    struct buf frame = encoded(&control);
    struct wire_control read;
    const char *problem = NULL;
    cr_assert_eq(wire_control_parse(buf_view(&frame), &read, &problem), ERR_OK);
    cr_expect(bytes_equal_text(read.group, "payment"));
    cr_expect_eq(read.offset_reset, WIRE_LATEST);
    cr_expect_eq(read.retries_max, 3);
    cr_expect_eq(read.credit, 512);
    cr_assert_eq(read.topics_count, 2);
    cr_expect(bytes_equal_text(read.topics[0], "order-created"));
    cr_expect(bytes_equal_text(read.topics[1], "order-confirmed"));
    buf_release(&frame);
}

Test(wire, every_truncation_of_every_frame_is_refused)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const struct wire_control control = sample(types[i]);
        struct buf frame = encoded(&control);
        for (size_t size = 0; size < frame.size; size++) {
            uint8_t *copy = mem_alloc(size);
            memcpy(copy, frame.data, size);
            struct wire_control read;
            const char *problem = NULL;
            const struct bytes cut = {.data = copy, .size = size};
            cr_expect_eq(wire_control_parse(cut, &read, &problem),
                         ERR_INVALID,
                         "%s cut to %zu",
                         wire_type_name(types[i]),
                         size);
            cr_expect_not_null(problem);
            free(copy);
        }
        buf_release(&frame);
    }
}

Test(wire, a_byte_left_over_is_refused_in_every_type)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const struct wire_control control = sample(types[i]);
        struct buf frame = encoded(&control);
        buf_put_u8(&frame, 0);
        expect_refused(&frame, "left over");
        buf_release(&frame);
    }
}

Test(wire, another_version_or_an_unknown_type_is_refused)
{
    const struct wire_control control = sample(WIRE_PING);
    struct buf frame = encoded(&control);
    frame.data[0] = WIRE_VERSION + 1;
    expect_refused(&frame, "version");
    frame.data[0] = WIRE_VERSION;
    for (unsigned type = 0; type < 256; type++) {
        frame.data[1] = (uint8_t)type;
        if (wire_type_name((enum wire_type)type)[0] == 'u') {
            expect_refused(&frame, "unknown");
        }
    }
    buf_release(&frame);
}

// Writes the frame, then overwrites size bytes at a place in it.
static void expect_refused_with(enum wire_type type, size_t at, uint64_t value, size_t size,
                                const char *words)
{
    const struct wire_control control = sample(type);
    struct buf frame = encoded(&control);
    cr_assert_leq(at + size, frame.size);
    for (size_t i = 0; i < size; i++) {
        frame.data[at + i] = (uint8_t)(value >> 8 * i);
    }
    expect_refused(&frame, words);
    buf_release(&frame);
}

Test(wire, a_field_out_of_its_range_is_named)
{
    expect_refused_with(WIRE_HELLO, 4, 'P', 1, "member");
    expect_refused_with(WIRE_HELLO, 13, 0, 8, "incarnation");
    expect_refused_with(WIRE_HELLO, 21, WIRE_HEARTBEAT_MIN_MS - 1, 4, "heartbeat_ms");
    expect_refused_with(WIRE_HELLO, 21, WIRE_HEARTBEAT_MAX_MS + 1, 4, "heartbeat_ms");
    expect_refused_with(WIRE_SUBSCRIBE, 4, '_', 1, "group");
    expect_refused_with(WIRE_SUBSCRIBE, 11, 2, 1, "offset_reset");
    expect_refused_with(WIRE_SUBSCRIBE, 12, 2, 1, "order");
    expect_refused_with(WIRE_SUBSCRIBE, 17, WIRE_CREDIT_MAX + 1, 4, "credit");
    expect_refused_with(WIRE_SUBSCRIBE, 21, 0, 2, "topics");
    expect_refused_with(WIRE_SUBSCRIBE, 25, ' ', 1, "topics");
    expect_refused_with(WIRE_PUBLISH, 2, 0, 8, "request");
    expect_refused_with(WIRE_PUBLISH, 10, 2, 1, "acks");
    expect_refused_with(WIRE_PUBLISH, 11, 0, 4, "count");
    expect_refused_with(WIRE_PUBLISH, 11, WIRE_BATCH_MAX + 1, 4, "count");
    expect_refused_with(WIRE_PUBLISHED, 22, 2, 1, "duplicate");
    expect_refused_with(WIRE_RECORDS, 26, WIRE_BATCH_MAX + 1, 4, "count");
    expect_refused_with(WIRE_NACK, 10, 0, 4, "attempt");
    expect_refused_with(WIRE_REJECT, 10, 0, 4, "attempt");
    expect_refused_with(WIRE_WELCOME, 6, 0, 4, "event_bytes_max");
    expect_refused_with(WIRE_WELCOME, 6, RECORD_SIZE_MAX + 1, 4, "event_bytes_max");
    expect_refused_with(WIRE_REDRIVE, 2, 0, 8, "request");
    expect_refused_with(WIRE_RESET, 12, '_', 1, "group");
    expect_refused_with(WIRE_RESET, 19, WIRE_RESET_TIME + 1, 1, "reset_to");
    expect_refused_with(WIRE_DELETE, 10, 0, 2, "group");
    expect_refused_with(WIRE_STATUS, 2, 0, 8, "request");
    expect_refused_with(WIRE_DONE, 18, WIRE_BATCH_MAX + 1, 4, "count");
    expect_refused_with(WIRE_ERROR, 14, 0, 2, "code");
}

Test(wire, more_topics_than_a_group_may_have_are_refused)
{
    struct wire_control control = sample(WIRE_SUBSCRIBE);
    control.topics_count = WIRE_TOPICS_MAX;
    for (size_t i = 0; i < WIRE_TOPICS_MAX; i++) {
        control.topics[i] = bytes_of_text("a");
    }
    struct buf frame = encoded(&control);
    struct wire_control read;
    const char *problem = NULL;
    cr_expect_eq(wire_control_parse(buf_view(&frame), &read, &problem), ERR_OK);

    store_u16(frame.data + 21, WIRE_TOPICS_MAX + 1);
    buf_put_u16(&frame, 1);
    buf_put_text(&frame, "a");
    expect_refused(&frame, "topics");
    store_u16(frame.data + 21, UINT16_MAX);
    expect_refused(&frame, "topics");
    buf_release(&frame);
}

Test(wire, a_detail_over_its_limit_is_refused)
{
    struct wire_control control = sample(WIRE_REJECT);
    char text[WIRE_ERROR_MAX + 1];
    memset(text, 'x', sizeof text);
    control.detail = (struct bytes){.data = (const uint8_t *)text, .size = WIRE_ERROR_MAX};
    struct buf frame = encoded(&control);
    struct wire_control read;
    const char *problem = NULL;
    cr_expect_eq(wire_control_parse(buf_view(&frame), &read, &problem), ERR_OK);
    store_u16(frame.data + 14, WIRE_ERROR_MAX + 1);
    buf_put_u8(&frame, 'x');
    expect_refused(&frame, "detail");
    buf_release(&frame);
}

Test(wire, a_refused_publish_still_tells_its_request)
{
    const struct wire_control control = sample(WIRE_PUBLISH);
    struct buf frame = encoded(&control);
    store_u32(frame.data + 11, 0);
    struct wire_control read;
    const char *problem = NULL;
    cr_expect_eq(wire_control_parse(buf_view(&frame), &read, &problem), ERR_INVALID);
    cr_expect_eq(read.request, 77);
    buf_release(&frame);
}

Test(wire, random_bytes_never_read_past_the_frame)
{
    uint32_t state = 1;
    for (int round = 0; round < 200000; round++) {
        uint8_t frame[64];
        for (size_t i = 0; i < sizeof frame; i++) {
            state = state * 1664525 + 1013904223;
            frame[i] = (uint8_t)(state >> 24);
        }
        frame[0] = WIRE_VERSION;
        frame[1] = (uint8_t)types[state % ARRAY_LEN(types)];
        struct wire_control read;
        const char *problem = NULL;
        const enum err err = wire_control_parse(
            (struct bytes){.data = frame, .size = state % sizeof frame}, &read, &problem);
        cr_expect_eq(err == ERR_OK, problem == NULL);
    }
}

Test(wire, types_know_their_direction_and_whether_a_batch_follows)
{
    cr_expect(wire_type_is_from_client(WIRE_PUBLISH));
    cr_expect(wire_type_is_from_client(WIRE_PING));
    cr_expect(wire_type_is_from_client(WIRE_STATUS));
    cr_expect_not(wire_type_is_from_client(WIRE_DELIVER));
    cr_expect_not(wire_type_is_from_client(WIRE_DONE));
    cr_expect_not(wire_type_is_from_client((enum wire_type)0x7f));
    cr_expect(wire_type_has_batch(WIRE_PUBLISH));
    cr_expect(wire_type_has_batch(WIRE_ACK));
    cr_expect(wire_type_has_batch(WIRE_DELIVER));
    cr_expect(wire_type_has_batch(WIRE_RECORDS));
    cr_expect(wire_type_has_batch(WIRE_REPORT));
    cr_expect_not(wire_type_has_batch(WIRE_STATUS));
    cr_expect_not(wire_type_has_batch(WIRE_HELLO));
    cr_expect_str_eq(wire_type_name(WIRE_SUBSCRIBED), "SUBSCRIBED");
    cr_expect_str_eq(wire_type_name((enum wire_type)0x7f), "unknown");
}

Test(wire, acks_read_back_and_a_cut_or_empty_one_is_refused)
{
    struct buf batch = {0};
    wire_ack_append(&batch, (struct wire_ack){.offset = 5, .count = 3, .attempt = 1});
    wire_ack_append(&batch, (struct wire_ack){.offset = UINT64_MAX - 1, .count = 1, .attempt = 2});
    cr_expect_eq(batch.size, 2 * WIRE_ACK_SIZE);

    struct bytes rest = buf_view(&batch);
    struct wire_ack ack = {0};
    cr_expect_eq(wire_ack_take(&rest, &ack), ERR_OK);
    cr_expect_eq(ack.offset, 5);
    cr_expect_eq(ack.count, 3);
    cr_expect_eq(ack.attempt, 1);
    rest.size--;
    cr_expect_eq(wire_ack_take(&rest, &ack), ERR_INVALID);
    rest.size++;
    cr_expect_eq(wire_ack_take(&rest, &ack), ERR_OK);
    cr_expect_eq(ack.offset, UINT64_MAX - 1);
    buf_release(&batch);
}

Test(wire, an_ack_of_no_delivery_or_past_the_last_offset_is_refused)
{
    static const struct wire_ack wrong[] = {
        {.offset = 5, .count = 1, .attempt = 0},
        {.offset = 5, .count = 0, .attempt = 1},
        {.offset = 5, .count = WIRE_CREDIT_MAX + 1, .attempt = 1},
        {.offset = UINT64_MAX, .count = 1, .attempt = 1},
        {.offset = UINT64_MAX - 3, .count = 4, .attempt = 1},
    };
    struct buf batch = {0};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        wire_ack_append(&batch, wrong[i]);
    }
    wire_ack_append(&batch, (struct wire_ack){.offset = 5, .count = WIRE_CREDIT_MAX, .attempt = 1});
    struct wire_ack ack = {0};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct bytes rest = {.data = batch.data + i * WIRE_ACK_SIZE, .size = WIRE_ACK_SIZE};
        cr_expect_eq(wire_ack_take(&rest, &ack), ERR_INVALID, "entry %zu", i);
        cr_expect_eq(rest.size, WIRE_ACK_SIZE);
    }
    struct bytes rest = {.data = batch.data + ARRAY_LEN(wrong) * WIRE_ACK_SIZE,
                         .size = WIRE_ACK_SIZE};
    cr_expect_eq(wire_ack_take(&rest, &ack), ERR_OK);
    buf_release(&batch);
}

static struct buf delivered_batch(void)
{
    struct buf record = {0};
    struct buf batch = {0};
    for (unsigned i = 0; i < 2; i++) {
        buf_clear(&record);
        cr_assert_eq(record_append(&record,
                                   &(struct record){.topic = bytes_of_text("order-created"),
                                                    .id = bytes_of_text(i == 0 ? "a" : "b"),
                                                    .body = bytes_of_text("{}")}),
                     ERR_OK);
        const struct wire_delivered delivered = {.offset = 40 + i,
                                                 .time_us = 1700000000000000,
                                                 .attempt = i + 1,
                                                 .record = {.whole = buf_view(&record)}};
        wire_delivered_append(&batch, &delivered);
    }
    buf_release(&record);
    return batch;
}

Test(wire, deliveries_read_back_with_their_records)
{
    struct buf batch = delivered_batch();
    struct bytes rest = buf_view(&batch);
    struct wire_delivered delivered = {0};
    cr_expect_eq(wire_delivered_take(&rest, &delivered), ERR_OK);
    cr_expect_eq(wire_delivered_take(&rest, &delivered), ERR_OK);
    cr_expect_eq(delivered.offset, 41);
    cr_expect_eq(delivered.time_us, 1700000000000000);
    cr_expect_eq(delivered.attempt, 2);
    cr_expect(bytes_equal_text(delivered.record.id, "b"));
    cr_expect_eq(rest.size, 0);
    cr_expect_eq(wire_delivered_take(&rest, &delivered), ERR_INVALID);
    buf_release(&batch);
}

Test(wire, a_damaged_delivery_names_itself_and_the_next_is_still_found)
{
    struct buf batch = delivered_batch();
    batch.data[WIRE_DELIVERED_HEADER_SIZE + RECORD_HEADER_SIZE] ^= 1;
    struct bytes rest = buf_view(&batch);
    struct wire_delivered delivered = {0};
    cr_expect_eq(wire_delivered_take(&rest, &delivered), ERR_CORRUPT);
    cr_expect_eq(delivered.offset, 40);
    cr_expect_eq(delivered.attempt, 1);
    cr_expect_eq(delivered.record.topic.size, 0);
    cr_expect_eq(delivered.record.whole.size, RECORD_HEADER_SIZE + 13 + 1 + 2);
    cr_expect_eq(wire_delivered_take(&rest, &delivered), ERR_OK);
    cr_expect_eq(delivered.offset, 41);
    buf_release(&batch);
}

Test(wire, every_truncation_of_a_delivery_is_refused)
{
    struct buf batch = delivered_batch();
    const size_t whole = batch.size / 2;
    for (size_t size = 0; size < whole; size++) {
        uint8_t *copy = mem_alloc(size);
        memcpy(copy, batch.data, size);
        struct bytes rest = {.data = copy, .size = size};
        struct wire_delivered delivered = {0};
        cr_expect_eq(wire_delivered_take(&rest, &delivered), ERR_INVALID, "cut to %zu", size);
        cr_expect_eq(rest.size, size);
        free(copy);
    }
    buf_release(&batch);
}

Test(wire, a_name_is_1_to_64_of_the_allowed_characters)
{
    char name[WIRE_NAME_MAX + 2] = {0};
    memset(name, 'n', WIRE_NAME_MAX);
    cr_expect(wire_name_is_valid(bytes_of_text(name)));
    name[WIRE_NAME_MAX] = 'n';
    cr_expect_not(wire_name_is_valid(bytes_of_text(name)));
    cr_expect_not(wire_name_is_valid(bytes_of_text("")));
    cr_expect_not(wire_name_is_valid(bytes_of_text("Payment 1")));
    cr_expect(wire_name_is_valid(bytes_of_text("payment-1.eu")));
}
