// witness - real clients in processes of their own, that write down what they say and
// hear: producers every event they publish and every answer, members of groups every
// delivery and every ack. What is written down outlives the witness: a test kills it
// at any moment, starts it again, and reads the notes in the end.
//
// An event is a number, its producer's and a count from 0; topic, key, id and body
// follow from it, so that everybody can tell whether an event is what it was.
//
// A producer is an outbox: what has no answer is published again, in its old order,
// before anything new. Its notes are all that it remembers across its own death.
#ifndef FAULTLINE_TESTS_WITNESS_H
#define FAULTLINE_TESTS_WITNESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"

// --- events

enum {
    WITNESS_TOPICS = 3,
    WITNESS_KEYS = 200, // shared by all producers; number WITNESS_KEYS: no key
    WITNESS_BODY_MAX = 400,
};

struct witness_event {
    int topic, key;
    char topic_text[16], key_text[16], id[32];
    uint8_t body[WITNESS_BODY_MAX];
    size_t body_size;
};

uint64_t witness_number(uint32_t producer, uint32_t count);
void witness_event_make(uint64_t number, struct witness_event *out);

// witness_event_is tells whether these are the parts of an event that a witness
// published, and which.
bool witness_event_is(struct bytes topic, struct bytes key, struct bytes id, struct bytes body,
                      uint64_t *number);

// --- notes

enum note_kind {
    NOTE_CONNECTED = 1,
    NOTE_LOST,      // the session
    NOTE_KILLED,    // the witness; written by who killed it
    NOTE_PUBLISH,   // event: published for the first time, written before it is sent
    NOTE_PUBLISHED, // event, offset: answered
    NOTE_REFUSED,   // event: answered, not stored
    NOTE_DELIVERED, // event, offset, attempt; written before it is acked
    NOTE_ACKED,     // event, offset, attempt; written when it has been sent
    NOTE_REJECTED,  // event, offset, attempt; written before it is sent
    NOTE_WRONG,     // offset: a delivery that is no witness's event, or over the credit
};

struct note {
    int64_t at_us; // clock_mono_us, the same clock in all processes
    uint64_t event;
    uint64_t offset;
    uint32_t attempt;
    uint16_t life; // the broker's, of the session
    uint8_t kind;
    bool duplicate; // of PUBLISHED
};

// --- the witnesses

// What the test tells all of them, in memory that they share with it.
struct witness_signals {
    _Atomic uint16_t life; // counts the broker's lives: the test adds 1 before each start
    atomic_bool finish;    // producers: publish nothing new, leave when all is answered
    atomic_bool leave;     // consumers: say BYE
};

struct witness_role {
    const char *url;    // borrowed
    const char *folder; // borrowed; of the notes
    const struct witness_signals *signals;
    uint64_t seed;
    const char *name;  // borrowed; the member's
    const char *group; // borrowed; NULL: a producer
    unsigned topics;   // of the group, a bit each
    bool is_late;      // the group comes when the log may have lost its beginning
    uint32_t producer; // its number
    uint32_t per_second;
    uint32_t rejects; // a consumer: so many of 1000 events
};

// witness_signals_new makes them, all 0, in a file of folder; they last as long as the process.
struct witness_signals *witness_signals_new(const char *folder);

struct witness; // opaque

// witness_new makes a witness that is not there yet; witness_start forks it off. The
// caller must not have a ZeroMQ context then.
struct witness *witness_new(const struct witness_role *role);
void witness_destroy(struct witness **self_p); // kills it

void witness_start(struct witness *self);
void witness_kill(struct witness *self);

// witness_has_left: it ended by itself, as it was told. It aborts the test when a
// witness ended in any other way.
bool witness_has_left(struct witness *self);

// witness_notes reads all its notes, the caller frees them.
struct note *witness_notes(const struct witness *self, size_t *count);

const struct witness_role *witness_role(const struct witness *self);

#endif
