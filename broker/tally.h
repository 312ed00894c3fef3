// tally - how many records of each topic the log has, stretch by stretch. What lies behind an
// offset is counted by adding stretches up and reading one. Pure. Zero is an empty table.
//
//    segment                              segment
//    | stretch      | stretch      | str. | stretch      | str...
//
// A stretch ends with its segment, so that it goes as a whole, or with the batch that makes it
// TALLY_RECORDS long. It takes 24 bytes, and 4 for each topic up to the highest that it has.
#ifndef FAULTLINE_TALLY_H
#define FAULTLINE_TALLY_H

#include <stddef.h>
#include <stdint.h>

enum {
    TALLY_RECORDS = 16384, // 2 ms to read
};

struct tally {
    uint64_t first;    // offset of its first record; it ends where the next one begins
    uint32_t *records; // owned; by the topic's number
    int topics;        // numbers are below it
};

struct tallies {
    struct tally *list; // owned; oldest first
    size_t count;
};

void tallies_release(struct tallies *self);

// tallies_add counts records of a topic that are stored from offset on, in the segment that
// begins with segment. Offsets do not go back.
void tallies_add(struct tallies *self, uint64_t segment, uint64_t offset, int topic,
                 uint32_t records);

// tallies_drop forgets what lies below first, where a segment begins.
void tallies_drop(struct tallies *self, uint64_t first);

#endif
