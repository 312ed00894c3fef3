#include "broker/group_keys.h"

#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"

static uint64_t *bucket_of(struct group_keys *self, uint64_t key_hash)
{
    // The hash comes from outside: spread it once more.
    const uint64_t mixed = (key_hash * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    return &self->buckets[mixed & (self->capacity - 1)];
}

// The link that leads to the key's first entry, or to NONE at the bucket's end.
static uint64_t *link_of(struct group_keys *self, struct group_window *window, uint64_t key_hash)
{
    uint64_t *link = bucket_of(self, key_hash);
    while (*link != GROUP_OFFSET_NONE) {
        struct group_entry *first = group_window_at(window, *link);
        if (first->key_hash == key_hash) {
            break;
        }
        link = &first->bucket_next;
    }
    return link;
}

void group_keys_release(struct group_keys *self)
{
    free(self->buckets);
    *self = (struct group_keys){0};
}

void group_keys_rebuild(struct group_keys *self, struct group_window *window)
{
    free(self->buckets);
    self->capacity = window->capacity;
    self->buckets = mem_alloc(self->capacity * sizeof *self->buckets);
    for (uint32_t i = 0; i < self->capacity; i++) {
        self->buckets[i] = GROUP_OFFSET_NONE;
    }
    for (uint64_t offset = window->floor; offset < window->cursor; offset++) {
        struct group_entry *entry = group_window_at(window, offset);
        if (entry->key_hash == 0 || entry->state == GROUP_DONE || entry->state == GROUP_PARKED) {
            continue;
        }
        uint64_t *bucket = bucket_of(self, entry->key_hash);
        entry->bucket_next = *bucket;
        *bucket = offset;
    }
}

bool group_keys_claim(struct group_keys *self, struct group_window *window, uint64_t offset)
{
    struct group_entry *entry = group_window_at(window, offset);
    assert(entry->key_hash != 0);
    uint64_t *link = link_of(self, window, entry->key_hash);
    entry->key_next = GROUP_OFFSET_NONE;
    if (*link == GROUP_OFFSET_NONE) {
        entry->bucket_next = GROUP_OFFSET_NONE;
        entry->key_last = offset;
        *link = offset;
        return true;
    }
    struct group_entry *first = group_window_at(window, *link);
    group_window_at(window, first->key_last)->key_next = offset;
    first->key_last = offset;
    return false;
}

uint64_t group_keys_release_first(struct group_keys *self, struct group_window *window,
                                  uint64_t offset)
{
    const struct group_entry *entry = group_window_at(window, offset);
    uint64_t *link = link_of(self, window, entry->key_hash);
    assert(*link == offset);
    const uint64_t next = entry->key_next;
    if (next == GROUP_OFFSET_NONE) {
        *link = entry->bucket_next;
        return next;
    }
    struct group_entry *first = group_window_at(window, next);
    first->bucket_next = entry->bucket_next;
    first->key_last = entry->key_last;
    *link = next;
    return next;
}

void group_keys_unpark(struct group_keys *self, struct group_window *window, uint64_t offset)
{
    const struct group_entry *entry = group_window_at(window, offset);
    const uint64_t first_offset = *link_of(self, window, entry->key_hash);
    assert(first_offset != GROUP_OFFSET_NONE && first_offset != offset);
    struct group_entry *first = group_window_at(window, first_offset);

    uint64_t before = first_offset;
    while (group_window_at(window, before)->key_next != offset) {
        before = group_window_at(window, before)->key_next;
        assert(before != GROUP_OFFSET_NONE);
    }
    group_window_at(window, before)->key_next = entry->key_next;
    if (first->key_last == offset) {
        first->key_last = before;
    }
}
