#include "common/uuid.h"

#include <assert.h>
#include <ctype.h>
#include <czmq.h>
#include <string.h>
#include <sys/random.h>

#include "common/clock.h"

// The version 5 UUID of "urn:faultline" in the namespace of URLs (RFC 9562, 6.6).
static const uint8_t faultline_namespace[UUID_BYTES] = {
    0x93, 0x4d, 0x87, 0x54, 0x63, 0xb4, 0x51, 0xd0, 0xae, 0x18, 0x2e, 0x70, 0xc5, 0xa8, 0xbf, 0x47};

static void write_text(uint8_t id[UUID_BYTES], int version, char out[UUID_SIZE])
{
    id[6] = (uint8_t)((id[6] & 0x0f) | version << 4);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80); // the variant
    static const char hex[] = "0123456789abcdef";
    char *to = out;
    for (int i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *to++ = '-';
        }
        *to++ = hex[id[i] >> 4];
        *to++ = hex[id[i] & 0x0f];
    }
    *to = '\0';
}

void uuid_new(char out[UUID_SIZE])
{
    uint8_t id[UUID_BYTES];
    if (getrandom(id, sizeof id, 0) != (ssize_t)sizeof id) {
        abort();
    }
    // RFC 9562, 5.7: 48 bits of milliseconds, version, variant, 74 random bits.
    const uint64_t ms = (uint64_t)(clock_wall_us() / 1000);
    for (int i = 0; i < 6; i++) {
        id[i] = (uint8_t)(ms >> (40 - 8 * i));
    }
    write_text(id, 7, out);
}

// RFC 9562, 5.5: the first 16 bytes of the SHA-1 of namespace and name.
static void write_hashed(zdigest_t *digest, char out[UUID_SIZE])
{
    uint8_t id[UUID_BYTES];
    const byte *hash = zdigest_data(digest);
    assert(hash != NULL && zdigest_size(digest) >= sizeof id);
    memcpy(id, hash, sizeof id);
    write_text(id, 5, out);
}

void uuid_of_name(const uint8_t namespace[UUID_BYTES], struct bytes name, char out[UUID_SIZE])
{
    zdigest_t *digest = zdigest_new();
    zdigest_update(digest, namespace, UUID_BYTES);
    zdigest_update(digest, name.data, name.size);
    write_hashed(digest, out);
    zdigest_destroy(&digest);
}

void uuid_derive(const char *const *texts, size_t count, char out[UUID_SIZE])
{
    zdigest_t *digest = zdigest_new();
    zdigest_update(digest, faultline_namespace, UUID_BYTES);
    for (size_t i = 0; i < count; i++) {
        zdigest_update(digest, (const byte *)texts[i], strlen(texts[i]));
        zdigest_update(digest, (const byte *)"\n", 1);
    }
    write_hashed(digest, out);
    zdigest_destroy(&digest);
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
