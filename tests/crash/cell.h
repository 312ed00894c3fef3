// cell - one field of the matrix: a crash point in a process, and what came of it.
#ifndef FAULTLINE_TESTS_CRASH_CELL_H
#define FAULTLINE_TESTS_CRASH_CELL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CELLS_MAX = 512,
    CELL_NAME_SIZE = 48,
    CELL_TEXT_SIZE = 192
};

struct cell {
    char point[CELL_NAME_SIZE];
    char process[CELL_NAME_SIZE];
    // A service that stands still while the process comes to its point, and is killed when
    // that is dead: what it was given last, it has not handled. Empty: none.
    char frozen[CELL_NAME_SIZE];
    int passing; // of the point, from 1
    int late_ms; // see common/crash_point.h
};

// Small enough to go through a pipe as one piece.
struct cell_result {
    uint16_t number; // of the cell
    bool ran;
    bool fired;                 // it died there, with the line and the exit code of that
    bool never_came;            // the stack was good, and it never came there
    bool good;                  // and it recovered, and the facts fit
    int32_t exit_code;          // of the process; -1: unknown
    int32_t took_ms;            // from the armed start to the death
    int32_t recovered_ms;       // from the plain start until nothing is on its way; -1: never
    int32_t findings;           // verify has this much more to say about the synchronous path
    char found[CELL_TEXT_SIZE]; // those findings by name and count
    char said[CELL_TEXT_SIZE];  // the verdict, or what went wrong
};

#endif
