#include "broker/duplicates.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum {
    CAPACITY_MIN = 1024,
    GAP_BITS = 20, // of an entry: distance to the next older one; 0: there is none
    HASH_BITS = 64 - GAP_BITS,
};

static_assert(DUPLICATES_WINDOW == 1 << GAP_BITS, "a distance within the window fits");

// What an entry without an id is: no hash is 0.
static const uint64_t none = 0;

void duplicates_init(struct duplicates *self, uint64_t (*random)(void *context), void *context)
{
    *self = (struct duplicates){0};
    for (size_t i = 0; i < DUPLICATES_KEYS; i++) {
        self->keys[i] = (uint32_t)(random(context) >> 32);
    }
}

void duplicates_release(struct duplicates *self)
{
    free(self->ring);
    free(self->heads);
    *self = (struct duplicates){0};
}

static uint64_t multiply(uint64_t word, const uint32_t *keys)
{
    const uint32_t low = (uint32_t)word + keys[0];
    const uint32_t high = (uint32_t)(word >> 32) + keys[1];
    return (uint64_t)low * high;
}

// NH, the universal hash of UMAC (RFC 4418), over the words of an id and its last eight
// bytes: whoever does not know the keys finds two ids that collide with a chance of
// 2^-32 each. Then murmur's finalizer, which spreads what few bits make different.
uint64_t duplicates_hash(const struct duplicates *self, struct bytes id)
{
    assert(id.size <= RECORD_ID_MAX);
    uint64_t word = 0;
    uint64_t hash = id.size;
    size_t at = 0;
    for (; at + sizeof word <= id.size; at += sizeof word) {
        memcpy(&word, id.data + at, sizeof word);
        hash += multiply(word, &self->keys[at / 4]);
    }
    if (id.size >= sizeof word) {
        memcpy(&word, id.data + id.size - sizeof word, sizeof word);
    } else {
        memcpy(&word, id.data, id.size);
    }
    hash += multiply(word, &self->keys[at / 4]);
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdULL;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53ULL;
    hash >>= GAP_BITS;
    return hash == none ? 1 : hash;
}

static uint64_t *entry_at(const struct duplicates *self, uint64_t offset)
{
    return &self->ring[offset & (self->capacity - 1)];
}

static struct duplicates_head *head_of(const struct duplicates *self, uint64_t hash)
{
    return &self->heads[hash & (self->capacity - 1)];
}

// A bit of 32 that does not depend on the bucket.
static uint32_t bit_of(uint64_t hash)
{
    return UINT32_C(1) << (hash >> (HASH_BITS - 5));
}

// Distance from the end back to the newest entry of a bucket; 0: there is none. A head
// that was not touched for 2^32 events may lead into another bucket: that hash differs.
static uint64_t newest_distance(const struct duplicates *self, const struct duplicates_head *head)
{
    const uint32_t distance = (uint32_t)self->end + 1 - head->newest;
    return distance <= self->end - self->first ? distance : 0;
}

// Puts an entry at the end.
static void put(struct duplicates *self, uint64_t hash)
{
    struct duplicates_head *head = head_of(self, hash);
    const uint64_t gap = newest_distance(self, head);
    *entry_at(self, self->end) = hash << GAP_BITS | gap;
    head->seen = (gap == 0 ? 0 : head->seen) | bit_of(hash);
    head->newest = (uint32_t)++self->end;
}

static void pass(struct duplicates *self)
{
    *entry_at(self, self->end) = none;
    self->end++;
}

static void grow(struct duplicates *self)
{
    const struct duplicates old = *self;
    self->capacity = old.capacity == 0 ? CAPACITY_MIN : old.capacity * 2;
    self->ring = mem_calloc(self->capacity, sizeof *self->ring);
    self->heads = mem_calloc(self->capacity, sizeof *self->heads);
    self->end = self->first;
    while (self->end < old.end) {
        const uint64_t hash = *entry_at(&old, self->end) >> GAP_BITS;
        if (hash == none) {
            pass(self);
        } else {
            put(self, hash);
        }
    }
    free(old.ring);
    free(old.heads);
}

// Makes the place at the end free.
static void make_room(struct duplicates *self)
{
    if (self->end - self->first < self->capacity) {
        return;
    }
    if (self->capacity < DUPLICATES_WINDOW) {
        grow(self);
    } else {
        self->first++;
    }
}

void duplicates_add(struct duplicates *self, uint64_t offset, uint64_t hash)
{
    assert(offset >= self->end);
    if (self->first == self->end) {
        self->first = self->end = offset;
    }
    for (make_room(self); self->end < offset; make_room(self)) {
        pass(self);
    }
    put(self, hash);
}

void duplicates_warm(const struct duplicates *self, uint64_t hash)
{
    if (self->capacity > 0) {
        __builtin_prefetch(head_of(self, hash), 1);
    }
}

bool duplicates_find(const struct duplicates *self, uint64_t hash, uint64_t *offset)
{
    if (self->capacity == 0) {
        return false;
    }
    const struct duplicates_head *head = head_of(self, hash);
    if ((head->seen & bit_of(hash)) == 0) {
        return false;
    }
    uint64_t at = self->end;
    uint64_t distance = newest_distance(self, head);
    if (*offset < self->end) {
        at = *offset;
        distance = *entry_at(self, at) & (DUPLICATES_WINDOW - 1);
    }
    for (int steps = 0; steps < DUPLICATES_STEPS_MAX; steps++) {
        if (distance == 0 || distance > at - self->first) {
            return false;
        }
        at -= distance;
        const uint64_t entry = *entry_at(self, at);
        if (entry >> GAP_BITS == hash) {
            *offset = at;
            return true;
        }
        distance = entry & (DUPLICATES_WINDOW - 1);
    }
    return false;
}

void duplicates_cut(struct duplicates *self, uint64_t offset)
{
    while (self->end > self->first && self->end > offset) {
        self->end--;
        const uint64_t entry = *entry_at(self, self->end);
        if (entry >> GAP_BITS != none) {
            const uint64_t gap = entry & (DUPLICATES_WINDOW - 1);
            head_of(self, entry >> GAP_BITS)->newest = (uint32_t)(self->end - gap + 1);
        }
    }
}
