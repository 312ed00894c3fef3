// log_check - opens the log that lies on a memory_disk and tells whether it is whole: what
// was read once is read again, after each further start and each further append.
#ifndef FAULTLINE_TESTS_LOG_CHECK_H
#define FAULTLINE_TESTS_LOG_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/event_log.h"
#include "tests/fuzz/memory_disk.h"

enum {
    LOG_CHECK_SEGMENT_BYTES = 512, // small: what a few events fill
    LOG_CHECK_READS_MAX = 64,      // records looked at from each end
};

struct log_check {
    struct memory_disk *disk; // borrowed
    uint64_t known_end;
    struct event_log *log;           // NULL: not open
    struct event_log_cursor *cursor; // goes with log
    struct event_log_recovery recovery;
};

// log_check_open opens the log. What is refused was not changed, and there is a sentence.
enum err log_check_open(struct log_check *self);
void log_check_close(struct log_check *self);

// log_check_digest covers what readers get of the log from first to next: bytes and errors.
uint32_t log_check_digest(struct log_check *self);

// log_check_store appends one event and syncs it.
void log_check_store(struct log_check *self, struct bytes body);

// log_check_again closes the open log and opens it again: it must hold the same and find
// nothing torn. It then stores an event, and the next start must find that as well.
void log_check_again(struct log_check *self);

#endif
