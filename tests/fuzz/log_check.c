#include "tests/fuzz/log_check.h"

#include <assert.h>
#include <string.h>

enum err log_check_open(struct log_check *self)
{
    const struct event_log_options options = {.disk = &self->disk->disk,
                                              .directory = "log",
                                              .segment_bytes = LOG_CHECK_SEGMENT_BYTES,
                                              .known_end = self->known_end};
    memory_disk_put(self->disk, "lock", (struct bytes){0}); // it would be made
    const uint64_t before = memory_disk_checksum(self->disk);
    const enum err err = event_log_open(&self->log, &options, &self->recovery);
    if (err == ERR_OK) {
        self->cursor = event_log_cursor_new(self->log);
        assert(event_log_first(self->log) <= event_log_next(self->log));
        // Without any file nothing is cut; that they are missing is for the broker to say.
        assert(event_log_next(self->log) >= self->known_end || event_log_next(self->log) == 0);
        self->known_end = event_log_next(self->log);
        return ERR_OK;
    }
    assert(err == ERR_CORRUPT && self->log == NULL);
    assert(self->recovery.problem[0] != '\0');
    assert(memory_disk_checksum(self->disk) == before);
    return err;
}

void log_check_close(struct log_check *self)
{
    event_log_cursor_destroy(&self->cursor);
    event_log_destroy(&self->log);
}

static uint32_t read_one(struct log_check *self, uint64_t offset, uint32_t digest)
{
    struct event_log_entry entry;
    const enum err err = event_log_cursor_read(self->cursor, offset, &entry);
    digest = record_crc32c(digest, &err, sizeof err);
    if (err == ERR_OK) {
        assert(entry.offset == offset);
        digest = record_crc32c(digest, &entry.time_us, sizeof entry.time_us);
        digest = record_crc32c(digest, entry.record.whole.data, entry.record.whole.size);
    } else {
        assert(err == ERR_CORRUPT && event_log_cursor_problem(self->cursor)[0] != '\0');
    }
    return digest;
}

uint32_t log_check_digest(struct log_check *self)
{
    const uint64_t first = event_log_first(self->log);
    const uint64_t count = event_log_next(self->log) - first;
    const uint64_t reads = count < LOG_CHECK_READS_MAX ? count : LOG_CHECK_READS_MAX;
    uint32_t digest = record_crc32c(0, &first, sizeof first);
    for (uint64_t i = 0; i < reads; i++) {
        digest = read_one(self, first + i, digest);
    }
    for (uint64_t i = reads; i > 0; i--) { // backwards: each is searched for
        digest = read_one(self, first + count - i, digest);
    }
    struct event_log_entry entry;
    assert(event_log_cursor_read(self->cursor, first + count, &entry) == ERR_NOT_FOUND);
    assert(first == 0 || event_log_cursor_read(self->cursor, first - 1, &entry) == ERR_NOT_FOUND);
    return digest;
}

void log_check_store(struct log_check *self, struct bytes body)
{
    struct buf whole = {0};
    const struct record record = {
        .topic = bytes_of_text("t"), .id = bytes_of_text("i"), .body = body};
    const uint64_t next = event_log_next(self->log);
    uint64_t offset = 0;
    enum err err = record_append(&whole, &record);
    assert(err == ERR_OK);
    err = event_log_append(self->log, buf_view(&whole), &offset);
    assert(err == ERR_OK && offset == next);
    err = event_log_sync(self->log, 1000 + next, false);
    assert(err == ERR_OK && event_log_next(self->log) == next + 1);
    (void)err;
    buf_release(&whole);
}

static void open_whole(struct log_check *self, uint64_t first, uint64_t next)
{
    log_check_close(self);
    const enum err err = log_check_open(self);
    assert(err == ERR_OK);
    (void)err;
    assert(self->recovery.torn_bytes == 0);
    assert(event_log_first(self->log) == first && event_log_next(self->log) == next);
}

void log_check_again(struct log_check *self)
{
    const uint64_t first = event_log_first(self->log);
    const uint64_t next = event_log_next(self->log);
    const uint32_t digest = log_check_digest(self);
    open_whole(self, first, next);
    assert(log_check_digest(self) == digest);

    log_check_store(self, bytes_of_text("one more"));
    open_whole(self, first, next + 1);
    struct event_log_entry entry;
    const enum err err = event_log_cursor_read(self->cursor, next, &entry);
    assert(err == ERR_OK && bytes_equal_text(entry.record.body, "one more"));
    (void)err;
}
