// The ring of entries, the keys in it, and the two sets of entries to be found fast.
#include <assert.h>
#include <stdlib.h>

#include "broker/group_state.h"
#include "common/mem.h"

enum {
    CAPACITY_MIN = GROUP_SET_BITS,
};

uint64_t group_window_next(const struct group_window *self, const uint64_t *set, uint64_t from)
{
    while (from < self->end) {
        const uint64_t place = from & (self->capacity - 1);
        const uint64_t word = set[place / GROUP_SET_BITS] >> place % GROUP_SET_BITS;
        if (word != 0) {
            from += (uint64_t)__builtin_ctzll(word);
            break;
        }
        from += GROUP_SET_BITS - place % GROUP_SET_BITS;
    }
    return from < self->end ? from : self->end;
}

// Makes an entry the latest of its bucket.
static void bucket_put(struct group_window *self, uint64_t offset)
{
    struct group_entry *entry = group_window_at(self, offset);
    uint32_t *latest = &self->buckets[entry->key_hash & (self->capacity - 1)];
    entry->bucket_back = (uint32_t)offset - *latest;
    *latest = (uint32_t)offset;
}

void group_window_fit(struct group_window *self, uint64_t size)
{
    const struct group_window old = *self;
    self->capacity = CAPACITY_MIN;
    while (self->capacity < size) {
        self->capacity *= 2;
    }
    self->ring = mem_alloc(self->capacity * sizeof *self->ring);
    self->buckets = mem_calloc(self->capacity, sizeof *self->buckets);
    self->ready = mem_calloc(self->capacity / GROUP_SET_BITS, sizeof *self->ready);
    self->failed = mem_calloc(self->capacity / GROUP_SET_BITS, sizeof *self->failed);
    for (uint64_t offset = self->floor; offset < self->end; offset++) {
        struct group_entry *entry = group_window_at(self, offset);
        *entry = *group_window_at(&old, offset);
        group_set_put(self, self->ready, offset, entry->state == GROUP_READY);
        group_set_put(self, self->failed, offset, entry->failure != NULL);
        if (entry->key_hash != 0) {
            bucket_put(self, offset);
        }
    }
    free(old.ring);
    free(old.buckets);
    free(old.ready);
    free(old.failed);
}

void group_window_init(struct group_window *self, uint64_t floor)
{
    *self = (struct group_window){.floor = floor, .cursor = floor, .end = floor};
    group_window_fit(self, CAPACITY_MIN);
}

void group_window_release(struct group_window *self)
{
    for (uint64_t offset = self->floor; offset < self->end; offset++) {
        free(group_window_at(self, offset)->failure);
    }
    free(self->ring);
    free(self->buckets);
    free(self->ready);
    free(self->failed);
}

struct group_entry *group_window_reach(struct group_window *self, uint64_t offset)
{
    assert(offset >= self->floor);
    if (offset - self->floor >= self->capacity) {
        group_window_fit(self, offset - self->floor + 1);
    }
    for (; self->end <= offset; self->end++) {
        *group_window_at(self, self->end) = (struct group_entry){.state = GROUP_AHEAD};
        self->counts[GROUP_AHEAD]++;
    }
    return group_window_at(self, offset);
}

void group_window_advance(struct group_window *self)
{
    while (self->floor < self->end && group_window_at(self, self->floor)->state == GROUP_DONE) {
        self->floor++;
        self->counts[GROUP_DONE]--;
    }
    if (self->cursor < self->floor) {
        self->cursor = self->floor;
    }
}

void group_window_fail(struct group_window *self, uint64_t offset, struct group_failing *failure)
{
    struct group_entry *entry = group_window_at(self, offset);
    self->dying -= entry->failure != NULL && entry->failure->dying;
    self->dying += failure != NULL && failure->dying;
    free(entry->failure);
    entry->failure = failure;
    group_set_put(self, self->failed, offset, failure != NULL);
}

bool group_window_claim_key(struct group_window *self, uint64_t offset)
{
    const uint32_t key_hash = group_window_at(self, offset)->key_hash;
    bucket_put(self, offset);
    uint64_t at = offset;
    for (;;) {
        // A distance that leads out of the window, or nowhere, ends the bucket.
        const uint32_t back = group_window_at(self, at)->bucket_back;
        if (back == 0 || back > at - self->floor) {
            return true;
        }
        at -= back;
        struct group_entry *entry = group_window_at(self, at);
        if (entry->key_hash == key_hash) {
            entry->key_gap = (uint32_t)(offset - at);
            return entry->state == GROUP_DONE;
        }
    }
}
