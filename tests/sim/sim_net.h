// sim_net - one ROUTER, its DEALERs and the wire between them, as ZeroMQ behaves:
//
//   dealer                           connection                          router
//   send --> out (HWM) --connected--> under way, in order --delay--> inbox --fair--> receive
//   receive <-- in <----------------- under way, in order <--delay------ (HWM) <--- send
//
// - Within a connection messages stay in order; different peers overtake each other at will.
// - A cut loses any suffix of what is under way in each direction. Both ends find out
//   later, each at its own time; until then they go on sending into nothing.
// - A DEALER connects again by itself, with a new routing id. What is in its out queue goes
//   over the new connection, whatever was said on the old one. What is in its in
//   queue stays readable.
// - What has arrived at the ROUTER is read though the peer is gone meanwhile. A send to it
//   is ERR_UNAVAILABLE; to one whose queue is full, ERR_FULL.
#ifndef FAULTLINE_SIM_NET_H
#define FAULTLINE_SIM_NET_H

#include "common/err.h"
#include "tests/sim/sim.h"

enum {
    SIM_DEALERS_MAX = 24,
    SIM_CONNECTIONS_MAX = 64, // with those that are cut and not yet forgotten
    SIM_ROUTING_ID_SIZE = 5,
};

struct sim_net; // opaque

struct sim_net_options {
    int64_t delay_min_us, delay_max_us; // of a message
    size_t router_hwm, dealer_hwm;      // messages for one peer, at each end
};

struct sim_net *sim_net_new(struct sim *sim, const struct sim_net_options *options);
void sim_net_destroy(struct sim_net **self_p);

// sim_net_run lets everything happen that is due; sim_net_next_us: when something will be,
// INT64_MAX: nothing.
void sim_net_run(struct sim_net *self);
int64_t sim_net_next_us(const struct sim_net *self);

// --- the ROUTER

void sim_net_bind(struct sim_net *self);

// sim_net_unbind: its process is gone, with all that it had not read.
void sim_net_unbind(struct sim_net *self);

// sim_net_route sends to a peer at at_us (not before now). Errors as struct broker_world's send.
enum err sim_net_route(struct sim_net *self, struct bytes peer, struct bytes control,
                       struct bytes batch, int64_t at_us);

// A message that was received; free it with sim_message_free.
struct sim_message {
    struct sim_message *next;
    int64_t at_us; // when it arrives
    uint8_t peer[SIM_ROUTING_ID_SIZE];
    bool has_batch;
    struct buf control, batch; // owned
};
void sim_message_free(struct sim_message *self);

// sim_net_receive takes one that has arrived, of any peer; NULL: none.
struct sim_message *sim_net_receive(struct sim_net *self);
bool sim_net_has_input(const struct sim_net *self);

// --- DEALERs, by their number

// sim_net_connect makes the dealer's socket, sim_net_close closes it (linger 0);
// is_silent: the other side does not get to know for long.
void sim_net_connect(struct sim_net *self, size_t dealer);
void sim_net_close(struct sim_net *self, size_t dealer, bool is_silent);

// sim_net_send: false: its queue is full.
bool sim_net_send(struct sim_net *self, size_t dealer, struct bytes control, struct bytes batch);
struct sim_message *sim_net_take(struct sim_net *self, size_t dealer);
bool sim_net_can_take(const struct sim_net *self, size_t dealer);
bool sim_net_can_send(const struct sim_net *self, size_t dealer);

// sim_net_freeze stops what its process does for the socket, and lets it go on.
void sim_net_freeze(struct sim_net *self, size_t dealer, bool is_frozen);

// sim_net_cut cuts the dealer's connection, if it has one. At the latest after notice_us
// each end knows.
void sim_net_cut(struct sim_net *self, size_t dealer, int64_t notice_us);

#endif
