// traffic - orders both ways and transfers, all the time, from threads of its own. What is
// dead meanwhile refuses; what was accepted is written down for `faultline verify`.
//
// Each request has an Idempotency-Key. What got no answer is sent again under its key until
// it has one. What was answered is sent again now and then, and once more at the end, when
// somebody has died and come back: the same key must get the same answer.
#ifndef FAULTLINE_TESTS_CRASH_TRAFFIC_H
#define FAULTLINE_TESTS_CRASH_TRAFFIC_H

#include <stddef.h>

#include "tests/crash/cell.h"
#include "tests/crash/rig.h"

enum {
    TRAFFIC_CHAIN_CLIENTS = 3 // an order over the chain each, at a time
};

struct traffic; // opaque

// What a stack was asked for so far by all traffic on it. Zero: of a new one.
struct traffic_sum {
    int64_t orders;                            // keys whose order by events was accepted
    int64_t transfers;                         // keys whose transfer was
    int64_t orders_unknown, transfers_unknown; // keys that never got an answer
    char wrong[CELL_TEXT_SIZE];                // an answer that must not be; empty: none
};

// traffic_start begins; rig is borrowed until traffic_stop, which waits for every answer
// and adds to sum. sync_token: the payment token of the orders over the chain.
struct traffic *traffic_start(const struct rig *rig, const char *sync_token);
void traffic_stop(struct traffic **self_p, struct traffic_sum *sum);

#endif
