// testimony - compares what witnesses wrote down with the log of the broker they
// talked to, when all has come to rest:
//
//   - what was answered is in the log, where the answer said, as it was published;
//   - what one producer published is in the log in its order, and once;
//   - each group was given every record of its topics, and nothing else; a late one, from
//     wherever the log began when it came;
//   - what it rejected, and nothing else, became a dead letter, once;
//   - of each key in the order of the log, also after every restart of the broker;
//   - what was acked came again only when the broker or the session ended within
//     lag_ms of the ack.
#ifndef FAULTLINE_TESTS_TESTIMONY_H
#define FAULTLINE_TESTS_TESTIMONY_H

#include <stddef.h>
#include <stdint.h>

#include "tests/support/witness.h"

struct testimony_case {
    const char *url; // of the broker; it is idle
    struct witness *const *witnesses;
    size_t witnesses_count;
    const int64_t *kills_us; // of the broker, ascending
    size_t kills_count;
    int64_t lag_ms;
};

struct testimony_figures {
    uint64_t records, first_offset;    // of the log; what lay below the first was dropped
    uint64_t duplicates;               // answers that say that the event was there before
    uint64_t deliveries, redeliveries; // of all groups
    uint64_t dead_letters;
    uint64_t lasting_acks;              // said longer than lag_ms before any end
    uint64_t forgotten, forgotten_late; // acked, came again; and its ack was over 100 ms old
    int64_t oldest_forgotten_us;        // ack, when the broker was killed
};

// testimony_hear fails the test with a sentence when they do not agree.
void testimony_hear(const struct testimony_case *it, struct testimony_figures *out);

#endif
