#include "cli/seed.h"

#include <assert.h>

#define GOLDEN_GAMMA UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

uint64_t seed_next(struct seed *self)
{
    self->state += GOLDEN_GAMMA;
    return mix(self->state);
}

int64_t seed_between(struct seed *self, int64_t first, int64_t last)
{
    assert(first <= last);
    // The remainder favours small numbers by less than one in 2^32 for what we ask.
    const uint64_t range = (uint64_t)(last - first) + 1;
    return first + (int64_t)(range == 0 ? seed_next(self) : seed_next(self) % range);
}

unsigned seed_weighted(struct seed *self, const unsigned *weights, unsigned count)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < count; i++) {
        sum += weights[i];
    }
    assert(sum > 0);
    unsigned left = (unsigned)seed_between(self, 0, (int64_t)sum - 1);
    unsigned index = 0;
    while (left >= weights[index]) {
        left -= weights[index++];
    }
    return index;
}

struct seed seed_of(uint64_t seed, uint64_t index)
{
    return (struct seed){.state = mix(seed + mix(index + GOLDEN_GAMMA))};
}
