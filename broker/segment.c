#include "broker/segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/record.h"

enum {
    FORMAT_VERSION = 1,
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_CRC = 8,
    AT_MARK = 12,
    AT_BASE = 16,
    ZEROS_SIZE = 64 * 1024,
};

static const uint32_t magic = 0x67734c46; // "FLsg"
static const uint8_t zeros[ZEROS_SIZE];

static const struct event_log_io *io_of(const struct segment *self)
{
    return self->directory->io;
}

static _Noreturn void die(const struct segment *self, const char *action, int error)
{
    char name[LOG_DIRECTORY_NAME_SIZE];
    log_directory_name(name, self->base);
    event_log_io_die(action, self->directory->path, name, error);
}

// Writes zeros from the end of the file up to file_bytes. What found room stays:
// it is where the next batches go. 0 or an errno.
static int fill(struct segment *self, uint64_t file_bytes)
{
    int error = 0;
    while (self->file_bytes < file_bytes && error == 0) {
        const uint64_t rest = file_bytes - self->file_bytes;
        const size_t size = rest < ZEROS_SIZE ? (size_t)rest : ZEROS_SIZE;
        size_t written = 0;
        error = event_log_io_write(io_of(self), self->fd, zeros, size, self->file_bytes, &written);
        self->file_bytes += written;
    }
    return error;
}

static uint32_t header_checksum(const uint8_t *header)
{
    return record_crc32c(0, header + AT_MARK, SEGMENT_HEADER_SIZE - AT_MARK);
}

int segment_header_write(struct segment *self)
{
    uint8_t header[SEGMENT_HEADER_SIZE];
    store_u32(header + AT_MAGIC, magic);
    store_u32(header + AT_VERSION, FORMAT_VERSION);
    store_u32(header + AT_MARK, self->mark);
    store_u64(header + AT_BASE, self->base);
    store_u32(header + AT_CRC, header_checksum(header));
    size_t written = 0;
    return event_log_io_write(io_of(self), self->fd, header, sizeof header, 0, &written);
}

static bool header_parse(struct segment *self, const uint8_t *header)
{
    self->mark = load_u32(header + AT_MARK);
    return load_u32(header + AT_MAGIC) == magic &&
           load_u32(header + AT_VERSION) == FORMAT_VERSION &&
           load_u32(header + AT_CRC) == header_checksum(header) &&
           load_u64(header + AT_BASE) == self->base;
}

int segment_create(struct segment *self, const struct log_directory *directory, uint64_t base,
                   uint64_t fill_to)
{
    // Zeros mean that no batch starts here, so the mark may be anything else.
    const uint32_t mark = directory->io->random(directory->io->context);
    *self = (struct segment){.directory = directory,
                             .mark = mark == 0 ? 1 : mark,
                             .base = base,
                             .next = base,
                             .tail = SEGMENT_HEADER_SIZE,
                             .file_bytes = SEGMENT_HEADER_SIZE};
    self->fd = log_directory_open_file(directory, base, O_RDWR | O_CREAT | O_TRUNC);
    if (self->fd < 0) {
        return errno;
    }
    int error = segment_header_write(self);
    if (error != 0) {
        goto out;
    }
    error = fill(self, fill_to);
    if (error != 0 && !event_log_io_is_full(error)) {
        goto out;
    }
    error = event_log_io_sync(io_of(self), self->fd);
    if (error != 0) {
        goto out;
    }
    // The name as well: a synced batch in a file that no folder lists is lost.
    error = log_directory_sync(directory);

out:
    if (error != 0) {
        (void)log_directory_remove_file(directory, base); // else it is made anew next time
        segment_close(self);
    }
    return error;
}

enum err segment_load(struct segment *self, const struct log_directory *directory, uint64_t base,
                      int *error)
{
    *self = (struct segment){
        .directory = directory, .base = base, .next = base, .tail = SEGMENT_HEADER_SIZE};
    *error = 0;
    self->fd = log_directory_open_file(directory, base, O_RDWR);
    struct stat status;
    if (self->fd < 0 || fstat(self->fd, &status) != 0) {
        *error = errno;
        return ERR_IO;
    }
    self->file_bytes = (uint64_t)status.st_size;
    uint8_t header[SEGMENT_HEADER_SIZE];
    size_t got = 0;
    *error = event_log_io_read(io_of(self), self->fd, header, sizeof header, 0, &got);
    if (*error != 0) {
        return ERR_IO;
    }
    return got == sizeof header && header_parse(self, header) ? ERR_OK : ERR_CORRUPT;
}

void segment_close(struct segment *self)
{
    segment_stop(self);
    free(self->index);
    *self = (struct segment){.fd = -1};
}

void segment_stop(struct segment *self)
{
    if (self->fd >= 0) {
        close(self->fd);
        self->fd = -1;
    }
}

void segment_note(struct segment *self, const struct batch *batch)
{
    const struct segment_index_entry *last =
        self->index_count == 0 ? NULL : &self->index[self->index_count - 1];
    if (last == NULL || self->tail - last->position >= SEGMENT_INDEX_GAP) {
        if (self->index_count == self->index_capacity) {
            self->index_capacity = self->index_capacity == 0 ? 16 : self->index_capacity * 2;
            self->index = mem_realloc(self->index, self->index_capacity * sizeof *self->index);
        }
        self->index[self->index_count++] =
            (struct segment_index_entry){.offset = batch->base, .position = self->tail};
    }
    self->tail += batch->size;
    self->next = batch->base + batch->count;
}

// Ends the file at tail, durably.
static void cut_to_tail(struct segment *self)
{
    int error = event_log_io_truncate(io_of(self), self->fd, self->tail);
    if (error != 0) {
        die(self, "cut", error);
    }
    self->file_bytes = self->tail;
    error = event_log_io_datasync(io_of(self), self->fd);
    if (error != 0) {
        die(self, "sync", error);
    }
}

enum err segment_write(struct segment *self, struct bytes data, const struct batch *batch,
                       uint64_t file_bytes_max)
{
    assert(self->fd >= 0);
    size_t written = 0;
    int error =
        event_log_io_write(io_of(self), self->fd, data.data, data.size, self->tail, &written);
    if (event_log_io_is_full(error)) {
        // Synced before anybody is told: were it only cut, a crash might bring back a
        // batch whose publishers heard that it is not stored.
        cut_to_tail(self);
        return ERR_FULL;
    }
    if (error != 0) {
        die(self, "write", error);
    }
    const uint64_t end = self->tail + data.size;
    if (end > self->file_bytes) {
        self->file_bytes = end;
        const uint64_t wanted = data.size < SEGMENT_FILL_BATCH_MAX ? end + SEGMENT_FILL : end;
        error = fill(self, wanted < file_bytes_max ? wanted : file_bytes_max);
        if (error != 0 && !event_log_io_is_full(error)) {
            die(self, "write", error);
        }
    }
    // Sync before anybody hears of it, never after: once a producer sees the ack it
    // drops its own copy.
    error = event_log_io_datasync(io_of(self), self->fd);
    if (error != 0) {
        die(self, "sync", error);
    }
    segment_note(self, batch);
    return ERR_OK;
}

void segment_seal(struct segment *self)
{
    if (self->file_bytes > self->tail) {
        cut_to_tail(self);
    }
}

struct segment_index_entry segment_find(const struct segment *self, uint64_t offset)
{
    assert(offset >= self->base && offset < self->next);
    size_t low = 0;
    size_t high = self->index_count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (self->index[middle].offset <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return self->index[low];
}
