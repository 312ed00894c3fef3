// What the file of the groups keeps of one of them (docs/storage-format.md).
#include <stdlib.h>

#include "broker/group_state.h"
#include "common/mem.h"
#include "common/wire.h"

// Each offset from the floor on has a number; above these: how often it was delivered.
enum {
    SAVED_NOTHING = 0,
    SAVED_DONE = 1,
    SAVED_FAILED = 2, // what is known of the failure follows
};

static uint64_t kind_of(const struct group_entry *entry)
{
    if (entry->state == GROUP_DONE || entry->state == GROUP_ENDED) {
        return SAVED_DONE;
    }
    if (entry->failure != NULL) {
        return SAVED_FAILED;
    }
    return entry->attempts == 0 ? SAVED_NOTHING : (uint64_t)SAVED_FAILED + entry->attempts;
}

static void put_failure(struct buf *out, const struct group_entry *entry, int64_t now_ms)
{
    const struct group_failing *failure = entry->failure;
    const bool waits = failure->waits && failure->due_ms > now_ms;
    buf_put_number(out, entry->attempts);
    buf_put_number(out, failure->count);
    buf_put_number(out, waits ? (uint64_t)(failure->due_ms - now_ms) : 0);
    buf_put_u64(out, (uint64_t)failure->first_us);
    buf_put_u8(out, failure->dying);
    buf_put_string(out, bytes_of_text(failure->error));
}

void group_save(const struct group *self, struct buf *out, int64_t now_ms)
{
    const struct group_window *window = &self->window;
    uint64_t end = window->end;
    while (end > window->floor && kind_of(group_window_at(window, end - 1)) == SAVED_NOTHING) {
        end--;
    }
    buf_put_string(out, bytes_of_text(self->name));
    buf_put_u8(out, self->unordered);
    buf_put_number(out, self->retries_max);
    buf_put_number(out, window->floor);
    buf_put_number(out, end - window->floor);
    for (uint64_t offset = window->floor; offset < end; offset++) {
        const struct group_entry *entry = group_window_at(window, offset);
        buf_put_number(out, kind_of(entry));
        if (kind_of(entry) == SAVED_FAILED) {
            put_failure(out, entry, now_ms);
        }
    }
}

static struct group_failing *take_failure(struct reader *in, int64_t now_ms)
{
    const uint32_t count = (uint32_t)reader_number(in, INT32_MAX);
    const int64_t delay_ms = (int64_t)reader_number(in, GROUP_DELAY_MAX_MS);
    const int64_t first_us = (int64_t)reader_u64(in);
    const bool dying = reader_u8(in) != 0;
    struct group_failing *failure = group_failing_new(reader_string(in));
    failure->due_ms = now_ms + delay_ms;
    failure->first_us = first_us;
    failure->count = count;
    failure->waits = !dying && delay_ms > 0;
    failure->dying = dying;
    return failure;
}

struct group *group_load(struct reader *in, uint64_t log_end, int64_t now_ms)
{
    const struct bytes name_bytes = reader_string(in);
    char *name = mem_strndup((const char *)name_bytes.data, name_bytes.size);
    in->failed = in->failed || !wire_name_is_valid(name_bytes);
    const bool unordered = reader_u8(in) != 0;
    const uint32_t retries_max = (uint32_t)reader_number(in, UINT32_MAX);
    const uint64_t floor = reader_number(in, log_end);
    struct group *self = group_new(name, floor);
    free(name);
    self->unordered = unordered;
    self->retries_max = retries_max;
    struct group_window *window = &self->window;
    const uint64_t ahead_max = log_end - floor;
    uint64_t left = reader_number(in, ahead_max < GROUP_AHEAD_MAX ? ahead_max : GROUP_AHEAD_MAX);
    // The entries grow with what is read: a wrong count asks for no memory.
    for (; left > 0 && !in->failed; left--) {
        const uint64_t offset = window->end;
        struct group_entry *entry = group_window_reach(window, offset);
        const uint64_t kind = reader_number(in, (uint64_t)SAVED_FAILED + INT32_MAX);
        if (kind == SAVED_DONE) {
            group_window_move(window, offset, GROUP_DONE);
        } else if (kind == SAVED_FAILED) {
            entry->attempts = (uint32_t)reader_number(in, INT32_MAX);
            group_window_fail(window, offset, take_failure(in, now_ms));
        } else {
            entry->attempts = kind == SAVED_NOTHING ? 0 : (uint32_t)(kind - SAVED_FAILED);
        }
    }
    group_window_advance(window);
    self->dirty = false;
    return self;
}

bool group_is_dirty(const struct group *self)
{
    return self->dirty;
}

void group_saved(struct group *self)
{
    self->dirty = false;
}
