// group_window - the entries between a group's floor and its cursor: a ring indexed
// by offset, that doubles when it is full.
#ifndef FAULTLINE_GROUP_WINDOW_H
#define FAULTLINE_GROUP_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/group_bits.h"
#include "broker/group_trouble.h"

enum {
    GROUP_WINDOW_CAPACITY_MIN = 64
};

#define GROUP_OFFSET_NONE UINT64_MAX

enum group_entry_state {
    GROUP_DONE,
    GROUP_READY,
    GROUP_HELD,
    GROUP_WAITING,
    GROUP_PARKED,
    GROUP_DYING,
    GROUP_STATE_COUNT,
};

// One offset. The links are offsets and belong to group_keys.
struct group_entry {
    uint64_t time_us;              // when it was stored
    uint64_t key_hash;             // 0: no key
    uint64_t key_next;             // the entry parked behind this one
    uint64_t key_last;             // in a key's first entry: the last one parked
    uint64_t bucket_next;          // in a key's first entry: the next key of the bucket
    struct group_trouble *trouble; // owned; NULL: never failed
    uint32_t attempts;             // deliveries
    uint8_t state;                 // enum group_entry_state
    uint8_t slot;                  // HELD: which member's
};

struct group_window {
    struct group_entry *ring; // owned; entry of offset at offset & (capacity - 1)
    uint32_t capacity;        // a power of two
    uint64_t floor;           // the lowest offset not done
    uint64_t cursor;          // one past the highest entry
    uint32_t counts[GROUP_STATE_COUNT];
    struct group_bits ready, dying, failed; // places in the ring; failed: has trouble
};

void group_window_init(struct group_window *self, uint64_t floor);
void group_window_release(struct group_window *self);

// group_window_resize moves all entries into a ring of another capacity, a power of
// two that holds them. Pointers to entries change, offsets do not.
void group_window_resize(struct group_window *self, uint32_t capacity);

// group_window_at gives the entry of an offset from the floor up to the cursor.
static inline struct group_entry *group_window_at(const struct group_window *self, uint64_t offset)
{
    return &self->ring[offset & (self->capacity - 1)];
}

// group_window_push adds a DONE entry without key at the cursor; there must be room.
struct group_entry *group_window_push(struct group_window *self);

// group_window_move gives an entry another state and keeps counts and sets true.
void group_window_move(struct group_window *self, uint64_t offset, enum group_entry_state state);

// group_window_trouble gives the entry's trouble, a new one when it had none.
// group_window_set_trouble replaces it and takes trouble over; NULL forgets it.
struct group_trouble *group_window_trouble(struct group_window *self, uint64_t offset);
void group_window_set_trouble(struct group_window *self, uint64_t offset,
                              struct group_trouble *trouble);

// group_window_advance moves the floor past what is done.
void group_window_advance(struct group_window *self);

// group_window_next gives the lowest offset at or above from whose place is in bits
// (one of the window's sets), or GROUP_OFFSET_NONE.
uint64_t group_window_next(const struct group_window *self, const struct group_bits *bits,
                           uint64_t from);

#endif
