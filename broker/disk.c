#include "broker/disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/folder.h"

// --- the operating system's

static int os_open(void *context, const char *path, int flags)
{
    (void)context;
    return open(path, flags | O_CLOEXEC, 0640);
}

static int os_close(void *context, int fd)
{
    (void)context;
    return close(fd);
}

static int64_t os_size(void *context, int fd)
{
    (void)context;
    return lseek(fd, 0, SEEK_END);
}

static ssize_t os_pread(void *context, int fd, void *data, size_t size, uint64_t at)
{
    (void)context;
    return pread(fd, data, size, (off_t)at);
}

static ssize_t os_pwrite(void *context, int fd, const void *data, size_t size, uint64_t at)
{
    (void)context;
    return pwrite(fd, data, size, (off_t)at);
}

static int os_ftruncate(void *context, int fd, uint64_t size)
{
    (void)context;
    return ftruncate(fd, (off_t)size);
}

static int os_fdatasync(void *context, int fd)
{
    (void)context;
    return fdatasync(fd);
}

static int os_fsync(void *context, int fd)
{
    (void)context;
    return fsync(fd);
}

static int os_lock(void *context, int fd)
{
    (void)context;
    return flock(fd, LOCK_EX | LOCK_NB);
}

static int os_rename(void *context, const char *from, const char *to)
{
    (void)context;
    return rename(from, to);
}

static int os_unlink(void *context, const char *path)
{
    (void)context;
    return unlink(path);
}

static int os_mkdir(void *context, const char *path)
{
    (void)context;
    return folder_make(path) ? 0 : -1;
}

static int os_list(void *context, const char *path, struct buf *names)
{
    (void)context;
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return -1;
    }
    const struct dirent *entry = NULL;
    while (errno = 0, (entry = readdir(folder)) != NULL) { // NULL at the end as well
        buf_put(names, entry->d_name, strlen(entry->d_name) + 1);
    }
    const int error = errno;
    closedir(folder);
    errno = error;
    return error == 0 ? 0 : -1;
}

static uint32_t os_random(void *context)
{
    (void)context;
    uint32_t value = 0;
    const ssize_t got = getrandom(&value, sizeof value, 0);
    assert(got == (ssize_t)sizeof value); // so few bytes always come
    return value;
}

static void os_die(void *context, const char *sentence)
{
    (void)context;
    (void)fprintf(stderr, "%s\n", sentence);
    abort();
}

const struct disk disk_os = {.open = os_open,
                             .close = os_close,
                             .size = os_size,
                             .pread = os_pread,
                             .pwrite = os_pwrite,
                             .ftruncate = os_ftruncate,
                             .fdatasync = os_fdatasync,
                             .fsync = os_fsync,
                             .lock = os_lock,
                             .rename = os_rename,
                             .unlink = os_unlink,
                             .mkdir = os_mkdir,
                             .list = os_list,
                             .random = os_random,
                             .die = os_die};

// --- files

bool disk_file_open(struct disk_file *self, int flags)
{
    self->fd = self->disk->open(self->disk->context, self->path, flags);
    return self->fd >= 0;
}

bool disk_file_write(const struct disk_file *self, const uint8_t *data, size_t size, uint64_t at)
{
    while (size > 0) {
        const ssize_t count = self->disk->pwrite(self->disk->context, self->fd, data, size, at);
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

bool disk_file_truncate(const struct disk_file *self, uint64_t size)
{
    int result = 0;
    do {
        result = self->disk->ftruncate(self->disk->context, self->fd, size);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

// A sync that was interrupted may have lost the error of a page that failed: it is
// not tried again, but counts as failed, as every other.
bool disk_file_datasync(const struct disk_file *self)
{
    return self->disk->fdatasync(self->disk->context, self->fd) == 0;
}

bool disk_file_sync(const struct disk_file *self)
{
    return self->disk->fsync(self->disk->context, self->fd) == 0;
}

ssize_t disk_file_read(const struct disk_file *self, uint8_t *data, size_t size, uint64_t at)
{
    size_t got = 0;
    ssize_t count = 1;
    while (got < size && count != 0) {
        count = self->disk->pread(self->disk->context, self->fd, data + got, size - got, at + got);
        if (count > 0) {
            got += (size_t)count;
        } else if (count < 0 && errno != EINTR) {
            return -1;
        }
    }
    return (ssize_t)got;
}

void disk_file_close(struct disk_file *self)
{
    const int error = errno;
    if (self->fd >= 0) {
        (void)self->disk->close(self->disk->context, self->fd);
    }
    self->fd = -1;
    errno = error;
}

void disk_file_release(struct disk_file *self)
{
    disk_file_close(self);
    free(self->path);
}

bool disk_is_full(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG || error == EMFILE ||
           error == ENFILE;
}

enum err disk_file_problem(const struct disk_file *self, const char *action, char *problem,
                           size_t size)
{
    (void)snprintf(problem, size, "cannot %s %s: %s", action, self->path, strerror(errno));
    return disk_is_full(errno) ? ERR_FULL : ERR_IO;
}

void disk_file_must(const struct disk_file *self, bool done, const char *action)
{
    if (done) {
        return;
    }
    char problem[512];
    (void)disk_file_problem(self, action, problem, sizeof problem);
    char sentence[768];
    (void)snprintf(sentence,
                   sizeof sentence,
                   "event log: %s. What the disk holds is unknown now, so the process ends; the "
                   "next start reads it again.",
                   problem);
    self->disk->die(self->disk->context, sentence);
    abort(); // it did not keep its word
}
