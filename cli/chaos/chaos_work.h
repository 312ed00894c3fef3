// chaos_work - what `faultline chaos` asks of the house meanwhile: orders both ways and
// transfers, decided by the seed. Each is the n-th whoever sends it.
#ifndef FAULTLINE_CLI_CHAOS_WORK_H
#define FAULTLINE_CLI_CHAOS_WORK_H

#include <stddef.h>
#include <stdint.h>

enum chaos_way {
    CHAOS_ASYNC, // an order by events
    CHAOS_SYNC,  // an order over the chain
    CHAOS_TRANSFER,
};

enum {
    CHAOS_WAYS = CHAOS_TRANSFER + 1,
    CHAOS_BODY_SIZE = 256,
};

// chaos_way_name is "async", "sync" or "transfer".
const char *chaos_way_name(enum chaos_way way);

struct chaos_work {
    enum chaos_way way;
    char body[CHAOS_BODY_SIZE]; // JSON, for POST /orders or /transfers
};

// chaos_work_of gives the work number index of a seed.
void chaos_work_of(uint64_t seed, uint64_t index, struct chaos_work *out);

#endif
