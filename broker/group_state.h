// group_state - what a group is made of. Only for the group_*.c files that are the
// group: everybody else knows group.h.
#ifndef FAULTLINE_GROUP_STATE_H
#define FAULTLINE_GROUP_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/group.h"
#include "broker/group_keys.h"
#include "broker/group_members.h"
#include "broker/group_restored.h"
#include "broker/group_timers.h"
#include "broker/group_window.h"

struct group {
    char *name; // owned
    uint32_t retries_max;
    bool dirty; // since the last group_saved
    struct group_window window;
    struct group_keys keys;         // of the window's entries
    struct group_timers timers;     // of those WAITING
    struct group_members members;   // whom HELD entries name by slot
    struct group_restored restored; // from the cursor on
    uint64_t delivered, redelivered, acked, stale, failed, buried;
};

// group_resize changes the window's capacity.
void group_resize(struct group *self, uint32_t capacity);

// group_skip_done moves the cursor of an empty window past what is known to be done:
// nobody needs to offer it.
void group_skip_done(struct group *self);

#endif
