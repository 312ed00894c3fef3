#include "tests/support/faulty_disk.h"

#include <errno.h>
#include <stdio.h>

// Tells whether a call is to fail, with error or because it is its turn, and sets errno.
static bool fails(struct faulty_disk *self, int error)
{
    if (self->fail_in > 0 && --self->fail_in == 0) {
        error = self->fail_error;
    }
    errno = error;
    return error != 0;
}

// The same of a call that moves bytes and may be interrupted.
static bool fails_to_move(struct faulty_disk *self, int error)
{
    self->calls++;
    const bool is_interrupted =
        self->interrupt_each != 0 && self->calls % self->interrupt_each == 0;
    return fails(self, is_interrupted ? EINTR : error);
}

static size_t size_of_call(const struct faulty_disk *self, size_t size)
{
    return self->call_bytes_max != 0 && size > self->call_bytes_max ? self->call_bytes_max : size;
}

static int disk_open(void *context, const char *path, int flags)
{
    struct faulty_disk *self = context;
    const int fd = fails(self, 0) ? -1 : disk_os.open(NULL, path, flags);
    self->open_files += fd >= 0;
    return fd;
}

static int disk_close(void *context, int fd)
{
    struct faulty_disk *self = context;
    self->open_files--;
    return disk_os.close(NULL, fd);
}

static int64_t disk_size(void *context, int fd)
{
    return fails(context, 0) ? -1 : disk_os.size(NULL, fd);
}

static ssize_t disk_pread(void *context, int fd, void *data, size_t size, uint64_t at)
{
    struct faulty_disk *self = context;
    return fails_to_move(self, self->read_error)
               ? -1
               : disk_os.pread(NULL, fd, data, size_of_call(self, size), at);
}

static ssize_t disk_pwrite(void *context, int fd, const void *data, size_t size, uint64_t at)
{
    struct faulty_disk *self = context;
    if (fails_to_move(self, self->write_error)) {
        return -1;
    }
    size = size_of_call(self, size);
    if (self->is_limited) {
        if (self->bytes_left == 0) {
            errno = ENOSPC;
            return -1;
        }
        size = size > self->bytes_left ? (size_t)self->bytes_left : size;
        self->bytes_left -= size;
    }
    self->writes++;
    return disk_os.pwrite(NULL, fd, data, size, at);
}

static int disk_ftruncate(void *context, int fd, uint64_t size)
{
    return fails_to_move(context, 0) ? -1 : disk_os.ftruncate(NULL, fd, size);
}

static int disk_fdatasync(void *context, int fd)
{
    (void)fd;
    struct faulty_disk *self = context;
    self->syncs++;
    return fails(self, self->sync_error) ? -1 : 0;
}

static int disk_fsync(void *context, int fd)
{
    (void)fd;
    struct faulty_disk *self = context;
    return fails(self, self->sync_error) ? -1 : 0;
}

static int disk_lock(void *context, int fd)
{
    return fails(context, 0) ? -1 : disk_os.lock(NULL, fd);
}

static int disk_rename(void *context, const char *from, const char *to)
{
    return fails(context, 0) ? -1 : disk_os.rename(NULL, from, to);
}

static int disk_unlink(void *context, const char *path)
{
    struct faulty_disk *self = context;
    return fails(self, self->unlink_error) ? -1 : disk_os.unlink(NULL, path);
}

static int disk_mkdir(void *context, const char *path)
{
    return fails(context, 0) ? -1 : disk_os.mkdir(NULL, path);
}

static int disk_list(void *context, const char *path, struct buf *names)
{
    return fails(context, 0) ? -1 : disk_os.list(NULL, path, names);
}

static uint32_t disk_random(void *context)
{
    struct faulty_disk *self = context;
    self->random = self->random * 1664525U + 1013904223U;
    return self->random;
}

static void disk_die(void *context, const char *sentence)
{
    struct faulty_disk *self = context;
    if (self->death != NULL) {
        (void)snprintf(self->last_words, sizeof self->last_words, "%s", sentence);
        longjmp(*self->death, 1);
    }
    disk_os.die(NULL, sentence);
}

void faulty_disk_init(struct faulty_disk *self)
{
    *self = (struct faulty_disk){.disk = {.context = self,
                                          .open = disk_open,
                                          .close = disk_close,
                                          .size = disk_size,
                                          .pread = disk_pread,
                                          .pwrite = disk_pwrite,
                                          .ftruncate = disk_ftruncate,
                                          .fdatasync = disk_fdatasync,
                                          .fsync = disk_fsync,
                                          .lock = disk_lock,
                                          .rename = disk_rename,
                                          .unlink = disk_unlink,
                                          .mkdir = disk_mkdir,
                                          .list = disk_list,
                                          .random = disk_random,
                                          .die = disk_die}};
}
