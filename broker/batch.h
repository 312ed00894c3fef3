// batch - what one sync of the event log writes: a header and the records of one or
// more events, as they came.
//
//    0  u32 mark        the segment's own random number, from the segment's header
//    4  u32 crc32c      of bytes 8 .. size, begun with the mark's CRC
//    8  u32 size        of the whole batch, this header included
//   12  u32 count       records, at least 1
//   16  u64 base        offset of the first record
//   24  u64 time_us     when the broker stored it, microseconds since 1970
//   32  records         one after another, each with its own size and CRC
//
// The mark stands where others have a constant: nothing that a client sends and
// nothing that the disk blocks held before can look like a batch of this segment.
#ifndef FAULTLINE_BATCH_H
#define FAULTLINE_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "broker/log_file.h"
#include "common/bytes.h"
#include "common/err.h"

enum {
    BATCH_HEADER_SIZE = 32,
    BATCH_RECORDS_MAX = 8 * 1024 * 1024,
    BATCH_SIZE_MAX = BATCH_HEADER_SIZE + BATCH_RECORDS_MAX,
};

struct batch {
    uint32_t size;
    uint32_t count;
    uint64_t base;
    uint64_t time_us;
    struct bytes records; // borrowed from the reader
};

// batch_seal writes the header into the first BATCH_HEADER_SIZE bytes of data, whose
// other bytes up to batch->size are the records.
void batch_seal(uint8_t *data, uint32_t mark, const struct batch *batch);

// A reader takes batches from one file through a buffer: one read for many small
// batches, a larger buffer for a large one. Who uses it sets the first three fields
// and, for another file, size to 0; all else begins as zero.
struct batch_reader {
    const struct log_file *file; // borrowed
    uint32_t mark;               // of its segment
    uint64_t end;                // what is read lies before this byte of the file
    uint8_t *data;               // owned; what the file holds
    size_t size;                 // so many bytes of it
    uint64_t at;                 // from here on
};

void batch_reader_release(struct batch_reader *self);

// batch_reader_bytes gives size bytes at at, borrowed until the next call; fewer at
// the end. ERR_IO: errno tells why.
enum err batch_reader_bytes(struct batch_reader *self, uint64_t at, size_t size, struct bytes *out);

// batch_reader_read gives the batch at at, borrowed until the next call. ERR_CORRUPT:
// no whole batch with this mark lies there. ERR_IO: errno tells why. Whether base is
// the expected offset is for the caller to check.
enum err batch_reader_read(struct batch_reader *self, uint64_t at, struct batch *out);

#endif
