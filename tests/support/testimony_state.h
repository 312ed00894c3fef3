// testimony_state - the inside of a hearing: testimony.c hears the producers and reads the
// log, testimony_group.c goes through what a group was given.
#ifndef FAULTLINE_TESTS_TESTIMONY_STATE_H
#define FAULTLINE_TESTS_TESTIMONY_STATE_H

#include "tests/support/testimony.h"

#define EVENT_NONE UINT64_MAX

// What lies at an offset of the log: an event, or the dead letter of one.
struct entry {
    uint64_t event; // EVENT_NONE: not known (yet)
    int topic, key;
    bool is_letter;
    char group[16];        // of a dead letter
    uint64_t first_offset; // of a dead letter: the event's own
};

struct hearing {
    const struct testimony_case *it;
    struct testimony_figures figures;
    struct entry *entries; // owned; the log, by offset
    uint64_t entries_count;
    uint64_t said[16]; // by producer: events that it says it published
};

// testimony_group_check fails the test when a group was not given what it should.
void testimony_group_check(struct hearing *self, const struct witness_role *role);

#endif
