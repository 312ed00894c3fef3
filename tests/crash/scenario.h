// scenario - how a process is brought to a crash point: what has to be so before, and what
// has to be done until it is there.
#ifndef FAULTLINE_TESTS_CRASH_SCENARIO_H
#define FAULTLINE_TESTS_CRASH_SCENARIO_H

#include <stdbool.h>

#include "tests/crash/cell.h"
#include "tests/crash/rig.h"

// What a scenario works with.
struct scene {
    struct rig *rig;         // borrowed
    const struct cell *cell; // borrowed
    int *poisons;            // orders that payment gives up, and that stay pending
    char *problem;           // owned; why it went wrong
};

struct scenario {
    const char *only;                      // the services that can be brought there; NULL: all
    int passings;                          // it dies at one of the first so many; 0: at the first
    int late_ms;                           // and so late; see common/crash_point.h
    const char *sync_token;                // of the orders over the chain; NULL: tok_visa
    bool starts;                           // the point lies in the start itself
    bool spoils;                           // the stack is of no use to others afterwards, nor
                                           // is theirs to this one
    const char *environment[2];            // name and value for the armed start; NULL: none
    bool (*prepare)(struct scene *scene);  // before the armed start, the process being dead
    bool (*provoke)(struct scene *scene);  // again and again until it is dead
    bool (*clean_up)(struct scene *scene); // when it is dead
    bool (*restore)(struct scene *scene);  // when it is back
};

// scenario_of never fails: what has none of its own needs traffic and nothing else.
const struct scenario *scenario_of(const char *point);

// scenario_reaches tells whether a process of its kind can be brought to the point.
bool scenario_reaches(const struct scenario *self, const char *process);

#endif
