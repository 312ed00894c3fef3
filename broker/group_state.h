// group_state - what a group is made of. Only for the files that are the group:
// everybody else knows group.h.
//
// A group knows each offset from its floor on by an entry, in a ring indexed by offset:
//
//    floor                cursor             end
//      |  offered           |  not offered     |  nothing known
//      v                    v                  v
//   ---[ H ][D][P][R][P][W][ ][D][ ][ ][D]
//        |     ^     ^
//        +-----+-----+  entries of one key, each with the distance to the next
//
// Behind the cursor lies what a loaded group knows already: attempts, failures, what
// is done. Mostly end == cursor.
//
// Keys are found through buckets: a bucket leads to its latest entry, each entry back to
// the one before of its bucket. The latest entry of a key tells whether the key is
// free: it is when that one is DONE. Nothing is taken out: what the floor has passed
// ends a bucket. So an event that nobody waits for ends without a look at keys.
#ifndef FAULTLINE_GROUP_STATE_H
#define FAULTLINE_GROUP_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/group.h"

enum group_entry_state {
    GROUP_AHEAD, // not offered yet
    GROUP_DONE,
    GROUP_READY,
    GROUP_HELD,
    GROUP_WAITING,
    GROUP_PARKED,
    GROUP_ENDED, // while it was PARKED: DONE once those before it are
    GROUP_DYING,
    GROUP_STATE_COUNT,
};

// What is known of an event that has failed.
struct group_failing {
    int64_t due_ms;   // of its retry; meaningful when it waits
    int64_t first_us; // wall clock of the first failure
    uint32_t count;   // nacks and rejects
    bool waits;       // for its retry
    bool dying;       // it wants a dead letter, no retry
    char error[];     // of the last failure
};

struct group_entry {
    struct group_failing *failure; // owned; NULL: never failed
    uint32_t key_hash;             // 0: no key
    uint32_t key_gap;              // distance to the next entry of its key; 0: none yet
    uint32_t bucket_back;          // distance to the entry of its bucket before
    uint32_t attempts;             // deliveries
    uint8_t state;                 // enum group_entry_state
    uint8_t slot;                  // HELD: which member's
};

enum {
    GROUP_SET_BITS = 64, // in each word of a set
};

struct group_window {
    struct group_entry *ring; // owned; an offset's place is offset & (capacity - 1)
    uint32_t *buckets;        // owned; as many: the low bits of the latest offset
    uint64_t *ready;          // owned; a bit for each place: it is READY
    uint64_t *failed;         // owned; it has failed
    uint32_t capacity;        // a power of two
    uint64_t floor;           // the lowest offset not done
    uint64_t cursor;          // the next offset to be offered
    uint64_t end;             // one past the highest entry
    uint32_t counts[GROUP_STATE_COUNT];
    uint32_t dying; // entries that are to die, AHEAD or not
};

struct group {
    char *name; // owned
    uint32_t retries_max;
    bool unordered; // every event counts as one without a key
    bool dirty;     // since the last group_saved
    struct group_window window;
    uint64_t ready_from;                                  // no entry below is READY
    int64_t due_ms;                                       // no entry that is WAITING is due before
    struct group_member_stats members[GROUP_MEMBERS_MAX]; // HELD entries name them by slot
    uint32_t members_count;
    uint32_t turn;        // the slot after the one served last
    uint64_t credit_free; // what all members together may take more
};

// group_failing_new copies an error as it is kept; all else is zero. Free with free().
struct group_failing *group_failing_new(struct bytes error);

// --- group_window.c

void group_window_init(struct group_window *self, uint64_t floor);
void group_window_release(struct group_window *self);

// group_window_fit moves all entries into a ring that holds size of them, if not much more.
void group_window_fit(struct group_window *self, uint64_t size);

// group_window_at gives the entry of an offset from the floor up to the end.
static inline struct group_entry *group_window_at(const struct group_window *self, uint64_t offset)
{
    return &self->ring[offset & (self->capacity - 1)];
}

// group_window_reach gives the entry of an offset from the floor on, wherever the end
// is: what lies between becomes AHEAD. Other pointers to entries are void then.
struct group_entry *group_window_reach(struct group_window *self, uint64_t offset);

// group_set_put takes an offset into a set, or out of it.
static inline void group_set_put(const struct group_window *self, uint64_t *set, uint64_t offset,
                                 bool in)
{
    const uint64_t place = offset & (self->capacity - 1);
    const uint64_t bit = UINT64_C(1) << place % GROUP_SET_BITS;
    uint64_t *word = &set[place / GROUP_SET_BITS];
    *word = in ? *word | bit : *word & ~bit;
}

// group_window_move gives an entry another state and keeps counts and sets true.
static inline void group_window_move(struct group_window *self, uint64_t offset,
                                     enum group_entry_state state)
{
    struct group_entry *entry = group_window_at(self, offset);
    if ((entry->state == GROUP_READY) != (state == GROUP_READY)) {
        group_set_put(self, self->ready, offset, state == GROUP_READY);
    }
    self->counts[entry->state]--;
    self->counts[state]++;
    entry->state = (uint8_t)state;
}

// group_window_advance moves the floor past what is done, and the cursor before it.
void group_window_advance(struct group_window *self);

// group_window_next gives the first offset from one at or above the floor on that is in a
// set (ready or failed); the end: none is.
uint64_t group_window_next(const struct group_window *self, const uint64_t *set, uint64_t from);

// group_window_fail gives an entry its failure, which it takes over; NULL: it is as if it
// had never failed.
void group_window_fail(struct group_window *self, uint64_t offset, struct group_failing *failure);

// group_window_claim_key adds an entry with a key_hash to its key. true: the key is free.
bool group_window_claim_key(struct group_window *self, uint64_t offset);

#endif
