#include "common/bytes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum {
    BUF_CAPACITY_MIN = 256
};

struct bytes bytes_of_text(const char *text)
{
    return (struct bytes){.data = (const uint8_t *)text, .size = text == NULL ? 0 : strlen(text)};
}

bool bytes_equal_text(struct bytes bytes, const char *text)
{
    return bytes.size == strlen(text) &&
           (bytes.size == 0 || memcmp(bytes.data, text, bytes.size) == 0);
}

uint8_t *buf_reserve(struct buf *buf, size_t size)
{
    if (buf->capacity - buf->size < size) {
        size_t capacity = buf->capacity < BUF_CAPACITY_MIN ? BUF_CAPACITY_MIN : buf->capacity;
        while (capacity - buf->size < size) {
            assert(capacity <= SIZE_MAX / 2);
            capacity *= 2;
        }
        buf->data = mem_realloc(buf->data, capacity);
        buf->capacity = capacity;
    }
    return buf->data + buf->size;
}

void buf_put(struct buf *buf, const void *data, size_t size)
{
    if (size == 0) {
        return;
    }
    memcpy(buf_reserve(buf, size), data, size);
    buf->size += size;
}

void buf_put_u8(struct buf *buf, uint8_t value)
{
    buf_put(buf, &value, sizeof value);
}

void buf_put_u16(struct buf *buf, uint16_t value)
{
    store_u16(buf_reserve(buf, sizeof value), value);
    buf->size += sizeof value;
}

void buf_put_u32(struct buf *buf, uint32_t value)
{
    store_u32(buf_reserve(buf, sizeof value), value);
    buf->size += sizeof value;
}

void buf_put_u64(struct buf *buf, uint64_t value)
{
    store_u64(buf_reserve(buf, sizeof value), value);
    buf->size += sizeof value;
}

void buf_put_number(struct buf *buf, uint64_t value)
{
    for (; value > 0x7f; value >>= 7) {
        buf_put_u8(buf, (uint8_t)(value | 0x80));
    }
    buf_put_u8(buf, (uint8_t)value);
}

void buf_put_string(struct buf *buf, struct bytes text)
{
    assert(text.size <= UINT16_MAX);
    buf_put_u16(buf, (uint16_t)text.size);
    buf_put(buf, text.data, text.size);
}

void buf_put_text(struct buf *buf, const char *text)
{
    buf_put(buf, text, strlen(text));
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    assert(size >= 0);
    vsnprintf((char *)buf_reserve(buf, (size_t)size + 1), (size_t)size + 1, format, again);
    va_end(again);
    buf->size += (size_t)size;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(buf, format, args);
    va_end(args);
}

struct bytes buf_view(const struct buf *buf)
{
    return (struct bytes){.data = buf->data, .size = buf->size};
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
}

void buf_release(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

struct bytes reader_bytes(struct reader *reader, size_t size)
{
    if (reader->failed || reader->rest.size < size) {
        reader->failed = true;
        return (struct bytes){0};
    }
    const struct bytes field = {.data = reader->rest.data, .size = size};
    reader->rest.data += size;
    reader->rest.size -= size;
    return field;
}

uint8_t reader_u8(struct reader *reader)
{
    const struct bytes field = reader_bytes(reader, sizeof(uint8_t));
    return reader->failed ? 0 : field.data[0];
}

uint16_t reader_u16(struct reader *reader)
{
    const struct bytes field = reader_bytes(reader, sizeof(uint16_t));
    return reader->failed ? 0 : load_u16(field.data);
}

uint32_t reader_u32(struct reader *reader)
{
    const struct bytes field = reader_bytes(reader, sizeof(uint32_t));
    return reader->failed ? 0 : load_u32(field.data);
}

uint64_t reader_u64(struct reader *reader)
{
    const struct bytes field = reader_bytes(reader, sizeof(uint64_t));
    return reader->failed ? 0 : load_u64(field.data);
}

uint64_t reader_number(struct reader *reader, uint64_t max)
{
    uint64_t value = 0;
    uint8_t byte = 0x80;
    for (unsigned shift = 0; byte > 0x7f; shift += 7) {
        byte = reader_u8(reader); // 0 past the end
        const uint64_t bits = byte & 0x7f;
        reader->failed = reader->failed || shift > 63 || bits > UINT64_MAX >> shift;
        value |= reader->failed ? 0 : bits << shift;
    }
    reader->failed = reader->failed || value > max;
    return reader->failed ? 0 : value;
}

struct bytes reader_string(struct reader *reader)
{
    return reader_bytes(reader, reader_u16(reader));
}

// Written with shifts, so that any byte order and alignment will do; compilers
// turn each into one load or store.
uint16_t load_u16(const uint8_t *data)
{
    return (uint16_t)(data[0] | data[1] << 8);
}

uint32_t load_u32(const uint8_t *data)
{
    return (uint32_t)load_u16(data) | (uint32_t)load_u16(data + 2) << 16;
}

uint64_t load_u64(const uint8_t *data)
{
    return (uint64_t)load_u32(data) | (uint64_t)load_u32(data + 4) << 32;
}

void store_u16(uint8_t *data, uint16_t value)
{
    data[0] = (uint8_t)value;
    data[1] = (uint8_t)(value >> 8);
}

void store_u32(uint8_t *data, uint32_t value)
{
    store_u16(data, (uint16_t)value);
    store_u16(data + 2, (uint16_t)(value >> 16));
}

void store_u64(uint8_t *data, uint64_t value)
{
    store_u32(data, (uint32_t)value);
    store_u32(data + 4, (uint32_t)(value >> 32));
}
