// segment - one file of the event log: a header, whole batches without gaps, zeros.
//
//    0  u32 magic    "FLsg"
//    4  u32 version  of the format, 1
//    8  u32 crc32c   of bytes 12 .. 24
//   12  u32 mark     random; every batch in this file begins with it
//   16  u64 base     offset of the first record, also the file's name
//   24  batches, then zeros
//
// Zeros are written 1 MiB ahead of the batches: a sync that only overwrites blocks
// which the disk has already is up to twice as fast as one that must also allocate
// them. All 64 MiB at once would stall the loop for 0.2 to 0.4 s with each new file;
// 1 MiB costs 2 to 4 ms, once in thousands of small syncs. Behind a large batch there
// are none: that would write every byte twice and win nothing.
//
// A batch is what one sync writes: a header and the records of one or more events, as
// they came.
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
#ifndef FAULTLINE_SEGMENT_H
#define FAULTLINE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/disk.h"
#include "common/bytes.h"
#include "common/err.h"

enum {
    SEGMENT_HEADER_SIZE = 24,
    BATCH_HEADER_SIZE = 32,
    BATCH_SIZE_MAX = BATCH_HEADER_SIZE + 8 * 1024 * 1024,
};

struct segment {
    struct disk_file file; // DIRECTORY/00000000000000004711.log; open when it is written to
    uint32_t mark;
    uint64_t base;
    uint64_t next;       // the offset after the last record
    uint64_t tail;       // where the next batch goes
    uint64_t time_us;    // of the newest batch
    uint64_t file_bytes; // what the file takes; from tail on it holds zeros. 0: it is not made
};

// segment_create makes the file of an empty segment, or makes it anew, and makes it
// durable, its name in directory included. ERR_FULL: no room, try again. Any other
// failure ends the process.
enum err segment_create(struct segment *self, const struct disk_file *directory);

// segment_header_take takes the mark from the first SEGMENT_HEADER_SIZE bytes of the
// file; false: they are no header of this segment.
bool segment_header_take(struct segment *self, struct bytes header);

// segment_write puts a sealed batch at tail and syncs it; the caller then moves tail.
// When that makes the file longer, zeros follow, up to file_bytes_max. ERR_FULL: no
// room; the file is cut back to tail, durably, so that nothing of the batch can come
// back. Any other failure ends the process.
enum err segment_write(struct segment *self, struct bytes batch, uint64_t file_bytes_max);

// segment_cut ends the file at tail, durably. A failure ends the process.
void segment_cut(struct segment *self);

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
    struct disk_file file; // borrowed; open
    uint32_t mark;         // of its segment
    uint64_t end;          // what is read lies before this byte of the file
    uint8_t *data;         // owned, freed by who has the reader
    size_t capacity;       // of data; as the largest batch needed
    size_t size;           // so many bytes of the file are in it
    uint64_t at;           // from here on
};

// batch_reader_bytes gives size bytes at at, borrowed until the next call; fewer at
// the end. false: errno tells why.
bool batch_reader_bytes(struct batch_reader *self, uint64_t at, size_t size, struct bytes *out);

// batch_reader_read gives the batch at at, borrowed until the next call. ERR_CORRUPT:
// no whole batch with this mark lies there. ERR_IO: errno tells why. Whether base is
// the expected offset is for the caller to check.
enum err batch_reader_read(struct batch_reader *self, uint64_t at, struct batch *out);

#endif
