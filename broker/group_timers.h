// group_timers - which entry's retry is due next: a heap of offsets by due time.
// Only failures come here, so log n is cheap enough.
#ifndef FAULTLINE_GROUP_TIMERS_H
#define FAULTLINE_GROUP_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct group_timer {
    int64_t due_ms;
    uint64_t offset;
};

// Zero is an empty heap.
struct group_timers {
    struct group_timer *heap; // owned; the earliest is heap[0]
    size_t count;
    size_t capacity;
};

void group_timers_release(struct group_timers *self);

void group_timers_add(struct group_timers *self, int64_t due_ms, uint64_t offset);

// group_timers_pop takes the earliest off; there must be one.
struct group_timer group_timers_pop(struct group_timers *self);

// group_timers_remove takes the timer of offset out, wherever it is; it looks at all.
void group_timers_remove(struct group_timers *self, uint64_t offset);

#endif
