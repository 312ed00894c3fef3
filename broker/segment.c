#include "broker/segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/crash_point.h"
#include "common/mem.h"
#include "common/record.h"

enum {
    MAGIC = 0x67734c46, // "FLsg"
    FORMAT_VERSION = 1,
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_CRC = 8,
    AT_MARK = 12,
    AT_BASE = 16,
    FILL_SIZE = 1024 * 1024,     // of zeros ahead
    FILL_BATCH_MAX = 128 * 1024, // from this size on a batch is large
    BATCH_AT_CRC = 4,
    BATCH_AT_SIZE = 8,
    BATCH_AT_COUNT = 12,
    BATCH_AT_BASE = 16,
    BATCH_AT_TIME = 24,
    READ_SIZE = 256 * 1024, // of a reader's buffer, unless a batch is larger
};

static void header_make(uint8_t header[SEGMENT_HEADER_SIZE], uint32_t mark, uint64_t base)
{
    store_u32(header + AT_MAGIC, MAGIC);
    store_u32(header + AT_VERSION, FORMAT_VERSION);
    store_u32(header + AT_MARK, mark);
    store_u64(header + AT_BASE, base);
    store_u32(header + AT_CRC, record_crc32c(0, header + AT_MARK, SEGMENT_HEADER_SIZE - AT_MARK));
}

enum err segment_create(struct segment *self, const struct disk_file *directory)
{
    const struct disk *disk = directory->disk;
    // Odd, since zeros mean that no batch starts here.
    self->mark = disk->random(disk->context) | 1;
    uint8_t header[SEGMENT_HEADER_SIZE];
    header_make(header, self->mark, self->base);
    struct disk_file *file = &self->file;
    if (!disk_file_open(file, O_RDWR | O_CREAT | O_TRUNC) ||
        !disk_file_write(file, header, sizeof header, 0)) {
        disk_file_must(file, disk_is_full(errno), "make");
        disk_file_close(file);
        return ERR_FULL;
    }
    // The name as well: a synced batch in a file that no folder lists is lost.
    disk_file_must(file, disk_file_sync(file), "sync");
    disk_file_must(directory, disk_file_sync(directory), "sync");
    self->file_bytes = SEGMENT_HEADER_SIZE;
    crash_point("broker-roll-made");
    return ERR_OK;
}

bool segment_header_take(struct segment *self, struct bytes header)
{
    uint8_t wanted[SEGMENT_HEADER_SIZE];
    self->mark = header.size < sizeof wanted ? 0 : load_u32(header.data + AT_MARK);
    header_make(wanted, self->mark, self->base);
    return header.size == sizeof wanted && memcmp(header.data, wanted, sizeof wanted) == 0;
}

// Writes zeros from the end of the file up to file_bytes. What finds no room is left out.
static void fill(struct segment *self, uint64_t file_bytes)
{
    static const uint8_t zeros[64 * 1024];
    while (self->file_bytes < file_bytes) {
        const uint64_t rest = file_bytes - self->file_bytes;
        const size_t size = rest < sizeof zeros ? (size_t)rest : sizeof zeros;
        if (!disk_file_write(&self->file, zeros, size, self->file_bytes)) {
            disk_file_must(&self->file, disk_is_full(errno), "write");
            return;
        }
        self->file_bytes += size;
    }
}

enum err segment_write(struct segment *self, struct bytes batch, uint64_t file_bytes_max)
{
    crash_point("broker-before-write");
    const bool is_written = disk_file_write(&self->file, batch.data, batch.size, self->tail);
    if (!is_written && disk_is_full(errno)) {
        // Synced before anybody is told: were it only cut, a crash might bring back a
        // batch whose publishers heard that it is not stored.
        segment_cut(self);
        return ERR_FULL;
    }
    disk_file_must(&self->file, is_written, "write");
    const uint64_t end = self->tail + batch.size;
    if (end > self->file_bytes) {
        self->file_bytes = end;
        const uint64_t wanted = batch.size < FILL_BATCH_MAX ? end + FILL_SIZE : end;
        fill(self, wanted < file_bytes_max ? wanted : file_bytes_max);
    }
    crash_point("broker-before-sync");
    // Sync before anybody hears of it, never after: once a producer sees the ack it
    // drops its own copy.
    disk_file_must(&self->file, disk_file_datasync(&self->file), "sync");
    return ERR_OK;
}

void segment_cut(struct segment *self)
{
    const struct disk_file *file = &self->file;
    disk_file_must(file, disk_file_truncate(file, self->tail) && disk_file_datasync(file), "cut");
    self->file_bytes = self->tail;
}

static uint32_t checksum(const uint8_t *data, size_t size)
{
    const uint32_t mark = record_crc32c(0, data, BATCH_AT_CRC);
    return record_crc32c(mark, data + BATCH_AT_SIZE, size - BATCH_AT_SIZE);
}

void batch_seal(uint8_t *data, uint32_t mark, const struct batch *batch)
{
    assert(batch->size > BATCH_HEADER_SIZE && batch->size <= BATCH_SIZE_MAX && batch->count > 0);
    store_u32(data, mark);
    store_u32(data + BATCH_AT_SIZE, batch->size);
    store_u32(data + BATCH_AT_COUNT, batch->count);
    store_u64(data + BATCH_AT_BASE, batch->base);
    store_u64(data + BATCH_AT_TIME, batch->time_us);
    store_u32(data + BATCH_AT_CRC, checksum(data, batch->size));
}

// Reads from at on into the buffer, which keeps what it has of that. false: errno tells.
static bool read_on(struct batch_reader *self, uint64_t at, size_t size)
{
    const uint64_t behind = self->at + self->size;
    const size_t kept = at >= self->at && at < behind ? (size_t)(behind - at) : 0;
    if (kept > 0) {
        memmove(self->data, self->data + self->size - kept, kept);
    }
    self->at = at;
    self->size = kept;
    size = size < READ_SIZE ? READ_SIZE : size;
    if (size > self->capacity) {
        self->data = mem_realloc(self->data, size);
        self->capacity = size;
    }
    const uint64_t left = at < self->end ? self->end - at : 0;
    size = left < size ? (size_t)left : size;
    const ssize_t got = disk_file_read(&self->file, self->data + kept, size - kept, at + kept);
    self->size += got < 0 ? 0 : (size_t)got;
    return got >= 0;
}

bool batch_reader_bytes(struct batch_reader *self, uint64_t at, size_t size, struct bytes *out)
{
    const uint64_t left = at < self->end ? self->end - at : 0;
    size = left < size ? (size_t)left : size;
    if (self->data == NULL || at < self->at || at + size > self->at + self->size) {
        if (!read_on(self, at, size)) {
            return false;
        }
        size = self->size < size ? self->size : size; // the file got shorter meanwhile
    }
    *out = (struct bytes){.data = self->data + (at - self->at), .size = size};
    return true;
}

enum err batch_reader_read(struct batch_reader *self, uint64_t at, struct batch *out)
{
    struct bytes bytes;
    if (!batch_reader_bytes(self, at, BATCH_HEADER_SIZE, &bytes)) {
        return ERR_IO;
    }
    const bool is_header = bytes.size == BATCH_HEADER_SIZE && load_u32(bytes.data) == self->mark;
    const uint32_t size = is_header ? load_u32(bytes.data + BATCH_AT_SIZE) : 0;
    if (size <= BATCH_HEADER_SIZE || size > BATCH_SIZE_MAX) {
        return ERR_CORRUPT;
    }
    if (!batch_reader_bytes(self, at, size, &bytes)) {
        return ERR_IO;
    }
    if (bytes.size < size || load_u32(bytes.data + BATCH_AT_CRC) != checksum(bytes.data, size)) {
        return ERR_CORRUPT;
    }
    const uint32_t count = load_u32(bytes.data + BATCH_AT_COUNT);
    if (count == 0 || count > (size - BATCH_HEADER_SIZE) / RECORD_HEADER_SIZE) {
        return ERR_CORRUPT; // a good CRC, and nobody wrote it: cursors walk so many records
    }
    *out = (struct batch){
        .size = size,
        .count = count,
        .base = load_u64(bytes.data + BATCH_AT_BASE),
        .time_us = load_u64(bytes.data + BATCH_AT_TIME),
        .records = {.data = bytes.data + BATCH_HEADER_SIZE, .size = size - BATCH_HEADER_SIZE}};
    return ERR_OK;
}
