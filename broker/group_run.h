// group_run - what is saved of neighbouring offsets that share one state, and its
// line of text. The lines of a group:
//
//   group payment
//   retries 3
//   floor 120
//   done 122-125                       acked or dead-lettered above the floor
//   attempts 126 1                     delivered so often, not answered, never failed
//   failed 130 2 1 340 1793911017123456 retry card network unreachable
//          |   | | |   |                |     the error; control bytes and \ as \xHH
//          |   | | |   |                retry, or dying: its dead letter is not written yet
//          |   | | |   wall clock of the first failure, microseconds
//          |   | | ms until the retry is due; 0: it is
//          |   | failures
//          |   attempts
//          offset
//
// Runs ascend and do not overlap. Offsets with nothing to say have no run.
#ifndef FAULTLINE_GROUP_RUN_H
#define FAULTLINE_GROUP_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/group_trouble.h"
#include "common/bytes.h"

// Saved offsets and counts stay within these, so that adding to them never overflows.
#define GROUP_OFFSET_MAX ((uint64_t)INT64_MAX)
#define GROUP_COUNT_MAX  ((uint64_t)INT32_MAX)

struct group_run {
    uint64_t first;
    uint64_t last;                 // of the run, itself included
    bool done;                     // then the rest means nothing
    uint32_t attempts;             // of each
    struct group_trouble *trouble; // owner: whoever holds the run; then first == last
};

// group_run_join makes next part of run when it goes on where run ends and is like it.
bool group_run_join(struct group_run *run, const struct group_run *next);

// group_run_put writes the line, group_run_scan reads one without its newline; then the
// caller owns out->trouble. false: it is no such line, nothing is owned. now_ms
// turns due times into delays and back.
void group_run_put(struct buf *out, const struct group_run *run, int64_t now_ms);
bool group_run_scan(struct bytes line, int64_t now_ms, struct group_run *out);

#endif
