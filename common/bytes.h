// bytes - a borrowed view, a growing buffer, and a reader of little-endian fields.
//
// All integers of the wire and of the files are little-endian; a string is a u16
// length and that many bytes.
#ifndef FAULTLINE_BYTES_H
#define FAULTLINE_BYTES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A view of memory that somebody else owns.
struct bytes {
    const uint8_t *data; // borrowed
    size_t size;
};

// bytes_of_text views text without its NUL; NULL is empty.
struct bytes bytes_of_text(const char *text);

// bytes_equal_text tells whether bytes are exactly text.
bool bytes_equal_text(struct bytes bytes, const char *text);

// A buffer that grows; zero is an empty one. Release it with buf_release.
struct buf {
    uint8_t *data; // owned
    size_t size;
    size_t capacity;
};

// buf_reserve makes room for size more bytes and returns where they go; the
// caller adds what it wrote to buf->size.
uint8_t *buf_reserve(struct buf *buf, size_t size);

void buf_put(struct buf *buf, const void *data, size_t size);
void buf_put_u8(struct buf *buf, uint8_t value);
void buf_put_u16(struct buf *buf, uint16_t value);
void buf_put_u32(struct buf *buf, uint32_t value);
void buf_put_u64(struct buf *buf, uint64_t value);

// buf_put_number appends a number in as few bytes as it needs: seven bits in each, the
// lowest first, and the highest bit set in all but the last (LEB128).
void buf_put_number(struct buf *buf, uint64_t value);

// buf_put_string appends a string; it must fit in one.
void buf_put_string(struct buf *buf, struct bytes text);

// buf_put_text appends text without length or NUL; buf_printf and buf_vprintf what
// printf prints; a NUL that does not count stands behind it.
void buf_put_text(struct buf *buf, const char *text);
__attribute__((format(printf, 2, 0))) void buf_vprintf(struct buf *buf, const char *format,
                                                       va_list args);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *buf, const char *format, ...);

// buf_view borrows what is in the buffer, until the next change.
struct bytes buf_view(const struct buf *buf);

// buf_clear empties the buffer and keeps its memory; buf_release frees it.
void buf_clear(struct buf *buf);
void buf_release(struct buf *buf);

// A reader takes fields from a view one after another. Past the end it gives
// zeros and empty views and remembers it in failed: check once, at the end.
struct reader {
    struct bytes rest; // what is left
    bool failed;       // a field was asked for that was not there
};

uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
uint64_t reader_number(struct reader *reader, uint64_t max); // one over max is not there
struct bytes reader_bytes(struct reader *reader, size_t size);
struct bytes reader_string(struct reader *reader);

// Fields in place: data must have room for the value.
uint16_t load_u16(const uint8_t *data);
uint32_t load_u32(const uint8_t *data);
uint64_t load_u64(const uint8_t *data);
void store_u16(uint8_t *data, uint16_t value);
void store_u32(uint8_t *data, uint32_t value);
void store_u64(uint8_t *data, uint64_t value);

#endif
