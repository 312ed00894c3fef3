// segment_recovery - reads a segment after a start: every batch is checked, and what
// lies behind the last good one is told apart.
//
//    | header | batch | batch | ... | batch | zeros                 clean
//    | header | batch | batch | ... | batch | rubbish | zeros       torn: cut off
//    | header | batch | rubbish | batch | ...                       damaged: refused
//
// Only the last batch of the last segment can be torn: each is synced before the
// next one is written, and a segment before the next one is made. So a good batch
// behind a bad place, and any bad place in an earlier segment, is damage.
#ifndef FAULTLINE_SEGMENT_RECOVERY_H
#define FAULTLINE_SEGMENT_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/event_log.h"
#include "broker/log_directory.h"
#include "broker/segment.h"
#include "common/err.h"

// segment_recover opens the segment file of base and counts its records in recovery.
// last: it is the newest: a torn tail is cut, and the segment can be written to;
// any other segment is closed again for writing. ERR_CORRUPT, ERR_IO:
// recovery->problem tells. *self can be closed whatever comes back.
enum err segment_recover(struct segment *self, const struct log_directory *directory, uint64_t base,
                         bool last, struct event_log_recovery *recovery);

// event_log_problem_set writes recovery->problem and returns err.
__attribute__((format(printf, 3, 4))) enum err
event_log_problem_set(struct event_log_recovery *recovery, enum err err, const char *format, ...);

#endif
