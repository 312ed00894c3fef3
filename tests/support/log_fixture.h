// log_fixture - an event log in a folder of its own, and the words that its tests
// are written in. Event number N has body "event-N" and some bytes more.
#ifndef FAULTLINE_TESTS_LOG_FIXTURE_H
#define FAULTLINE_TESTS_LOG_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/event_log.h"
#include "tests/support/faulty_disk.h"

struct log_fixture {
    char directory[64];
    struct faulty_disk disk;
    struct event_log_options options; // for the next opening
    struct event_log *log;            // NULL: closed
    struct event_log_cursor *cursor;  // goes with log
    struct event_log_recovery recovery;
};

// log_fixture_set_up makes an empty folder and opens nothing; log_fixture_tear_down
// removes it with all that is in it.
void log_fixture_set_up(struct log_fixture *self);
void log_fixture_tear_down(struct log_fixture *self);

// log_fixture_open opens the log, closing it first when it is open.
enum err log_fixture_open(struct log_fixture *self);
void log_fixture_close(struct log_fixture *self);

// log_fixture_append appends events number .. number + count - 1 without a sync;
// their offsets must be their numbers. body_bytes: of each one's body, at least 24.
void log_fixture_append(struct log_fixture *self, uint64_t number, uint64_t count,
                        size_t body_bytes);

// log_fixture_sync syncs at time 1000 + the log's next offset.
enum err log_fixture_sync(struct log_fixture *self);

// log_fixture_store appends and syncs one batch.
void log_fixture_store(struct log_fixture *self, uint64_t count, size_t body_bytes);

// log_fixture_holds reads the event at offset and tells whether it is event number
// offset, whole.
bool log_fixture_holds(struct log_fixture *self, uint64_t offset);

// log_fixture_holds_all tells it of all from first to next, in order.
bool log_fixture_holds_all(struct log_fixture *self);

// The file of the segment that begins at base: its path (borrowed until the next
// call with the same buffer), its whole content (the caller frees it), new content.
void log_fixture_path(const struct log_fixture *self, uint64_t base, char path[128]);
uint8_t *log_fixture_load(const struct log_fixture *self, uint64_t base, size_t *size);
void log_fixture_replace(const struct log_fixture *self, uint64_t base, const uint8_t *data,
                         size_t size);

#endif
