// group_restored - what a group that was loaded knows of offsets it has not been
// offered yet: runs in order, used up from the front as the cursor passes.
#ifndef FAULTLINE_GROUP_RESTORED_H
#define FAULTLINE_GROUP_RESTORED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/group_run.h"

// Zero knows nothing.
struct group_restored {
    struct group_run *runs; // owned, and so is their trouble
    size_t first;           // runs before it are used up
    size_t count;           // runs behind the last one
    size_t capacity;
    size_t dying_count; // runs with trouble that is dying: mostly 0, and then nobody looks
};

void group_restored_release(struct group_restored *self);

// group_restored_add takes over a run that lies behind all others.
void group_restored_add(struct group_restored *self, const struct group_run *run);

// group_restored_take gives what is known of offset, which is never asked for again nor
// any below it; the caller owns out->trouble. false: nothing is known.
bool group_restored_take(struct group_restored *self, uint64_t offset, struct group_run *out);

// group_restored_is_done: known to be done.
bool group_restored_is_done(const struct group_restored *self, uint64_t offset);

// group_restored_bury makes an offset done. false: it was.
bool group_restored_bury(struct group_restored *self, uint64_t offset);

// group_restored_next_failed gives the first run from offset on that has trouble (only
// a dying one, if asked), or NULL.
const struct group_run *group_restored_next_failed(const struct group_restored *self,
                                                   uint64_t offset, bool only_dying);

#endif
