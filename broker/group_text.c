#include "broker/group_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/group_state.h"
#include "common/mem.h"

bool group_text_word(const char **line, const char *word)
{
    const size_t size = strlen(word);
    if (strncmp(*line, word, size) != 0) {
        return false;
    }
    *line += size;
    return true;
}

uint64_t group_text_number(const char **line, uint64_t max)
{
    char *end = NULL;
    const unsigned long long number = strtoull(*line, &end, 10);
    *line = end;
    return number > max ? 0 : number;
}

bool group_text_range(const char **line, uint64_t from, uint64_t end, uint64_t *first,
                      uint64_t *last)
{
    *first = group_text_number(line, GROUP_OFFSET_MAX);
    *last = group_text_word(line, "-") ? group_text_number(line, GROUP_OFFSET_MAX) : *first;
    return from <= *first && *first <= *last && *last < end;
}

void group_text_put_range(struct buf *out, const char *word, uint64_t first, uint64_t last)
{
    buf_printf(out, "%s%" PRIu64, word, first);
    if (first != last) {
        buf_printf(out, "-%" PRIu64, last);
    }
}

uint32_t group_text_difference(struct bytes a, struct bytes b)
{
    uint32_t line = 1;
    size_t i = 0;
    for (; i < a.size && i < b.size && a.data[i] == b.data[i]; i++) {
        line += a.data[i] == '\n';
    }
    return i == a.size && i == b.size ? 0 : line;
}

// --- writing

static void put_failed(struct buf *out, uint64_t offset, const struct group_entry *entry,
                       int64_t now_ms)
{
    buf_printf(out,
               "failed %" PRIu64 " %" PRIu32 " %" PRIu32 " %" PRId64 " %" PRId64 " %s %s",
               offset,
               entry->attempts,
               entry->failures,
               entry->waits && entry->due_ms > now_ms ? entry->due_ms - now_ms : 0,
               entry->first_failed_us,
               entry->dying ? "dying" : "retry",
               entry->error);
}

// Neighbours that a line can say the same of.
static bool is_alike(const struct group_entry *a, const struct group_entry *b)
{
    if (a->error != NULL || b->error != NULL) {
        return false;
    }
    const bool done = a->state == GROUP_DONE;
    return done == (b->state == GROUP_DONE) && (done || a->attempts == b->attempts);
}

void group_save(const struct group *self, struct buf *out, int64_t now_ms)
{
    const struct group_window *window = &self->window;
    buf_printf(out,
               "group %s\nretries %" PRIu32 "\nfloor %" PRIu64 "\n",
               self->name,
               self->retries_max,
               window->floor);
    for (uint64_t offset = window->floor; offset < window->end;) {
        const uint64_t first = offset++;
        const struct group_entry *entry = group_window_at(window, first);
        while (offset < window->end && is_alike(entry, group_window_at(window, offset))) {
            offset++;
        }
        if (entry->error != NULL) {
            put_failed(out, first, entry, now_ms);
        } else if (entry->state == GROUP_DONE) {
            group_text_put_range(out, "done ", first, offset - 1);
        } else if (entry->attempts > 0) {
            group_text_put_range(out, "attempts ", first, offset - 1);
            buf_printf(out, " %" PRIu32, entry->attempts);
        } else {
            continue;
        }
        buf_put_u8(out, '\n');
    }
}

// --- reading

// The rest of a line "failed".
static void read_failure(struct group_window *window, struct group_entry *entry, const char *line,
                         int64_t now_ms)
{
    entry->failures = (uint32_t)group_text_number(&line, INT32_MAX);
    const int64_t delay_ms = (int64_t)group_text_number(&line, GROUP_DELAY_MAX_MS);
    entry->due_ms = now_ms + delay_ms;
    entry->first_failed_us = (int64_t)group_text_number(&line, INT64_MAX);
    const bool dying = group_text_word(&line, " dying ");
    entry->waits = !dying && delay_ms > 0;
    if (dying || group_text_word(&line, " retry ")) {
        char *error = mem_strndup(line, strnlen(line, GROUP_ERROR_MAX));
        group_window_fail(window, entry, error, dying);
    }
}

// A line about entries.
static void read_run(struct group_window *window, const char *line, int64_t now_ms)
{
    const bool failed = group_text_word(&line, "failed ");
    const bool done = group_text_word(&line, "done ");
    uint64_t first = 0;
    uint64_t last = 0;
    if ((!failed && !done && !group_text_word(&line, "attempts ")) ||
        !group_text_range(&line, window->end, window->floor + GROUP_AHEAD_MAX, &first, &last)) {
        return;
    }
    const uint32_t attempts = (uint32_t)group_text_number(&line, INT32_MAX);
    for (; first <= last; first++) {
        struct group_entry *entry = group_window_reach(window, first);
        entry->attempts = attempts;
        if (failed) {
            read_failure(window, entry, line, now_ms);
        } else if (done) {
            group_window_move(window, entry, GROUP_DONE);
        }
    }
    group_window_advance(window);
}

void group_load_line(struct group *self, const char *line, int64_t now_ms)
{
    struct group_window *window = &self->window;
    if (group_text_word(&line, "retries ")) {
        self->retries_max = (uint32_t)group_text_number(&line, UINT32_MAX);
    } else if (group_text_word(&line, "floor ") && window->end == 0) {
        window->floor = group_text_number(&line, GROUP_OFFSET_MAX);
        window->cursor = window->end = window->floor;
    } else {
        read_run(window, line, now_ms);
    }
    self->dirty = false;
}
