// No broker at all: one process that writes EVENT_BYTES at the end of what it wrote, and
// syncs. What every durable broker pays at least, on this disk and at this moment.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/messages/engine.h"
#include "common/mem.h"

enum {
    FILE_BYTES = 64 * 1024 * 1024, // written before: growing files cost more
};

struct client {
    int fd;
    off_t at;
    size_t answered;
    const struct engine_role *role;
};

static struct client *open_client(const struct engine_role *role)
{
    static const uint8_t zeros[1024 * 1024];
    struct client *self = mem_calloc(1, sizeof *self);
    char path[512];
    snprintf(path, sizeof path, "%s/file", role->place->folder);
    self->role = role;
    self->fd = open(path, O_RDWR | O_CREAT, 0600);
    for (off_t at = 0; at < FILE_BYTES; at += (off_t)sizeof zeros) {
        if (pwrite(self->fd, zeros, sizeof zeros, at) != (ssize_t)sizeof zeros) {
            engine_fail("cannot write %s", path);
        }
    }
    (void)fsync(self->fd);
    return self;
}

static void publish(struct client *self, uint64_t first, size_t count, int64_t stamp_us)
{
    uint8_t value[EVENT_BYTES] = {0};
    event_stamp(value, stamp_us, first);
    for (size_t i = 0; i < count; i++) {
        if (pwrite(self->fd, value, sizeof value, self->at) != (ssize_t)sizeof value) {
            engine_fail("the disk loop cannot write");
        }
        self->at = (self->at + EVENT_BYTES) % FILE_BYTES;
    }
    if (fdatasync(self->fd) != 0) {
        engine_fail("the disk loop cannot sync");
    }
    self->answered += count;
    lane_sample(self->role->lanes, self->role->lane, stamp_us);
}

static size_t answers(struct client *self, int timeout_ms)
{
    (void)timeout_ms;
    const size_t count = self->answered;
    self->answered = 0;
    return count;
}

static void close_client(struct client *self)
{
    close(self->fd);
    free(self);
}

static const char *missing(void)
{
    return NULL;
}

const struct engine engine_disk = {
    .name = "disk",
    .title = "bare fdatasync",
    .durable = true,
    .missing = missing,
    .open = open_client,
    .publish = publish,
    .answers = answers,
    .close = close_client,
};
