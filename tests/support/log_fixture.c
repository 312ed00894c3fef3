#include "tests/support/log_fixture.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

void log_fixture_set_up(struct log_fixture *self)
{
    // In memory where the system has a place for that: some file systems sync a file
    // that is cut and written anew, which the tests of damage do thousands of times.
    const char *parent = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
    *self = (struct log_fixture){0};
    snprintf(self->directory, sizeof self->directory, "%s/faultline-log-XXXXXX", parent);
    const char *made = mkdtemp(self->directory);
    assert(made != NULL);
    (void)made;
    faulty_disk_init(&self->disk);
    self->options.directory = self->directory;
    self->options.disk = &self->disk.disk;
}

void log_fixture_tear_down(struct log_fixture *self)
{
    log_fixture_close(self);
    DIR *directory = opendir(self->directory);
    assert(directory != NULL);
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        (void)unlinkat(dirfd(directory), entry->d_name, 0); // "." and ".." stay
    }
    closedir(directory);
    rmdir(self->directory);
}

enum err log_fixture_open(struct log_fixture *self)
{
    log_fixture_close(self);
    const enum err err = event_log_open(&self->log, &self->options, &self->recovery);
    if (err == ERR_OK) {
        self->cursor = event_log_cursor_new(self->log);
    }
    return err;
}

void log_fixture_close(struct log_fixture *self)
{
    event_log_cursor_destroy(&self->cursor);
    event_log_destroy(&self->log);
}

// The body of an event: its number as text, then bytes made of it, zeros among them.
static void body_make(struct buf *out, uint64_t number, size_t size)
{
    buf_printf(out, "event-%" PRIu64 " ", number);
    while (out->size < size) {
        buf_put_u8(out, (uint8_t)((number * 31 + out->size * 7) & (out->size % 3 == 0 ? 0 : 0xff)));
    }
}

void log_fixture_append(struct log_fixture *self, uint64_t number, uint64_t count,
                        size_t body_bytes)
{
    struct buf body = {0};
    struct buf whole = {0};
    for (uint64_t i = number; i < number + count; i++) {
        buf_clear(&body);
        buf_clear(&whole);
        body_make(&body, i, body_bytes);
        const struct record record = {.topic = bytes_of_text("order-created"),
                                      .key = bytes_of_text("key"),
                                      .id = bytes_of_text("id"),
                                      .body = buf_view(&body)};
        uint64_t offset = 0;
        enum err err = record_append(&whole, &record);
        assert(err == ERR_OK);
        err = event_log_append(self->log, buf_view(&whole), &offset);
        assert(err == ERR_OK && offset == i);
        (void)err;
    }
    buf_release(&body);
    buf_release(&whole);
}

enum err log_fixture_sync(struct log_fixture *self)
{
    return event_log_sync(self->log, 1000 + event_log_next(self->log), false);
}

void log_fixture_store(struct log_fixture *self, uint64_t count, size_t body_bytes)
{
    log_fixture_append(self, event_log_next(self->log), count, body_bytes);
    const enum err err = log_fixture_sync(self);
    assert(err == ERR_OK);
    (void)err;
}

bool log_fixture_holds(struct log_fixture *self, uint64_t offset)
{
    struct event_log_entry entry;
    if (event_log_cursor_read(self->cursor, offset, &entry) != ERR_OK) {
        return false;
    }
    struct buf body = {0};
    body_make(&body, offset, entry.record.body.size);
    const bool is_same = entry.offset == offset && entry.time_us >= 1000 &&
                         entry.time_us <= 1000 + offset && entry.record.body.size == body.size &&
                         memcmp(entry.record.body.data, body.data, body.size) == 0 &&
                         bytes_equal_text(entry.record.topic, "order-created");
    buf_release(&body);
    return is_same;
}

bool log_fixture_holds_all(struct log_fixture *self)
{
    for (uint64_t i = event_log_first(self->log); i < event_log_next(self->log); i++) {
        if (!log_fixture_holds(self, i)) {
            return false;
        }
    }
    return true;
}

void log_fixture_path(const struct log_fixture *self, uint64_t base, char path[128])
{
    snprintf(path, 128, "%s/%020" PRIu64 ".log", self->directory, base);
}

uint8_t *log_fixture_load(const struct log_fixture *self, uint64_t base, size_t *size)
{
    char path[128];
    log_fixture_path(self, base, path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert(fd >= 0);
    struct stat status;
    const int stated = fstat(fd, &status);
    assert(stated == 0);
    (void)stated;
    *size = (size_t)status.st_size;
    uint8_t *data = mem_alloc(*size);
    const ssize_t got = read(fd, data, *size);
    assert(got == (ssize_t)*size);
    (void)got;
    close(fd);
    return data;
}

void log_fixture_replace(const struct log_fixture *self, uint64_t base, const uint8_t *data,
                         size_t size)
{
    char path[128];
    log_fixture_path(self, base, path);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert(fd >= 0);
    const ssize_t put = write(fd, data, size);
    assert(put == (ssize_t)size);
    (void)put;
    close(fd);
}
