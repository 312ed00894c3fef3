// Writing; event_log_start.c opens the log, event_log_cursor.c reads it.
#include "broker/event_log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/event_log_private.h"
#include "common/crash_point.h"
#include "common/mem.h"

static const uint64_t index_gap = 64 * 1024; // bytes of batches between two of its places

_Static_assert(BATCH_HEADER_SIZE + EVENT_LOG_BATCH_MAX == (int)BATCH_SIZE_MAX, "one limit");
_Static_assert((int)EVENT_LOG_OVERHEAD_MAX == SEGMENT_HEADER_SIZE + BATCH_HEADER_SIZE, "both");

static struct segment *last_of(const struct event_log *self)
{
    return &self->segments[self->segments_count - 1];
}

// How many bytes the last file may take. It may be longer: zeros that a sync with the reserve
// wrote ahead are no room for one without.
static uint64_t last_bytes_max(const struct event_log *self, bool uses_reserve)
{
    const uint64_t taken = event_log_bytes(self) - last_of(self)->file_bytes +
                           (uses_reserve ? 0 : self->reserve_bytes);
    return taken < self->disk_bytes_max ? self->disk_bytes_max - taken : 0;
}

void event_log_destroy(struct event_log **self_p)
{
    struct event_log *self = *self_p;
    if (self == NULL) {
        return;
    }
    buf_release(&self->batch);
    buf_release(&self->newest_bytes);
    buf_release(&self->positions);
    for (size_t i = 0; i < self->segments_count; i++) {
        disk_file_release(&self->segments[i].file);
    }
    free(self->segments);
    free(self->index);
    disk_file_release(&self->lock);
    disk_file_release(&self->directory);
    free(self);
    *self_p = NULL;
}

struct segment *event_log_segment_add(struct event_log *self, uint64_t base)
{
    self->segments_count++;
    self->segments = mem_realloc(self->segments, self->segments_count * sizeof *self->segments);
    char *path = mem_format("%s/%020" PRIu64 ".log", self->directory.path, base);
    *last_of(self) =
        (struct segment){.file = {.disk = self->directory.disk, .path = path, .fd = -1},
                         .base = base,
                         .next = base,
                         .tail = SEGMENT_HEADER_SIZE};
    return last_of(self);
}

void event_log_note(struct event_log *self, const struct batch *batch)
{
    struct segment *segment = last_of(self);
    const struct log_place place = {.offset = batch->base,
                                    .position = segment->tail,
                                    .segment = self->dropped + self->segments_count - 1};
    const size_t count = self->index_count;
    if (count == 0 || self->index[count - 1].segment != place.segment ||
        place.position - self->index[count - 1].position >= index_gap) {
        self->index = mem_realloc(self->index, (count + 1) * sizeof *self->index);
        self->index[self->index_count++] = place;
    }
    uint64_t *latest_us = &self->index[self->index_count - 1].time_us;
    *latest_us = *latest_us < batch->time_us ? batch->time_us : *latest_us;
    segment->time_us = batch->time_us;
    segment->tail += batch->size;
    segment->next += batch->count;
}

enum err event_log_append(struct event_log *self, struct bytes record, uint64_t *offset)
{
    assert(record.size >= RECORD_HEADER_SIZE && record.size <= RECORD_SIZE_MAX);
    assert(load_u32(record.data) == record.size);
    if (self->pending == 0) {
        (void)buf_reserve(&self->batch, BATCH_HEADER_SIZE);
        self->batch.size = BATCH_HEADER_SIZE;
        buf_clear(&self->positions);
    }
    if (self->batch.size + record.size > BATCH_SIZE_MAX) {
        return ERR_FULL;
    }
    buf_put_u32(&self->positions, (uint32_t)self->batch.size);
    buf_put(&self->batch, record.data, record.size);
    *offset = event_log_next(self) + self->pending;
    self->pending++;
    return ERR_OK;
}

enum err event_log_peek(const struct event_log *self, uint64_t offset, struct record *out)
{
    const uint64_t number = offset - event_log_next(self);
    assert(number < self->pending);
    const size_t at = load_u32(self->positions.data + number * sizeof(uint32_t));
    struct bytes rest = {.data = self->batch.data + at, .size = self->batch.size - at};
    return record_split(&rest, out) ? ERR_OK : ERR_CORRUPT;
}

// Whoever keeps up with the log reads the batch that was just written: it stays at hand
// in memory until the next one, and its buffer and that of the next take turns.
static void keep(struct event_log *self, const struct batch *batch)
{
    event_log_cursors_forget(self);
    const struct buf before = self->newest_bytes;
    self->newest_bytes = self->batch;
    self->batch = before;
    self->newest = *batch;
    self->newest.records = (struct bytes){.data = self->newest_bytes.data + BATCH_HEADER_SIZE,
                                          .size = batch->size - BATCH_HEADER_SIZE};
}

static enum err batch_write(struct event_log *self, uint64_t time_us, bool uses_reserve)
{
    const size_t size = self->batch.size;
    struct segment *segment = last_of(self);
    if (segment->next > segment->base && segment->tail + size > self->segment_bytes) {
        crash_point("broker-before-roll");
        // First this one: when the next is there, all before it is complete.
        segment_cut(segment);
        crash_point("broker-roll-cut");
        disk_file_close(&segment->file); // cursors open it for themselves
        segment = event_log_segment_add(self, segment->next);
    }
    const uint64_t most = last_bytes_max(self, uses_reserve);
    if (segment->tail + size > most) {
        return ERR_FULL;
    }
    // What found no room is made when there is some. Were it taken out of the folder and
    // the one before it written to again, a crash could bring it back in the wrong place.
    if (segment->file.fd < 0 && segment_create(segment, &self->directory) != ERR_OK) {
        return ERR_FULL;
    }
    const struct batch batch = {
        .size = (uint32_t)size, .count = self->pending, .base = segment->next, .time_us = time_us};
    batch_seal(self->batch.data, segment->mark, &batch);
    const enum err err = segment_write(
        segment, buf_view(&self->batch), most < self->segment_bytes ? most : self->segment_bytes);
    if (err == ERR_OK) {
        event_log_note(self, &batch);
        keep(self, &batch);
    }
    return err;
}

enum err event_log_sync(struct event_log *self, uint64_t time_us, bool uses_reserve)
{
    if (self->pending == 0) {
        return ERR_OK;
    }
    const enum err err = batch_write(self, time_us, uses_reserve);
    self->pending = 0;
    buf_clear(&self->batch);
    return err;
}

void event_log_tidy(struct event_log *self)
{
    if (self->pending > 0) {
        return;
    }
    event_log_cursors_forget(self);
    self->newest.count = 0;
    buf_release(&self->newest_bytes);
    buf_release(&self->batch);
    buf_release(&self->positions);
}

enum err event_log_drop(struct event_log *self, uint64_t before)
{
    struct segment *oldest = self->segments;
    if (self->segments_count == 1 || oldest->next > before) {
        return ERR_NOT_FOUND;
    }
    // Without a file behind it nothing would tell the next offset after a start. These few bytes
    // may be over disk_bytes_max until the oldest file is gone.
    if (oldest[1].file_bytes == 0 && segment_create(&oldest[1], &self->directory) != ERR_OK) {
        return ERR_FULL;
    }
    crash_point("broker-before-drop");
    const struct disk *disk = self->directory.disk;
    if (disk->unlink(disk->context, oldest->file.path) != 0) {
        return disk_is_full(errno) ? ERR_FULL : ERR_IO;
    }
    crash_point("broker-after-drop");
    // Before the next one is dropped, else a crash could bring back only the older.
    disk_file_must(&self->directory, disk_file_sync(&self->directory), "sync");
    event_log_cursors_leave(self, self->dropped);
    disk_file_release(&oldest->file);
    self->dropped++;
    self->segments_count--;
    memmove(oldest, oldest + 1, self->segments_count * sizeof *oldest);
    size_t gone = 0;
    while (gone < self->index_count && self->index[gone].segment < self->dropped) {
        gone++;
    }
    self->index_count -= gone;
    memmove(self->index, self->index + gone, self->index_count * sizeof *self->index);
    return ERR_OK;
}

void event_log_oldest(const struct event_log *self, struct event_log_extent *out)
{
    const struct segment *oldest = self->segments;
    *out = (struct event_log_extent){.first = oldest->base,
                                     .next = oldest->next,
                                     .bytes = oldest->file_bytes,
                                     .time_us = oldest->time_us};
}

uint64_t event_log_first(const struct event_log *self)
{
    return self->segments[0].base;
}

uint64_t event_log_next(const struct event_log *self)
{
    return last_of(self)->next;
}

uint64_t event_log_pending(const struct event_log *self)
{
    return self->pending;
}

uint64_t event_log_segments(const struct event_log *self)
{
    return self->segments_count;
}

uint64_t event_log_newest(const struct event_log *self)
{
    return last_of(self)->base;
}

uint64_t event_log_bytes(const struct event_log *self)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < self->segments_count; i++) {
        bytes += self->segments[i].file_bytes;
    }
    return bytes;
}
