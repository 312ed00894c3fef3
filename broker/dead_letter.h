// dead_letter - what stands in the headers of a dead letter: which group gave which
// event up, after how much, and why; and of the copy that goes back to the group. Pure.
//
// Both are records of the log, with the key, id and body of the event itself:
//
//   order-created -- given up --> dead-letter.payment -- redriven --> redrive.payment
//                                     ^                                     |
//                                     +-------------- given up -------------+
//
// What goes out to the group's members has the event's own topic again.
#ifndef FAULTLINE_DEAD_LETTER_H
#define FAULTLINE_DEAD_LETTER_H

#include <stdint.h>

#include "broker/group.h"
#include "common/bytes.h"
#include "common/err.h"
#include "common/wire.h"

// dead_letter_format appends the headers of a dead letter as JSON. event is what was
// given up, as it was stored: the event, or a copy of it that was redriven. The event's own
// headers go along as member "headers", the last one, when they are JSON and fit.
void dead_letter_format(const char *group, const struct group_entry_info *info,
                        const struct record *event, int64_t dead_us, struct buf *out);

// dead_letter_redrive_format appends the headers of the copy that goes back: those of the
// dead letter, and its offset.
void dead_letter_redrive_format(uint64_t offset, struct bytes headers, struct buf *out);

// dead_letter_parse reads such headers. ERR_INVALID: not what these functions write.
struct dead_letter {
    char group[WIRE_NAME_MAX + 1];
    char topic[RECORD_TOPIC_MAX + 1]; // of the event
    uint64_t offset;                  // of what was given up
    uint64_t first_offset;            // of the event, however often it was redriven since
    uint64_t dead_letter;             // in a copy: the offset of the dead letter
    uint64_t attempts;                // after which it was given up
    char error[GROUP_ERROR_MAX + 1];  // the last one
};
enum err dead_letter_parse(struct bytes headers, struct dead_letter *out);

// dead_letter_restore makes of a redriven copy what its group's members get: the same with
// the event's own topic, encoded into scratch. Other records stay as they are.
void dead_letter_restore(struct record *record, struct buf *scratch);

#endif
