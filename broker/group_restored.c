#include "broker/group_restored.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum {
    RUNS_CAPACITY_MIN = 16
};

void group_restored_release(struct group_restored *self)
{
    for (size_t i = self->first; i < self->count; i++) {
        group_trouble_destroy(&self->runs[i].trouble);
    }
    free(self->runs);
    *self = (struct group_restored){0};
}

// The run's trouble is going to somebody else, or to nobody.
static struct group_trouble *trouble_take(struct group_restored *self, struct group_run *run)
{
    struct group_trouble *trouble = run->trouble;
    self->dying_count -= trouble != NULL && trouble->dying;
    run->trouble = NULL;
    return trouble;
}

static void trouble_drop(struct group_restored *self, struct group_run *run)
{
    struct group_trouble *trouble = trouble_take(self, run);
    group_trouble_destroy(&trouble);
}

static void insert(struct group_restored *self, size_t at, const struct group_run *run)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? RUNS_CAPACITY_MIN : self->capacity * 2;
        self->runs = mem_realloc(self->runs, self->capacity * sizeof *self->runs);
    }
    memmove(&self->runs[at + 1], &self->runs[at], (self->count - at) * sizeof *self->runs);
    self->runs[at] = *run;
    self->count++;
}

void group_restored_add(struct group_restored *self, const struct group_run *run)
{
    assert(self->count == 0 || self->runs[self->count - 1].last < run->first);
    insert(self, self->count, run);
    self->dying_count += run->trouble != NULL && run->trouble->dying;
}

// The first run that ends at offset or behind it; count when there is none.
static size_t find(const struct group_restored *self, uint64_t offset)
{
    size_t low = self->first;
    size_t high = self->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->runs[middle].last < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool group_restored_take(struct group_restored *self, uint64_t offset, struct group_run *out)
{
    if (self->count == 0) {
        return false;
    }
    while (self->first < self->count && self->runs[self->first].last < offset) {
        trouble_drop(self, &self->runs[self->first]);
        self->first++;
    }
    if (self->first == self->count) {
        group_restored_release(self);
        return false;
    }
    struct group_run *run = &self->runs[self->first];
    if (run->first > offset) {
        return false;
    }
    *out = *run;
    out->trouble = trouble_take(self, run);
    return true;
}

bool group_restored_is_done(const struct group_restored *self, uint64_t offset)
{
    const size_t at = find(self, offset);
    return at < self->count && self->runs[at].first <= offset && self->runs[at].done;
}

bool group_restored_bury(struct group_restored *self, uint64_t offset)
{
    const struct group_run done = {.first = offset, .last = offset, .done = true};
    size_t at = find(self, offset);
    if (at < self->count && self->runs[at].first <= offset) {
        if (self->runs[at].done) {
            return false;
        }
        // Cut it out of the run: what is before it, itself, what is behind it.
        struct group_run *behind = &self->runs[at];
        trouble_drop(self, behind);
        struct group_run before = *behind;
        before.last = offset - 1;
        behind->first = offset + 1;
        const bool has_before = before.first < offset;
        if (behind->last == offset) {
            *behind = done;
        } else {
            insert(self, at, &done);
        }
        if (has_before) {
            insert(self, at, &before);
        }
        return true;
    }
    // Dead letters often come in a row: let them share a run.
    if (at == self->first || !group_run_join(&self->runs[at - 1], &done)) {
        insert(self, at, &done);
    }
    return true;
}

const struct group_run *group_restored_next_failed(const struct group_restored *self,
                                                   uint64_t offset, bool only_dying)
{
    if (only_dying && self->dying_count == 0) {
        return NULL;
    }
    for (size_t i = find(self, offset); i < self->count; i++) {
        const struct group_run *run = &self->runs[i];
        if (run->trouble != NULL && (run->trouble->dying || !only_dying)) {
            return run;
        }
    }
    return NULL;
}
