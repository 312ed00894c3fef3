// seed - one number decides everything: a small generator whose stream follows from its
// seed alone, on every machine (SplitMix64; Steele, Lea and Flood). Not for secrets.
#ifndef FAULTLINE_CLI_SEED_H
#define FAULTLINE_CLI_SEED_H

#include <stdint.h>

struct seed {
    uint64_t state; // any number is a good one
};

// seed_next is any of the 2^64 numbers.
uint64_t seed_next(struct seed *self);

// seed_between is one of first .. last, both included; first <= last.
int64_t seed_between(struct seed *self, int64_t first, int64_t last);

// seed_weighted is an index below count, each as often as its weight among all. Not all
// weights may be 0.
unsigned seed_weighted(struct seed *self, const unsigned *weights, unsigned count);

// seed_of gives a stream of its own for the number index below one seed: what it
// says does not depend on who asks first.
struct seed seed_of(uint64_t seed, uint64_t index);

#endif
