// group_trouble - what a group remembers of an event that has failed. Most events
// never do, so an entry only points to it.
#ifndef FAULTLINE_GROUP_TROUBLE_H
#define FAULTLINE_GROUP_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

struct group_trouble {
    uint32_t failures;       // nacks and rejects, at least 1
    bool waits;              // for its retry at due_ms
    bool dying;              // it wants a dead letter, no retry
    int64_t due_ms;          // meaningful when it waits
    int64_t first_failed_us; // wall clock
    char *error;             // owned; of the last failure
};

// group_trouble_new makes one without a failure yet; the caller owns it.
struct group_trouble *group_trouble_new(void);
void group_trouble_destroy(struct group_trouble **self_p);

// group_trouble_set_error copies the last failure's error, cut to GROUP_ERROR_MAX
// at the end of a UTF-8 character, NULs turned into spaces.
void group_trouble_set_error(struct group_trouble *self, struct bytes error);

#endif
