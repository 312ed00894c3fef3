#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"
#include "tests/sim/sim_apps.h"

enum {
    HELD_MAX = 64,
    NACK_DELAY_MAX_MS = 400,
};

// An event in its hands.
struct held {
    uint64_t offset;
    uint32_t attempt;
    int64_t done_us; // when it has made up its mind
};

struct sim_consumer {
    struct sim *sim;         // borrowed
    struct sim_model *model; // borrowed
    struct sim_consumer_options options;
    struct held held[HELD_MAX];
    size_t held_count;
    int64_t hang_us; // it answers nothing until then
};

struct sim_consumer *sim_consumer_new(struct sim *sim, struct sim_model *model,
                                      const struct sim_consumer_options *options)
{
    struct sim_consumer *self = mem_calloc(1, sizeof *self);
    self->sim = sim;
    self->model = model;
    self->options = *options;
    return self;
}

void sim_consumer_destroy(struct sim_consumer **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

void sim_consumer_hang(struct sim_consumer *self, int64_t until_us)
{
    sim_count(self->sim, SIM_HANGS);
    self->hang_us = until_us;
}

void sim_consumer_calm(struct sim_consumer *self)
{
    self->options = (struct sim_consumer_options){0};
    self->hang_us = 0;
    for (size_t i = 0; i < self->held_count; i++) {
        self->held[i].done_us = 0;
    }
}

static void on_start(void *context)
{
    struct sim_consumer *self = context;
    self->held_count = 0;
    self->hang_us = 0;
}

static void on_input(void *context, struct bus_session *session, const struct bus_input *input)
{
    struct sim_consumer *self = context;
    (void)session;
    if (input->kind == BUS_LOST) {
        self->held_count = 0;
    } else if (input->kind == BUS_DELIVERY) {
        sim_model_delivered(self->model, &input->delivery);
        assert(self->held_count < HELD_MAX);
        self->held[self->held_count++] = (struct held){
            .offset = input->delivery.offset,
            .attempt = input->delivery.attempt,
            .done_us = self->sim->now_us + sim_between(self->sim, 0, self->options.work_max_us),
        };
    }
}

static void answer(struct sim_consumer *self, struct bus_session *session, const struct held *held)
{
    const uint64_t mood = sim_below(self->sim, 1000);
    if (sim_chance(self->sim, self->options.mistakes)) {
        bus_session_ack(session, held->offset + sim_below(self->sim, 3), held->attempt + 1);
        bus_session_ack(session, held->offset + sim_below(self->sim, 3), held->attempt);
    }
    if (mood < self->options.nacks) {
        const int64_t delay_ms = sim_between(self->sim, -1, NACK_DELAY_MAX_MS);
        bus_session_refuse(session, WIRE_NACK, held->offset, held->attempt, delay_ms, "it rains");
    } else if (mood < self->options.nacks + self->options.rejects) {
        bus_session_refuse(session, WIRE_REJECT, held->offset, held->attempt, -1, "never");
    } else {
        bus_session_ack(session, held->offset, held->attempt);
    }
}

static int64_t on_act(void *context, struct bus_session *session)
{
    struct sim_consumer *self = context;
    const int64_t now_us = self->sim->now_us;
    int64_t next_us = INT64_MAX;
    if (now_us < self->hang_us) {
        return self->hang_us;
    }
    size_t left = 0;
    for (size_t i = 0; i < self->held_count; i++) {
        const struct held held = self->held[i];
        if (held.done_us <= now_us) {
            answer(self, session, &held);
        } else {
            next_us = held.done_us < next_us ? held.done_us : next_us;
            self->held[left++] = held;
        }
    }
    self->held_count = left;
    return next_us;
}

const struct sim_app sim_consumer_app = {on_start, on_input, on_act};
