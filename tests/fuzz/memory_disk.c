#include "tests/fuzz/memory_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/record.h"

enum {
    FOLDER = 1000000, // the one file descriptor that is no file's
};

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static struct memory_file *file_find(const struct memory_disk *self, const char *name)
{
    for (size_t i = 0; i < self->files_count; i++) {
        if (self->files[i].name != NULL && strcmp(self->files[i].name, name) == 0) {
            return &self->files[i];
        }
    }
    return NULL;
}

static struct memory_file *file_make(struct memory_disk *self, const char *name)
{
    self->files = mem_realloc(self->files, (self->files_count + 1) * sizeof *self->files);
    struct memory_file *file = &self->files[self->files_count++];
    *file = (struct memory_file){.name = mem_strdup(name)};
    return file;
}

static void file_remove(struct memory_file *file)
{
    free(file->name);
    file->name = NULL;
}

static void resize(struct buf *bytes, size_t size)
{
    if (size > bytes->size) {
        memset(buf_reserve(bytes, size - bytes->size), 0, size - bytes->size);
    }
    bytes->size = size;
}

// --- the calls

static int disk_open(void *context, const char *path, int flags)
{
    struct memory_disk *self = context;
    if ((flags & O_DIRECTORY) != 0) {
        return FOLDER;
    }
    struct memory_file *file = file_find(self, name_of(path));
    if (file == NULL && (flags & O_CREAT) == 0) {
        errno = ENOENT;
        return -1;
    }
    file = file == NULL ? file_make(self, name_of(path)) : file;
    if ((flags & O_TRUNC) != 0) {
        buf_release(&file->bytes);
    }
    return (int)(file - self->files);
}

static int disk_close(void *context, int fd)
{
    (void)context;
    (void)fd;
    return 0;
}

static int64_t disk_size(void *context, int fd)
{
    return (int64_t)((struct memory_disk *)context)->files[fd].bytes.size;
}

static ssize_t disk_pread(void *context, int fd, void *data, size_t size, uint64_t at)
{
    const struct buf *bytes = &((struct memory_disk *)context)->files[fd].bytes;
    const size_t left = at < bytes->size ? bytes->size - (size_t)at : 0;
    size = left < size ? left : size;
    if (size > 0) {
        memcpy(data, bytes->data + at, size);
    }
    return (ssize_t)size;
}

static ssize_t disk_pwrite(void *context, int fd, const void *data, size_t size, uint64_t at)
{
    struct memory_disk *self = context;
    struct buf *bytes = &self->files[fd].bytes;
    const uint64_t end = at + size;
    const uint64_t more = end > bytes->size ? end - bytes->size : 0;
    if (more > self->room) {
        errno = ENOSPC;
        return -1;
    }
    self->room -= self->room == UINT64_MAX ? 0 : more;
    if (more > 0) {
        resize(bytes, (size_t)end);
    }
    memcpy(bytes->data + at, data, size);
    return (ssize_t)size;
}

static int disk_ftruncate(void *context, int fd, uint64_t size)
{
    resize(&((struct memory_disk *)context)->files[fd].bytes, (size_t)size);
    return 0;
}

static int disk_done(void *context, int fd)
{
    (void)context;
    (void)fd;
    return 0;
}

static int disk_rename(void *context, const char *from, const char *to)
{
    struct memory_disk *self = context;
    struct memory_file *file = file_find(self, name_of(from));
    struct memory_file *other = file_find(self, name_of(to));
    if (other != NULL) {
        file_remove(other);
        buf_release(&other->bytes); // it is saved often, and nobody keeps it open
    }
    free(file->name);
    file->name = mem_strdup(name_of(to));
    return 0;
}

static int disk_unlink(void *context, const char *path)
{
    struct memory_file *file = file_find(context, name_of(path));
    if (file == NULL) {
        errno = ENOENT;
        return -1;
    }
    file_remove(file);
    return 0;
}

static int disk_mkdir(void *context, const char *path)
{
    (void)context;
    (void)path;
    return 0;
}

static int disk_list(void *context, const char *path, struct buf *names)
{
    const struct memory_disk *self = context;
    (void)path;
    for (size_t i = self->files_count; i > 0; i--) {
        const char *name = self->files[i - 1].name;
        if (name != NULL) {
            buf_put(names, name, strlen(name) + 1);
        }
    }
    return 0;
}

static uint32_t disk_random(void *context)
{
    struct memory_disk *self = context;
    self->random = self->random * 1664525 + 1013904223;
    return self->random;
}

static void disk_die(void *context, const char *sentence)
{
    (void)context;
    (void)fprintf(stderr, "%s\n", sentence);
    abort();
}

// --- the disk

void memory_disk_init(struct memory_disk *self)
{
    *self = (struct memory_disk){.disk = {.context = self,
                                          .open = disk_open,
                                          .close = disk_close,
                                          .size = disk_size,
                                          .pread = disk_pread,
                                          .pwrite = disk_pwrite,
                                          .ftruncate = disk_ftruncate,
                                          .fdatasync = disk_done,
                                          .fsync = disk_done,
                                          .lock = disk_done,
                                          .rename = disk_rename,
                                          .unlink = disk_unlink,
                                          .mkdir = disk_mkdir,
                                          .list = disk_list,
                                          .random = disk_random,
                                          .die = disk_die},
                                 .room = UINT64_MAX};
}

void memory_disk_release(struct memory_disk *self)
{
    for (size_t i = 0; i < self->files_count; i++) {
        free(self->files[i].name);
        buf_release(&self->files[i].bytes);
    }
    free(self->files);
    memory_disk_init(self);
}

void memory_disk_put(struct memory_disk *self, const char *name, struct bytes bytes)
{
    struct memory_file *file = file_find(self, name);
    file = file == NULL ? file_make(self, name) : file;
    buf_clear(&file->bytes);
    buf_put(&file->bytes, bytes.data, bytes.size);
}

struct buf *memory_disk_find(struct memory_disk *self, const char *name)
{
    struct memory_file *file = file_find(self, name);
    return file == NULL ? NULL : &file->bytes;
}

uint64_t memory_disk_checksum(const struct memory_disk *self)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < self->files_count; i++) {
        const struct memory_file *file = &self->files[i];
        if (file->name != NULL) {
            const uint32_t name = record_crc32c(0, file->name, strlen(file->name));
            sum += ((uint64_t)name << 32) + record_crc32c(name, file->bytes.data, file->bytes.size);
        }
    }
    return sum;
}
