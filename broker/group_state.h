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
// The hash leads to the last entry of a key: that is where the next one is added. Who
// is first needs no link: it is the one entry of its key that is not PARKED.
#ifndef FAULTLINE_GROUP_STATE_H
#define FAULTLINE_GROUP_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/group.h"

#define GROUP_OFFSET_NONE UINT64_MAX

enum group_entry_state {
    GROUP_AHEAD, // not offered yet
    GROUP_DONE,
    GROUP_READY,
    GROUP_HELD,
    GROUP_WAITING,
    GROUP_PARKED,
    GROUP_DYING,
    GROUP_STATE_COUNT,
};

// A failed event is one with an error; the fields above it are of use only then.
struct group_entry {
    uint64_t time_us;        // when it was stored
    uint64_t key_hash;       // 0: no key, or none any more
    uint32_t key_gap;        // distance to the next entry of its key; 0: it is the last
    uint32_t bucket_next;    // of a key's last entry: place of the next key's
    uint32_t attempts;       // deliveries
    uint32_t failures;       // nacks and rejects
    int64_t due_ms;          // meaningful when it waits
    int64_t first_failed_us; // wall clock
    char *error;             // owned; of the last failure; NULL: never failed
    uint8_t state;           // enum group_entry_state
    uint8_t slot;            // HELD: which member's
    bool waits;              // for its retry at due_ms
    bool dying;              // it wants a dead letter, no retry
};

struct group_window {
    struct group_entry *ring; // owned; an offset's place is offset & (capacity - 1)
    uint32_t *buckets;        // owned; as many: places of keys' last entries
    uint32_t capacity;        // a power of two
    uint64_t floor;           // the lowest offset not done
    uint64_t cursor;          // the next offset to be offered
    uint64_t end;             // one past the highest entry
    uint32_t counts[GROUP_STATE_COUNT];
    uint32_t dying; // entries that are to die, AHEAD or not
};

// Offsets in the order in which they are due, and of those due at the same time the
// lowest first: a heap. Zero is an empty one.
struct group_queue_item {
    int64_t due_ms;
    uint64_t offset;
};

struct group_queue {
    struct group_queue_item *items; // owned; the first to go is items[0]
    size_t count;
    size_t capacity;
};

struct group {
    char *name; // owned
    uint32_t retries_max;
    bool unordered; // every event counts as one without a key
    bool dirty;     // since the last group_saved
    struct group_window window;
    uint64_t fresh_from;        // no entry from here on was READY and taken
    struct group_queue again;   // the READY entries below that
    struct group_queue waiting; // the WAITING ones
    struct group_member_stats members[GROUP_MEMBERS_MAX]; // HELD entries name them by slot
    uint32_t members_count;
    uint32_t turn;            // the slot after the one served last
    uint64_t credit_free;     // what all members together may take more
    struct group_stats stats; // of these only what is counted, not what there is now
};

// group_error_copy gives an error as it is kept; the caller owns it.
char *group_error_copy(struct bytes error);

// --- group_window.c

void group_window_init(struct group_window *self, uint64_t floor);
void group_window_release(struct group_window *self);

// group_window_at gives the entry of an offset from the floor up to the end.
static inline struct group_entry *group_window_at(const struct group_window *self, uint64_t offset)
{
    return &self->ring[offset & (self->capacity - 1)];
}

// group_window_reach gives the entry of an offset from the floor on, wherever the end
// is: what lies between becomes AHEAD. Other pointers to entries are void then.
struct group_entry *group_window_reach(struct group_window *self, uint64_t offset);

// group_window_move gives an entry another state and keeps the counts true.
void group_window_move(struct group_window *self, struct group_entry *entry,
                       enum group_entry_state state);

// group_window_advance moves the floor past what is done, and the cursor before it.
void group_window_advance(struct group_window *self);

// group_window_fail gives the entry an error, which it takes over, and may make it die;
// NULL: it is as if it had never failed.
void group_window_fail(struct group_window *self, struct group_entry *entry, char *error,
                       bool dying);

// group_window_claim_key adds an entry with key_hash to its key. true: it is the first.
bool group_window_claim_key(struct group_window *self, uint64_t offset);

// group_window_release_key takes a key's first entry out and gives the offset of the
// next that is not done, or GROUP_OFFSET_NONE: the key is free. An entry that gets
// done while it is PARKED stays until it is passed here.
uint64_t group_window_release_key(struct group_window *self, uint64_t offset);

void group_queue_push(struct group_queue *self, int64_t due_ms, uint64_t offset);

// group_queue_pop takes the first one off; there must be one.
uint64_t group_queue_pop(struct group_queue *self);

// group_queue_remove takes offset out, wherever it is; it looks at all.
void group_queue_remove(struct group_queue *self, uint64_t offset);

#endif
