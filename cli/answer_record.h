// answer_record - what clients were answered, a line of JSON each: what a load writes down
// with --record, and `verify --record` holds against the databases.
//
//   {"order_id":"…"|null,"mode":"async"|"sync","status":202|"timeout"|"no-answer","at":"…"}
//
// A transfer has "transfer_id" instead. A line is one write to a file that was opened for
// appending, unless its disk gets full, as soon as the answer is known: what was answered is there
// also when the client is killed, and lines of several clients do not mix.
#ifndef FAULTLINE_CLI_ANSWER_RECORD_H
#define FAULTLINE_CLI_ANSWER_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct answer {
    const char *id; // "": the client never learned it
    bool is_transfer;
    bool is_sync;  // over the chain
    enum err err;  // of the call
    int status;    // of the answer when there was one
    int64_t at_us; // wall clock
};

// answer_record_open opens path for appending. -1: errno tells why not.
int answer_record_open(const char *path);

// answer_record_write appends a line. false: it could not, which has been said; a record
// with holes proves nothing.
bool answer_record_write(int fd, const struct answer *answer);

#endif
