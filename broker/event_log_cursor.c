// The cursors of event_log.h.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/event_log_private.h"
#include "broker/segment_reader.h"
#include "common/mem.h"

// A place in the log where a batch begins.
struct place {
    uint64_t offset;
    uint64_t position; // in its segment's file
};

struct event_log_cursor {
    const struct event_log *log; // borrowed
    struct segment_reader reader;
    uint64_t segment_base; // of the file that reader has open
    struct place buffer;   // the batch at the beginning of the reader's buffer
    struct place at;       // the batch below
    struct batch batch;    // being read; count 0: none. Borrowed from reader
    uint64_t next;         // offset of the record at the beginning of rest
    struct bytes rest;     // of batch.records
    char problem[512];
};

struct event_log_cursor *event_log_cursor_new(struct event_log *log)
{
    struct event_log_cursor *self = mem_calloc(1, sizeof *self);
    self->log = log;
    self->reader.fd = -1;
    return self;
}

void event_log_cursor_destroy(struct event_log_cursor **self_p)
{
    struct event_log_cursor *self = *self_p;
    if (self == NULL) {
        return;
    }
    segment_reader_close(&self->reader);
    free(self);
    *self_p = NULL;
}

const char *event_log_cursor_problem(const struct event_log_cursor *self)
{
    return self->problem;
}

static enum err fail(struct event_log_cursor *self, enum err err, uint64_t position,
                     const char *what)
{
    char name[LOG_DIRECTORY_NAME_SIZE];
    log_directory_name(name, self->segment_base);
    const int size = snprintf(self->problem,
                              sizeof self->problem,
                              "%s/%s, byte %" PRIu64 ": %s",
                              self->log->directory.path,
                              name,
                              position,
                              what);
    (void)size; // a long path may be cut
    self->batch.count = 0;
    // Not to be trusted any more, neither the buffer nor the file.
    segment_reader_open(&self->reader, self->log->io, -1);
    return err;
}

static enum err fail_system(struct event_log_cursor *self, uint64_t position, int error)
{
    char text[128] = "unknown error";
    (void)strerror_r(error, text, sizeof text);
    return fail(self, ERR_IO, position, text);
}

static enum err segment_enter(struct event_log_cursor *self, const struct segment *segment)
{
    if (self->reader.fd >= 0 && self->segment_base == segment->base) {
        return ERR_OK;
    }
    self->segment_base = segment->base;
    self->batch.count = 0;
    const int fd = log_directory_open_file(&self->log->directory, segment->base, O_RDONLY);
    if (fd < 0) {
        return fail_system(self, 0, errno);
    }
    segment_reader_open(&self->reader, self->log->io, fd);
    return ERR_OK;
}

// Where to begin to look for offset: right behind the batch that was read last,
// at the beginning of what the buffer holds, or where the index says.
static struct place start_of(const struct event_log_cursor *self, const struct segment *segment,
                             uint64_t offset)
{
    const bool here = self->reader.fd >= 0 && self->segment_base == segment->base;
    if (here && self->batch.count > 0 && offset == self->batch.base + self->batch.count) {
        return (struct place){.offset = offset, .position = self->at.position + self->batch.size};
    }
    const struct segment_index_entry entry = segment_find(segment, offset);
    if (here && self->reader.size > 0 && self->buffer.position == self->reader.at &&
        self->buffer.offset <= offset && self->buffer.offset > entry.offset) {
        return self->buffer;
    }
    return (struct place){.offset = entry.offset, .position = entry.position};
}

// Makes the batch that holds offset the current one.
static enum err batch_enter(struct event_log_cursor *self, uint64_t offset)
{
    const struct segment *segment = event_log_segment_of(self->log, offset);
    struct place at = start_of(self, segment, offset);
    enum err err = segment_enter(self, segment);
    if (err != ERR_OK) {
        return err;
    }
    for (;;) {
        int error = 0;
        struct batch batch;
        err = segment_reader_batch(
            &self->reader, at.position, segment->tail, segment->mark, &batch, &error);
        if (err == ERR_IO) {
            return fail_system(self, at.position, error);
        }
        if (err != ERR_OK || batch.base != at.offset) {
            return fail(self, ERR_CORRUPT, at.position, "the batch here is damaged");
        }
        if (self->reader.at == at.position) {
            self->buffer = at;
        }
        if (offset < batch.base + batch.count) {
            self->at = at;
            self->batch = batch;
            self->next = batch.base;
            self->rest = batch.records;
            return ERR_OK;
        }
        at.offset += batch.count;
        at.position += batch.size;
    }
}

// Moves past one record without looking into it. false: there is none.
static bool record_skip(struct bytes *rest)
{
    const uint32_t size = rest->size < RECORD_HEADER_SIZE ? 0 : load_u32(rest->data);
    if (size < RECORD_HEADER_SIZE || size > rest->size) {
        return false;
    }
    rest->data += size;
    rest->size -= size;
    return true;
}

enum err event_log_cursor_read(struct event_log_cursor *self, uint64_t offset,
                               struct event_log_entry *out)
{
    if (offset < event_log_first(self->log) || offset >= event_log_next(self->log)) {
        return ERR_NOT_FOUND;
    }
    const bool here = self->batch.count > 0 && offset >= self->batch.base &&
                      offset < self->batch.base + self->batch.count;
    if (!here) {
        const enum err err = batch_enter(self, offset);
        if (err != ERR_OK) {
            return err;
        }
    } else if (offset < self->next) {
        self->next = self->batch.base;
        self->rest = self->batch.records;
    }
    for (; self->next < offset; self->next++) {
        if (!record_skip(&self->rest)) {
            return fail(self, ERR_CORRUPT, self->at.position, "the batch here has bad records");
        }
    }
    if (record_take(&self->rest, &out->record) != ERR_OK) {
        return fail(self, ERR_CORRUPT, self->at.position, "the batch here has a bad record");
    }
    out->offset = offset;
    out->time_us = self->batch.time_us;
    self->next++;
    return ERR_OK;
}
