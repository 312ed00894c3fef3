// What others see of a group; nothing here changes it.
#include "broker/group_state.h"

bool group_failing_next(const struct group *self, uint64_t from, struct group_entry_info *out)
{
    const struct group_window *window = &self->window;
    const uint64_t offset =
        group_window_next(window, window->failed, from < window->floor ? window->floor : from);
    if (offset >= window->end) {
        return false;
    }
    const struct group_entry *entry = group_window_at(window, offset);
    *out = (struct group_entry_info){
        .offset = offset,
        .attempts = entry->attempts,
        .failures = entry->failure->count,
        .error = entry->failure->error,
        .waiting = entry->failure->waits,
        .dying = entry->failure->dying,
        .due_ms = entry->failure->due_ms,
        .first_failed_us = entry->failure->first_us,
    };
    return true;
}

bool group_dying_next(const struct group *self, uint64_t from, struct group_entry_info *out)
{
    bool found = self->window.dying > 0 && group_failing_next(self, from, out);
    while (found && !out->dying) {
        found = group_failing_next(self, out->offset + 1, out);
    }
    return found;
}

bool group_is_done(const struct group *self, uint64_t offset)
{
    const struct group_window *window = &self->window;
    if (offset < window->floor || offset >= window->end) {
        return offset < window->floor;
    }
    const uint8_t state = group_window_at(window, offset)->state;
    return state == GROUP_DONE || state == GROUP_ENDED;
}

bool group_is_taken(const struct group *self, uint64_t offset)
{
    const struct group_window *window = &self->window;
    if (group_is_done(self, offset) || offset >= window->end) {
        return false;
    }
    const struct group_failing *failure = group_window_at(window, offset)->failure;
    return offset < window->cursor || (failure != NULL && failure->dying);
}

void group_stats_get(const struct group *self, struct group_stats *out)
{
    const struct group_window *window = &self->window;
    *out = (struct group_stats){
        .floor = window->floor,
        .cursor = window->cursor,
        .end = window->end,
        .ready = window->counts[GROUP_READY],
        .held = window->counts[GROUP_HELD],
        .waiting = window->counts[GROUP_WAITING],
        .parked = window->counts[GROUP_PARKED],
        .dying = window->counts[GROUP_DYING],
        .members = self->members_count,
    };
}

size_t group_members_get(const struct group *self, struct group_member_stats *out, size_t max)
{
    for (size_t i = 0; i < self->members_count && i < max; i++) {
        out[i] = self->members[i];
    }
    return self->members_count;
}
