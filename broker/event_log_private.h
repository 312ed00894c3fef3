// event_log_private - what the log, its start and its cursors share, and nobody else
// sees.
#ifndef FAULTLINE_EVENT_LOG_PRIVATE_H
#define FAULTLINE_EVENT_LOG_PRIVATE_H

#include "broker/event_log.h"
#include "broker/segment.h"

// Where a batch begins.
struct log_place {
    uint64_t offset;   // of its first record
    uint64_t position; // in its segment's file
    uint64_t time_us;  // the latest of all batches up to the next place
    uint64_t segment;  // its number, which stays when older ones are dropped
};

struct event_log {
    struct disk_file directory;
    struct disk_file lock; // held while it is open
    uint64_t segment_bytes;
    uint64_t disk_bytes_max;
    uint64_t reserve_bytes;
    uint64_t known_end;       // of opening
    struct segment *segments; // owned; oldest first, the last is written to
    size_t segments_count;    // at least one, once the log is open
    uint64_t dropped;         // segments dropped since opening: the number of the first one
    struct log_place *index;  // owned; ascending: each segment's first batch, then sparse
    size_t index_count;
    struct buf batch;                 // room for a header, then the records not synced yet
    struct buf positions;             // where in batch each of them begins, u32
    uint32_t pending;                 // how many
    struct buf newest_bytes;          // the batch that was synced last, as it lies on disk
    struct batch newest;              // count 0: none is at hand
    struct event_log_cursor *cursors; // borrowed; all of them
};

// event_log_segment_add describes one more segment; the caller makes or opens its
// file. Borrowed until the next one is added.
struct segment *event_log_segment_add(struct event_log *self, uint64_t base);

// event_log_note takes a batch that is in the last segment at its tail: moves tail and
// next past it, and notes it in the index.
void event_log_note(struct event_log *self, const struct batch *batch);

// event_log_cursors_leave closes the file of the segment with this number wherever a
// cursor has it open: as long as one does, the disk does not get its space back.
void event_log_cursors_leave(const struct event_log *self, uint64_t number);

// event_log_cursors_forget: what cursors borrowed of newest is written over now.
void event_log_cursors_forget(const struct event_log *self);

#endif
