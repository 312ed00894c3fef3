#include "broker/segment_reader.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"

void segment_reader_open(struct segment_reader *self, const struct event_log_io *io, int fd)
{
    if (self->fd >= 0) {
        close(self->fd);
    }
    self->io = io;
    self->fd = fd;
    self->size = 0;
    self->at = 0;
}

void segment_reader_close(struct segment_reader *self)
{
    if (self->fd >= 0) {
        close(self->fd);
    }
    free(self->data);
    *self = (struct segment_reader){.fd = -1};
}

// Fills the buffer from position with size bytes, or with what the file has.
static int load(struct segment_reader *self, uint64_t position, size_t size)
{
    const size_t capacity = size < SEGMENT_READ_SIZE ? SEGMENT_READ_SIZE : size;
    // After a batch that needed more, back to the usual size.
    if (capacity != self->capacity) {
        free(self->data);
        self->data = mem_alloc(capacity);
        self->capacity = capacity;
    }
    self->at = position;
    self->size = 0;
    size_t got = 0;
    const int error = event_log_io_read(self->io, self->fd, self->data, size, position, &got);
    if (error == 0) {
        self->size = got;
    }
    return error;
}

// What the buffer holds of the file between position and limit.
static struct bytes view(const struct segment_reader *self, uint64_t position, uint64_t limit)
{
    const uint64_t end = self->at + self->size < limit ? self->at + self->size : limit;
    if (position < self->at || position >= end) {
        return (struct bytes){0};
    }
    return (struct bytes){.data = self->data + (position - self->at),
                          .size = (size_t)(end - position)};
}

enum err segment_reader_batch(struct segment_reader *self, uint64_t position, uint64_t limit,
                              uint32_t mark, struct batch *out, int *error)
{
    *error = 0;
    struct bytes bytes = view(self, position, limit);
    enum batch_state state = batch_parse(bytes, mark, out);
    // Short at most twice: of a header, then of a batch larger than the buffer.
    for (int tries = 0; state == BATCH_SHORT && tries < 2; tries++) {
        const uint64_t rest = position < limit ? limit - position : 0;
        if (out->size > rest) {
            return ERR_CORRUPT;
        }
        const size_t wanted = out->size < SEGMENT_READ_SIZE ? SEGMENT_READ_SIZE : out->size;
        *error = load(self, position, wanted < rest ? wanted : (size_t)rest);
        if (*error != 0) {
            return ERR_IO;
        }
        bytes = view(self, position, limit);
        state = batch_parse(bytes, mark, out);
    }
    return state == BATCH_WHOLE ? ERR_OK : ERR_CORRUPT;
}

enum err segment_reader_bytes(struct segment_reader *self, uint64_t position, uint64_t limit,
                              struct bytes *out, int *error)
{
    *error = 0;
    *out = view(self, position, limit);
    const uint64_t rest = position < limit ? limit - position : 0;
    if (out->size >= SEGMENT_BYTES_MIN || out->size == rest) {
        return ERR_OK;
    }
    *error = load(self, position, rest < SEGMENT_READ_SIZE ? (size_t)rest : SEGMENT_READ_SIZE);
    *out = view(self, position, limit);
    return *error == 0 ? ERR_OK : ERR_IO;
}
