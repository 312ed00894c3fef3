#include "broker/batch.h"

#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/record.h"

enum {
    AT_MARK = 0,
    AT_CRC = 4,
    AT_SIZE = 8,
    AT_COUNT = 12,
    AT_BASE = 16,
    AT_TIME = 24,
    READ_SIZE = 256 * 1024,
};

static uint32_t checksum(const uint8_t *data, size_t size)
{
    const uint32_t mark = record_crc32c(0, data + AT_MARK, AT_CRC - AT_MARK);
    return record_crc32c(mark, data + AT_SIZE, size - AT_SIZE);
}

void batch_seal(uint8_t *data, uint32_t mark, const struct batch *batch)
{
    assert(batch->size > BATCH_HEADER_SIZE && batch->size <= BATCH_SIZE_MAX && batch->count > 0);
    store_u32(data + AT_MARK, mark);
    store_u32(data + AT_SIZE, batch->size);
    store_u32(data + AT_COUNT, batch->count);
    store_u64(data + AT_BASE, batch->base);
    store_u64(data + AT_TIME, batch->time_us);
    store_u32(data + AT_CRC, checksum(data, batch->size));
}

void batch_reader_release(struct batch_reader *self)
{
    free(self->data);
    *self = (struct batch_reader){0};
}

enum err batch_reader_bytes(struct batch_reader *self, uint64_t at, size_t size, struct bytes *out)
{
    const uint64_t left = at < self->end ? self->end - at : 0;
    size = left < size ? (size_t)left : size;
    if (self->data == NULL || at < self->at || at + size > self->at + self->size) {
        // After a batch that needed more room, back to the usual.
        const size_t room = size < READ_SIZE ? READ_SIZE : size;
        self->data = mem_realloc(self->data, room);
        const ssize_t got =
            log_file_read(self->file, self->data, left < room ? (size_t)left : room, at);
        self->at = at;
        self->size = got < 0 ? 0 : (size_t)got;
        if (got < 0) {
            return ERR_IO;
        }
        size = self->size < size ? self->size : size; // the file got shorter meanwhile
    }
    *out = (struct bytes){.data = self->data + (at - self->at), .size = size};
    return ERR_OK;
}

enum err batch_reader_read(struct batch_reader *self, uint64_t at, struct batch *out)
{
    struct bytes bytes;
    enum err err = batch_reader_bytes(self, at, BATCH_HEADER_SIZE, &bytes);
    if (err != ERR_OK) {
        return err;
    }
    if (bytes.size < BATCH_HEADER_SIZE || load_u32(bytes.data + AT_MARK) != self->mark) {
        return ERR_CORRUPT;
    }
    const uint32_t size = load_u32(bytes.data + AT_SIZE);
    if (size <= BATCH_HEADER_SIZE || size > BATCH_SIZE_MAX || size > self->end - at) {
        return ERR_CORRUPT;
    }
    err = batch_reader_bytes(self, at, size, &bytes);
    if (err != ERR_OK) {
        return err;
    }
    if (bytes.size < size || load_u32(bytes.data + AT_CRC) != checksum(bytes.data, size)) {
        return ERR_CORRUPT;
    }
    *out = (struct batch){
        .size = size,
        .count = load_u32(bytes.data + AT_COUNT),
        .base = load_u64(bytes.data + AT_BASE),
        .time_us = load_u64(bytes.data + AT_TIME),
        .records = {.data = bytes.data + BATCH_HEADER_SIZE, .size = size - BATCH_HEADER_SIZE}};
    return ERR_OK;
}
