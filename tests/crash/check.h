// check - when a stack has come to rest, and whether its facts fit together then.
#ifndef FAULTLINE_TESTS_CRASH_CHECK_H
#define FAULTLINE_TESTS_CRASH_CHECK_H

#include "tests/crash/cell.h"
#include "tests/crash/rig.h"

// check_is_settled tells whether nothing is on its way: no event in an outbox, none in the
// log that a group has not dealt with, no order pending but poisons ones.
bool check_is_settled(struct rig *rig, int poisons);

// check_unsettled writes what keeps the stack from that.
void check_unsettled(struct rig *rig, int poisons, char out[CELL_TEXT_SIZE]);

// check_verify tells whether the facts fit, says so in out->said, and counts the findings
// about the synchronous path.
bool check_verify(struct rig *rig, struct cell_result *out);

#endif
