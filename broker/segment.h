// segment - one file of the event log: a header, whole batches without gaps, zeros.
//
//    0  u32 magic    "FLsg"
//    4  u32 version  of the format, 1
//    8  u32 crc32c   of bytes 12 .. 24
//   12  u32 mark     random; every batch in this file begins with it
//   16  u64 base     offset of the first record, also the file's name
//   24  batches, then zeros
//
// Zeros are written SEGMENT_FILL bytes ahead of the batches: a sync that only
// overwrites blocks which the disk has already is up to twice as fast as one that
// must also allocate them. All 64 MiB at once would stall the loop for 0.2 to 0.4 s
// with each new file; 1 MiB costs 2 to 4 ms, once in thousands of small syncs. Behind
// a large batch there are none: that would write every byte twice and win nothing.
#ifndef FAULTLINE_SEGMENT_H
#define FAULTLINE_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "broker/batch.h"
#include "broker/log_directory.h"
#include "common/bytes.h"
#include "common/err.h"

enum {
    SEGMENT_HEADER_SIZE = 24,
    SEGMENT_FILL = 1024 * 1024,
    SEGMENT_FILL_BATCH_MAX = 128 * 1024, // from this size on a batch is large
    SEGMENT_INDEX_GAP = 64 * 1024,       // bytes of batches between two entries of the index
};

struct segment_index_entry {
    uint64_t offset;   // of the first record of
    uint64_t position; // the batch that starts here
};

struct segment {
    const struct log_directory *directory; // borrowed
    int fd;                                // of the last segment, which is written to; else -1
    uint32_t mark;
    uint64_t base;
    uint64_t next;                     // the offset after the last record
    uint64_t tail;                     // where the next batch goes
    uint64_t file_bytes;               // what the file takes; from tail on it holds zeros
    struct segment_index_entry *index; // owned; ascending, sparse
    size_t index_count;
    size_t index_capacity;
};

// segment_create makes the file for records from base on, with zeros up to
// fill_to, and makes it durable, its name in the folder included. 0 or an errno;
// then there is no file and *self is closed. Not finding room for the zeros is no
// error.
int segment_create(struct segment *self, const struct log_directory *directory, uint64_t base,
                   uint64_t fill_to);

// segment_load opens a file that is there, to write to it, and reads its header; it
// looks at no batch yet. ERR_CORRUPT: no header of this base. ERR_IO: *error is the
// errno. *self can be closed whatever comes back.
enum err segment_load(struct segment *self, const struct log_directory *directory, uint64_t base,
                      int *error);

// segment_header_write writes the header. 0 or an errno.
int segment_header_write(struct segment *self);

void segment_close(struct segment *self);

// segment_stop closes the file and keeps the rest: it is read by others only.
void segment_stop(struct segment *self);

// segment_note takes a batch that is in the file at tail: moves tail and next past
// it, and notes it in the index.
void segment_note(struct segment *self, const struct batch *batch);

// segment_write puts a sealed batch at tail and syncs it; when that makes the file
// longer, zeros follow, up to file_bytes_max. ERR_FULL: no room; the file is cut
// back to tail, durably, so that nothing of the batch can come back. Any other
// failure ends the process.
enum err segment_write(struct segment *self, struct bytes data, const struct batch *batch,
                       uint64_t file_bytes_max);

// segment_seal gives the zeros back to the disk and syncs: no batch follows in this
// file. It stays open, for the case that there is no room for another one. A failure
// ends the process.
void segment_seal(struct segment *self);

// segment_find gives the noted batch at or before offset, which must be in the
// segment.
struct segment_index_entry segment_find(const struct segment *self, uint64_t offset);

#endif
