// check - when a stack has come to rest, and whether its facts fit together then.
#ifndef FAULTLINE_TESTS_CRASH_CHECK_H
#define FAULTLINE_TESTS_CRASH_CHECK_H

#include "tests/crash/cell.h"
#include "tests/crash/rig.h"
#include "tests/crash/traffic.h"

enum {
    CHECK_FINDINGS_MAX = 16
};

enum check_rest {
    CHECK_MOVES,  // something is on its way, or cannot be told
    CHECK_STUCK,  // no event is in an outbox, none in the log that a group has not dealt with
    CHECK_SETTLED // and no order is pending but the poisoned ones
};

enum check_rest check_rest(struct rig *rig, int poisons);

// check_unsettled writes what keeps the stack from that.
void check_unsettled(struct rig *rig, int poisons, char out[CELL_TEXT_SIZE]);

// What verify has found of the synchronous path on a stack so far. Zero: of a new one.
struct check_findings {
    struct {
        char name[CELL_NAME_SIZE];
        int64_t count;
    } kinds[CHECK_FINDINGS_MAX];
    size_t kinds_count;
};

// check_verify runs `faultline verify` with what traffic wrote down. true: all holds; where
// retention has dropped a part of the log, all that the rest tells; and of the synchronous
// path was found no more than what was in flight when somebody died (rig->deaths). It says so
// in out->said, and in out->found what was found since the last time.
bool check_verify(struct rig *rig, bool has_whole_log, struct check_findings *before,
                  struct cell_result *out);

// check_counts tells whether there are as many orders by events, poisons among them, and
// transfers as keys were accepted: a repeated request made no second one.
bool check_counts(struct rig *rig, int poisons, const struct traffic_sum *sum,
                  struct cell_result *out);

#endif
