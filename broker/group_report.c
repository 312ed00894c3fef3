// What a group tells of itself: statistics, members, and the entries in trouble.
#include "broker/group_state.h"

static void info_fill(struct group_entry_info *out, uint64_t offset, uint32_t attempts,
                      const struct group_trouble *trouble)
{
    *out = (struct group_entry_info){
        .offset = offset,
        .attempts = attempts,
        .failures = trouble->failures,
        .error = trouble->error,
        .waiting = trouble->waits,
        .due_ms = trouble->due_ms,
        .first_failed_us = trouble->first_failed_us,
    };
}

static bool troubled_next(const struct group *self, const struct group_bits *bits, bool only_dying,
                          uint64_t from, struct group_entry_info *out)
{
    const uint64_t offset = group_window_next(&self->window, bits, from);
    if (offset != GROUP_OFFSET_NONE) {
        const struct group_entry *entry = group_window_at(&self->window, offset);
        info_fill(out, offset, entry->attempts, entry->trouble);
        return true;
    }
    if (from < self->window.cursor) {
        from = self->window.cursor;
    }
    const struct group_run *run = group_restored_next_failed(&self->restored, from, only_dying);
    if (run == NULL) {
        return false;
    }
    info_fill(out, run->first, run->attempts, run->trouble);
    return true;
}

bool group_dying_next(const struct group *self, uint64_t from, struct group_entry_info *out)
{
    return troubled_next(self, &self->window.dying, true, from, out);
}

bool group_failing_next(const struct group *self, uint64_t from, struct group_entry_info *out)
{
    return troubled_next(self, &self->window.failed, false, from, out);
}

bool group_is_done(const struct group *self, uint64_t offset)
{
    if (offset < self->window.floor) {
        return true;
    }
    if (offset < self->window.cursor) {
        return group_window_at(&self->window, offset)->state == GROUP_DONE;
    }
    return group_restored_is_done(&self->restored, offset);
}

void group_stats_get(const struct group *self, struct group_stats *out)
{
    const struct group_window *window = &self->window;
    *out = (struct group_stats){
        .floor = window->floor,
        .cursor = window->cursor,
        .floor_time_us =
            window->floor == window->cursor ? 0 : group_window_at(window, window->floor)->time_us,
        .ready = window->counts[GROUP_READY],
        .held = window->counts[GROUP_HELD],
        .waiting = window->counts[GROUP_WAITING],
        .parked = window->counts[GROUP_PARKED],
        .dying = window->counts[GROUP_DYING],
        .members = group_members_count(&self->members),
        .delivered = self->delivered,
        .redelivered = self->redelivered,
        .acked = self->acked,
        .stale = self->stale,
        .failed = self->failed,
        .buried = self->buried,
    };
}

size_t group_members_get(const struct group *self, struct group_member_stats *out, size_t max)
{
    size_t count = 0;
    for (size_t slot = 0; slot < GROUP_MEMBERS_MAX; slot++) {
        if (self->members.slots[slot].member == 0) {
            continue;
        }
        if (count < max) {
            out[count] = self->members.slots[slot];
        }
        count++;
    }
    return count;
}
