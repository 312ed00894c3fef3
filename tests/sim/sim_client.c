#include "tests/sim/sim_client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum {
    STUCK_RETRY_US = 5000,
    IDLE_MIN_US = 1000,
};

struct sim_client {
    struct sim *sim;     // borrowed
    struct sim_net *net; // borrowed
    struct sim_client_options options;
    struct bus_session *session; // owned; NULL: no process
    uint64_t connection;         // the session's number of the socket; 0: none
    struct sim_message *held;    // owned; received, and borrowed by inputs
    bool is_stuck;               // the socket would not take the first message
    bool is_leaving;
    int64_t wake_us, pause_us;
    int64_t skew_us;
};

struct sim_client *sim_client_new(struct sim *sim, struct sim_net *net,
                                  const struct sim_client_options *options)
{
    struct sim_client *self = mem_calloc(1, sizeof *self);
    self->sim = sim;
    self->net = net;
    self->options = *options;
    return self;
}

static void let_go(struct sim_client *self)
{
    if (self->held != NULL) {
        sim_message_free(self->held);
        self->held = NULL;
    }
}

void sim_client_destroy(struct sim_client **self_p)
{
    struct sim_client *self = *self_p;
    if (self != NULL) {
        let_go(self);
        bus_session_destroy(&self->session);
        free(self);
        *self_p = NULL;
    }
}

void sim_client_start(struct sim_client *self)
{
    const char *problem = NULL;
    const enum err err =
        bus_session_new(&self->session, &self->options.bus, sim_random(self->sim), &problem);
    assert(err == ERR_OK);
    (void)err;
    sim_trace(self->sim, "%s: starts", self->options.bus.member);
    self->connection = 0;
    self->is_stuck = self->is_leaving = false;
    self->wake_us = self->sim->now_us;
    self->pause_us = 0;
    self->options.app->started(self->options.app_context);
}

bool sim_client_is_up(const struct sim_client *self)
{
    return self->session != NULL;
}

static void end(struct sim_client *self, bool is_silent)
{
    let_go(self);
    bus_session_destroy(&self->session);
    sim_net_freeze(self->net, self->options.dealer, false);
    sim_net_close(self->net, self->options.dealer, is_silent);
}

void sim_client_kill(struct sim_client *self, bool is_silent)
{
    if (self->session != NULL) {
        sim_count(self->sim, SIM_CLIENT_KILLS);
        sim_trace(self->sim, "%s: is killed", self->options.bus.member);
        end(self, is_silent);
    }
}

void sim_client_leave(struct sim_client *self)
{
    if (self->session != NULL && !self->is_leaving) {
        sim_count(self->sim, SIM_GOODBYES);
        sim_trace(self->sim, "%s: says BYE", self->options.bus.member);
        bus_session_bye(self->session);
        self->is_leaving = true;
        self->wake_us = self->sim->now_us;
    }
}

void sim_client_pause(struct sim_client *self, int64_t until_us)
{
    if (self->session != NULL) {
        sim_count(self->sim, SIM_CLIENT_PAUSES);
        sim_trace(self->sim, "%s: is paused", self->options.bus.member);
        self->pause_us = until_us;
        sim_net_freeze(self->net, self->options.dealer, true);
    }
}

void sim_client_set_credit(struct sim_client *self, uint32_t credit)
{
    if (self->session != NULL) {
        sim_count(self->sim, SIM_CREDIT_CHANGES);
        self->session->credit = credit;
        self->wake_us = self->sim->now_us;
    }
}

void sim_client_skew(struct sim_client *self, int64_t us)
{
    self->skew_us += us;
}

// --- the socket, as in bus.c

static void follow(struct sim_client *self)
{
    const uint64_t wanted = bus_session_connection(self->session);
    if (wanted != self->connection) {
        sim_net_close(self->net, self->options.dealer, false);
        if (wanted != 0) {
            sim_net_connect(self->net, self->options.dealer);
        }
        self->connection = wanted;
        self->is_stuck = false;
    }
}

static void send_out(struct sim_client *self)
{
    self->is_stuck = false;
    const struct bus_message *message = NULL;
    while (self->connection != 0 && (message = self->session->out.first) != NULL) {
        const struct bytes batch =
            message->batch.size > 0 ? buf_view(&message->batch) : (struct bytes){0};
        if (!sim_net_send(self->net, self->options.dealer, buf_view(&message->control), batch)) {
            self->is_stuck = true;
            return;
        }
        bus_session_sent(self->session, sim_now_ms(self->sim));
    }
}

static bool receive(struct sim_client *self)
{
    struct sim_message *message =
        self->connection == 0 ? NULL : sim_net_take(self->net, self->options.dealer);
    if (message == NULL) {
        return false;
    }
    let_go(self);
    self->held = message;
    sim_note_bytes(self->sim, buf_view(&message->control));
    bus_session_receive(self->session,
                        buf_view(&message->control),
                        buf_view(&message->batch),
                        message->has_batch ? 2 : 1,
                        sim_now_ms(self->sim));
    return true;
}

static void give_inputs(struct sim_client *self)
{
    struct bus_input input;
    while (bus_session_has_input(self->session)) {
        if (bus_session_take(self->session, &input, 1, sim_now_ms(self->sim)) == 1) {
            if (input.kind == BUS_LOST && strncmp(input.detail, "the broker was silent", 21) == 0) {
                sim_count(self->sim, SIM_SILENT_BROKERS);
            }
            self->options.app->input(self->options.app_context, self->session, &input);
        }
    }
}

// --- rounds

void sim_client_step(struct sim_client *self)
{
    const int64_t now_us = self->sim->now_us;
    sim_net_freeze(self->net, self->options.dealer, false);
    give_inputs(self);
    while (bus_session_connection(self->session) == self->connection && receive(self)) {
        give_inputs(self);
    }
    bus_session_tick(
        self->session, sim_now_ms(self->sim), self->sim->wall_us + now_us + self->skew_us);
    give_inputs(self);
    follow(self);
    send_out(self);
    if (self->is_leaving && self->session->left) {
        sim_trace(self->sim, "%s: has left", self->options.bus.member);
        end(self, false);
        return;
    }
    int64_t next_us = INT64_MAX;
    if (!self->is_leaving) {
        next_us = self->options.app->act(self->options.app_context, self->session);
        bus_session_flush(self->session);
        send_out(self);
    }
    const int64_t due_us = bus_session_due_ms(self->session) * 1000;
    next_us = due_us < next_us ? due_us : next_us;
    if (self->is_stuck && next_us > now_us + STUCK_RETRY_US) {
        next_us = now_us + STUCK_RETRY_US;
    }
    self->wake_us = next_us < now_us + IDLE_MIN_US ? now_us + IDLE_MIN_US : next_us;
}

int64_t sim_client_next_us(const struct sim_client *self)
{
    if (self->session == NULL) {
        return INT64_MAX;
    }
    const bool is_wanted = sim_net_can_take(self->net, self->options.dealer);
    const int64_t next_us = is_wanted ? self->sim->now_us : self->wake_us;
    return next_us > self->pause_us ? next_us : self->pause_us;
}
