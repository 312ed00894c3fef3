// dead_letter - what stands in the headers of a dead letter: which group gave which
// event up, after how much, and why. Pure.
//
// A dead letter is a record of the log: topic "dead-letter.GROUP", and the key, id
// and body of the event itself.
#ifndef FAULTLINE_DEAD_LETTER_H
#define FAULTLINE_DEAD_LETTER_H

#include <stdint.h>

#include "broker/group.h"
#include "common/bytes.h"
#include "common/err.h"
#include "common/wire.h"

// dead_letter_format appends the headers as JSON. event is the event as it was stored;
// its own headers go along as member "headers" when they are JSON and fit.
void dead_letter_format(const char *group, const struct group_entry_info *info,
                        const struct record *event, int64_t dead_us, struct buf *out);

// dead_letter_parse reads the group and the event's offset from them. ERR_INVALID: not what
// dead_letter_format writes.
struct dead_letter {
    char group[WIRE_NAME_MAX + 1];
    uint64_t offset; // of the event
};
enum err dead_letter_parse(struct bytes headers, struct dead_letter *out);

// dead_letter_append_text writes text, which may be any bytes, as a JSON string: what is not
// UTF-8, and NULs, become "?".
void dead_letter_append_text(struct buf *out, struct bytes text);

#endif
