#include "broker/event_log_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static ssize_t system_pread(void *context, int fd, void *data, size_t size, off_t at)
{
    (void)context;
    return pread(fd, data, size, at);
}

static ssize_t system_pwrite(void *context, int fd, const void *data, size_t size, off_t at)
{
    (void)context;
    return pwrite(fd, data, size, at);
}

static int system_ftruncate(void *context, int fd, off_t size)
{
    (void)context;
    return ftruncate(fd, size);
}

static int system_fdatasync(void *context, int fd)
{
    (void)context;
    return fdatasync(fd);
}

static int system_fsync(void *context, int fd)
{
    (void)context;
    return fsync(fd);
}

static uint32_t system_random(void *context)
{
    (void)context;
    uint32_t value = 0;
    if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value) {
        (void)fputs("event log: the system has no randomness\n", stderr);
        abort();
    }
    return value;
}

const struct event_log_io event_log_io_system = {
    .pread = system_pread,
    .pwrite = system_pwrite,
    .ftruncate = system_ftruncate,
    .fdatasync = system_fdatasync,
    .fsync = system_fsync,
    .random = system_random,
};

int event_log_io_read(const struct event_log_io *io, int fd, void *data, size_t size, uint64_t at,
                      size_t *got)
{
    *got = 0;
    while (*got < size) {
        const ssize_t count =
            io->pread(io->context, fd, (uint8_t *)data + *got, size - *got, (off_t)(at + *got));
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno;
        }
        if (count == 0) {
            break;
        }
        *got += (size_t)count;
    }
    return 0;
}

int event_log_io_write(const struct event_log_io *io, int fd, const void *data, size_t size,
                       uint64_t at, size_t *written)
{
    *written = 0;
    while (*written < size) {
        const ssize_t count = io->pwrite(io->context,
                                         fd,
                                         (const uint8_t *)data + *written,
                                         size - *written,
                                         (off_t)(at + *written));
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno;
        }
        if (count == 0) {
            return EIO; // no file does this; looping on it would never end
        }
        *written += (size_t)count;
    }
    return 0;
}

int event_log_io_truncate(const struct event_log_io *io, int fd, uint64_t size)
{
    while (io->ftruncate(io->context, fd, (off_t)size) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

// A sync that was interrupted may have lost the error of a page that failed: it is
// not tried again, but counts as failed, as every other.
int event_log_io_datasync(const struct event_log_io *io, int fd)
{
    return io->fdatasync(io->context, fd) == 0 ? 0 : errno;
}

int event_log_io_sync(const struct event_log_io *io, int fd)
{
    return io->fsync(io->context, fd) == 0 ? 0 : errno;
}

bool event_log_io_is_full(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

_Noreturn void event_log_io_die(const char *action, const char *directory, const char *name,
                                int error)
{
    char text[128] = "unknown error";
    (void)strerror_r(error, text, sizeof text);
    (void)fprintf(
        stderr,
        "event log: cannot %s %s/%s: %s. What the disk holds is unknown now, so the process "
        "ends; the next start reads it again.\n",
        action,
        directory,
        name,
        text);
    abort();
}
