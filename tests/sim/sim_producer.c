#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"
#include "tests/sim/sim_apps.h"

enum progress {
    WAITING, // to be published
    SENT,
    ANSWERED
};

enum {
    EVENTS_MAX = 256,
    REFUSED_PAUSE_US = 100000,
};

struct sim_producer {
    struct sim *sim;         // borrowed
    struct sim_model *model; // borrowed
    struct sim_producer_options options;
    uint32_t events[EVENTS_MAX]; // the outbox
    enum progress progress[EVENTS_MAX];
    bool was_sent[EVENTS_MAX];
    uint32_t count;
    int64_t next_us;  // when it has more
    int64_t retry_us; // it was refused
};

struct sim_producer *sim_producer_new(struct sim *sim, struct sim_model *model,
                                      const struct sim_producer_options *options)
{
    assert(options->events <= EVENTS_MAX);
    struct sim_producer *self = mem_calloc(1, sizeof *self);
    self->sim = sim;
    self->model = model;
    self->options = *options;
    return self;
}

void sim_producer_destroy(struct sim_producer **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

bool sim_producer_is_done(const struct sim_producer *self)
{
    uint32_t answered = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        answered += self->progress[i] == ANSWERED;
    }
    return answered == self->options.events;
}

void sim_producer_finish(struct sim_producer *self)
{
    self->options.events = self->count;
}

static void lose(struct sim_producer *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        self->progress[i] = self->progress[i] == SENT ? WAITING : self->progress[i];
    }
}

// A process that was killed may have been answered and not have written it down.
static void on_start(void *context)
{
    struct sim_producer *self = context;
    lose(self);
    if (self->count > 0 && !self->options.without_acks && sim_chance(self->sim, 500)) {
        const uint32_t from = (uint32_t)sim_below(self->sim, self->count);
        for (uint32_t i = from; i < self->count && i < from + 4; i++) {
            self->progress[i] = WAITING;
        }
    }
}

static void on_input(void *context, struct bus_session *session, const struct bus_input *input)
{
    struct sim_producer *self = context;
    (void)session;
    if (input->kind == BUS_LOST) {
        lose(self);
    } else if (input->kind == BUS_PUBLISHED) {
        self->progress[input->tag] = ANSWERED;
        if (!self->options.without_acks) {
            sim_model_answered(self->model, self->events[input->tag], input);
        }
    } else if (input->kind == BUS_REFUSED) {
        if (input->err != ERR_FULL) {
            sim_fail(self->sim, "a publish is refused: %s", input->detail);
        }
        self->progress[input->tag] = WAITING;
        self->retry_us = self->sim->now_us + REFUSED_PAUSE_US;
    }
}

static void make_events(struct sim_producer *self)
{
    const struct sim_producer_options *options = &self->options;
    const uint32_t burst = 1 + (uint32_t)sim_below(self->sim, options->burst_max);
    for (uint32_t i = 0; i < burst && self->count < options->events; i++) {
        const uint32_t topic = (uint32_t)sim_below(self->sim, options->topics);
        const uint32_t key = (uint32_t)sim_below(self->sim, options->keys);
        const size_t size = (size_t)sim_below(self->sim, options->body_max + 1);
        self->progress[self->count] = WAITING;
        self->events[self->count++] = sim_model_add_event(self->model, topic, key, size);
    }
    self->next_us = self->sim->now_us + sim_between(self->sim, 1000, options->pause_max_us);
}

static void publish(struct sim_producer *self, struct bus_session *session, uint32_t at)
{
    const struct sim_event *event = sim_model_event(self->model, self->events[at]);
    const struct record record = {
        .topic = bytes_of_text(sim_topic_name(event->topic)),
        .key = bytes_of_text(sim_key_name(event->key)),
        .id = bytes_of_text(event->id),
        .body = {.data = event->body, .size = event->body_size},
    };
    if (bus_session_publish(session, at, &record) == ERR_OK) {
        self->progress[at] = SENT;
        sim_count(self->sim,
                  self->was_sent[at]           ? SIM_REPUBLISHES
                  : self->options.without_acks ? SIM_UNACKED_PUBLISHES
                                               : SIM_PUBLISHES);
        self->was_sent[at] = true;
    }
}

static int64_t on_act(void *context, struct bus_session *session)
{
    struct sim_producer *self = context;
    const int64_t now_us = self->sim->now_us;
    if (now_us >= self->next_us && self->count < self->options.events) {
        make_events(self);
    }
    if (now_us >= self->retry_us && session->state == SESSION_UP) {
        self->retry_us = 0;
        uint32_t sent = 0;
        for (uint32_t i = 0; i < self->count; i++) {
            sent += self->progress[i] == SENT;
        }
        for (uint32_t i = 0; i < self->count && sent < self->options.sent_max; i++) {
            if (self->progress[i] == WAITING) {
                publish(self, session, i);
                sent += self->progress[i] == SENT;
            }
        }
    }
    const int64_t next_us = self->count < self->options.events ? self->next_us : INT64_MAX;
    return self->retry_us != 0 && self->retry_us < next_us ? self->retry_us : next_us;
}

const struct sim_app sim_producer_app = {on_start, on_input, on_act};
