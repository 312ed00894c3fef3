#include "broker/group_queue.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/mem.h"

enum {
    CAPACITY_MIN = 16
};

static bool is_before(const struct group_queue_item *a, const struct group_queue_item *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->offset < b->offset;
}

// Puts item where at is, or where it belongs above.
static void rise(struct group_queue *self, size_t at, struct group_queue_item item)
{
    while (at > 0 && is_before(&item, &self->items[(at - 1) / 2])) {
        self->items[at] = self->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    self->items[at] = item;
}

// Fills the hole at at: the lesser child moves up until there is none, then the last
// item takes the hole's place and rises from there.
static void fill(struct group_queue *self, size_t at)
{
    self->count--;
    for (size_t child = 2 * at + 1; child < self->count; child = 2 * at + 1) {
        if (child + 1 < self->count && is_before(&self->items[child + 1], &self->items[child])) {
            child++;
        }
        self->items[at] = self->items[child];
        at = child;
    }
    if (at < self->count) {
        rise(self, at, self->items[self->count]);
    }
}

void group_queue_release(struct group_queue *self)
{
    free(self->items);
    *self = (struct group_queue){0};
}

void group_queue_push(struct group_queue *self, int64_t due_ms, uint64_t offset)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? CAPACITY_MIN : self->capacity * 2;
        self->items = mem_realloc(self->items, self->capacity * sizeof *self->items);
    }
    self->count++;
    rise(self, self->count - 1, (struct group_queue_item){.due_ms = due_ms, .offset = offset});
}

uint64_t group_queue_pop(struct group_queue *self)
{
    assert(self->count > 0);
    const uint64_t offset = self->items[0].offset;
    fill(self, 0);
    return offset;
}

void group_queue_remove(struct group_queue *self, uint64_t offset)
{
    for (size_t at = 0; at < self->count; at++) {
        if (self->items[at].offset == offset) {
            fill(self, at);
            return;
        }
    }
}
