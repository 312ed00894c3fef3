// bus - what a service needs of a broker: publish, subscribe as member of a
// group, ack, nack, reject. Everything is asynchronous; nothing here blocks.
//
// One thread owns a bus. It polls bus_fd, takes inputs until there are none,
// calls what it wants, and ends each round with bus_flush. Publishes and acks
// gather until then: a batch is the unit on the wire.
//
// The client connects, says HELLO, subscribes and heartbeats by itself, and starts
// again with a back-off when the broker goes away. What was published and not yet
// answered when the connection was lost comes back as BUS_LOST: its owner (the
// outbox) publishes it again, in its old order.
#ifndef FAULTLINE_BUS_H
#define FAULTLINE_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"

struct bus; // opaque

struct bus_options {
    const char *url;    // "tcp://host:5550" or "ipc://path"
    const char *member; // unique per process: "payment-1"
    const char *group;  // NULL: publishes only
    const char *const *topics;
    size_t topics_count;
    bool from_latest;      // where a new group starts; default: the earliest event
    bool unordered;        // the group gives events of one key out at the same time, too
    uint32_t retries_max;  // failures before an event is dead-lettered
    uint32_t credit;       // deliveries held unacked at most; 0: 512
    uint32_t heartbeat_ms; // 0: 1000; three misses end a session
    bool without_acks;     // BUS_ACKS=none: a publish is answered when it is sent; it may be lost
};

// One delivery; views are borrowed until the next bus_take.
struct bus_delivery {
    uint64_t offset;
    uint64_t time_us; // when the broker stored it
    uint32_t attempt; // from 1
    struct bytes topic;
    struct bytes key;
    struct bytes id;
    struct bytes body; // the CloudEvents envelope
};

enum bus_input_kind {
    BUS_DELIVERY,  // delivery: ack, nack or reject it
    BUS_PUBLISHED, // tag: stored and synced at offset; without_acks: sent, offset is 0
    BUS_REFUSED,   // tag: not stored; err and detail say why
    BUS_CONNECTED, // the session is up (again); all inputs before it are of the old one
    BUS_LOST,      // the session is gone: deliveries not acked will come again, publishes
                   // not answered are unknown; tags are forgotten. Also when the broker
                   // refuses a session (evicted by a double, say): detail tells
};

struct bus_input {
    enum bus_input_kind kind;
    struct bus_delivery delivery;
    uint64_t tag;
    uint64_t offset;    // BUS_PUBLISHED
    bool duplicate;     // BUS_PUBLISHED: an event of this id was there before, at offset
    enum err err;       // BUS_REFUSED: ERR_FULL, ERR_CORRUPT (damaged on the way): try again
                        // later; ERR_INVALID, ERR_TOO_LARGE: never
    const char *detail; // BUS_REFUSED, BUS_LOST: borrowed until the next bus_take
};

// bus_open checks the options and starts to connect; a broker that is not there is
// no error. ERR_INVALID: a URL, name or topic is malformed, *problem says which
// (static text). The caller owns *out.
enum err bus_open(struct bus **out, const struct bus_options *options, const char **problem);

// bus_destroy closes the socket without ceremony and frees *self_p.
void bus_destroy(struct bus **self_p);

// bus_fd becomes readable when there may be input; it stays the same over all
// connections. It is edge-triggered: poll it only after bus_has_input said no.
int bus_fd(const struct bus *self);
bool bus_has_input(struct bus *self);

// bus_timer_ms: in how many ms bus_take wants to be called though nothing came
// (heartbeat, silence, reconnect). Never negative.
int64_t bus_timer_ms(const struct bus *self);

// bus_take gives up to max inputs, and does what is due. It may give fewer than
// there are: bus_has_input tells. Deliveries that fail their CRC never reach the
// caller: they are rejected to the dead letters.
size_t bus_take(struct bus *self, struct bus_input *inputs, size_t max);

// bus_publish adds one event to the batch under the caller's tag. ERR_UNAVAILABLE:
// no session, nothing was taken. ERR_FULL: BUS_IN_FLIGHT_MAX publishes, or
// BUS_IN_FLIGHT_BYTES_MAX bytes of them, wait for their answer. ERR_INVALID,
// ERR_TOO_LARGE: as record_append. key NULL or "": no order is kept.
enum {
    BUS_IN_FLIGHT_MAX = 16384,
    BUS_IN_FLIGHT_BYTES_MAX = 32 * 1024 * 1024,
};
enum err bus_publish(struct bus *self, uint64_t tag, const char *topic, const char *key,
                     const char *id, struct bytes body);

// bus_ack: dealt with, for good. bus_nack: give it again after delay_ms (negative:
// the broker's back-off), or dead-letter it when its retries are used up.
// bus_reject: dead-letter it now. Without a session they do nothing: the event
// comes again.
void bus_ack(struct bus *self, const struct bus_delivery *delivery);
void bus_nack(struct bus *self, const struct bus_delivery *delivery, int64_t delay_ms,
              const char *error);
void bus_reject(struct bus *self, const struct bus_delivery *delivery, const char *error);

// bus_set_credit changes how many deliveries may be held; 0 stops them.
void bus_set_credit(struct bus *self, uint32_t credit);

// bus_flush sends what has gathered.
void bus_flush(struct bus *self);

// bus_is_connected: the session is up and, with a group, subscribed.
bool bus_is_connected(const struct bus *self);

// bus_in_flight: publishes without an answer yet.
size_t bus_in_flight(const struct bus *self);

// bus_bye flushes, tells the broker to hand this member's unacked events to others
// at once, and waits at most timeout_ms until the broker has taken all that in. No
// input comes any more: who wants to know its publishes answered takes inputs until
// bus_in_flight is 0 first. Only bus_destroy may follow.
void bus_bye(struct bus *self, int64_t timeout_ms);

#endif
