#include "broker/segment_recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/segment_reader.h"

// One recovery under way.
struct recovery {
    struct segment *segment;
    struct segment_reader reader;
    uint64_t last_at; // where the last good batch begins; 0: there is none
    struct event_log_recovery *found;
};

// What lies behind the last good batch.
struct rest {
    uint64_t rubbish_end; // behind the last byte that is not zero; 0: only zeros
    uint64_t later_at;    // where a good batch begins; 0: none
};

enum err event_log_problem_set(struct event_log_recovery *recovery, enum err err,
                               const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(recovery->problem, sizeof recovery->problem, format, args);
    va_end(args);
    return err;
}

static enum err problem_io(const struct recovery *self, const char *action, int error)
{
    char name[LOG_DIRECTORY_NAME_SIZE];
    log_directory_name(name, self->segment->base);
    char text[128] = "unknown error";
    (void)strerror_r(error, text, sizeof text);
    return event_log_problem_set(self->found,
                                 ERR_IO,
                                 "cannot %s %s/%s: %s",
                                 action,
                                 self->segment->directory->path,
                                 name,
                                 text);
}

static enum err problem_damage(const struct recovery *self, uint64_t at, const char *what)
{
    char name[LOG_DIRECTORY_NAME_SIZE];
    log_directory_name(name, self->segment->base);
    return event_log_problem_set(self->found,
                                 ERR_CORRUPT,
                                 "%s/%s is damaged at byte %" PRIu64
                                 ": %s. Nothing was changed. Restore the file from a copy, or "
                                 "move it and all later ones away, which gives up the events "
                                 "from offset %" PRIu64 " on",
                                 self->segment->directory->path,
                                 name,
                                 at,
                                 what,
                                 self->segment->next);
}

// Takes the good batches from tail on, as far as they go.
static enum err batches_read(struct recovery *self)
{
    struct segment *segment = self->segment;
    while (segment->tail < segment->file_bytes) {
        struct batch batch;
        int error = 0;
        const enum err err = segment_reader_batch(
            &self->reader, segment->tail, segment->file_bytes, segment->mark, &batch, &error);
        if (err == ERR_IO) {
            return problem_io(self, "read", error);
        }
        if (err != ERR_OK || batch.base != segment->next) {
            break;
        }
        self->last_at = segment->tail;
        self->found->records += batch.count;
        segment_note(segment, &batch);
    }
    return ERR_OK;
}

// Looks in bytes, which begin at position, for a batch that may follow the last
// good one. It reads through a reader of its own: bytes are borrowed from ours.
static enum err later_batch_find(const struct recovery *self, struct segment_reader *probe,
                                 struct bytes bytes, uint64_t position, uint64_t *later_at)
{
    const struct segment *segment = self->segment;
    uint8_t mark[4];
    store_u32(mark, segment->mark);
    for (size_t i = 0; i + sizeof mark <= bytes.size; i++) {
        const uint8_t *hit = memchr(bytes.data + i, mark[0], bytes.size - i);
        if (hit == NULL) {
            break;
        }
        i = (size_t)(hit - bytes.data);
        if (i + sizeof mark > bytes.size || memcmp(hit, mark, sizeof mark) != 0) {
            continue;
        }
        struct batch batch;
        int error = 0;
        const enum err err = segment_reader_batch(
            probe, position + i, segment->file_bytes, segment->mark, &batch, &error);
        if (err == ERR_IO) {
            return problem_io(self, "read", error);
        }
        if (err == ERR_OK && batch.base >= segment->next) {
            *later_at = position + i;
            return ERR_OK;
        }
    }
    return ERR_OK;
}

// Looks through the file from position to its end.
static enum err rest_read(struct recovery *self, uint64_t position, struct rest *rest)
{
    enum {
        MARK_OVERLAP = 3
    }; // a mark may lie across two reads
    const struct segment *segment = self->segment;
    struct segment_reader probe = {.fd = -1};
    const int fd = log_directory_open_file(segment->directory, segment->base, O_RDONLY);
    enum err err = fd < 0 ? problem_io(self, "open", errno) : ERR_OK;
    segment_reader_open(&probe, segment->directory->io, fd);
    *rest = (struct rest){0};
    while (err == ERR_OK && rest->later_at == 0 && position < segment->file_bytes) {
        struct bytes bytes;
        int error = 0;
        err = segment_reader_bytes(&self->reader, position, segment->file_bytes, &bytes, &error);
        if (err != ERR_OK) {
            err = problem_io(self, "read", error);
            break;
        }
        if (bytes.size == 0) {
            break; // the file got shorter while we looked
        }
        size_t used = bytes.size;
        while (used > 0 && bytes.data[used - 1] == 0) {
            used--;
        }
        if (used > 0) {
            rest->rubbish_end = position + used;
            err = later_batch_find(self, &probe, bytes, position, &rest->later_at);
        }
        position += bytes.size > MARK_OVERLAP ? bytes.size - MARK_OVERLAP : bytes.size;
    }
    segment_reader_close(&probe);
    return err;
}

// Makes the newest segment anew when its making was cut short: it held nothing.
static enum err remake(struct recovery *self)
{
    const struct log_directory *directory = self->segment->directory;
    const uint64_t base = self->segment->base;
    segment_close(self->segment);
    const int error = segment_create(self->segment, directory, base, SEGMENT_HEADER_SIZE);
    if (error != 0) {
        self->segment->directory = directory; // for the sentence
        self->segment->base = base;
        return problem_io(self, "make", error);
    }
    return ERR_OK;
}

// Writes again what the process before us wrote last.
static int last_write_repeat(struct recovery *self)
{
    struct segment *segment = self->segment;
    if (self->last_at == 0) {
        return segment_header_write(segment);
    }
    struct batch batch;
    int error = 0;
    const enum err err = segment_reader_batch(
        &self->reader, self->last_at, segment->tail, segment->mark, &batch, &error);
    if (err != ERR_OK) {
        return err == ERR_IO ? error : EIO; // it was good a moment ago
    }
    size_t written = 0;
    return event_log_io_write(segment->directory->io,
                              segment->fd,
                              batch.records.data - BATCH_HEADER_SIZE,
                              batch.size,
                              self->last_at,
                              &written);
}

// Makes sure that what we read is what the disk holds. A process that died of a
// failed sync may have left its last change in the page cache, marked clean: a sync
// alone would do nothing. So the same bytes are written once more, and the file is
// cut once more, torn or not. No room for that (a file system that never
// overwrites) must not keep readers from a full disk.
static enum err settle(struct recovery *self)
{
    struct segment *segment = self->segment;
    const struct event_log_io *io = segment->directory->io;
    int error = event_log_io_truncate(io, segment->fd, segment->tail);
    if (error != 0) {
        return problem_io(self, "cut", error);
    }
    segment->file_bytes = segment->tail;
    error = last_write_repeat(self);
    if (error != 0 && !event_log_io_is_full(error)) {
        return problem_io(self, "write", error);
    }
    error = event_log_io_datasync(io, segment->fd);
    return error == 0 ? ERR_OK : problem_io(self, "sync", error);
}

static enum err recover(struct recovery *self, bool last)
{
    struct segment *segment = self->segment;
    int error = 0;
    const enum err header = segment_load(segment, segment->directory, segment->base, &error);
    if (header == ERR_IO) {
        return problem_io(self, "open", error);
    }
    const int fd = log_directory_open_file(segment->directory, segment->base, O_RDONLY);
    if (fd < 0) {
        return problem_io(self, "open", errno);
    }
    segment_reader_open(&self->reader, segment->directory->io, fd);

    enum err err = header == ERR_OK ? batches_read(self) : ERR_OK;
    if (err != ERR_OK) {
        return err;
    }
    struct rest rest;
    err = rest_read(self, segment->tail, &rest);
    if (err != ERR_OK) {
        return err;
    }
    // A header is synced before the first batch is written, so a bad one with
    // something behind it was good once.
    if (header != ERR_OK && (!last || rest.rubbish_end != 0)) {
        return problem_damage(self, 0, "no header of a segment (format 1) that begins here");
    }
    if (rest.later_at != 0) {
        return problem_damage(self, segment->tail, "no whole batch is here, but good ones follow");
    }
    if (rest.rubbish_end != 0 && !last) {
        return problem_damage(
            self, segment->tail, "no whole batch is here, but later files follow");
    }
    if (rest.rubbish_end != 0) {
        self->found->torn_bytes = rest.rubbish_end - segment->tail;
        self->found->torn_at = segment->next;
    }
    if (!last) {
        segment_stop(segment);
        return ERR_OK;
    }
    return header == ERR_OK ? settle(self) : remake(self);
}

enum err segment_recover(struct segment *self, const struct log_directory *directory, uint64_t base,
                         bool last, struct event_log_recovery *recovery)
{
    *self = (struct segment){.directory = directory, .fd = -1, .base = base, .next = base};
    struct recovery state = {.segment = self, .reader = {.fd = -1}, .found = recovery};
    const enum err err = recover(&state, last);
    segment_reader_close(&state.reader);
    return err;
}
