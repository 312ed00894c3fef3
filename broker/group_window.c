// The ring of entries, the keys in it, and the queues of what is due.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/group_state.h"
#include "common/mem.h"

#define PLACE_NONE UINT32_MAX

enum {
    CAPACITY_MIN = 64
};

static uint32_t place_of(const struct group_window *self, uint64_t offset)
{
    return (uint32_t)offset & (self->capacity - 1);
}

// The link to the last entry of a key, or the one where it belongs.
static uint32_t *link_of(struct group_window *self, uint64_t key_hash)
{
    // The hash comes from outside: spread it once more.
    const uint64_t mixed = (key_hash * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    uint32_t *link = &self->buckets[mixed & (self->capacity - 1)];
    while (*link != PLACE_NONE && self->ring[*link].key_hash != key_hash) {
        link = &self->ring[*link].bucket_next;
    }
    return link;
}

// Moves all entries into a ring that holds size of them.
static void resize(struct group_window *self, uint64_t size)
{
    const struct group_window old = *self;
    self->capacity = CAPACITY_MIN;
    while (self->capacity < size) {
        self->capacity *= 2;
    }
    self->ring = mem_alloc(self->capacity * sizeof *self->ring);
    self->buckets = mem_alloc(self->capacity * sizeof *self->buckets);
    memset(self->buckets, 0xff, self->capacity * sizeof *self->buckets);
    for (uint64_t offset = self->floor; offset < self->end; offset++) {
        struct group_entry *entry = group_window_at(self, offset);
        *entry = *group_window_at(&old, offset);
        if (entry->key_hash != 0 && entry->key_gap == 0) {
            uint32_t *link = link_of(self, entry->key_hash);
            entry->bucket_next = PLACE_NONE;
            *link = place_of(self, offset);
        }
    }
    free(old.ring);
    free(old.buckets);
}

void group_window_init(struct group_window *self, uint64_t floor)
{
    *self = (struct group_window){.floor = floor, .cursor = floor, .end = floor};
    resize(self, CAPACITY_MIN);
}

void group_window_release(struct group_window *self)
{
    for (uint64_t offset = self->floor; offset < self->end; offset++) {
        free(group_window_at(self, offset)->error);
    }
    free(self->ring);
    free(self->buckets);
}

struct group_entry *group_window_reach(struct group_window *self, uint64_t offset)
{
    assert(offset >= self->floor);
    if (offset - self->floor >= self->capacity) {
        resize(self, offset - self->floor + 1);
    }
    for (; self->end <= offset; self->end++) {
        *group_window_at(self, self->end) = (struct group_entry){.state = GROUP_AHEAD};
        self->counts[GROUP_AHEAD]++;
    }
    return group_window_at(self, offset);
}

void group_window_move(struct group_window *self, struct group_entry *entry,
                       enum group_entry_state state)
{
    self->counts[entry->state]--;
    self->counts[state]++;
    entry->state = (uint8_t)state;
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

void group_window_fail(struct group_window *self, struct group_entry *entry, char *error,
                       bool dying)
{
    self->dying += dying;
    self->dying -= entry->dying;
    free(entry->error);
    entry->error = error;
    entry->dying = dying;
}

bool group_window_claim_key(struct group_window *self, uint64_t offset)
{
    struct group_entry *entry = group_window_at(self, offset);
    uint32_t *link = link_of(self, entry->key_hash);
    const uint32_t last = *link;
    *link = place_of(self, offset);
    if (last == PLACE_NONE) {
        entry->bucket_next = PLACE_NONE;
        return true;
    }
    entry->bucket_next = self->ring[last].bucket_next;
    self->ring[last].key_gap = (*link - last) & (self->capacity - 1);
    return false;
}

uint64_t group_window_release_key(struct group_window *self, uint64_t offset)
{
    for (;;) {
        struct group_entry *entry = group_window_at(self, offset);
        if (entry->key_gap == 0) {
            *link_of(self, entry->key_hash) = entry->bucket_next;
            entry->key_hash = 0;
            return GROUP_OFFSET_NONE;
        }
        entry->key_hash = 0;
        offset += entry->key_gap;
        if (group_window_at(self, offset)->state != GROUP_DONE) {
            return offset;
        }
    }
}

// --- queues

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

void group_queue_push(struct group_queue *self, int64_t due_ms, uint64_t offset)
{
    if (self->count == self->capacity) {
        self->capacity = 2 * self->capacity + 16;
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
