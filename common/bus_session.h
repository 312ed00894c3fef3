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
// Without a group WELCOME leads to UP at once.
#ifndef FAULTLINE_BUS_SESSION_H
#define FAULTLINE_BUS_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bus.h"
#include "common/bytes.h"
#include "common/err.h"
#include "common/record.h"

enum {
    BUS_BACKOFF_MIN_MS = 50,    // first pause before a new connection; doubles, with jitter
    BUS_BACKOFF_MAX_MS = 2000,  // a session that lasted this long starts again from the first
    BUS_GREETING_MIN_MS = 1000, // HELLO and SUBSCRIBE wait so long for their answer, at least
    BUS_OUT_MAX = 32768,        // messages that wait to be sent; more end the session
    BUS_CREDIT_DEFAULT = 512,
    BUS_HEARTBEAT_DEFAULT_MS = 1000,
};

struct bus_session; // opaque

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

// bus_session_next_out gives the oldest message to send on the present connection,
// borrowed until bus_session_sent takes it off; false: none. batch.data is NULL when
// the message has one frame.
bool bus_session_next_out(const struct bus_session *self, struct bytes *control,
                          struct bytes *batch);
void bus_session_sent(struct bus_session *self, int64_t now_ms);

// The rest is as the functions of bus.h; bus_session_bye adds BYE behind all else,
// and bus_session_has_left tells that the broker answered it.
enum err bus_session_publish(struct bus_session *self, uint64_t tag, const struct record *record);
void bus_session_ack(struct bus_session *self, uint64_t offset, uint32_t attempt);
void bus_session_nack(struct bus_session *self, uint64_t offset, uint32_t attempt, int64_t delay_ms,
                      const char *error);
void bus_session_reject(struct bus_session *self, uint64_t offset, uint32_t attempt,
                        const char *error);
void bus_session_set_credit(struct bus_session *self, uint32_t credit);
void bus_session_flush(struct bus_session *self);
void bus_session_bye(struct bus_session *self);
bool bus_session_has_left(const struct bus_session *self);
bool bus_session_is_up(const struct bus_session *self);
size_t bus_session_in_flight(const struct bus_session *self);

#endif
