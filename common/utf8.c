#include "common/utf8.h"

#include <stdbool.h>

static bool is_tail(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

// Only the second byte is limited further than by is_tail, by the first.
static bool second_is_valid(uint8_t first, uint8_t second)
{
    switch (first) {
    case 0xe0:
        return second >= 0xa0; // below: overlong
    case 0xed:
        return second <= 0x9f; // above: a surrogate
    case 0xf0:
        return second >= 0x90; // below: overlong
    case 0xf4:
        return second <= 0x8f; // above: past U+10FFFF
    default:
        return true;
    }
}

size_t utf8_size(const uint8_t *data, size_t left)
{
    if (left == 0) {
        return 0;
    }
    const uint8_t first = data[0];
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4) {
        return 0;
    }
    const size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (left < size || !second_is_valid(first, data[1])) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if (!is_tail(data[i])) {
            return 0;
        }
    }
    return size;
}
