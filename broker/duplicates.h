// duplicates - which of the last 2^20 offsets may hold an event of a given id: the memory
// behind "a publish that comes again is acked again, not stored again". Pure: random
// numbers are an argument, the log is the caller's.
//
// It keeps no ids, only 44 bits of a hash of each, so it only suspects: the id in the log
// decides, and a collision costs a look at the log, never an event. With a full window
// one new id in 2^24 is suspected without need.
//
//    heads, one a bucket                  ring, an entry for each offset
//   +-----------------------+          +--------------------------------+
//   | newest | bits of seen | -------> | 44 bits of hash | 20 bits back | --> the next older
//   +-----------------------+          +--------------------------------+     of this bucket
//
// Memory: 16 bytes an offset: 16 MiB when the window is full, 16 KiB from the first event
// on, nothing before; it doubles as it fills. A new id costs one look at a head, and at
// the ring only when the head has seen a hash like it: 40 ns in a full window when it comes
// in a batch, 85 ns alone; 8 of them are the hash of a UUID.
//
// Ids come from outside. The hash is keyed, so that nobody can make ids that share a
// bucket; and a search goes no further than DUPLICATES_STEPS_MAX entries (a bucket holds
// one on average): whatever lay behind that would be stored twice, not lost.
#ifndef FAULTLINE_DUPLICATES_H
#define FAULTLINE_DUPLICATES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/record.h"

enum {
    DUPLICATES_WINDOW = 1 << 20, // offsets
    DUPLICATES_STEPS_MAX = 64,
    DUPLICATES_KEYS = RECORD_ID_MAX / 4 + 2, // two for each eight bytes of an id, and its last
};

struct duplicates_head {
    uint32_t newest; // its offset + 1, the low bits
    uint32_t seen;   // a bit for each hash of the bucket, and for some that are forgotten
};

struct duplicates {
    uint32_t keys[DUPLICATES_KEYS]; // of the hash
    uint64_t *ring;                 // owned; an offset's place is offset & (capacity - 1)
    struct duplicates_head *heads;  // owned; as many
    uint64_t capacity;              // 0, or a power of two
    uint64_t first;                 // nothing is known below it
    uint64_t end;                   // nor from here on
};

// duplicates_init makes an empty window with the keys that random(context) gives.
void duplicates_init(struct duplicates *self, uint64_t (*random)(void *context), void *context);
void duplicates_release(struct duplicates *self);

// duplicates_hash is what the functions below know an id by.
uint64_t duplicates_hash(const struct duplicates *self, struct bytes id);

// duplicates_warm fetches what finding and adding this hash will look at. Done for all of
// a batch before the first is looked for, it halves what they cost.
void duplicates_warm(const struct duplicates *self, uint64_t hash);

// duplicates_find gives the newest offset below *offset that may hold an id of this
// hash. Begin with UINT64_MAX, go on with what it gave. false: there is none.
bool duplicates_find(const struct duplicates *self, uint64_t hash, uint64_t *offset);

// duplicates_add notes that offset, which nothing is known of from there on, holds an id of
// this hash. What it passes over holds none; what is DUPLICATES_WINDOW behind is forgotten.
void duplicates_add(struct duplicates *self, uint64_t offset, uint64_t hash);

// duplicates_cut forgets what was noted from offset on, fewer than DUPLICATES_WINDOW.
void duplicates_cut(struct duplicates *self, uint64_t offset);

#endif
