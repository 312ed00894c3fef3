// segment_reader - the batches of one segment file through a buffer: one read for
// many small batches, a larger buffer for a large one. Recovery and cursors use it.
#ifndef FAULTLINE_SEGMENT_READER_H
#define FAULTLINE_SEGMENT_READER_H

#include <stddef.h>
#include <stdint.h>

#include "broker/batch.h"
#include "broker/event_log_io.h"
#include "common/bytes.h"
#include "common/err.h"

enum {
    SEGMENT_READ_SIZE = 256 * 1024,
    SEGMENT_BYTES_MIN = 64,
};

// Zero, with fd -1, is a reader without a file.
struct segment_reader {
    const struct event_log_io *io; // borrowed
    int fd;                        // owned; -1: none
    uint8_t *data;                 // owned; NULL until the first read
    size_t size;
    size_t capacity;
    uint64_t at; // where in the file data begins
};

// segment_reader_open gives the reader another file, which it then owns, and
// forgets what it read. The buffer stays.
void segment_reader_open(struct segment_reader *self, const struct event_log_io *io, int fd);

// segment_reader_close closes the file and frees the buffer.
void segment_reader_close(struct segment_reader *self);

// segment_reader_batch gives the batch at position of a file that ends at limit; it
// is borrowed until the next call. ERR_CORRUPT: no whole batch with this mark lies
// there. ERR_IO: *error is the errno.
enum err segment_reader_batch(struct segment_reader *self, uint64_t position, uint64_t limit,
                              uint32_t mark, struct batch *out, int *error);

// segment_reader_bytes gives the next bytes at position: SEGMENT_BYTES_MIN or more
// while the file has them, none at limit. ERR_IO: *error is the errno.
enum err segment_reader_bytes(struct segment_reader *self, uint64_t position, uint64_t limit,
                              struct bytes *out, int *error);

#endif
