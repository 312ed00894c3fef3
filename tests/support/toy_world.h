// toy_world - a world for one struct broker: a clock that stands still unless it is
// pushed, a disk that fails on command, and peers named by a letter whose queues can
// be full or gone. What the broker sends lies in them until a test looks.
#ifndef FAULTLINE_TESTS_TOY_WORLD_H
#define FAULTLINE_TESTS_TOY_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/broker.h"
#include "common/wire.h"
#include "tests/support/faulty_disk.h"

enum {
    TOY_PEERS = 26,
    TOY_MESSAGES_MAX = 4096, // waiting for one peer
};

// A message that the broker sent.
struct toy_message {
    struct buf control;
    struct buf batch;
};

struct toy_peer {
    enum err answer; // of the next sends: ERR_OK, ERR_FULL, ERR_UNAVAILABLE
    struct toy_message *messages;
    size_t count;      // sent so far
    size_t seen;       // looked at so far
    struct bytes rest; // entries of the last DELIVER not looked at
    uint64_t requests;
};

struct toy_world {
    char directory[64];
    struct faulty_disk disk;
    struct broker *broker;
    struct event_log *log;         // the broker's own
    struct broker_options options; // for the next start
    int64_t now_us;                // both clocks
    struct toy_peer peers[TOY_PEERS];
    uint64_t ids;     // given to events
    uint64_t randoms; // given to the broker
};

// toy_world_set_up makes a folder and starts a broker in it; toy_world_tear_down
// removes both.
void toy_world_set_up(struct toy_world *self);
void toy_world_tear_down(struct toy_world *self);

// toy_world_crash ends the broker and what is only in its memory, and starts it
// again. What was sent to peers and not looked at is gone.
void toy_world_crash(struct toy_world *self);

// toy_turn has the broker do its rounds until there is nothing more to do at once;
// toy_pass pushes the clock first.
void toy_turn(struct toy_world *self);
void toy_pass(struct toy_world *self, int64_t ms);

// toy_send hands the broker a message; there is no turn yet.
void toy_send(struct toy_world *self, char peer, const struct wire_control *control,
              struct bytes batch);

// --- what peers say; a turn follows each

// toy_hello, incarnation 1, member "member-PEER", heartbeat 1000 ms; toy_subscribe
// wants one topic, 3 retries.
void toy_hello(struct toy_world *self, char peer);
void toy_subscribe(struct toy_world *self, char peer, const char *group, uint32_t credit,
                   const char *topic);

// toy_publish publishes one event whose body has body_size bytes, with an id of its own;
// toy_publish_later does so without a turn. toy_publish_ids publishes order-created events
// of these ids, separated by spaces, in one PUBLISH, without a turn.
void toy_publish(struct toy_world *self, char peer, const char *topic, const char *key,
                 size_t body_size);
void toy_publish_later(struct toy_world *self, char peer, const char *topic, const char *key,
                       size_t body_size);
void toy_publish_ids(struct toy_world *self, char peer, const char *ids, enum wire_acks acks);
void toy_ack(struct toy_world *self, char peer, uint64_t offset, uint32_t attempt);
void toy_nack(struct toy_world *self, char peer, uint64_t offset, uint32_t attempt,
              uint32_t delay_ms);

// --- what peers hear

// toy_next gives the next message to peer, borrowed until the next one to it; false:
// none.
bool toy_next(struct toy_world *self, char peer, struct wire_control *control, struct bytes *batch);

// toy_hears tells whether the next message to peer is of this type.
bool toy_hears(struct toy_world *self, char peer, enum wire_type type);

// toy_hears_error tells whether it is an ERROR of this code.
bool toy_hears_error(struct toy_world *self, char peer, const char *code);

// toy_gets gives the next delivery to peer; other messages are dropped. false: none.
bool toy_gets(struct toy_world *self, char peer, struct wire_delivered *out);

// toy_forget drops what waits for peer.
void toy_forget(struct toy_world *self, char peer);

#endif
