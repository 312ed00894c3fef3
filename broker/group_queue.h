// group_queue - offsets in the order in which they are due, and of those due at the same
// time the lowest first: a heap. A group has one of what is READY again (all due at 0)
// and one of what is WAITING for its retry.
#ifndef FAULTLINE_GROUP_QUEUE_H
#define FAULTLINE_GROUP_QUEUE_H

#include <stddef.h>
#include <stdint.h>

struct group_queue_item {
    int64_t due_ms;
    uint64_t offset;
};

// Zero is an empty queue.
struct group_queue {
    struct group_queue_item *items; // owned; the first to go is items[0]
    size_t count;
    size_t capacity;
};

void group_queue_release(struct group_queue *self);

void group_queue_push(struct group_queue *self, int64_t due_ms, uint64_t offset);

// group_queue_pop takes the first one off; there must be one.
uint64_t group_queue_pop(struct group_queue *self);

// group_queue_remove takes offset out, wherever it is; it looks at all.
void group_queue_remove(struct group_queue *self, uint64_t offset);

#endif
