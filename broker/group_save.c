// The lines that group_run.h draws, out of a group and into one.
#include <inttypes.h>
#include <stdlib.h>

#include "broker/group_run.h"
#include "broker/group_state.h"
#include "broker/text_scan.h"
#include "common/mem.h"
#include "common/wire.h"

enum {
    // A window over this gives memory back when it is mostly empty.
    WINDOW_CAPACITY_KEPT = 1024
};

bool group_is_dirty(const struct group *self)
{
    return self->dirty;
}

void group_saved(struct group *self)
{
    self->dirty = false;
    const uint64_t used = self->window.cursor - self->window.floor;
    if (self->window.capacity > WINDOW_CAPACITY_KEPT && used < self->window.capacity / 8) {
        uint32_t capacity = GROUP_WINDOW_CAPACITY_MIN;
        while (capacity < 2 * used) {
            capacity *= 2;
        }
        group_resize(self, capacity);
    }
    if (self->timers.count == 0) {
        group_timers_release(&self->timers);
    }
}

// Writes run once it is clear that next does not go on with it.
static void run_follow(struct buf *out, struct group_run *run, const struct group_run *next,
                       int64_t now_ms)
{
    if (group_run_join(run, next)) {
        return;
    }
    if (run->done || run->attempts > 0 || run->trouble != NULL) {
        group_run_put(out, run, now_ms);
    }
    *run = *next;
}

void group_save(const struct group *self, struct buf *out, int64_t now_ms)
{
    const struct group_window *window = &self->window;
    buf_printf(out,
               "group %s\nretries %" PRIu32 "\nfloor %" PRIu64 "\n",
               self->name,
               self->retries_max,
               window->floor);

    struct group_run run = {0};
    for (uint64_t offset = window->floor; offset < window->cursor; offset++) {
        const struct group_entry *entry = group_window_at(window, offset);
        const struct group_run next = {
            .first = offset,
            .last = offset,
            .done = entry->state == GROUP_DONE,
            .attempts = entry->attempts,
            .trouble = entry->trouble,
        };
        run_follow(out, &run, &next, now_ms);
    }
    for (size_t i = self->restored.first; i < self->restored.count; i++) {
        struct group_run next = self->restored.runs[i];
        if (next.last < window->cursor) {
            continue; // used up
        }
        if (next.first < window->cursor) {
            next.first = window->cursor;
        }
        run_follow(out, &run, &next, now_ms);
    }
    run_follow(out, &run, &(struct group_run){0}, now_ms);
}

static bool head_scan(struct bytes *text, struct group **out, uint32_t *line_number)
{
    struct bytes line = {0};
    uint64_t retries = 0;
    uint64_t floor = 0;

    *line_number = 1;
    if (!text_scan_line(text, &line) || !text_scan_literal(&line, "group ") ||
        !wire_name_is_valid(line)) {
        return false;
    }
    const struct bytes name = line;
    *line_number = 2;
    if (!text_scan_line(text, &line) || !text_scan_literal(&line, "retries ") ||
        !text_scan_u64(&line, UINT32_MAX, &retries) || line.size != 0) {
        return false;
    }
    *line_number = 3;
    if (!text_scan_line(text, &line) || !text_scan_literal(&line, "floor ") ||
        !text_scan_u64(&line, GROUP_OFFSET_MAX, &floor) || line.size != 0) {
        return false;
    }
    char *name_text = mem_strndup((const char *)name.data, name.size);
    *out = group_new(name_text, floor);
    free(name_text);
    group_set_retries(*out, (uint32_t)retries);
    return true;
}

enum err group_load(struct group **out, struct bytes text, int64_t now_ms, uint32_t *line_number)
{
    *out = NULL;
    struct group *self = NULL;
    enum err err = ERR_CORRUPT;
    if (!head_scan(&text, &self, line_number)) {
        goto out;
    }
    uint64_t next = self->window.floor;
    while (text.size > 0) {
        (*line_number)++;
        struct bytes line = {0};
        struct group_run run = {0};
        if (!text_scan_line(&text, &line) || !group_run_scan(line, now_ms, &run)) {
            goto out;
        }
        if (run.first < next) {
            group_trouble_destroy(&run.trouble);
            goto out;
        }
        next = run.last + 1;
        group_restored_add(&self->restored, &run);
    }
    group_skip_done(self);
    self->dirty = false;
    *out = self;
    self = NULL;
    err = ERR_OK;

out:
    group_destroy(&self);
    return err;
}
