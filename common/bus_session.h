// bus_session - the client's half of docs/protocol.md as a pure state machine: no
// socket, clock or randomness inside. Time comes in as an argument, messages go in
// and come out as bytes. bus.c ties it to a socket; a simulator may tie it to
// anything else.
//
//             HELLO out             WELCOME              SUBSCRIBED
//   CLOSED ----------> GREETING ----------> SUBSCRIBING -----------> UP
//     ^                    |                     |                    |
//     +----- back-off -----+---------------------+--------------------+
//              silence, BYE, or an ERROR that ends the session
//
// Without a group WELCOME leads to UP at once. A publish goes this way:
//
//   publish --> records --flush--> out --sent--> unanswered --PUBLISHED, ERROR--> gone
//               (gathering)         ^               |
//                                   +-- one record is bad: the others go again
#ifndef FAULTLINE_BUS_SESSION_H
#define FAULTLINE_BUS_SESSION_H

#include "common/bus.h"
#include "common/record.h"
#include "common/wire.h"

enum {
    BUS_BACKOFF_MIN_MS = 50,    // first pause before a new connection; doubles, with jitter
    BUS_BACKOFF_MAX_MS = 2000,  // a session that lasted this long starts again from the first
    BUS_GREETING_MIN_MS = 1000, // HELLO and SUBSCRIBE wait so long for their answer, at least
    BUS_OUT_MAX = 32768,        // messages that wait to be sent; more end the session
    BUS_CREDIT_DEFAULT = 512,
    BUS_HEARTBEAT_DEFAULT_MS = 1000,
    BUS_DETAIL_SIZE = WIRE_NAME_MAX + WIRE_ERROR_MAX + 8
};

// A message on its way out, and a PUBLISH until all of it is answered.
struct bus_message {
    struct buf control; // owned
    struct buf batch;   // owned; empty: the message has one frame
    struct buf tags;    // owned; of a PUBLISH, the caller's u64 for each record
    uint64_t request;   // of a PUBLISH, its number on the wire; else 0
    uint32_t answered;  // of a PUBLISH, so many records have their answer
    struct bus_message *next;
};

// Zero is an empty one.
struct bus_queue {
    struct bus_message *first; // owned
    struct bus_message **end;  // where the next one goes; NULL: at first
    size_t count;
};

enum bus_session_state {
    SESSION_CLOSED, // no connection; the next one at retry_ms
    SESSION_GREETING,
    SESSION_SUBSCRIBING,
    SESSION_UP
};

// Fields are for reading, and credit for setting; flush says when it has changed.
struct bus_session {
    char member[WIRE_NAME_MAX + 1];
    struct buf subscribe; // owned; the SUBSCRIBE to send, empty: publishes only
    uint32_t subscribe_credit;
    uint32_t heartbeat_asked_ms;
    bool without_acks;

    enum bus_session_state state;
    bool leaving;         // BYE was said
    bool left;            // and answered, or there is nobody to answer
    uint64_t connection;  // counts connections; wanted unless SESSION_CLOSED
    uint64_t incarnation; // of the last HELLO
    uint64_t jitter;      // state of the random numbers
    uint32_t heartbeat_ms;
    int64_t since_ms; // when the connection began, or the session came up
    int64_t heard_ms; // last message from the broker
    int64_t said_ms;  // last message to it
    int64_t retry_ms;
    int64_t backoff_ms;

    uint32_t credit, credit_said;
    struct buf acks, records, tags; // owned; what gathers until the flush
    struct wire_ack run;            // the acks since the last entry of acks; count 0: none
    struct bus_queue out;           // to be sent
    struct bus_queue unanswered;    // publishes that were sent
    uint64_t requests;              // numbers given out so far
    size_t in_flight;               // records without an answer
    size_t in_flight_bytes;

    // What is there to take.
    bool connected;               // BUS_CONNECTED
    bool lost;                    // BUS_LOST
    char detail[BUS_DETAIL_SIZE]; // of the last loss or refusal
    uint32_t left_count;          // entries of rest, or records of request
    struct bytes rest;            // borrowed from the message received
    struct bus_message *request;  // borrowed from unanswered; NULL: deliveries
    uint64_t offset;              // of the next record answered
    bool duplicate;               // they were stored before
    enum err err;
};

// bus_session_new copies the options; seed starts the jitter. ERR_INVALID: an option
// is malformed, *problem says which (static text).
enum err bus_session_new(struct bus_session **out, const struct bus_options *options, uint64_t seed,
                         const char **problem);
void bus_session_destroy(struct bus_session **self_p);

// bus_session_connection is the number of the connection it wants: when it changes
// the old socket is closed and a new one made; 0: none now.
uint64_t bus_session_connection(const struct bus_session *self);

// bus_session_tick does what is due at now_ms (monotonic): begin again, PING, give up
// on a silent broker. wall_us becomes the incarnation. Call it after everything
// that has arrived was received, or its own pause looks like the broker's.
void bus_session_tick(struct bus_session *self, int64_t now_ms, int64_t wall_us);

// bus_session_due_ms: when the next tick is due.
int64_t bus_session_due_ms(const struct bus_session *self);

// bus_session_receive takes a message of 1 or 2 frames; frames counts them, batch is
// the second. It borrows both until bus_session_take has given all it has. Only
// when bus_session_has_input is false.
void bus_session_receive(struct bus_session *self, struct bytes control, struct bytes batch,
                         size_t frames, int64_t now_ms);

// bus_session_take gives up to max inputs; bus_session_has_input: there are more.
// An input's detail is borrowed until the next receive.
size_t bus_session_take(struct bus_session *self, struct bus_input *inputs, size_t max,
                        int64_t now_ms);
bool bus_session_has_input(const struct bus_session *self);

// bus_session_sent takes out.first off: it is with the socket.
void bus_session_sent(struct bus_session *self, int64_t now_ms);

// As the functions of bus.h. bus_session_refuse says WIRE_NACK or WIRE_REJECT;
// bus_session_bye says BYE behind all else, and left tells that it was answered.
enum err bus_session_publish(struct bus_session *self, uint64_t tag, const struct record *record);
void bus_session_ack(struct bus_session *self, uint64_t offset, uint32_t attempt);
void bus_session_refuse(struct bus_session *self, enum wire_type type, uint64_t offset,
                        uint32_t attempt, int64_t delay_ms, const char *error);
void bus_session_flush(struct bus_session *self);
void bus_session_bye(struct bus_session *self);

#endif
