#include "tests/sim/sim_schedule.h"

#include <stdlib.h>

#include "common/mem.h"
#include "tests/sim/sim_schedule_state.h"

enum {
    STEPS_MAX = 200000,
    QUIET_MAX_US = 120000000, // when the faults have ended all must be done by then
    RUN_MIN_US = 1000000,
    RUN_MAX_US = 6000000,
};

// --- who acts when

static int64_t actor_next_us(const struct sim_actor *actor)
{
    return sim_client_is_up(actor->client) ? sim_client_next_us(actor->client) : actor->start_us;
}

static void actor_step(struct sim_actor *actor)
{
    if (sim_client_is_up(actor->client)) {
        sim_client_step(actor->client);
    } else {
        actor->start_us = SIM_NEVER;
        sim_client_start(actor->client);
    }
}

static int64_t broker_next_us(const struct sim_schedule *self)
{
    return sim_broker_is_up(self->broker) ? sim_broker_next_us(self->broker)
                                          : self->broker_start_us;
}

static void broker_step(struct sim_schedule *self)
{
    if (sim_broker_is_up(self->broker)) {
        sim_broker_step(self->broker);
    } else {
        self->broker_start_us = SIM_NEVER;
        sim_broker_start(self->broker);
        sim_faults_follow(self);
    }
}

// What is down comes up again some time later; twins only while faults go on.
static void plan_starts(struct sim_schedule *self)
{
    struct sim *sim = &self->sim;
    const int64_t most_us = self->is_quiet ? 10000 : 800000;
    for (size_t i = 0; i < self->actors_count; i++) {
        struct sim_actor *actor = &self->actors[i];
        if (!sim_client_is_up(actor->client) && actor->start_us == SIM_NEVER &&
            !(self->is_quiet && actor->is_twin)) {
            actor->start_us = sim->now_us + sim_between(sim, 1, most_us);
        }
    }
    if (!sim_broker_is_up(self->broker) && self->broker_start_us == SIM_NEVER) {
        self->broker_start_us = sim_broker_ended_us(self->broker) + sim_between(sim, 0, 500000);
    }
}

static int64_t next_us(const struct sim_schedule *self)
{
    int64_t next = sim_net_next_us(self->net);
    const int64_t others[] = {
        broker_next_us(self),
        sim_operator_next_us(self->operator_),
        self->is_quiet ? SIM_NEVER : self->next_fault_us,
        self->disk_good_us == 0 ? SIM_NEVER : self->disk_good_us,
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        next = others[i] < next ? others[i] : next;
    }
    for (size_t i = 0; i < self->actors_count; i++) {
        const int64_t actor = actor_next_us(&self->actors[i]);
        next = actor < next ? actor : next;
    }
    return next;
}

// One step: the clock goes to where something is to happen, and who is due acts, any first.
static void step(struct sim_schedule *self)
{
    struct sim *sim = &self->sim;
    const int64_t next = next_us(self);
    sim->now_us = next > sim->now_us ? next : sim->now_us;
    if (++sim->steps > STEPS_MAX) {
        sim_fail(sim, "it never ends");
    }
    sim_note(sim, (uint64_t)sim->now_us);
    sim_net_run(self->net);
    if (!self->is_quiet && self->next_fault_us <= sim->now_us) {
        sim_faults_strike(self);
        plan_starts(self);
    }
    if (self->disk_good_us != 0 && self->disk_good_us <= sim->now_us) {
        sim_faults_mend_disk(self);
    }
    const size_t all = self->actors_count + 2;
    const size_t start = (size_t)sim_below(sim, all);
    for (size_t i = 0; i < all; i++) {
        const size_t who = (start + i) % all;
        if (who < self->actors_count) {
            if (actor_next_us(&self->actors[who]) <= sim->now_us) {
                actor_step(&self->actors[who]);
            }
        } else if (who == self->actors_count) {
            if (broker_next_us(self) <= sim->now_us) {
                broker_step(self);
            }
        } else if (sim_operator_next_us(self->operator_) <= sim->now_us) {
            sim_operator_step(self->operator_);
        }
    }
    plan_starts(self);
}

// --- the end

static void quiet_down(struct sim_schedule *self)
{
    struct sim *sim = &self->sim;
    sim_trace(sim, "--- the faults have ended");
    self->is_quiet = true;
    sim_faults_mend_disk(self);
    sim_broker_kill_within(self->broker, 0, false, false);
    sim_broker_pause(self->broker, sim->now_us);
    sim_operator_finish(self->operator_, self->needs_redrive);
    for (size_t i = 0; i < self->actors_count; i++) {
        struct sim_actor *actor = &self->actors[i];
        if (actor->is_twin) {
            sim_client_kill(actor->client, false);
            actor->start_us = SIM_NEVER;
        } else if (sim_client_is_up(actor->client)) {
            sim_client_pause(actor->client, sim->now_us);
            sim_client_set_credit(actor->client, actor->credit);
        }
        if (actor->consumer != NULL) {
            sim_consumer_calm(actor->consumer);
            if (actor->hangs) {
                sim_consumer_hang(actor->consumer, SIM_NEVER);
            }
        } else {
            sim_producer_finish(actor->producer);
        }
    }
}

static bool is_published(const struct sim_schedule *self)
{
    bool done = sim_broker_is_up(self->broker);
    for (size_t i = 0; i < self->actors_count && done; i++) {
        const struct sim_actor *actor = &self->actors[i];
        done = actor->producer == NULL || sim_producer_is_done(actor->producer);
    }
    return done;
}

// First some members do nothing but hold what they have: all else must be done. Then they
// answer as well, and nothing must be left.
static void finish(struct sim_schedule *self)
{
    int64_t limit_us = self->sim.now_us + QUIET_MAX_US;
    while (self->sim.now_us < limit_us &&
           !(is_published(self) && sim_model_starving(self->model) == 0)) {
        step(self);
    }
    if (!is_published(self)) {
        sim_fail(&self->sim, "a producer is never answered");
    }
    if (sim_model_starving(self->model) > 0) {
        sim_model_explain(self->model);
        sim_fail(&self->sim, "events starve though there are members with credit");
    }
    for (size_t i = 0; i < self->actors_count; i++) {
        if (self->actors[i].hangs) {
            sim_consumer_calm(self->actors[i].consumer);
        }
    }
    limit_us = self->sim.now_us + QUIET_MAX_US;
    while (self->sim.now_us < limit_us && sim_model_left(self->model) > 0) {
        step(self);
    }
    sim_model_finish(self->model);
}

uint64_t sim_schedule_run(uint64_t seed, bool is_traced, uint64_t *counts)
{
    struct sim_schedule *self = mem_calloc(1, sizeof *self);
    self->sim = (struct sim){
        .seed = seed,
        .random = seed * UINT64_C(0x9e3779b97f4a7c15),
        .now_us = 1000000,
        .wall_us = INT64_C(1795466400000000),
        .is_traced = is_traced,
        .counts = counts,
    };
    sim_cast_set_up(self);
    const int64_t end_us = self->sim.now_us + sim_between(&self->sim, RUN_MIN_US, RUN_MAX_US);
    while (self->sim.now_us < end_us) {
        step(self);
    }
    quiet_down(self);
    finish(self);
    const uint64_t hash = self->sim.hash;
    counts[SIM_STEPS] += self->sim.steps;
    sim_cast_tear_down(self);
    free(self);
    return hash;
}
