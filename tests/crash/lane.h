// lane - a process that works on cells, one after the other, on a stack of its own.
#ifndef FAULTLINE_TESTS_CRASH_LANE_H
#define FAULTLINE_TESTS_CRASH_LANE_H

#include <stddef.h>

#include "tests/crash/cell.h"

// lane_run takes numbers of cells from the descriptor todo (uint16_t each) until it ends,
// and writes a struct cell_result for each to results. It gives the exit code of a
// process: 0, or 1 when there was no stack to work on.
int lane_run(const char *bin, const struct cell *cells, int todo, int results);

#endif
