// lane - what one producer or consumer process tells the one that measures, in memory
// they share. The measuring process says go and stop there.
//
// An event is EVENT_BYTES bytes that an application says. With Redis and NATS that is
// one value of so many bytes, the cheapest they have. With Faultline it is topic, key
// and id, which it needs for its guarantees, and a body that fills up the rest.
#ifndef BENCH_LANE_H
#define BENCH_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    EVENT_BYTES = 256,
    EVENT_STAMP_BYTES = 16, // when it was made, and its number: where a value or body begins
    LANES_MAX = 80,
    SAMPLES_MAX = 131072, // latencies of a lane
};

struct lane {
    _Atomic uint64_t done;  // publishes answered, or deliveries acked
    _Atomic uint32_t wrong; // refused, or delivered out of order: a figure with any is void
    _Atomic uint32_t samples_count;
    uint32_t samples_us[SAMPLES_MAX];
};

struct lanes {
    _Atomic bool go, sample, stop;
    _Atomic uint32_t ready; // processes that wait for go
    struct lane lanes[LANES_MAX];
};

// lanes_new makes some, all zero, that forked processes share. It ends the process when
// it cannot. lanes_clear makes them zero again.
struct lanes *lanes_new(void);
void lanes_clear(struct lanes *self);

// lane_sample adds a latency since stamp_us (clock_mono_us), when it is time to.
void lane_sample(struct lanes *self, struct lane *lane, int64_t stamp_us);

// event_stamp writes when and which into the first bytes of a value; event_take reads
// them: a latency sample, and whether number is *next, which it moves.
void event_stamp(uint8_t *value, int64_t now_us, uint64_t number);
void event_take(struct lanes *self, struct lane *lane, const uint8_t *value, uint64_t *next);

#endif
