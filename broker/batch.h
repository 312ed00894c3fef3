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

#include "common/bytes.h"

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
    struct bytes records; // borrowed from the bytes that were parsed
};

// batch_seal writes the header into the first BATCH_HEADER_SIZE bytes of data, whose
// other bytes up to size are the records. Of batch it uses count, base and time_us.
void batch_seal(uint8_t *data, size_t size, uint32_t mark, const struct batch *batch);

enum batch_state {
    BATCH_WHOLE, // it is good, *out is filled
    BATCH_SHORT, // data ends before the batch does; it takes out->size bytes to tell more
    BATCH_BAD,   // no batch of this segment starts here
};

// batch_parse checks the batch at the start of data: mark, limits and CRC. Whether
// base is the expected offset is for the caller to check.
enum batch_state batch_parse(struct bytes data, uint32_t mark, struct batch *out);

#endif
