// chaos - a seeded soak: harms a running house for some minutes by a plan, while work is
// placed all the time, then lets everything recover and waits until all is finished.
#ifndef FAULTLINE_CLI_CHAOS_H
#define FAULTLINE_CLI_CHAOS_H

#include "cli/chaos/chaos_load.h"
#include "cli/chaos/chaos_settle.h"
#include "cli/chaos/chaos_ward.h"

struct chaos_options {
    const char *dir; // the state folder
    uint64_t seed;
    int64_t duration_ms;
    int64_t rate;       // of orders and transfers, a second
    int64_t settle_ms;  // how long everything may take to be finished at the end
    bool progress;      // a line every few seconds on standard error
    bool verbose;       // a line for all that happens there
    const char *record; // the file of what clients were answered; made anew
    const char *log;    // the file with a line for all that happens; made anew
    int signals;        // readable (a signalfd) when a person wants the end
};

struct chaos_result {
    int64_t took_ms; // of the harm
    bool ended_early;
    size_t actions;
    struct chaos_tally tally;
    const struct chaos_trouble *troubles[CHAOS_PARTS_MAX]; // as the tally's; NULL: it is well
    bool all_ready;                                        // nobody has any
    struct chaos_way_counts ways[CHAOS_WAYS];
    struct chaos_settled settled;
};

// chaos_run does it on a stack that was found and whose processes all run; a signal makes
// it go to the end at once. A second one gives up waiting there, but everybody is still
// started, resumed and given room, for which there may be some seconds to wait. ERR_IO: it
// could not begin or go on, which has been said. The caller releases *out in any case.
enum err chaos_run(const struct chaos_options *options, struct target *target,
                   struct chaos_result *out);
void chaos_result_release(struct chaos_result *self);

#endif
