#include "broker/log_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

bool log_file_open(struct log_file *self, int flags)
{
    self->fd = open(self->path, flags | O_CLOEXEC, 0640);
    return self->fd >= 0;
}

bool log_file_write(const struct log_file *self, const uint8_t *data, size_t size, uint64_t at)
{
    const struct event_log_io *io = self->io;
    while (size > 0) {
        const ssize_t count = io == NULL ? pwrite(self->fd, data, size, (off_t)at)
                                         : io->pwrite(io->context, self->fd, data, size, (off_t)at);
        if (count > 0) {
            data += count;
            size -= (size_t)count;
            at += (uint64_t)count;
        } else if (count == 0 || errno != EINTR) {
            errno = count == 0 ? EIO : errno; // no file writes nothing: this would never end
            return false;
        }
    }
    return true;
}

bool log_file_truncate(const struct log_file *self, uint64_t size)
{
    const struct event_log_io *io = self->io;
    int result = 0;
    do {
        result = io == NULL ? ftruncate(self->fd, (off_t)size)
                            : io->ftruncate(io->context, self->fd, (off_t)size);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

// A sync that was interrupted may have lost the error of a page that failed: it is
// not tried again, but counts as failed, as every other.
bool log_file_datasync(const struct log_file *self)
{
    const struct event_log_io *io = self->io;
    return (io == NULL ? fdatasync(self->fd) : io->fdatasync(io->context, self->fd)) == 0;
}

bool log_file_sync(const struct log_file *self)
{
    const struct event_log_io *io = self->io;
    return (io == NULL ? fsync(self->fd) : io->fsync(io->context, self->fd)) == 0;
}

ssize_t log_file_read(const struct log_file *self, uint8_t *data, size_t size, uint64_t at)
{
    const struct event_log_io *io = self->io;
    size_t got = 0;
    ssize_t count = 1;
    while (got < size && count != 0) {
        const off_t from = (off_t)(at + got);
        count = io == NULL ? pread(self->fd, data + got, size - got, from)
                           : io->pread(io->context, self->fd, data + got, size - got, from);
        if (count > 0) {
            got += (size_t)count;
        } else if (count < 0 && errno != EINTR) {
            return -1;
        }
    }
    return (ssize_t)got;
}

uint32_t log_file_random(const struct log_file *self)
{
    uint32_t value = 0;
    if (self->io != NULL) {
        return self->io->random(self->io->context);
    }
    const ssize_t got = getrandom(&value, sizeof value, 0);
    assert(got == (ssize_t)sizeof value); // so few bytes always come
    return value;
}

void log_file_close(struct log_file *self)
{
    if (self->fd >= 0) {
        close(self->fd);
    }
    self->fd = -1;
}

void log_file_release(struct log_file *self)
{
    log_file_close(self);
    free(self->path);
}

bool log_file_is_full(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

void log_file_must(const struct log_file *self, bool done, const char *action)
{
    if (done) {
        return;
    }
    char problem[512];
    (void)log_file_problem(self, action, problem, sizeof problem);
    static const char sentence[] = "event log: %s. What the disk holds is unknown now, so the "
                                   "process ends; the next start reads it again.\n";
    (void)fprintf(stderr, sentence, problem);
    abort();
}

enum err log_file_problem(const struct log_file *self, const char *action, char *problem,
                          size_t size)
{
    (void)snprintf(problem, size, "cannot %s %s: %s", action, self->path, strerror(errno));
    return ERR_IO;
}
