#include "broker/group_timers.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/mem.h"

enum {
    TIMERS_CAPACITY_MIN = 16
};

void group_timers_release(struct group_timers *self)
{
    free(self->heap);
    *self = (struct group_timers){0};
}

// Of two that are due at the same time the lower offset goes first.
static bool is_before(const struct group_timer *a, const struct group_timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->offset < b->offset;
}

static void swap(struct group_timer *a, struct group_timer *b)
{
    const struct group_timer old = *a;
    *a = *b;
    *b = old;
}

static void sift_up(struct group_timers *self, size_t at)
{
    while (at > 0 && is_before(&self->heap[at], &self->heap[(at - 1) / 2])) {
        swap(&self->heap[at], &self->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static void sift_down(struct group_timers *self, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < self->count; child++) {
            if (is_before(&self->heap[child], &self->heap[least])) {
                least = child;
            }
        }
        if (least == at) {
            return;
        }
        swap(&self->heap[at], &self->heap[least]);
        at = least;
    }
}

void group_timers_add(struct group_timers *self, int64_t due_ms, uint64_t offset)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? TIMERS_CAPACITY_MIN : self->capacity * 2;
        self->heap = mem_realloc(self->heap, self->capacity * sizeof *self->heap);
    }
    self->heap[self->count] = (struct group_timer){.due_ms = due_ms, .offset = offset};
    self->count++;
    sift_up(self, self->count - 1);
}

static void remove_at(struct group_timers *self, size_t at)
{
    self->count--;
    if (at == self->count) {
        return;
    }
    self->heap[at] = self->heap[self->count];
    sift_up(self, at);
    sift_down(self, at);
}

struct group_timer group_timers_pop(struct group_timers *self)
{
    assert(self->count > 0);
    const struct group_timer timer = self->heap[0];
    remove_at(self, 0);
    return timer;
}

void group_timers_remove(struct group_timers *self, uint64_t offset)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->heap[i].offset == offset) {
            remove_at(self, i);
            return;
        }
    }
}
