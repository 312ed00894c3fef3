#include "broker/segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
    FILL_SIZE = 1024 * 1024,     // of zeros ahead
    FILL_BATCH_MAX = 128 * 1024, // from this size on a batch is large
    ZEROS_SIZE = 64 * 1024,
};

static const uint32_t magic = 0x67734c46; // "FLsg"

static uint32_t header_checksum(const uint8_t *header)
{
    return record_crc32c(0, header + AT_MARK, SEGMENT_HEADER_SIZE - AT_MARK);
}

void segment_init(struct segment *self, const struct log_file *directory, uint64_t base)
{
    char *path = mem_format("%s/%020" PRIu64 ".log", directory->path, base);
    *self = (struct segment){.file = {.io = directory->io, .path = path, .fd = -1},
                             .base = base,
                             .next = base,
                             .tail = SEGMENT_HEADER_SIZE};
}

bool segment_create(struct segment *self, const struct log_file *directory)
{
    // Zeros mean that no batch starts here, so the mark may be anything else.
    const uint32_t mark = log_file_random(directory);
    self->mark = mark == 0 ? 1 : mark;
    self->file_bytes = SEGMENT_HEADER_SIZE;
    uint8_t header[SEGMENT_HEADER_SIZE];
    store_u32(header + AT_MAGIC, magic);
    store_u32(header + AT_VERSION, FORMAT_VERSION);
    store_u32(header + AT_MARK, self->mark);
    store_u64(header + AT_BASE, self->base);
    store_u32(header + AT_CRC, header_checksum(header));

    log_file_close(&self->file);
    // The name as well: a synced batch in a file that no folder lists is lost.
    if (log_file_open(&self->file, O_RDWR | O_CREAT | O_TRUNC) &&
        log_file_write(&self->file, header, sizeof header, 0) && log_file_sync(&self->file) &&
        log_file_sync(directory)) {
        return true;
    }
    const int error = errno;
    (void)unlink(self->file.path); // else it is made anew next time
    log_file_close(&self->file);
    errno = error;
    return false;
}

bool segment_header_take(struct segment *self, struct bytes header)
{
    const bool is_good = header.size == SEGMENT_HEADER_SIZE &&
                         load_u32(header.data + AT_MAGIC) == magic &&
                         load_u32(header.data + AT_VERSION) == FORMAT_VERSION &&
                         load_u32(header.data + AT_CRC) == header_checksum(header.data) &&
                         load_u64(header.data + AT_BASE) == self->base;
    self->mark = is_good ? load_u32(header.data + AT_MARK) : 0;
    return is_good;
}

// Writes zeros from the end of the file up to file_bytes. What finds no room is left out.
static void fill(struct segment *self, uint64_t file_bytes)
{
    static const uint8_t zeros[ZEROS_SIZE];
    while (self->file_bytes < file_bytes) {
        const uint64_t rest = file_bytes - self->file_bytes;
        const size_t size = rest < ZEROS_SIZE ? (size_t)rest : ZEROS_SIZE;
        if (!log_file_write(&self->file, zeros, size, self->file_bytes)) {
            log_file_must(&self->file, log_file_is_full(errno), "write");
            return;
        }
        self->file_bytes += size;
    }
}

enum err segment_write(struct segment *self, struct bytes batch, uint64_t file_bytes_max)
{
    const bool is_written = log_file_write(&self->file, batch.data, batch.size, self->tail);
    if (!is_written && log_file_is_full(errno)) {
        // Synced before anybody is told: were it only cut, a crash might bring back a
        // batch whose publishers heard that it is not stored.
        segment_cut(self);
        return ERR_FULL;
    }
    log_file_must(&self->file, is_written, "write");
    const uint64_t end = self->tail + batch.size;
    if (end > self->file_bytes) {
        self->file_bytes = end;
        const uint64_t wanted = batch.size < FILL_BATCH_MAX ? end + FILL_SIZE : end;
        fill(self, wanted < file_bytes_max ? wanted : file_bytes_max);
    }
    // Sync before anybody hears of it, never after: once a producer sees the ack it
    // drops its own copy.
    log_file_must(&self->file, log_file_datasync(&self->file), "sync");
    return ERR_OK;
}

void segment_cut(struct segment *self)
{
    const struct log_file *file = &self->file;
    log_file_must(file, log_file_truncate(file, self->tail) && log_file_datasync(file), "cut");
    self->file_bytes = self->tail;
}
