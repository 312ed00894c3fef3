#include "common/uuid.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/clock.h"

void uuid_new(char out[UUID_SIZE])
{
    uint8_t id[16];
    if (getrandom(id, sizeof id, 0) != (ssize_t)sizeof id) {
        abort();
    }
    // RFC 9562, 5.7: 48 bits of milliseconds, version, 74 random bits, variant.
    const uint64_t ms = (uint64_t)(clock_wall_us() / 1000);
    for (int i = 0; i < 6; i++) {
        id[i] = (uint8_t)(ms >> (40 - 8 * i));
    }
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x70);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);

    static const char hex[] = "0123456789abcdef";
    char *to = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *to++ = '-';
        }
        *to++ = hex[id[i] >> 4];
        *to++ = hex[id[i] & 0x0f];
    }
    *to = '\0';
}

bool uuid_is_valid(const char *text)
{
    if (strlen(text) != UUID_SIZE - 1) {
        return false;
    }
    for (int i = 0; i < UUID_SIZE - 1; i++) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        const char c = text[i];
        if (dash ? c != '-' : !(isdigit((unsigned char)c) || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return true;
}
