#include "tests/support/fragile_disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

#define CUT UINT64_MAX

uint64_t fragile_disk_draw(struct fragile_disk *self, uint64_t below)
{
    self->random ^= self->random >> 12; // xorshift64*
    self->random ^= self->random << 25;
    self->random ^= self->random >> 27;
    return (self->random * 2685821657736338717U >> 33) % below;
}

static void file_release(struct fragile_file *file)
{
    buf_release(&file->platter);
    buf_release(&file->pending);
    buf_release(&file->cache);
}

static void buf_assign(struct buf *out, const void *data, size_t size)
{
    buf_clear(out);
    buf_put(out, data, size);
}

static void buf_resize(struct buf *buf, size_t size)
{
    while (buf->size < size) {
        buf_put_u8(buf, 0);
    }
    buf->size = size;
}

static void path_of(const struct fragile_disk *self, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", self->directory, name);
}

static void cache_load(const struct fragile_disk *self, const char *name, struct buf *out)
{
    char path[256];
    path_of(self, name, path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert(fd >= 0);
    struct stat status;
    const int stated = fstat(fd, &status);
    assert(stated == 0);
    (void)stated;
    buf_clear(out);
    const ssize_t got = read(fd, buf_reserve(out, (size_t)status.st_size), (size_t)status.st_size);
    assert(got == status.st_size);
    out->size = (size_t)got;
    close(fd);
}

// The name of the segment file with this inode; false: it is no segment.
static bool name_find(const struct fragile_disk *self, ino_t inode, char name[FRAGILE_NAME_SIZE])
{
    DIR *directory = opendir(self->directory);
    assert(directory != NULL);
    bool is_found = false;
    for (const struct dirent *entry = readdir(directory); entry != NULL && !is_found;
         entry = readdir(directory)) {
        is_found = entry->d_ino == inode && strlen(entry->d_name) == 24;
        if (is_found) {
            memcpy(name, entry->d_name, 25);
        }
    }
    closedir(directory);
    return is_found;
}

static struct fragile_file *file_find(struct fragile_disk *self, const char *name)
{
    for (size_t i = 0; i < self->files_count; i++) {
        if (strcmp(self->files[i].name, name) == 0) {
            return &self->files[i];
        }
    }
    return NULL;
}

static struct fragile_file *file_of(struct fragile_disk *self, int fd)
{
    struct stat status;
    const int stated = fstat(fd, &status);
    assert(stated == 0 && S_ISREG(status.st_mode));
    (void)stated;
    char name[FRAGILE_NAME_SIZE];
    const bool is_found = name_find(self, status.st_ino, name);
    assert(is_found);
    (void)is_found;
    struct fragile_file *known = file_find(self, name);
    if (known != NULL) {
        assert(known->inode == status.st_ino && !known->is_unlinked);
        return known;
    }
    assert(self->files_count < FRAGILE_FILES_MAX);
    struct fragile_file *file = &self->files[self->files_count++];
    *file = (struct fragile_file){.inode = status.st_ino};
    memcpy(file->name, name, sizeof name);
    return file;
}

// Applies one write or cut to image; in pieces, each of which may be lost.
static void arrive(struct fragile_disk *self, struct buf *image, uint64_t at, struct bytes data)
{
    for (size_t i = 0; i < data.size;) {
        size_t piece = self->grain - (size_t)((at + i) % self->grain);
        piece = piece < data.size - i ? piece : data.size - i;
        if (fragile_disk_draw(self, 2) == 0) {
            if (image->size < at + i + piece) {
                buf_resize(image, (size_t)(at + i + piece));
            }
            memcpy(image->data + at + i, data.data + i, piece);
        }
        i += piece;
    }
}

// The file as the platter has it after the power is back.
static void power_cut(struct fragile_disk *self, struct fragile_file *out)
{
    struct reader reader = {.rest = buf_view(&out->pending)};
    while (reader.rest.size > 0) {
        const uint64_t at = reader_u64(&reader);
        const uint64_t size = reader_u64(&reader);
        if (at != CUT) {
            arrive(self, &out->platter, at, reader_bytes(&reader, (size_t)size));
        } else if (fragile_disk_draw(self, 2) == 0) {
            buf_resize(&out->platter, (size_t)size);
        }
    }
    buf_clear(&out->pending);
    buf_assign(&out->cache, out->platter.data, out->platter.size);
}

// Puts the state aside. syncing: the file whose sync is under way, or NULL.
static void crash(struct fragile_disk *self, const struct fragile_file *syncing)
{
    self->has_crashed = true;
    for (size_t i = 0; i < self->files_count; i++) {
        const struct fragile_file *file = &self->files[i];
        // What the folder's sync did not confirm, made or removed, may be either.
        const bool is_either = file->is_unlinked || !file->is_listed;
        if (self->crash_kind == CRASH_POWER && is_either && fragile_disk_draw(self, 2) == 0) {
            continue;
        }
        struct fragile_file *out = &self->crash[self->crash_count++];
        *out =
            (struct fragile_file){.is_listed = file->is_listed, .is_unlinked = file->is_unlinked};
        memcpy(out->name, file->name, sizeof out->name);
        buf_assign(&out->platter, file->platter.data, file->platter.size);
        buf_assign(&out->pending, file->pending.data, file->pending.size);
        if (self->crash_kind == CRASH_POWER) {
            out->is_listed = true;
            out->is_unlinked = false;
            power_cut(self, out);
            continue;
        }
        if (!file->is_unlinked) {
            cache_load(self, file->name, &out->cache);
        }
        if (self->crash_kind == CRASH_SYNC_LOST && file == syncing) {
            buf_clear(&out->pending);
        }
    }
}

static void tick(struct fragile_disk *self, const struct fragile_file *syncing)
{
    if (self->crash_in > 0 && --self->crash_in == 0) {
        crash(self, syncing);
    }
}

static int fail(int error)
{
    errno = error;
    return -1;
}

static ssize_t disk_pwrite(void *context, int fd, const void *data, size_t size, uint64_t at)
{
    struct fragile_disk *self = context;
    if (self->is_limited) {
        if (self->bytes_left == 0) {
            return fail(ENOSPC);
        }
        size = size > self->bytes_left ? (size_t)self->bytes_left : size;
        self->bytes_left -= size;
    }
    struct fragile_file *file = file_of(self, fd);
    const ssize_t put = disk_os.pwrite(NULL, fd, data, size, at);
    assert(put == (ssize_t)size);
    buf_put_u64(&file->pending, at);
    buf_put_u64(&file->pending, size);
    buf_put(&file->pending, data, size);
    tick(self, NULL);
    return put;
}

static int disk_ftruncate(void *context, int fd, uint64_t size)
{
    struct fragile_disk *self = context;
    struct fragile_file *file = file_of(self, fd);
    buf_put_u64(&file->pending, CUT);
    buf_put_u64(&file->pending, size);
    const int result = disk_os.ftruncate(NULL, fd, size);
    tick(self, NULL);
    return result;
}

static int disk_fdatasync(void *context, int fd)
{
    struct fragile_disk *self = context;
    struct fragile_file *file = file_of(self, fd);
    tick(self, file);
    // What is marked clean is not written: the writes on their way are all there is.
    struct reader reader = {.rest = buf_view(&file->pending)};
    while (reader.rest.size > 0) {
        const uint64_t at = reader_u64(&reader);
        const uint64_t size = reader_u64(&reader);
        if (at == CUT) {
            buf_resize(&file->platter, (size_t)size);
            continue;
        }
        const struct bytes data = reader_bytes(&reader, (size_t)size);
        if (file->platter.size < at + size) {
            buf_resize(&file->platter, (size_t)(at + size));
        }
        memcpy(file->platter.data + at, data.data, data.size);
    }
    buf_clear(&file->pending);
    return 0;
}

static int disk_fsync(void *context, int fd)
{
    struct fragile_disk *self = context;
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        return disk_fdatasync(context, fd);
    }
    tick(self, NULL);
    for (size_t i = self->files_count; i-- > 0;) {
        struct fragile_file *file = &self->files[i];
        file->is_listed = true;
        if (file->is_unlinked) {
            file_release(file);
            *file = self->files[--self->files_count];
        }
    }
    return 0;
}

static const char *name_of(const char *path)
{
    return strrchr(path, '/') + 1;
}

static int disk_open(void *context, const char *path, int flags)
{
    struct fragile_disk *self = context;
    const int fd = disk_os.open(NULL, path, flags);
    struct fragile_file *file = file_find(self, name_of(path));
    if (fd >= 0 && (flags & O_TRUNC) != 0 && file != NULL) {
        buf_put_u64(&file->pending, CUT);
        buf_put_u64(&file->pending, 0);
        tick(self, NULL);
    }
    return fd;
}

static int disk_unlink(void *context, const char *path)
{
    struct fragile_disk *self = context;
    struct fragile_file *file = file_find(self, name_of(path));
    assert(file != NULL);
    file->is_unlinked = true;
    const int result = disk_os.unlink(NULL, path);
    tick(self, NULL);
    return result;
}

static uint32_t disk_random(void *context)
{
    return (uint32_t)fragile_disk_draw(context, UINT32_MAX);
}

void fragile_disk_init(struct fragile_disk *self, const char *directory, uint64_t seed)
{
    assert(seed != 0);
    *self = (struct fragile_disk){.disk = disk_os, .directory = directory, .random = seed};
    self->disk.context = self;
    self->disk.open = disk_open;
    self->disk.unlink = disk_unlink;
    self->disk.pwrite = disk_pwrite;
    self->disk.ftruncate = disk_ftruncate;
    self->disk.fdatasync = disk_fdatasync;
    self->disk.fsync = disk_fsync;
    self->disk.random = disk_random;
    static const size_t grains[] = {512, 512, 64, 1};
    self->grain = grains[fragile_disk_draw(self, ARRAY_LEN(grains))];
}

static void files_forget(struct fragile_file *files, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        file_release(&files[i]);
    }
    *count = 0;
}

void fragile_disk_release(struct fragile_disk *self)
{
    files_forget(self->files, &self->files_count);
    files_forget(self->crash, &self->crash_count);
}

void fragile_disk_arm(struct fragile_disk *self, enum crash_kind kind, uint64_t calls)
{
    self->crash_kind = kind;
    self->crash_in = calls;
}

void fragile_disk_crash(struct fragile_disk *self, enum crash_kind kind)
{
    self->crash_kind = kind;
    self->crash_in = 0;
    crash(self, NULL);
}

void fragile_disk_restore(struct fragile_disk *self)
{
    assert(self->has_crashed);
    char path[256];
    for (size_t i = 0; i < self->files_count; i++) {
        path_of(self, self->files[i].name, path);
        (void)unlink(path);
    }
    files_forget(self->files, &self->files_count);
    for (size_t i = 0; i < self->crash_count; i++) {
        struct fragile_file *file = &self->crash[i];
        if (file->is_unlinked) { // the page cache knows, the platter does not
            self->files[self->files_count++] = *file;
            continue;
        }
        path_of(self, file->name, path);
        const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert(fd >= 0);
        const ssize_t put = write(fd, file->cache.data, file->cache.size);
        assert(put == (ssize_t)file->cache.size);
        (void)put;
        struct stat status;
        const int stated = fstat(fd, &status);
        assert(stated == 0);
        (void)stated;
        file->inode = status.st_ino;
        close(fd);
        buf_release(&file->cache);
        self->files[self->files_count++] = *file;
    }
    self->crash_count = 0;
    self->has_crashed = false;
    self->crash_in = 0;
}
