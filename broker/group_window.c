#include "broker/group_window.h"

#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"

static uint32_t place_of(const struct group_window *self, uint64_t offset)
{
    return (uint32_t)(offset & (self->capacity - 1));
}

static void bits_init(struct group_window *self)
{
    group_bits_init(&self->ready, self->capacity);
    group_bits_init(&self->dying, self->capacity);
    group_bits_init(&self->failed, self->capacity);
}

static void bits_release(struct group_window *self)
{
    group_bits_release(&self->ready);
    group_bits_release(&self->dying);
    group_bits_release(&self->failed);
}

void group_window_init(struct group_window *self, uint64_t floor)
{
    *self = (struct group_window){
        .ring = mem_alloc(GROUP_WINDOW_CAPACITY_MIN * sizeof *self->ring),
        .capacity = GROUP_WINDOW_CAPACITY_MIN,
        .floor = floor,
        .cursor = floor,
    };
    bits_init(self);
}

void group_window_release(struct group_window *self)
{
    for (uint64_t offset = self->floor; offset < self->cursor; offset++) {
        group_trouble_destroy(&group_window_at(self, offset)->trouble);
    }
    free(self->ring);
    bits_release(self);
    *self = (struct group_window){0};
}

void group_window_resize(struct group_window *self, uint32_t capacity)
{
    assert(capacity >= self->cursor - self->floor);
    struct group_window old = *self;
    self->capacity = capacity;
    self->ring = mem_alloc(capacity * sizeof *self->ring);
    bits_init(self);
    for (uint64_t offset = self->floor; offset < self->cursor; offset++) {
        struct group_entry *entry = group_window_at(self, offset);
        *entry = *group_window_at(&old, offset);
        if (entry->state == GROUP_READY) {
            group_bits_add(&self->ready, place_of(self, offset));
        }
        if (entry->state == GROUP_DYING) {
            group_bits_add(&self->dying, place_of(self, offset));
        }
        if (entry->trouble != NULL) {
            group_bits_add(&self->failed, place_of(self, offset));
        }
    }
    free(old.ring);
    bits_release(&old);
}

struct group_entry *group_window_push(struct group_window *self)
{
    assert(self->cursor - self->floor < self->capacity);
    struct group_entry *entry = group_window_at(self, self->cursor);
    *entry = (struct group_entry){
        .key_next = GROUP_OFFSET_NONE,
        .bucket_next = GROUP_OFFSET_NONE,
        .state = GROUP_DONE,
    };
    self->cursor++;
    self->counts[GROUP_DONE]++;
    return entry;
}

void group_window_move(struct group_window *self, uint64_t offset, enum group_entry_state state)
{
    struct group_entry *entry = group_window_at(self, offset);
    self->counts[entry->state]--;
    self->counts[state]++;
    if (entry->state == GROUP_READY) {
        group_bits_remove(&self->ready, place_of(self, offset));
    } else if (entry->state == GROUP_DYING) {
        group_bits_remove(&self->dying, place_of(self, offset));
    }
    if (state == GROUP_READY) {
        group_bits_add(&self->ready, place_of(self, offset));
    } else if (state == GROUP_DYING) {
        group_bits_add(&self->dying, place_of(self, offset));
    }
    entry->state = (uint8_t)state;
}

struct group_trouble *group_window_trouble(struct group_window *self, uint64_t offset)
{
    struct group_entry *entry = group_window_at(self, offset);
    if (entry->trouble == NULL) {
        group_window_set_trouble(self, offset, group_trouble_new());
    }
    return entry->trouble;
}

void group_window_set_trouble(struct group_window *self, uint64_t offset,
                              struct group_trouble *trouble)
{
    struct group_entry *entry = group_window_at(self, offset);
    if (entry->trouble != NULL) {
        group_bits_remove(&self->failed, place_of(self, offset));
        group_trouble_destroy(&entry->trouble);
    }
    if (trouble != NULL) {
        group_bits_add(&self->failed, place_of(self, offset));
        entry->trouble = trouble;
    }
}

void group_window_advance(struct group_window *self)
{
    while (self->floor < self->cursor && group_window_at(self, self->floor)->state == GROUP_DONE) {
        self->floor++;
        self->counts[GROUP_DONE]--;
    }
}

uint64_t group_window_next(const struct group_window *self, const struct group_bits *bits,
                           uint64_t from)
{
    if (from < self->floor) {
        from = self->floor;
    }
    if (from >= self->cursor) {
        return GROUP_OFFSET_NONE;
    }
    const uint32_t place = place_of(self, from);
    uint32_t found = group_bits_next(bits, place);
    if (found == GROUP_BITS_NONE) {
        found = group_bits_next(bits, 0); // the ring's other part
    }
    if (found == GROUP_BITS_NONE) {
        return GROUP_OFFSET_NONE;
    }
    const uint64_t offset = from + ((found - place) & (self->capacity - 1));
    return offset < self->cursor ? offset : GROUP_OFFSET_NONE;
}
