// The cursors of event_log.h.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/event_log_private.h"
#include "common/mem.h"

struct event_log_cursor {
    struct event_log *log;                // borrowed
    struct event_log_cursor *next_cursor; // borrowed; of the log's
    struct batch_reader reader;           // its path is borrowed from the segment
    uint64_t segment;                     // number of the one that the reader has open
    uint64_t position;                    // where batch begins
    struct batch batch;                   // being read; count 0: none. Borrowed from reader
    bool is_newest;                       // no, from the log, until its next sync
    uint64_t next;                        // offset of the record at the beginning of rest
    struct reader rest;                   // of batch.records
    char problem[512];
};

struct event_log_cursor *event_log_cursor_new(struct event_log *log)
{
    struct event_log_cursor *self = mem_calloc(1, sizeof *self);
    self->log = log;
    self->next_cursor = log->cursors;
    log->cursors = self;
    self->reader.file = (struct disk_file){.disk = log->directory.disk, .fd = -1};
    return self;
}

void event_log_cursor_destroy(struct event_log_cursor **self_p)
{
    struct event_log_cursor *self = *self_p;
    if (self == NULL) {
        return;
    }
    struct event_log_cursor **link = &self->log->cursors;
    while (*link != self) {
        link = &(*link)->next_cursor;
    }
    *link = self->next_cursor;
    disk_file_close(&self->reader.file);
    free(self->reader.data);
    free(self);
    *self_p = NULL;
}

void event_log_cursors_leave(const struct event_log *self, uint64_t number)
{
    for (struct event_log_cursor *i = self->cursors; i != NULL; i = i->next_cursor) {
        if (i->segment == number) {
            disk_file_close(&i->reader.file);
        }
    }
}

void event_log_cursors_forget(const struct event_log *self)
{
    for (struct event_log_cursor *i = self->cursors; i != NULL; i = i->next_cursor) {
        i->batch.count = i->is_newest ? 0 : i->batch.count;
    }
}

const char *event_log_cursor_problem(const struct event_log_cursor *self)
{
    return self->problem;
}

// Opens the file of a segment, if it is not the one that is open.
static bool segment_enter(struct event_log_cursor *self, uint64_t number)
{
    const struct segment *segment = &self->log->segments[number - self->log->dropped];
    self->reader.end = segment->tail; // it may have moved
    if (self->reader.file.fd >= 0 && self->segment == number) {
        return true;
    }
    disk_file_close(&self->reader.file);
    self->segment = number;
    self->reader.file.path = segment->file.path;
    self->reader.mark = segment->mark;
    self->reader.size = 0;
    return disk_file_open(&self->reader.file, O_RDONLY);
}

// Says what is wrong at position, damage or what errno tells, and forgets what was
// read: neither the buffer nor the file is to be trusted any more.
static enum err fail(struct event_log_cursor *self, enum err err, uint64_t position)
{
    const char *what = err == ERR_IO ? strerror(errno) : "the batch here is damaged";
    const char *path = self->reader.file.path;
    char *problem = self->problem; // a long path may be cut
    (void)snprintf(problem, sizeof self->problem, "%s, byte %" PRIu64 ": %s", path, position, what);
    disk_file_close(&self->reader.file);
    self->batch.count = 0;
    return err;
}

// The noted batch at or before offset.
static struct log_place place_of(const struct event_log *log, uint64_t offset)
{
    size_t low = 0;
    size_t high = log->index_count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        *(log->index[middle].offset <= offset ? &low : &high) = middle;
    }
    return log->index[low];
}

// Makes the batch that holds offset the current one.
static enum err batch_enter(struct event_log_cursor *self, uint64_t offset)
{
    const struct batch *newest = &self->log->newest;
    self->is_newest = newest->count > 0 && offset >= newest->base;
    if (self->is_newest) {
        self->batch = *newest;
        return ERR_OK;
    }
    struct log_place at = place_of(self->log, offset);
    const uint64_t behind = self->batch.base + self->batch.count;
    if (self->batch.count > 0 && at.segment == self->segment && at.offset < behind &&
        behind <= offset) { // nearer than the index says
        at.offset = behind;
        at.position = self->position + self->batch.size;
    }
    if (!segment_enter(self, at.segment)) {
        return fail(self, ERR_IO, 0);
    }
    do {
        const enum err err = batch_reader_read(&self->reader, at.position, &self->batch);
        if (err != ERR_OK || self->batch.base != at.offset) {
            return fail(self, err == ERR_IO ? ERR_IO : ERR_CORRUPT, at.position);
        }
        self->position = at.position;
        at.offset += self->batch.count;
        at.position += self->batch.size;
    } while (at.offset <= offset);
    return ERR_OK;
}

enum err event_log_cursor_read(struct event_log_cursor *self, uint64_t offset,
                               struct event_log_entry *out)
{
    if (offset < event_log_first(self->log) || offset >= event_log_next(self->log)) {
        return ERR_NOT_FOUND;
    }
    const struct batch *batch = &self->batch;
    if (offset - batch->base >= batch->count) {
        const enum err err = batch_enter(self, offset);
        if (err != ERR_OK) {
            return err;
        }
        self->next = UINT64_MAX; // not begun
    }
    if (offset < self->next) {
        self->next = batch->base;
        self->rest = (struct reader){.rest = batch->records};
    }
    for (; self->next < offset; self->next++) { // past one record, without looking into it
        const uint32_t size = reader_u32(&self->rest);
        (void)reader_bytes(&self->rest, size - sizeof size);
    }
    if (self->rest.failed || !record_split(&self->rest.rest, &out->record)) {
        return fail(self, ERR_CORRUPT, self->position);
    }
    out->offset = offset;
    out->time_us = batch->time_us;
    self->next++;
    return ERR_OK;
}

enum err event_log_cursor_find_time(struct event_log_cursor *self, uint64_t time_us,
                                    uint64_t *offset)
{
    const struct event_log *log = self->log;
    size_t i = 0; // no search by halves: a clock may have been put back
    while (i < log->index_count && log->index[i].time_us < time_us) {
        i++;
    }
    *offset = i < log->index_count ? log->index[i].offset : event_log_next(log);
    struct event_log_entry entry;
    enum err err = ERR_OK;
    while (*offset < event_log_next(log) &&
           (err = event_log_cursor_read(self, *offset, &entry)) == ERR_OK &&
           entry.time_us < time_us) {
        ++*offset;
    }
    return err;
}
