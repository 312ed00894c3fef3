// A record is the same bytes at the producer, in the log and at the consumer: what
// is damaged on the way must be found, what is malformed must be refused.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/record.h"

static struct record sample(void)
{
    return (struct record){.topic = bytes_of_text("order-created"),
                           .key = bytes_of_text("7f3c"),
                           .id = bytes_of_text("0190-1"),
                           .headers = bytes_of_text("{}"),
                           .body = bytes_of_text("{\"specversion\":\"1.0\"}")};
}

static struct bytes text_of_size(struct buf *buf, size_t size)
{
    memset(buf_reserve(buf, size), 'a', size);
    buf->size = size;
    return buf_view(buf);
}

static void expect_bytes(struct bytes actual, struct bytes expected)
{
    cr_expect_eq(actual.size, expected.size);
    cr_expect_arr_eq(actual.data, expected.data, expected.size);
}

Test(record, crc32c_gives_the_check_value_of_the_standard)
{
    cr_expect_eq(record_crc32c(0, "123456789", 9), 0xe3069283);
    cr_expect_eq(record_crc32c(0, "", 0), 0);
}

Test(record, crc32c_of_parts_is_that_of_the_whole)
{
    cr_expect_eq(record_crc32c(record_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

Test(record, crc32c_takes_more_than_one_step)
{
    const size_t size = (size_t)RECORD_SIZE_MAX * 2 + 17;
    uint8_t *data = mem_calloc(size, 1);
    const uint32_t first = record_crc32c(0, data, RECORD_SIZE_MAX + 9);
    cr_expect_eq(record_crc32c(0, data, size),
                 record_crc32c(first, data + RECORD_SIZE_MAX + 9, size - RECORD_SIZE_MAX - 9));
    free(data);
}

Test(record, what_is_appended_is_taken_part_by_part)
{
    struct buf buf = {0};
    const struct record written = sample();
    cr_assert_eq(record_append(&buf, &written), ERR_OK);

    struct bytes rest = buf_view(&buf);
    struct record read = {0};
    cr_assert_eq(record_take(&rest, &read), ERR_OK);

    expect_bytes(read.topic, written.topic);
    expect_bytes(read.key, written.key);
    expect_bytes(read.id, written.id);
    expect_bytes(read.headers, written.headers);
    expect_bytes(read.body, written.body);
    expect_bytes(read.whole, buf_view(&buf));
    cr_expect_eq(rest.size, 0);
    buf_release(&buf);
}

Test(record, records_of_a_batch_are_taken_one_after_another)
{
    struct buf buf = {0};
    struct record record = sample();
    cr_assert_eq(record_append(&buf, &record), ERR_OK);
    record.id = bytes_of_text("0190-2");
    record.body = (struct bytes){0};
    cr_assert_eq(record_append(&buf, &record), ERR_OK);

    struct bytes rest = buf_view(&buf);
    struct record read = {0};
    cr_expect_eq(record_take(&rest, &read), ERR_OK);
    cr_expect(bytes_equal_text(read.id, "0190-1"));
    cr_expect_eq(record_take(&rest, &read), ERR_OK);
    cr_expect(bytes_equal_text(read.id, "0190-2"));
    cr_expect_eq(read.body.size, 0);
    cr_expect_eq(record_take(&rest, &read), ERR_INVALID);
    buf_release(&buf);
}

Test(record, the_bytes_are_those_of_the_drawing)
{
    struct buf buf = {0};
    const struct record record = {.topic = bytes_of_text("t"),
                                  .key = bytes_of_text("kk"),
                                  .id = bytes_of_text("iii"),
                                  .headers = bytes_of_text("hhhh"),
                                  .body = bytes_of_text("bbbbb")};
    cr_assert_eq(record_append(&buf, &record), ERR_OK);

    cr_assert_eq(buf.size, 16 + 1 + 2 + 3 + 4 + 5);
    cr_expect_eq(load_u32(buf.data), buf.size);
    cr_expect_eq(load_u32(buf.data + 4), record_crc32c(0, buf.data + 8, buf.size - 8));
    cr_expect_arr_eq(buf.data + 8, "\1\0\2\0\3\0\4\0tkkiiihhhhbbbbb", 23);
    buf_release(&buf);
}

Test(record, a_part_that_is_missing_or_too_long_is_refused_and_nothing_is_written)
{
    struct buf text = {0};
    struct buf out = {0};
    struct record record = sample();
    record.topic = (struct bytes){0};
    cr_expect_eq(record_append(&out, &record), ERR_INVALID);
    record = sample();
    record.id = (struct bytes){0};
    cr_expect_eq(record_append(&out, &record), ERR_INVALID);
    record = sample();
    record.topic = text_of_size(&text, RECORD_TOPIC_MAX + 1);
    cr_expect_eq(record_append(&out, &record), ERR_INVALID);
    record = sample();
    record.key = text_of_size(&text, RECORD_KEY_MAX + 1);
    cr_expect_eq(record_append(&out, &record), ERR_INVALID);
    record = sample();
    record.id = text_of_size(&text, RECORD_ID_MAX + 1);
    cr_expect_eq(record_append(&out, &record), ERR_INVALID);
    record = sample();
    record.headers = text_of_size(&text, RECORD_HEADERS_MAX + 1);
    cr_expect_eq(record_append(&out, &record), ERR_INVALID);
    cr_expect_eq(out.size, 0);
    buf_release(&text);
}

Test(record, a_topic_with_other_characters_is_refused_on_both_sides)
{
    struct buf out = {0};
    struct record record = sample();
    record.topic = bytes_of_text("Order Created");
    cr_expect_eq(record_append(&out, &record), ERR_INVALID);

    record.topic = bytes_of_text("order-created");
    cr_assert_eq(record_append(&out, &record), ERR_OK);
    out.data[RECORD_HEADER_SIZE] = 'O'; // a foreign producer, with a CRC that is right
    store_u32(out.data + 4, record_crc32c(0, out.data + 8, out.size - 8));
    struct bytes rest = buf_view(&out);
    struct record read = {0};
    cr_expect_eq(record_take(&rest, &read), ERR_INVALID);
    buf_release(&out);
}

Test(record, the_largest_record_goes_through_and_one_byte_more_does_not)
{
    struct buf text = {0};
    struct buf out = {0};
    struct record record = sample();
    const size_t others = RECORD_HEADER_SIZE + record.topic.size + record.key.size +
                          record.id.size + record.headers.size;
    record.body = text_of_size(&text, RECORD_SIZE_MAX - others);
    cr_assert_eq(record_append(&out, &record), ERR_OK);
    cr_expect_eq(out.size, RECORD_SIZE_MAX);
    struct bytes rest = buf_view(&out);
    struct record read = {0};
    cr_expect_eq(record_take(&rest, &read), ERR_OK);

    record.body.size++;
    cr_expect_eq(record_append(&out, &record), ERR_TOO_LARGE);
    record.body.size = SIZE_MAX - 8;
    cr_expect_eq(record_append(&out, &record), ERR_TOO_LARGE);
    cr_expect_eq(out.size, RECORD_SIZE_MAX);
    buf_release(&out);
    buf_release(&text);
}

Test(record, a_size_over_the_limit_is_no_record_though_the_bytes_are_there)
{
    uint8_t *data = mem_calloc(RECORD_SIZE_MAX + 64, 1);
    store_u32(data, RECORD_SIZE_MAX + 1);
    store_u16(data + 8, 1);
    store_u16(data + 12, 1);
    struct bytes rest = {.data = data, .size = RECORD_SIZE_MAX + 64};
    struct record read = {0};
    cr_expect_eq(record_take(&rest, &read), ERR_INVALID);
    free(data);
}

Test(record, every_truncation_is_found)
{
    struct buf buf = {0};
    const struct record record = sample();
    cr_assert_eq(record_append(&buf, &record), ERR_OK);
    for (size_t size = 0; size < buf.size; size++) {
        // A copy of exactly this size, so that a sanitizer sees a read past it.
        uint8_t *copy = mem_alloc(size);
        memcpy(copy, buf.data, size);
        struct bytes rest = {.data = copy, .size = size};
        struct record read = {0};
        cr_expect_eq(record_take(&rest, &read), ERR_INVALID, "cut to %zu bytes", size);
        cr_expect_eq(rest.size, size);
        free(copy);
    }
    buf_release(&buf);
}

Test(record, every_flipped_bit_is_found)
{
    struct buf buf = {0};
    const struct record record = sample();
    cr_assert_eq(record_append(&buf, &record), ERR_OK);
    cr_assert_eq(record_append(&buf, &record), ERR_OK); // so that a longer size still fits
    const size_t size = load_u32(buf.data);
    for (size_t bit = 0; bit < size * 8; bit++) {
        buf.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct bytes rest = buf_view(&buf);
        struct record read = {0};
        const enum err err = record_take(&rest, &read);
        cr_expect(err == ERR_CORRUPT || err == ERR_INVALID, "bit %zu", bit);
        cr_expect_eq(rest.size, buf.size);
        cr_expect_null(read.whole.data);
        buf.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    buf_release(&buf);
}

Test(record, damage_in_the_parts_is_called_corrupt)
{
    struct buf buf = {0};
    const struct record record = sample();
    cr_assert_eq(record_append(&buf, &record), ERR_OK);
    for (size_t at = RECORD_HEADER_SIZE; at < buf.size; at++) {
        buf.data[at] ^= 0x80;
        struct bytes rest = buf_view(&buf);
        struct record read = {0};
        cr_expect_eq(record_take(&rest, &read), ERR_CORRUPT, "byte %zu", at);
        buf.data[at] ^= 0x80;
    }
    buf_release(&buf);
}

Test(record, a_topic_is_lower_case_letters_digits_dots_and_dashes)
{
    cr_expect(record_topic_is_valid(bytes_of_text("order-created")));
    cr_expect(record_topic_is_valid(bytes_of_text("dead-letter.payment")));
    cr_expect_not(record_topic_is_valid(bytes_of_text("")));
    cr_expect_not(record_topic_is_valid(bytes_of_text("Order")));
    cr_expect_not(record_topic_is_valid(bytes_of_text("order_created")));
    cr_expect_not(
        record_topic_is_valid((struct bytes){.data = (const uint8_t *)"a\0b", .size = 3}));
    struct buf text = {0};
    cr_expect(record_topic_is_valid(text_of_size(&text, RECORD_TOPIC_MAX)));
    cr_expect_not(record_topic_is_valid(text_of_size(&text, RECORD_TOPIC_MAX + 1)));
    buf_release(&text);
}
