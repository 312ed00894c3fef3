#include "tests/support/faulty_disk.h"

#include <errno.h>

// Counts a call; true: it is to be interrupted.
static bool is_interrupted(struct faulty_disk *self)
{
    self->calls++;
    return self->interrupt_each != 0 && self->calls % self->interrupt_each == 0;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

static size_t size_of_call(const struct faulty_disk *self, size_t size)
{
    return self->call_bytes_max != 0 && size > self->call_bytes_max ? self->call_bytes_max : size;
}

static int disk_open(void *context, const char *path, int flags)
{
    struct faulty_disk *self = context;
    const int fd = disk_os.open(NULL, path, flags);
    self->open_files += fd >= 0;
    return fd;
}

static int disk_close(void *context, int fd)
{
    struct faulty_disk *self = context;
    self->open_files--;
    return disk_os.close(NULL, fd);
}

static int disk_unlink(void *context, const char *path)
{
    const struct faulty_disk *self = context;
    return self->unlink_error != 0 ? fail(self->unlink_error) : disk_os.unlink(NULL, path);
}

static ssize_t disk_pread(void *context, int fd, void *data, size_t size, uint64_t at)
{
    struct faulty_disk *self = context;
    if (is_interrupted(self)) {
        return fail(EINTR);
    }
    return self->read_error != 0 ? fail(self->read_error)
                                 : disk_os.pread(NULL, fd, data, size_of_call(self, size), at);
}

static ssize_t disk_pwrite(void *context, int fd, const void *data, size_t size, uint64_t at)
{
    struct faulty_disk *self = context;
    if (is_interrupted(self)) {
        return fail(EINTR);
    }
    if (self->write_error != 0) {
        return fail(self->write_error);
    }
    size = size_of_call(self, size);
    if (self->is_limited) {
        if (self->bytes_left == 0) {
            return fail(ENOSPC);
        }
        size = size > self->bytes_left ? (size_t)self->bytes_left : size;
        self->bytes_left -= size;
    }
    self->writes++;
    return disk_os.pwrite(NULL, fd, data, size, at);
}

static int disk_ftruncate(void *context, int fd, uint64_t size)
{
    return is_interrupted(context) ? fail(EINTR) : disk_os.ftruncate(NULL, fd, size);
}

static int disk_fdatasync(void *context, int fd)
{
    (void)fd;
    struct faulty_disk *self = context;
    self->syncs++;
    return self->sync_error != 0 ? fail(self->sync_error) : 0;
}

static int disk_fsync(void *context, int fd)
{
    (void)fd;
    const struct faulty_disk *self = context;
    return self->sync_error != 0 ? fail(self->sync_error) : 0;
}

static uint32_t disk_random(void *context)
{
    struct faulty_disk *self = context;
    self->random = self->random * 1664525U + 1013904223U;
    return self->random;
}

void faulty_disk_init(struct faulty_disk *self)
{
    *self = (struct faulty_disk){.disk = disk_os};
    self->disk.context = self;
    self->disk.open = disk_open;
    self->disk.close = disk_close;
    self->disk.unlink = disk_unlink;
    self->disk.pread = disk_pread;
    self->disk.pwrite = disk_pwrite;
    self->disk.ftruncate = disk_ftruncate;
    self->disk.fdatasync = disk_fdatasync;
    self->disk.fsync = disk_fsync;
    self->disk.random = disk_random;
}
