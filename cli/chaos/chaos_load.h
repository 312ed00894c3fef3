// chaos_load - clients that go on placing the work of a seed while the house is harmed,
// and write down what they are answered (answer_record.h).
//
// A client of orders by events and of transfers does what clients should: each has an
// Idempotency-Key, and what got no answer is asked again with the same key, some times.
// Over the chain nothing is asked twice: what became of it stays unknown.
#ifndef FAULTLINE_CLI_CHAOS_LOAD_H
#define FAULTLINE_CLI_CHAOS_LOAD_H

#include <stdbool.h>

#include "cli/chaos/chaos_work.h"
#include "common/err.h"

struct chaos_load_options {
    uint64_t seed;
    int64_t rate; // a second, of all ways
    int order_port;
    int transfer_port;
    const char *record_path; // made anew
};

// What became of what was placed on one way; accepted + refused + failed + unknown.
struct chaos_way_counts {
    size_t placed;
    size_t accepted; // 201, 202
    size_t refused;  // by a rule: 4xx
    size_t failed;   // 5xx, or nobody was there to take it: not accepted
    size_t unknown;  // sent, and no answer came
    size_t repeated; // asked again with the same key, some of them more than once
};

struct chaos_load; // opaque

// chaos_load_start begins. ERR_IO: the record cannot be written, *problem, which the caller
// frees, says why. Otherwise the caller owns *out and ends it with chaos_load_stop.
enum err chaos_load_start(struct chaos_load **out, const struct chaos_load_options *options,
                          char **problem);

// chaos_load_stop places nothing more and waits for the answers that are due.
void chaos_load_stop(struct chaos_load *self);

// chaos_load_counts gives the sum until now, an element a way. Any thread.
void chaos_load_counts(struct chaos_load *self, struct chaos_way_counts out[CHAOS_WAYS]);

// chaos_load_is_recorded: every answer until now could be written down. Any thread.
bool chaos_load_is_recorded(struct chaos_load *self);

// chaos_load_destroy frees a load that was stopped.
void chaos_load_destroy(struct chaos_load **self_p);

#endif
