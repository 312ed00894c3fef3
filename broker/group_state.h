// group_state - what a group is made of. Only for the files that are the group:
// everybody else knows group.h.
#ifndef FAULTLINE_GROUP_STATE_H
#define FAULTLINE_GROUP_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/group.h"
#include "broker/group_queue.h"
#include "broker/group_window.h"

struct group {
    char *name; // owned
    uint32_t retries_max;
    bool dirty; // since the last group_saved
    struct group_window window;
    uint64_t fresh_from;        // no entry from here on was READY and taken
    struct group_queue again;   // the READY entries below that
    struct group_queue waiting; // the WAITING ones
    struct group_member_stats members[GROUP_MEMBERS_MAX]; // HELD entries name them by slot
    uint32_t members_count;
    uint32_t turn;            // the slot after the one served last
    uint64_t credit_free;     // what all members together may take more
    struct group_stats stats; // of these only what is counted, not what there is now
};

#endif
