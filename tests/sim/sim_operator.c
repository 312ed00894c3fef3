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
    struct sim_operator_options options;
    bool is_connected, is_greeted;
    bool only_redrives;
    uint64_t request; // the last one
    bool waits;       // for its answer
    uint64_t offset;  // where it reads on
    uint64_t incarnation;
    int64_t next_us; // when it asks again, or gives up
};

struct sim_operator *sim_operator_new(struct sim *sim, struct sim_net *net,
                                      const struct sim_operator_options *options)
{
    struct sim_operator *self = mem_calloc(1, sizeof *self);
    self->sim = sim;
    self->net = net;
    self->options = *options;
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
    (void)sim_net_send(self->net, self->options.dealer, buf_view(&frame), (struct bytes){0});
    buf_release(&frame);
}

static void rest(struct sim_operator *self)
{
    self->waits = false;
    self->next_us = self->sim->now_us + sim_between(self->sim, 1000, PAUSE_MAX_US);
}

static void close_socket(struct sim_operator *self)
{
    sim_net_close(self->net, self->options.dealer, false);
    self->is_connected = self->is_greeted = false;
    rest(self);
}

// --- what it hears

static void on_records(struct sim_operator *self, const struct wire_control *control)
{
    if (control->count > 0 && control->offset != self->offset + control->count) {
        sim_fail(self->sim, "READ skips from offset %" PRIu64, self->offset);
    }
    self->offset = control->offset;
    rest(self);
}

static void hear(struct sim_operator *self, const struct sim_message *message)
{
    struct wire_control control;
    const char *problem = NULL;
    if (wire_control_parse(buf_view(&message->control), &control, &problem) != ERR_OK) {
        sim_fail(self->sim, "the operator is sent what is no message: %s", problem);
    }
    if (control.type == WIRE_PING) {
        say(self, &(struct wire_control){.type = WIRE_PONG});
    } else if (control.type == WIRE_WELCOME) {
        self->is_greeted = true;
        rest(self);
    } else if (control.type == WIRE_BYE || (control.type == WIRE_ERROR && control.request == 0)) {
        close_socket(self);
    } else if (control.request != self->request) {
        return; // an answer to what it no longer waits for
    } else if (control.type == WIRE_RECORDS) {
        on_records(self, &control);
    } else if (control.type == WIRE_DONE || control.type == WIRE_REPORT ||
               control.type == WIRE_ERROR) {
        rest(self);
    }
}

// --- what it asks for

static struct wire_control read_on(struct sim_operator *self)
{
    if (sim_chance(self->sim, 200)) {
        self->offset = sim_below(self->sim, self->offset + 1);
    }
    return (struct wire_control){.type = WIRE_READ,
                                 .offset = self->offset,
                                 .credit = 1 + (uint32_t)sim_below(self->sim, READ_MAX)};
}

static struct wire_control redrive(struct sim_operator *self)
{
    const bool all = self->only_redrives || sim_chance(self->sim, 500);
    const uint64_t from = all ? 0 : sim_below(self->sim, self->offset + 1);
    return (struct wire_control){.type = WIRE_REDRIVE,
                                 .offset = from,
                                 .end = all ? UINT64_MAX
                                            : from + sim_below(self->sim, self->offset + 1)};
}

static struct wire_control reset(struct sim_operator *self)
{
    const uint8_t to = (uint8_t)sim_below(self->sim, WIRE_RESET_TIME + 1);
    const int64_t now_us = self->sim->wall_us + self->sim->now_us;
    return (struct wire_control){
        .type = WIRE_RESET,
        .reset_to = to,
        .offset = to == WIRE_RESET_TIME ? (uint64_t)(now_us - sim_between(self->sim, 0, 3000000))
                                        : sim_below(self->sim, self->offset + 4)};
}

static void ask(struct sim_operator *self)
{
    const uint64_t mood = self->only_redrives ? 750 : sim_below(self->sim, 1000);
    const size_t group = (size_t)sim_below(self->sim, self->options.groups_count);
    struct wire_control control = {.type = WIRE_STATUS};
    if (mood < 600) {
        control = read_on(self);
    } else if (mood < 900 && mood >= 700) {
        control = redrive(self);
    } else if (mood < 960 && mood >= 900) {
        control = reset(self);
    } else if (mood >= 960) {
        control = (struct wire_control){.type = WIRE_DELETE};
    }
    control.group = bytes_of_text(self->options.groups[group]);
    control.request = ++self->request;
    say(self, &control);
    self->waits = true;
    self->next_us = self->sim->now_us + PATIENCE_US;
}

void sim_operator_step(struct sim_operator *self)
{
    struct sim_message *message = NULL;
    while (self->is_connected &&
           (message = sim_net_take(self->net, self->options.dealer)) != NULL) {
        hear(self, message);
        sim_message_free(message);
    }
    if (self->sim->now_us < self->next_us) {
        return;
    }
    if (self->waits) {
        close_socket(self);
    } else if (!self->is_connected) {
        sim_net_connect(self->net, self->options.dealer);
        self->is_connected = self->waits = true;
        self->next_us = self->sim->now_us + PATIENCE_US;
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
    const bool is_wanted = self->is_connected && sim_net_can_take(self->net, self->options.dealer);
    return is_wanted ? self->sim->now_us : self->next_us;
}

void sim_operator_finish(struct sim_operator *self, bool redrives)
{
    close_socket(self);
    self->only_redrives = redrives;
    self->next_us = redrives ? self->sim->now_us : INT64_MAX;
}
