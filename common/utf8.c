#include "common/utf8.h"

size_t utf8_size(const uint8_t *data, size_t left)
{
    if (left == 0) {
        return 0;
    }
    const uint8_t first = data[0];
    const size_t size = first < 0x80                   ? 1
                        : first < 0xc2 || first > 0xf4 ? 0
                        : first < 0xe0                 ? 2
                        : first < 0xf0                 ? 3
                                                       : 4;
    for (size_t i = 1; i < size; i++) {
        if (i == left || (data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    // Overlong forms, surrogates, and what is above U+10FFFF show in the second byte.
    const int is_out = (first == 0xe0 && data[1] < 0xa0) || (first == 0xed && data[1] > 0x9f) ||
                       (first == 0xf0 && data[1] < 0x90) || (first == 0xf4 && data[1] > 0x8f);
    return is_out ? 0 : size;
}
