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
#include "common/clock.h"
#include "common/err.h"
#include "common/record.h"
#include "common/wire.h"

struct dead_letter {
    char group[WIRE_NAME_MAX + 1];
    char topic[RECORD_TOPIC_MAX + 1]; // of the event
    uint64_t offset;                  // of the event
    uint32_t attempts;                // deliveries
    uint32_t failures;
    char error[GROUP_ERROR_MAX + 1];
    char first_failed_at[CLOCK_RFC3339_SIZE];
    char dead_at[CLOCK_RFC3339_SIZE];
};

// dead_letter_set_error copies what can be shown: anything but UTF-8 becomes "?".
void dead_letter_set_error(struct dead_letter *self, const char *error);

// dead_letter_format appends the headers as JSON. original are the event's own
// headers; they go along as member "headers" when they are JSON and fit.
void dead_letter_format(const struct dead_letter *self, struct bytes original, struct buf *out);

// dead_letter_parse reads them. ERR_INVALID: not what dead_letter_format writes.
enum err dead_letter_parse(struct bytes headers, struct dead_letter *out);

#endif
