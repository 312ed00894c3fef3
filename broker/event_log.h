// event_log - the durable log behind everything: one totally ordered sequence of
// records for all topics, in segment files, docs/storage-format.md.
//
// Offsets start at 0 and grow by one; an offset whose append was synced is never
// used again. Appends gather in memory; event_log_sync writes them as one batch
// and makes it durable, so one fdatasync serves many. Only synced records can be
// read. Not thread-safe: the broker's loop owns it.
#ifndef FAULTLINE_EVENT_LOG_H
#define FAULTLINE_EVENT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/disk.h"
#include "common/bytes.h"
#include "common/err.h"
#include "common/record.h"

struct event_log; // opaque

struct event_log_options {
    const struct disk *disk; // borrowed; where directory is
    const char *directory;   // made when missing, parents too
    uint64_t segment_bytes;  // a file's size; 0: 64 MiB. A larger batch makes a larger file
    uint64_t disk_bytes_max; // 0: no limit but the disk's own
    uint64_t reserve_bytes;  // of disk_bytes_max: only for a sync that may use them
    uint64_t known_end;      // the caller knows that offsets below were synced; 0: of none
    // found, unless NULL, is given each record that opening finds, oldest first, in the segment
    // that begins with segment; borrowed until it returns. Not NULL: why the caller has no use
    // for it, static text; then the log is not opened.
    const char *(*found)(void *context, uint64_t segment, uint64_t offset,
                         const struct record *record);
    void *found_context; // borrowed
};

// What opening found.
struct event_log_recovery {
    uint64_t records;    // read and checked
    uint64_t torn_bytes; // cut off behind the last whole batch; 0: none
    uint64_t torn_at;    // offset that the torn batch would have had
    char problem[512];   // not ERR_OK: which file, at which byte, what and what to do
};

// event_log_open recovers the log: it reads every record and checks every batch from the first
// segment to the last, cuts off a torn tail (a batch at the very end that is incomplete or fails
// its CRC with nothing valid behind it) and refuses damage anywhere else, and at the end as well
// when it would cut below known_end: nothing is changed then. The folder is locked until
// event_log_destroy or the end of the process. ERR_CORRUPT: damage before the tail, or found has
// refused. ERR_CONFLICT: another process has the folder open. ERR_IO, ERR_FULL: the system said
// no. recovery->problem then is a sentence for the operator. On ERR_OK the caller owns *out, else
// it is NULL.
enum err event_log_open(struct event_log **out, const struct event_log_options *options,
                        struct event_log_recovery *recovery);

// event_log_destroy closes and frees *self_p; appends not synced are lost.
void event_log_destroy(struct event_log **self_p);

// event_log_append copies one encoded record (record.whole), which the caller has
// checked, into the batch and gives it *offset. It touches no file. ERR_FULL: the batch holds
// EVENT_LOG_BATCH_MAX bytes already: sync first.
enum {
    EVENT_LOG_BATCH_MAX = 8 * 1024 * 1024,
    EVENT_LOG_OVERHEAD_MAX = 56, // bytes that a batch may take beside its records
};
enum err event_log_append(struct event_log *self, struct bytes record, uint64_t *offset);

// event_log_peek gives a record that is appended and not synced, borrowed until the
// next append; offset must be one. Errors as record_take: what was appended is bad.
enum err event_log_peek(const struct event_log *self, uint64_t offset, struct record *out);

// event_log_sync writes the batch with time_us and syncs it; uses_reserve: it may take all of
// disk_bytes_max. Nothing to write: ERR_OK at once. ERR_FULL: no space; the whole batch is dropped,
// its offsets will be given again, the log is as before, and a later sync works when there is
// space. A failed fdatasync or a write that fails for another reason ends the process with a
// sentence on stderr and abort(): what the page cache holds is unknown then, and the next start
// reads the disk.
enum err event_log_sync(struct event_log *self, uint64_t time_us, bool uses_reserve);

// event_log_tidy gives back what large batches took of memory: that of the next batch and of the
// one that was synced last, which is read from its file then. Nothing happens while appends wait.
void event_log_tidy(struct event_log *self);

// event_log_first is the oldest offset kept, event_log_next the one after the last
// synced record (equal: empty); event_log_pending counts appended, unsynced ones.
uint64_t event_log_first(const struct event_log *self);
uint64_t event_log_next(const struct event_log *self);
uint64_t event_log_pending(const struct event_log *self);

// event_log_drop removes the oldest segment, durably, when all its records lie below
// before and it is not the last one: its records are gone, event_log_first moves.
// ERR_NOT_FOUND: nothing to remove. ERR_FULL (also: no room to begin the file of the next one,
// which must be there before), ERR_IO: the file is still there, the log is as before. A
// failed sync ends the process, as in event_log_sync.
enum err event_log_drop(struct event_log *self, uint64_t before);

// event_log_oldest describes the segment that event_log_drop would remove next, with
// before at next or above. While the log has only one, it describes that.
struct event_log_extent {
    uint64_t first;   // offset of its first record
    uint64_t next;    // the one after its last; first: it is empty
    uint64_t bytes;   // what its file takes
    uint64_t time_us; // when its newest record was stored
};
void event_log_oldest(const struct event_log *self, struct event_log_extent *out);

// event_log_segments and event_log_bytes: files, and the bytes they take.
uint64_t event_log_segments(const struct event_log *self);
uint64_t event_log_newest(const struct event_log *self); // where the newest one begins
uint64_t event_log_bytes(const struct event_log *self);

// A stored record.
struct event_log_entry {
    uint64_t offset;
    uint64_t time_us;     // of its batch
    struct record record; // borrowed from the cursor until its next read or the log's next sync
};

// A cursor reads forward through a buffer of its own, one read(2) for many records;
// the batch that was synced last is still in memory and needs none. Any number of
// cursors may be open; the log must outlive them.
struct event_log_cursor; // opaque

struct event_log_cursor *event_log_cursor_new(struct event_log *log);
void event_log_cursor_destroy(struct event_log_cursor **self_p);

// event_log_cursor_read gives the record at offset: cheap when it is the one after
// the last or lies in the buffer, else found by the segment's sparse index.
// ERR_NOT_FOUND: below first or not yet synced. ERR_CORRUPT, ERR_IO: damage that
// came after the start; the caller must not serve it.
enum err event_log_cursor_read(struct event_log_cursor *self, uint64_t offset,
                               struct event_log_entry *out);

// event_log_cursor_find_time gives the first offset that was stored at time_us or later,
// event_log_next when there is none. Errors as event_log_cursor_read.
enum err event_log_cursor_find_time(struct event_log_cursor *self, uint64_t time_us,
                                    uint64_t *offset);

// event_log_cursor_problem is a sentence about the last ERR_CORRUPT or ERR_IO: file,
// byte, what. Borrowed until the next read.
const char *event_log_cursor_problem(const struct event_log_cursor *self);

#endif
