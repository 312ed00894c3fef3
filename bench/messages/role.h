// role - what a producer's and a consumer's process does, the same for every broker.
#ifndef BENCH_ROLE_H
#define BENCH_ROLE_H

#include <sys/types.h>

#include "bench/messages/engine.h"

struct role {
    const struct engine *engine;
    struct engine_role who;
    uint64_t count;         // producer: it stops there; 0: never
    uint64_t window;        // producer: publishes in flight at most
    uint64_t lead;          // producer: so far ahead of the slowest consumer at most; 0: no limit
    uint64_t rate;          // producer: so many a second; 0: as fast as it goes
    struct lane *consumers; // of lead
};

// role_fork begins a process that opens its client, says ready, waits for go and works
// until stop. The caller waits for it.
pid_t role_fork(const struct role *role);

#endif
