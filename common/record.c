#include "common/record.h"

#include <assert.h>
#include <isa-l/crc.h>

enum {
    SIZE_AT = 0,
    CRC_AT = 4,
    CHECKED_AT = 8, // the CRC covers everything from here on
    TOPIC_SIZE_AT = 8,
    KEY_SIZE_AT = 10,
    ID_SIZE_AT = 12,
    HEADERS_SIZE_AT = 14,
};

uint32_t record_crc32c(uint32_t previous, const void *data, size_t size)
{
    // The library takes a pointer without const, though it only reads, and an int.
    const union {
        const void *borrowed;
        unsigned char *bytes;
    } view = {.borrowed = data};
    unsigned char *at = view.bytes;
    uint32_t state = ~previous;
    while (size > 0) {
        const int step = size > RECORD_SIZE_MAX ? RECORD_SIZE_MAX : (int)size;
        state = crc32_iscsi(at, step, state);
        at += step;
        size -= (size_t)step;
    }
    return ~state;
}

bool record_topic_is_valid(struct bytes topic)
{
    if (topic.size == 0 || topic.size > RECORD_TOPIC_MAX) {
        return false;
    }
    // A bit for each of a-z, 0-9, '.' and '-', by the character's number.
    static const uint64_t good[4] = {UINT64_C(0x03ff600000000000), UINT64_C(0x07fffffe00000000)};
    for (size_t i = 0; i < topic.size; i++) {
        if ((good[topic.data[i] / 64] >> topic.data[i] % 64 & 1) == 0) {
            return false;
        }
    }
    return true;
}

// The limits of the parts, the same for who writes and who reads.
static bool sizes_are_valid(size_t topic, size_t key, size_t id, size_t headers)
{
    return topic >= 1 && topic <= RECORD_TOPIC_MAX && key <= RECORD_KEY_MAX && id >= 1 &&
           id <= RECORD_ID_MAX && headers <= RECORD_HEADERS_MAX;
}

enum err record_append(struct buf *out, const struct record *record)
{
    assert(out != NULL);
    assert(record != NULL);
    if (!sizes_are_valid(
            record->topic.size, record->key.size, record->id.size, record->headers.size) ||
        !record_topic_is_valid(record->topic)) {
        return ERR_INVALID;
    }
    if (record->body.size > RECORD_SIZE_MAX) {
        return ERR_TOO_LARGE; // before the sum below could overflow
    }
    const size_t size = RECORD_HEADER_SIZE + record->topic.size + record->key.size +
                        record->id.size + record->headers.size + record->body.size;
    if (size > RECORD_SIZE_MAX) {
        return ERR_TOO_LARGE;
    }

    const size_t start = out->size;
    buf_reserve(out, size); // once, not for each part
    buf_put_u32(out, (uint32_t)size);
    buf_put_u32(out, 0); // the CRC, below
    buf_put_u16(out, (uint16_t)record->topic.size);
    buf_put_u16(out, (uint16_t)record->key.size);
    buf_put_u16(out, (uint16_t)record->id.size);
    buf_put_u16(out, (uint16_t)record->headers.size);
    buf_put(out, record->topic.data, record->topic.size);
    buf_put(out, record->key.data, record->key.size);
    buf_put(out, record->id.data, record->id.size);
    buf_put(out, record->headers.data, record->headers.size);
    buf_put(out, record->body.data, record->body.size);
    uint8_t *written = out->data + start;
    store_u32(written + CRC_AT, record_crc32c(0, written + CHECKED_AT, size - CHECKED_AT));
    return ERR_OK;
}

bool record_split(struct bytes *rest, struct record *out)
{
    if (rest->size < RECORD_HEADER_SIZE) {
        return false;
    }
    const uint8_t *data = rest->data;
    const size_t size = load_u32(data + SIZE_AT);
    const size_t topic_size = load_u16(data + TOPIC_SIZE_AT);
    const size_t key_size = load_u16(data + KEY_SIZE_AT);
    const size_t id_size = load_u16(data + ID_SIZE_AT);
    const size_t headers_size = load_u16(data + HEADERS_SIZE_AT);
    const size_t body_at = RECORD_HEADER_SIZE + topic_size + key_size + id_size + headers_size;
    if (size > rest->size || size > RECORD_SIZE_MAX || body_at > size ||
        !sizes_are_valid(topic_size, key_size, id_size, headers_size)) {
        return false;
    }
    const uint8_t *at = data + RECORD_HEADER_SIZE;
    out->whole = (struct bytes){.data = data, .size = size};
    out->topic = (struct bytes){.data = at, .size = topic_size};
    out->key = (struct bytes){.data = at += topic_size, .size = key_size};
    out->id = (struct bytes){.data = at += key_size, .size = id_size};
    out->headers = (struct bytes){.data = at + id_size, .size = headers_size};
    out->body = (struct bytes){.data = data + body_at, .size = size - body_at};
    *rest = (struct bytes){.data = data + size, .size = rest->size - size};
    return true;
}

enum err record_take(struct bytes *rest, struct record *out)
{
    assert(rest != NULL);
    assert(out != NULL);
    struct bytes behind = *rest;
    struct record record;
    if (!record_split(&behind, &record)) {
        return ERR_INVALID;
    }
    const struct bytes whole = record.whole;
    if (load_u32(whole.data + CRC_AT) !=
        record_crc32c(0, whole.data + CHECKED_AT, whole.size - CHECKED_AT)) {
        return ERR_CORRUPT;
    }
    // After the CRC: a damaged topic is damage, not a bad name.
    if (!record_topic_is_valid(record.topic)) {
        return ERR_INVALID;
    }
    *out = record;
    *rest = behind;
    return ERR_OK;
}
