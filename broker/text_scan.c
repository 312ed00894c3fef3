#include "broker/text_scan.h"

#include <string.h>

enum {
    U64_DIGITS_MAX = 20
};

static void skip(struct bytes *view, size_t size)
{
    view->data += size;
    view->size -= size;
}

bool text_scan_line(struct bytes *text, struct bytes *line)
{
    const uint8_t *end = text->size == 0 ? NULL : memchr(text->data, '\n', text->size);
    if (end == NULL) {
        return false;
    }
    *line = (struct bytes){.data = text->data, .size = (size_t)(end - text->data)};
    skip(text, line->size + 1);
    return true;
}

bool text_scan_starts(struct bytes text, const char *literal)
{
    const size_t size = strlen(literal);
    return text.size >= size && memcmp(text.data, literal, size) == 0;
}

bool text_scan_literal(struct bytes *line, const char *literal)
{
    if (!text_scan_starts(*line, literal)) {
        return false;
    }
    skip(line, strlen(literal));
    return true;
}

bool text_scan_u64(struct bytes *line, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    size_t size = 0;
    while (size < line->size && line->data[size] >= '0' && line->data[size] <= '9') {
        const uint64_t digit = (uint64_t)(line->data[size] - '0');
        if (value > (max - digit) / 10 || digit > max) {
            return false;
        }
        value = value * 10 + digit;
        size++;
    }
    if (size == 0 || (size > 1 && line->data[0] == '0')) {
        return false;
    }
    skip(line, size);
    *out = value;
    return true;
}

bool text_scan_range(struct bytes *line, uint64_t max, uint64_t *first, uint64_t *last)
{
    struct bytes rest = *line;
    if (!text_scan_u64(&rest, max, first)) {
        return false;
    }
    *last = *first;
    if (text_scan_literal(&rest, "-") && (!text_scan_u64(&rest, max, last) || *last < *first)) {
        return false;
    }
    *line = rest;
    return true;
}

void text_scan_u64_put(struct buf *out, uint64_t value)
{
    // By hand: a busy group saves thousands of them ten times a second.
    uint8_t digits[U64_DIGITS_MAX];
    size_t at = sizeof digits;
    do {
        at--;
        digits[at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_put(out, &digits[at], sizeof digits - at);
}

void text_scan_range_put(struct buf *out, uint64_t first, uint64_t last)
{
    text_scan_u64_put(out, first);
    if (first != last) {
        buf_put_u8(out, '-');
        text_scan_u64_put(out, last);
    }
}
