// The integers of wire and files are little-endian, and a reader never reads past its end.
#include <criterion/criterion.h>

#include "common/bytes.h"

Test(bytes, what_a_buffer_puts_a_reader_takes)
{
    struct buf buf = {0};
    buf_put_u8(&buf, 7);
    buf_put_u16(&buf, 0x1234);
    buf_put_u32(&buf, 0xdeadbeef);
    buf_put_u64(&buf, 0x0123456789abcdef);
    buf_put_string(&buf, bytes_of_text("espresso-cup"));

    struct reader reader = {.rest = buf_view(&buf)};

    cr_expect_eq(reader_u8(&reader), 7);
    cr_expect_eq(reader_u16(&reader), 0x1234);
    cr_expect_eq(reader_u32(&reader), 0xdeadbeef);
    cr_expect_eq(reader_u64(&reader), 0x0123456789abcdef);
    cr_expect(bytes_equal_text(reader_string(&reader), "espresso-cup"));
    cr_expect_eq(reader.rest.size, 0);
    cr_expect_not(reader.failed);
    buf_release(&buf);
}

Test(bytes, a_number_takes_as_few_bytes_as_it_needs_and_is_held_to_its_limit)
{
    static const struct {
        uint64_t value;
        size_t size;
    } cases[] = {{0, 1}, {127, 1}, {128, 2}, {16383, 2}, {16384, 3}, {UINT64_MAX, 10}};
    for (size_t i = 0; i < 6; i++) {
        struct buf buf = {0};
        buf_put_number(&buf, cases[i].value);
        cr_expect_eq(buf.size, cases[i].size);
        struct reader reader = {.rest = buf_view(&buf)};
        cr_expect_eq(reader_number(&reader, cases[i].value), cases[i].value);
        cr_expect_not(reader.failed);
        cr_expect_eq(reader.rest.size, 0);
        if (cases[i].value > 0) {
            reader = (struct reader){.rest = buf_view(&buf)};
            cr_expect_eq(reader_number(&reader, cases[i].value - 1), 0);
            cr_expect(reader.failed);
        }
        buf_release(&buf);
    }
}

Test(bytes, a_number_that_is_cut_or_too_large_fails)
{
    static const char *const cases[] = {
        "",
        "\x80",
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    };
    for (size_t i = 0; i < 5; i++) {
        struct reader reader = {.rest = bytes_of_text(cases[i])};
        cr_expect_eq(reader_number(&reader, UINT64_MAX), 0, "case %zu", i);
        cr_expect(reader.failed, "case %zu", i);
    }
}

Test(bytes, integers_are_little_endian)
{
    struct buf buf = {0};
    buf_put_u32(&buf, 0x01020304);
    cr_expect_eq(buf.data[0], 4);
    cr_expect_eq(buf.data[3], 1);
    buf_release(&buf);
}

Test(bytes, a_reader_past_its_end_fails_and_gives_zeros)
{
    const uint8_t data[] = {5, 0, 'a'};
    struct reader reader = {.rest = {.data = data, .size = sizeof data}};

    const struct bytes text = reader_string(&reader);

    cr_expect(reader.failed);
    cr_expect_eq(text.size, 0);
    cr_expect_eq(reader_u32(&reader), 0);
}
