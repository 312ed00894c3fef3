// bus_out - the messages of a client that wait to be sent, in order. Pure.
#ifndef FAULTLINE_BUS_OUT_H
#define FAULTLINE_BUS_OUT_H

#include <stdbool.h>

#include "common/bus_requests.h"
#include "common/bytes.h"
#include "common/wire.h"

struct bus_message {
    struct buf control;          // owned
    struct buf acks;             // owned; the batch of an ACK, else empty
    struct bus_request *request; // borrowed; its records are the batch, else NULL
    struct bus_message *next;
};

// Zero is an empty one. Release it with bus_out_clear.
struct bus_out {
    struct bus_message *first; // owned
    struct bus_message *last;  // borrowed
    size_t count;
};

// bus_out_push adds a message of one frame at the end and returns it, for acks or
// request to be set. A request must stay until its message is popped.
struct bus_message *bus_out_push(struct bus_out *self, const struct wire_control *control);

// bus_message_batch is the second frame of a message; data is NULL when it has none.
struct bytes bus_message_batch(const struct bus_message *message);

// bus_out_pop frees the first message.
void bus_out_pop(struct bus_out *self);
void bus_out_clear(struct bus_out *self);

#endif
