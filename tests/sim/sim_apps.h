// sim_apps - what runs in the clients: a producer with an outbox, a consumer with moods.
#ifndef FAULTLINE_SIM_APPS_H
#define FAULTLINE_SIM_APPS_H

#include "tests/sim/sim_client.h"
#include "tests/sim/sim_model.h"

// A producer: its events and how far each is are in its database, and survive it. What is
// not answered is published again, in its old order.
struct sim_producer_options {
    uint32_t topics, keys; // it uses the first so many
    uint32_t events;       // in all
    uint32_t burst_max;    // at once
    uint32_t sent_max;     // without an answer
    size_t body_max;
    int64_t pause_max_us; // between two bursts
    bool without_acks;
};

struct sim_producer; // opaque
extern const struct sim_app sim_producer_app;

struct sim_producer *sim_producer_new(struct sim *sim, struct sim_model *model,
                                      const struct sim_producer_options *options);
void sim_producer_destroy(struct sim_producer **self_p);

// sim_producer_is_done: all its events are answered.
bool sim_producer_is_done(const struct sim_producer *self);

// sim_producer_finish: it makes no more events than there are.
void sim_producer_finish(struct sim_producer *self);

// A consumer: what it is given it answers some time later, well or not.
struct sim_consumer_options {
    uint32_t nacks, rejects; // in a thousand
    uint32_t mistakes;       // answers that are not its to give, in a thousand
    int64_t work_max_us;     // on an event
};

struct sim_consumer; // opaque
extern const struct sim_app sim_consumer_app;

struct sim_consumer *sim_consumer_new(struct sim *sim, struct sim_model *model,
                                      const struct sim_consumer_options *options);
void sim_consumer_destroy(struct sim_consumer **self_p);

// sim_consumer_hang: it lives, and answers nothing until then.
void sim_consumer_hang(struct sim_consumer *self, int64_t until_us);

// sim_consumer_calm: from now on it acks all, at once.
void sim_consumer_calm(struct sim_consumer *self);

#endif
