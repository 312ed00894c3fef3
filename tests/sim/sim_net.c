#include "tests/sim/sim_net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct queue {
    struct sim_message *first, **end; // owned; end NULL: at first
    size_t count;
};

struct dealer {
    bool is_open;
    bool is_frozen;
    int connection; // of the net's; -1: none
    int64_t connect_us;
    bool was_connected; // since it was opened
    struct queue out, in;
};

struct connection {
    bool is_used;
    uint8_t id[SIM_ROUTING_ID_SIZE];
    int dealer;              // -1: it has left this connection
    bool is_cut;             // nothing travels any more
    int64_t dealer_knows_us; // is_cut: when each end finds out
    int64_t router_knows_us;
    bool router_left;       // it has found out, or is gone
    bool was_greeted;       // a HELLO was put on it
    size_t into_nothing;    // sent by the router over a cut connection
    int64_t up_us, down_us; // when the last message on each way arrives
    struct queue up, down;  // under way to the router, to the dealer
    struct queue inbox;     // at the router, not read
};

struct sim_net {
    struct sim *sim; // borrowed
    struct sim_net_options options;
    bool is_bound;
    uint32_t ids; // routing ids given out
    struct dealer dealers[SIM_DEALERS_MAX];
    struct connection connections[SIM_CONNECTIONS_MAX];
    size_t places; // of connections that were ever used
};

enum {
    RECONNECT_MIN_US = 25000, // ZeroMQ's own attempts
    RECONNECT_MAX_US = 75000,
    CLOSE_NOTICE_US = 20000,
    SILENT_NOTICE_US = 20000000,
};

// --- queues

static void push(struct queue *queue, struct sim_message *message)
{
    message->next = NULL;
    *(queue->end == NULL ? &queue->first : queue->end) = message;
    queue->end = &message->next;
    queue->count++;
}

static struct sim_message *pop(struct queue *queue)
{
    struct sim_message *message = queue->first;
    if (message != NULL) {
        queue->first = message->next;
        queue->end = queue->first == NULL ? NULL : queue->end;
        queue->count--;
    }
    return message;
}

static size_t keep_first(struct queue *queue, size_t count)
{
    struct queue kept = {0};
    while (kept.count < count) {
        push(&kept, pop(queue));
    }
    const size_t lost = queue->count;
    for (struct sim_message *message; (message = pop(queue)) != NULL;) {
        sim_message_free(message);
    }
    *queue = kept;
    return lost;
}

void sim_message_free(struct sim_message *self)
{
    buf_release(&self->control);
    buf_release(&self->batch);
    free(self);
}

static struct sim_message *message_new(struct bytes control, struct bytes batch)
{
    struct sim_message *message = mem_calloc(1, sizeof *message);
    buf_put(&message->control, control.data, control.size);
    message->has_batch = batch.data != NULL;
    buf_put(&message->batch, batch.data, batch.size);
    return message;
}

// --- life

struct sim_net *sim_net_new(struct sim *sim, const struct sim_net_options *options)
{
    struct sim_net *self = mem_calloc(1, sizeof *self);
    self->sim = sim;
    self->options = *options;
    for (size_t i = 0; i < SIM_DEALERS_MAX; i++) {
        self->dealers[i].connection = -1;
    }
    return self;
}

static void connection_clear(struct connection *connection)
{
    keep_first(&connection->up, 0);
    keep_first(&connection->down, 0);
    keep_first(&connection->inbox, 0);
    *connection = (struct connection){0};
}

void sim_net_destroy(struct sim_net **self_p)
{
    struct sim_net *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < SIM_DEALERS_MAX; i++) {
        keep_first(&self->dealers[i].out, 0);
        keep_first(&self->dealers[i].in, 0);
    }
    for (size_t i = 0; i < SIM_CONNECTIONS_MAX; i++) {
        connection_clear(&self->connections[i]);
    }
    free(self);
    *self_p = NULL;
}

// --- connections

static void connection_make(struct sim_net *self, size_t dealer)
{
    size_t at = 0;
    while (self->connections[at].is_used) {
        at++;
        assert(at < SIM_CONNECTIONS_MAX);
    }
    self->places = at < self->places ? self->places : at + 1;
    struct connection *connection = &self->connections[at];
    *connection = (struct connection){.is_used = true, .dealer = (int)dealer};
    store_u32(connection->id + 1, ++self->ids);
    self->dealers[dealer].connection = (int)at;
    if (self->dealers[dealer].was_connected) {
        sim_count(self->sim, SIM_RECONNECTIONS);
    }
    self->dealers[dealer].was_connected = true;
    sim_trace(self->sim, "net: dealer %zu is connected as %u", dealer, self->ids);
}

// The dealer finds out that its connection is gone.
static void dealer_leaves(struct sim_net *self, struct connection *connection)
{
    if (connection->dealer >= 0) {
        struct dealer *dealer = &self->dealers[connection->dealer];
        dealer->connection = -1;
        dealer->connect_us =
            self->sim->now_us + sim_between(self->sim, RECONNECT_MIN_US, RECONNECT_MAX_US);
        connection->dealer = -1;
    }
}

static void connection_cut(struct sim_net *self, struct connection *connection, int64_t notice_us)
{
    if (!connection->is_cut) {
        connection->is_cut = true;
        connection->dealer_knows_us = self->sim->now_us + sim_between(self->sim, 0, notice_us);
        connection->router_knows_us = self->sim->now_us + sim_between(self->sim, 0, notice_us);
        size_t lost =
            keep_first(&connection->up, (size_t)sim_below(self->sim, connection->up.count + 1));
        lost +=
            keep_first(&connection->down, (size_t)sim_below(self->sim, connection->down.count + 1));
        for (; lost > 0; lost--) {
            sim_count(self->sim, SIM_CUT_MESSAGES);
        }
    }
}

void sim_net_cut(struct sim_net *self, size_t dealer, int64_t notice_us)
{
    const int connection = self->dealers[dealer].connection;
    if (connection >= 0 && !self->connections[connection].is_cut) {
        sim_count(self->sim, SIM_CUTS);
        sim_trace(self->sim, "net: the connection of dealer %zu is cut", dealer);
        connection_cut(self, &self->connections[connection], notice_us);
    }
}

// --- what happens by itself

static int64_t arrival(struct sim_net *self, int64_t *last_us, int64_t from_us)
{
    const struct sim_net_options *options = &self->options;
    const int64_t at_us =
        from_us + sim_between(self->sim, options->delay_min_us, options->delay_max_us);
    *last_us = at_us > *last_us ? at_us : *last_us;
    return *last_us;
}

// Puts what waits in the dealer's queue on the wire.
static void dealer_flush(struct sim_net *self, struct dealer *dealer)
{
    struct connection *connection =
        dealer->connection < 0 ? NULL : &self->connections[dealer->connection];
    while (connection != NULL && !dealer->is_frozen && dealer->out.count > 0 &&
           connection->up.count + connection->inbox.count < self->options.router_hwm) {
        struct sim_message *message = pop(&dealer->out);
        const bool is_hello = message->control.size > 1 && message->control.data[1] == 1;
        connection->was_greeted = connection->was_greeted || is_hello;
        if (!connection->was_greeted) {
            sim_count(self->sim, SIM_MESSAGES_WITHOUT_HELLO);
        }
        if (connection->is_cut) {
            sim_message_free(message);
            continue;
        }
        memcpy(message->peer, connection->id, sizeof connection->id);
        message->at_us = arrival(self, &connection->up_us, self->sim->now_us);
        push(&connection->up, message);
    }
}

static void arrive(struct sim_net *self, struct connection *connection)
{
    const int64_t now_us = self->sim->now_us;
    while (!connection->router_left && connection->up.count > 0 &&
           connection->up.first->at_us <= now_us) {
        push(&connection->inbox, pop(&connection->up));
    }
    struct dealer *dealer = connection->dealer < 0 ? NULL : &self->dealers[connection->dealer];
    while (dealer != NULL && !dealer->is_frozen && connection->down.count > 0 &&
           connection->down.first->at_us <= now_us) {
        push(&dealer->in, pop(&connection->down));
    }
}

void sim_net_run(struct sim_net *self)
{
    const int64_t now_us = self->sim->now_us;
    for (size_t i = 0; i < self->places; i++) {
        struct connection *connection = &self->connections[i];
        if (!connection->is_used) {
            continue;
        }
        arrive(self, connection);
        if (connection->is_cut && now_us >= connection->dealer_knows_us) {
            dealer_leaves(self, connection);
        }
        if (connection->is_cut && now_us >= connection->router_knows_us) {
            connection->router_left = true;
        }
        if (connection->router_left && connection->dealer < 0 && connection->inbox.count == 0) {
            connection_clear(connection);
        }
    }
    for (size_t i = 0; i < SIM_DEALERS_MAX; i++) {
        struct dealer *dealer = &self->dealers[i];
        if (dealer->is_open && dealer->connection < 0 && now_us >= dealer->connect_us) {
            if (self->is_bound && !dealer->is_frozen) {
                connection_make(self, i);
            } else {
                dealer->connect_us =
                    now_us + sim_between(self->sim, RECONNECT_MIN_US, RECONNECT_MAX_US);
            }
        }
        dealer_flush(self, dealer);
    }
}

static void sooner(int64_t *next_us, int64_t candidate_us)
{
    *next_us = candidate_us < *next_us ? candidate_us : *next_us;
}

int64_t sim_net_next_us(const struct sim_net *self)
{
    int64_t next_us = INT64_MAX;
    for (size_t i = 0; i < self->places; i++) {
        const struct connection *connection = &self->connections[i];
        if (!connection->is_used) {
            continue;
        }
        if (!connection->router_left && connection->up.count > 0) {
            sooner(&next_us, connection->up.first->at_us);
        }
        if (connection->dealer >= 0 && connection->down.count > 0 &&
            !self->dealers[connection->dealer].is_frozen) {
            sooner(&next_us, connection->down.first->at_us);
        }
        if (connection->is_cut && connection->dealer >= 0) {
            sooner(&next_us, connection->dealer_knows_us);
        }
        if (connection->is_cut && !connection->router_left) {
            sooner(&next_us, connection->router_knows_us);
        }
    }
    for (size_t i = 0; i < SIM_DEALERS_MAX; i++) {
        if (self->dealers[i].is_open && self->dealers[i].connection < 0) {
            sooner(&next_us, self->dealers[i].connect_us);
        }
    }
    return next_us;
}

// --- the ROUTER

void sim_net_bind(struct sim_net *self)
{
    self->is_bound = true;
}

void sim_net_unbind(struct sim_net *self)
{
    self->is_bound = false;
    for (size_t i = 0; i < self->places; i++) {
        struct connection *connection = &self->connections[i];
        if (connection->is_used) {
            connection_cut(self, connection, CLOSE_NOTICE_US);
            connection->router_left = true;
            keep_first(&connection->up, 0);
            keep_first(&connection->inbox, 0);
        }
    }
}

enum err sim_net_route(struct sim_net *self, struct bytes peer, struct bytes control,
                       struct bytes batch, int64_t at_us)
{
    struct connection *connection = NULL;
    for (size_t i = 0; i < self->places && connection == NULL; i++) {
        struct connection *candidate = &self->connections[i];
        if (candidate->is_used && memcmp(candidate->id, peer.data, sizeof candidate->id) == 0) {
            connection = candidate;
        }
    }
    assert(peer.size == SIM_ROUTING_ID_SIZE);
    if (connection == NULL || connection->router_left) {
        sim_count(self->sim, SIM_GONE_PEERS);
        return ERR_UNAVAILABLE;
    }
    if (connection->down.count + connection->into_nothing >= self->options.router_hwm) {
        sim_count(self->sim, SIM_FULL_QUEUES);
        return ERR_FULL;
    }
    sim_note_bytes(self->sim, control);
    sim_note_bytes(self->sim, batch);
    if (connection->is_cut) {
        connection->into_nothing++;
        return ERR_OK;
    }
    struct sim_message *message = message_new(control, batch);
    message->at_us = arrival(self, &connection->down_us, at_us);
    push(&connection->down, message);
    return ERR_OK;
}

struct sim_message *sim_net_receive(struct sim_net *self)
{
    const size_t start = (size_t)sim_below(self->sim, self->places + 1);
    for (size_t i = 0; i < self->places; i++) {
        struct connection *connection = &self->connections[(start + i) % self->places];
        if (connection->is_used && connection->inbox.count > 0) {
            return pop(&connection->inbox);
        }
    }
    return NULL;
}

bool sim_net_has_input(const struct sim_net *self)
{
    for (size_t i = 0; i < self->places; i++) {
        if (self->connections[i].is_used && self->connections[i].inbox.count > 0) {
            return true;
        }
    }
    return false;
}

// --- DEALERs

void sim_net_connect(struct sim_net *self, size_t dealer)
{
    assert(!self->dealers[dealer].is_open);
    self->dealers[dealer] =
        (struct dealer){.is_open = true, .connection = -1, .connect_us = self->sim->now_us};
}

void sim_net_close(struct sim_net *self, size_t dealer, bool is_silent)
{
    struct dealer *closed = &self->dealers[dealer];
    if (!closed->is_open) {
        return;
    }
    if (closed->connection >= 0) {
        struct connection *connection = &self->connections[closed->connection];
        connection_cut(self, connection, is_silent ? SILENT_NOTICE_US : CLOSE_NOTICE_US);
        connection->dealer = -1;
        keep_first(&connection->down, 0);
    }
    keep_first(&closed->out, 0);
    keep_first(&closed->in, 0);
    *closed = (struct dealer){.connection = -1};
}

bool sim_net_send(struct sim_net *self, size_t dealer, struct bytes control, struct bytes batch)
{
    if (!sim_net_can_send(self, dealer)) {
        sim_count(self->sim, SIM_STUCK_CLIENTS);
        return false;
    }
    push(&self->dealers[dealer].out, message_new(control, batch));
    dealer_flush(self, &self->dealers[dealer]);
    return true;
}

bool sim_net_can_send(const struct sim_net *self, size_t dealer)
{
    return self->dealers[dealer].out.count < self->options.dealer_hwm;
}

struct sim_message *sim_net_take(struct sim_net *self, size_t dealer)
{
    return pop(&self->dealers[dealer].in);
}

bool sim_net_can_take(const struct sim_net *self, size_t dealer)
{
    return self->dealers[dealer].in.count > 0;
}

void sim_net_freeze(struct sim_net *self, size_t dealer, bool is_frozen)
{
    self->dealers[dealer].is_frozen = is_frozen;
}
