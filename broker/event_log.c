#include "broker/event_log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/event_log_private.h"
#include "broker/segment_recovery.h"
#include "common/mem.h"

enum {
    SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024,
    BATCH_KEEP_MAX = 2 * 1024 * 1024, // a larger buffer is given back after its sync
};

_Static_assert((int)EVENT_LOG_BATCH_MAX == (int)BATCH_RECORDS_MAX, "one limit, two names");
_Static_assert(sizeof((struct event_log_recovery *)NULL)->problem == LOG_DIRECTORY_PROBLEM_SIZE,
               "a problem of the folder fits");

static struct segment *last_of(const struct event_log *self)
{
    return &self->segments[self->segments_count - 1];
}

// Makes room for one more segment, which the caller fills and counts.
static struct segment *segment_slot(struct event_log *self)
{
    if (self->segments_count == self->segments_capacity) {
        self->segments_capacity = self->segments_capacity == 0 ? 8 : self->segments_capacity * 2;
        self->segments =
            mem_realloc(self->segments, self->segments_capacity * sizeof *self->segments);
    }
    return &self->segments[self->segments_count];
}

// How large file, which takes file_bytes now, may become: its share of a segment,
// less when the limit on all files is near.
static uint64_t file_bytes_max(const struct event_log *self, uint64_t file_bytes)
{
    if (self->disk_bytes_max == 0) {
        return self->segment_bytes;
    }
    const uint64_t used = event_log_bytes(self);
    const uint64_t room = used < self->disk_bytes_max ? self->disk_bytes_max - used : 0;
    return file_bytes + room < self->segment_bytes ? file_bytes + room : self->segment_bytes;
}

static bool disk_has_room(const struct event_log *self, uint64_t more_bytes)
{
    return self->disk_bytes_max == 0 || event_log_bytes(self) + more_bytes <= self->disk_bytes_max;
}

// Adds a segment for records from base on. 0 or an errno.
static int segment_add(struct event_log *self, uint64_t base)
{
    const uint64_t limit = file_bytes_max(self, 0);
    const int error = segment_create(
        segment_slot(self), &self->directory, base, limit < SEGMENT_FILL ? limit : SEGMENT_FILL);
    if (error == 0) {
        self->segments_count++;
    }
    return error;
}

static enum err problem_system(const struct event_log *self, struct event_log_recovery *recovery,
                               const char *action, int error)
{
    char text[128] = "unknown error";
    (void)strerror_r(error, text, sizeof text);
    return event_log_problem_set(
        recovery, ERR_IO, "cannot %s %s: %s", action, self->directory.path, text);
}

static enum err segments_recover(struct event_log *self, const uint64_t *bases, size_t count,
                                 struct event_log_recovery *recovery)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && last_of(self)->next != bases[i]) {
            return event_log_problem_set(recovery,
                                         ERR_CORRUPT,
                                         "%s: the segment from offset %" PRIu64
                                         " ends before offset %" PRIu64
                                         ", but the next file begins at %" PRIu64
                                         ": a file is missing or cut. Restore it from a copy",
                                         self->directory.path,
                                         last_of(self)->base,
                                         last_of(self)->next,
                                         bases[i]);
        }
        struct segment *segment = segment_slot(self);
        const enum err err =
            segment_recover(segment, &self->directory, bases[i], i + 1 == count, recovery);
        self->segments_count++; // also a failed one: event_log_destroy closes it
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

static enum err recover(struct event_log *self, struct event_log_recovery *recovery)
{
    uint64_t *bases = NULL;
    size_t count = 0;
    int error = log_directory_list(&self->directory, &bases, &count);
    enum err err = error == 0 ? segments_recover(self, bases, count, recovery)
                              : problem_system(self, recovery, "list", error);
    free(bases);
    if (err != ERR_OK) {
        return err;
    }
    if (count == 0) {
        error = segment_add(self, 0);
        return error == 0 ? ERR_OK
                          : problem_system(self, recovery, "make the first segment in", error);
    }
    // The newest file may have been made by a process that died before this.
    error = log_directory_sync(&self->directory);
    return error == 0 ? ERR_OK : problem_system(self, recovery, "sync", error);
}

enum err event_log_open(struct event_log **out, const struct event_log_options *options,
                        struct event_log_recovery *recovery)
{
    assert(out != NULL && options != NULL && recovery != NULL);
    assert(options->directory != NULL);
    *out = NULL;
    *recovery = (struct event_log_recovery){0};
    struct event_log *self = mem_calloc(1, sizeof *self);
    self->io = options->io == NULL ? &event_log_io_system : options->io;
    self->segment_bytes =
        options->segment_bytes == 0 ? SEGMENT_BYTES_DEFAULT : options->segment_bytes;
    self->disk_bytes_max = options->disk_bytes_max;

    enum err err =
        log_directory_open(&self->directory, options->directory, self->io, recovery->problem);
    if (err != ERR_OK) {
        goto out;
    }
    err = recover(self, recovery);
    if (err != ERR_OK) {
        goto out;
    }
    *out = self;
    self = NULL; // handed to the caller

out:
    event_log_destroy(&self);
    return err;
}

void event_log_destroy(struct event_log **self_p)
{
    struct event_log *self = *self_p;
    if (self == NULL) {
        return;
    }
    buf_release(&self->batch);
    for (size_t i = 0; i < self->segments_count; i++) {
        segment_close(&self->segments[i]);
    }
    free(self->segments);
    log_directory_close(&self->directory);
    free(self);
    *self_p = NULL;
}

enum err event_log_append(struct event_log *self, struct bytes record, uint64_t *offset)
{
    assert(record.size >= RECORD_HEADER_SIZE && record.size <= RECORD_SIZE_MAX);
    assert(load_u32(record.data) == record.size);
    if (self->pending == 0) {
        (void)buf_reserve(&self->batch, BATCH_HEADER_SIZE);
        self->batch.size = BATCH_HEADER_SIZE;
    }
    if (self->batch.size + record.size > BATCH_SIZE_MAX) {
        return ERR_FULL;
    }
    buf_put(&self->batch, record.data, record.size);
    *offset = event_log_next(self) + self->pending;
    self->pending++;
    return ERR_OK;
}

// Begins a new segment. ERR_FULL: no room, the log is as before.
static enum err roll(struct event_log *self)
{
    // The old one first: when the new one is there, all before it is complete.
    segment_seal(last_of(self));
    if (!disk_has_room(self, SEGMENT_HEADER_SIZE + self->batch.size)) {
        return ERR_FULL;
    }
    const uint64_t base = event_log_next(self);
    const int error = segment_add(self, base);
    if (event_log_io_is_full(error)) {
        return ERR_FULL;
    }
    if (error != 0) {
        char name[LOG_DIRECTORY_NAME_SIZE];
        log_directory_name(name, base);
        event_log_io_die("make", self->directory.path, name, error);
    }
    segment_stop(last_of(self) - 1);
    return ERR_OK;
}

static enum err batch_write(struct event_log *self, uint64_t time_us)
{
    const size_t size = self->batch.size;
    struct segment *last = last_of(self);
    if (last->next > last->base && last->tail + size > self->segment_bytes) {
        const enum err err = roll(self);
        if (err != ERR_OK) {
            return err;
        }
        last = last_of(self);
    }
    const uint64_t end = last->tail + size;
    if (end > last->file_bytes && !disk_has_room(self, end - last->file_bytes)) {
        return ERR_FULL;
    }
    struct batch batch = {
        .size = (uint32_t)size, .count = self->pending, .base = last->next, .time_us = time_us};
    batch_seal(self->batch.data, size, last->mark, &batch);
    return segment_write(
        last, buf_view(&self->batch), &batch, file_bytes_max(self, last->file_bytes));
}

enum err event_log_sync(struct event_log *self, uint64_t time_us)
{
    if (self->pending == 0) {
        return ERR_OK;
    }
    const enum err err = batch_write(self, time_us);
    self->pending = 0;
    buf_clear(&self->batch);
    if (self->batch.capacity > BATCH_KEEP_MAX) {
        buf_release(&self->batch);
    }
    return err;
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

uint64_t event_log_bytes(const struct event_log *self)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < self->segments_count; i++) {
        bytes += self->segments[i].file_bytes;
    }
    return bytes;
}

const struct segment *event_log_segment_of(const struct event_log *self, uint64_t offset)
{
    assert(offset >= event_log_first(self) && offset < event_log_next(self));
    size_t low = 0;
    size_t high = self->segments_count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (self->segments[middle].base <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &self->segments[low];
}
