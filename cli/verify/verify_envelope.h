// verify_envelope - whether the body of an event says what its record says, and names a
// cause that it can have.
//
// An event is about its key, all the way: subject, correlation id. Its cause is a request,
// or an event about the same that stands before it in the log and that its topic is an
// answer to. All events about one order or transfer tell the same amount.
#ifndef FAULTLINE_CLI_VERIFY_ENVELOPE_H
#define FAULTLINE_CLI_VERIFY_ENVELOPE_H

#include "cli/verify/verify_log.h"
#include "common/record.h"

enum {
    VERIFY_ENVELOPE_SIZE = 320
};

enum verify_envelope {
    VERIFY_ENVELOPE_GOOD,
    VERIFY_ENVELOPE_ODD,
    VERIFY_ENVELOPE_STRANGE // no service of the house has said it, or nobody can read it
};

// verify_envelope_check looks at the record of the event with this index, of a topic and
// about a subject of the house, and notes its amount in about. ODD: out is a sentence
// without its subject, "names no cause".
enum verify_envelope verify_envelope_check(struct verify_log *log, size_t index,
                                           const struct record *record, struct verify_about *about,
                                           char out[VERIFY_ENVELOPE_SIZE]);

#endif
