#include "tests/sim/sim_operator.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/wire.h"

enum {
    PATIENCE_US = 700000, // without an answer it begins anew
    PAUSE_MAX_US = 500000,
    READ_MAX = 16,
};

struct sim_operator {
    struct sim *sim;     // borrowed
    struct sim_net *net; // borrowed
    size_t dealer;
    bool is_connected, is_greeted, is_over;
    uint64_t request; // the last one
    bool waits;       // for its answer
    uint64_t offset;  // where it reads on
    uint64_t incarnation;
    int64_t next_us; // when it asks again, or gives up
};

struct sim_operator *sim_operator_new(struct sim *sim, struct sim_net *net, size_t dealer)
{
    struct sim_operator *self = mem_calloc(1, sizeof *self);
    self->sim = sim;
    self->net = net;
    self->dealer = dealer;
    return self;
}

void sim_operator_destroy(struct sim_operator **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

static void say(struct sim_operator *self, const struct wire_control *control)
{
    struct buf frame = {0};
    wire_control_append(&frame, control);
    (void)sim_net_send(self->net, self->dealer, buf_view(&frame), (struct bytes){0});
    buf_release(&frame);
    self->waits = true;
    self->next_us = self->sim->now_us + PATIENCE_US;
}

static void close_socket(struct sim_operator *self)
{
    sim_net_close(self->net, self->dealer, false);
    self->is_connected = self->is_greeted = self->waits = false;
    self->next_us = self->sim->now_us + sim_between(self->sim, 1000, PAUSE_MAX_US);
}

static void hear(struct sim_operator *self, const struct sim_message *message)
{
    struct wire_control control;
    const char *problem = NULL;
    if (wire_control_parse(buf_view(&message->control), &control, &problem) != ERR_OK) {
        sim_fail(self->sim, "the operator is sent what is no message: %s", problem);
    }
    if (control.type == WIRE_PING) {
        const int64_t next_us = self->next_us;
        const bool waits = self->waits;
        say(self, &(struct wire_control){.type = WIRE_PONG});
        self->waits = waits;
        self->next_us = next_us;
    } else if (control.type == WIRE_WELCOME) {
        self->is_greeted = true;
        self->waits = false;
        self->next_us = self->sim->now_us;
    } else if (control.type == WIRE_RECORDS && control.request == self->request) {
        if (control.offset != self->offset + control.count && control.count > 0) {
            sim_fail(self->sim, "READ skips from offset %" PRIu64, self->offset);
        }
        self->offset = control.offset;
        self->waits = false;
        self->next_us = self->sim->now_us + sim_between(self->sim, 1000, PAUSE_MAX_US);
    } else if (control.type == WIRE_ERROR || control.type == WIRE_BYE) {
        close_socket(self);
    }
}

static void ask(struct sim_operator *self)
{
    if (sim_chance(self->sim, 200)) {
        self->offset = sim_below(self->sim, self->offset + 1);
    }
    say(self,
        &(struct wire_control){.type = WIRE_READ,
                               .request = ++self->request,
                               .offset = self->offset,
                               .credit = 1 + (uint32_t)sim_below(self->sim, READ_MAX)});
}

void sim_operator_step(struct sim_operator *self)
{
    struct sim_message *message = NULL;
    while (self->is_connected && (message = sim_net_take(self->net, self->dealer)) != NULL) {
        hear(self, message);
        sim_message_free(message);
    }
    if (self->sim->now_us < self->next_us) {
        return;
    }
    if (self->waits) {
        close_socket(self);
    } else if (self->is_over) {
        self->next_us = INT64_MAX;
    } else if (!self->is_connected) {
        sim_net_connect(self->net, self->dealer);
        self->is_connected = true;
        say(self,
            &(struct wire_control){.type = WIRE_HELLO,
                                   .member = bytes_of_text("operator"),
                                   .incarnation = ++self->incarnation,
                                   .heartbeat_ms = 1000});
    } else {
        ask(self);
    }
}

int64_t sim_operator_next_us(const struct sim_operator *self)
{
    return self->is_connected && sim_net_can_take(self->net, self->dealer) ? self->sim->now_us
                                                                           : self->next_us;
}

void sim_operator_end(struct sim_operator *self)
{
    self->is_over = true;
    close_socket(self);
    self->next_us = self->sim->now_us;
}
