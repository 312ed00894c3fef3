#include "tests/sim/sim_schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/sim/sim_apps.h"
#include "tests/sim/sim_broker.h"
#include "tests/sim/sim_operator.h"

enum {
    PRODUCERS_MAX = 3,
    MEMBERS_MAX = 4, // of a group
    CLIENTS_MAX = PRODUCERS_MAX + SIM_GROUPS_MAX * MEMBERS_MAX,
    NAME_SIZE = 32,
    STEPS_MAX = 200000,
    QUIET_MAX_US = 120000000, // when the faults have ended all must be done by then
    RUN_MIN_US = 1000000,
    RUN_MAX_US = 6000000,
};

#define NEVER   INT64_MAX
#define HOUR_US INT64_C(3600000000)

// What can go wrong. A seed takes some of them, and how often.
enum fault {
    FAULT_CUT,
    FAULT_KILL_CLIENT,
    FAULT_LEAVE,
    FAULT_PAUSE_CLIENT,
    FAULT_HANG,
    FAULT_CREDIT,
    FAULT_KILL_BROKER,
    FAULT_KILL_WITHIN,
    FAULT_POWER,
    FAULT_STOP_BROKER,
    FAULT_PAUSE_BROKER,
    FAULT_FULL_DISK,
    FAULT_BAD_DISK,
    FAULT_CALENDAR,
    FAULT_COUNT
};

struct actor {
    struct sim_client *client;     // owned
    struct sim_producer *producer; // owned; one of these two
    struct sim_consumer *consumer; // owned
    char member[NAME_SIZE];
    const char *topics[SIM_TOPICS_MAX]; // that it subscribes to
    size_t topics_count;
    uint32_t credit;
    bool is_twin;     // of a member of the same name
    int64_t start_us; // when it comes up again; NEVER: that is not planned
};

struct schedule {
    struct sim sim;
    struct sim_net *net;            // owned
    struct sim_broker *broker;      // owned
    struct sim_model *model;        // owned
    struct sim_operator *operator_; // owned
    struct actor actors[CLIENTS_MAX];
    size_t actors_count;
    uint32_t weights[FAULT_COUNT];
    uint32_t weights_sum;
    int64_t fault_pause_us; // the longest between two
    int64_t next_fault_us;
    int64_t broker_start_us; // when it comes up again; NEVER: that is not planned
    int64_t disk_good_us;    // when the disk is good again; 0: it is
    bool is_quiet;
    bool has_letters_max; // so few that groups may have to wait for a redrive
};

// --- who there is

static void add_producers(struct schedule *self, uint32_t topics, uint32_t keys)
{
    struct sim *sim = &self->sim;
    const size_t count = 1 + (size_t)sim_below(sim, PRODUCERS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct actor *actor = &self->actors[self->actors_count];
        const struct sim_producer_options options = {
            .topics = topics,
            .keys = keys,
            .events = 4 + (uint32_t)sim_below(sim, 40),
            .burst_max = 1 + (uint32_t)sim_below(sim, 8),
            .body_max = sim_chance(sim, 100) ? 3000 : 120,
            .pause_max_us = sim_between(sim, 20000, 400000),
            .without_acks = sim_chance(sim, 150),
        };
        snprintf(actor->member, sizeof actor->member, "producer-%zu", i);
        actor->producer = sim_producer_new(sim, self->model, &options);
        const struct sim_client_options client = {
            .bus = {.member = actor->member,
                    .heartbeat_ms = (uint32_t)sim_between(sim, 100, 1000),
                    .without_acks = options.without_acks},
            .dealer = self->actors_count++,
            .app = &sim_producer_app,
            .app_context = actor->producer,
        };
        actor->client = sim_client_new(sim, self->net, &client);
    }
}

static void add_member(struct schedule *self, const struct sim_group_options *group, size_t number,
                       bool is_twin)
{
    struct sim *sim = &self->sim;
    struct actor *actor = &self->actors[self->actors_count];
    const struct sim_consumer_options options = {
        .nacks = sim_chance(sim, 500) ? 150 : 0,
        .rejects = sim_chance(sim, 300) ? 50 : 0,
        .mistakes = sim_chance(sim, 300) ? 50 : 0,
        .work_max_us = sim_between(sim, 0, 60000),
    };
    snprintf(actor->member, sizeof actor->member, "%s-%zu", group->name, number);
    actor->credit = 1 + (uint32_t)sim_below(sim, 8);
    actor->is_twin = is_twin;
    for (uint32_t topic = 0; topic < SIM_TOPICS_MAX; topic++) {
        if ((group->topics >> topic & 1) != 0) {
            actor->topics[actor->topics_count++] = sim_topic_name(topic);
        }
    }
    actor->consumer = sim_consumer_new(sim, self->model, &options);
    const struct sim_client_options client = {
        .bus = {.member = actor->member,
                .group = group->name,
                .topics = actor->topics,
                .topics_count = actor->topics_count,
                .from_latest = group->from_latest,
                .unordered = group->is_unordered,
                .retries_max = group->retries_max,
                .credit = actor->credit,
                .heartbeat_ms = (uint32_t)sim_between(sim, 100, 1000)},
        .dealer = self->actors_count++,
        .app = &sim_consumer_app,
        .app_context = actor->consumer,
    };
    actor->client = sim_client_new(sim, self->net, &client);
}

static void add_groups(struct schedule *self, uint32_t topics,
                       struct sim_operator_options *operator_)
{
    static const char *const names[SIM_GROUPS_MAX] = {"payment", "ledger", "fraud", "stock"};
    struct sim *sim = &self->sim;
    const size_t count = 1 + (size_t)sim_below(sim, 3);
    for (size_t i = 0; i < count; i++) {
        struct sim_group_options group = {
            .name = names[i],
            .topics = 1 + (uint32_t)sim_below(sim, (UINT64_C(1) << topics) - 1),
            .retries_max = (uint32_t)sim_below(sim, 4),
            .from_latest = sim_chance(sim, 250),
            .is_unordered = sim_chance(sim, 250),
        };
        sim_model_add_group(self->model, &group);
        operator_->groups[operator_->groups_count++] = group.name;
        const size_t members = 1 + (size_t)sim_below(sim, 3);
        for (size_t member = 0; member < members; member++) {
            add_member(self, &group, member, false);
        }
        if (sim_chance(sim, 200)) {
            add_member(self, &group, 0, true);
        }
    }
}

static void choose_faults(struct schedule *self)
{
    static const uint32_t weights[FAULT_COUNT] = {
        [FAULT_CUT] = 6,
        [FAULT_KILL_CLIENT] = 5,
        [FAULT_LEAVE] = 3,
        [FAULT_PAUSE_CLIENT] = 3,
        [FAULT_HANG] = 3,
        [FAULT_CREDIT] = 3,
        [FAULT_KILL_BROKER] = 3,
        [FAULT_KILL_WITHIN] = 5,
        [FAULT_POWER] = 4,
        [FAULT_STOP_BROKER] = 1,
        [FAULT_PAUSE_BROKER] = 2,
        [FAULT_FULL_DISK] = 3,
        [FAULT_BAD_DISK] = 3,
        [FAULT_CALENDAR] = 1,
    };
    for (size_t i = 0; i < FAULT_COUNT; i++) {
        self->weights[i] = sim_chance(&self->sim, 600) ? weights[i] : 0;
        self->weights_sum += self->weights[i];
    }
    self->fault_pause_us = sim_between(&self->sim, 100000, 1000000);
    self->next_fault_us = self->sim.now_us + sim_between(&self->sim, 0, self->fault_pause_us);
}

static void set_up(struct schedule *self)
{
    struct sim *sim = &self->sim;
    const struct sim_net_options net = {
        .delay_min_us = 20,
        .delay_max_us = sim_between(sim, 100, sim_chance(sim, 300) ? 200000 : 5000),
        .router_hwm = sim_chance(sim, 300) ? 3 + (size_t)sim_below(sim, 6) : 1000,
        .dealer_hwm = sim_chance(sim, 300) ? 2 + (size_t)sim_below(sim, 6) : 1000,
    };
    const struct sim_broker_options broker = {
        .segment_bytes = (uint64_t)sim_between(sim, 1000, 16000),
        .heartbeat_ms = (uint32_t)sim_between(sim, 200, 1000),
        .retention_bytes = sim_chance(sim, 250) ? 2000 + sim_below(sim, 12000) : 0,
        .retention_hours = sim_chance(sim, 150) ? 1 : 0,
        .retention_ignores_groups = sim_chance(sim, 300),
        .dead_letters_max = sim_chance(sim, 150) ? 1 + (uint32_t)sim_below(sim, 3) : 1000,
        .has_weak_random = sim_chance(sim, 50),
    };
    self->has_letters_max = broker.dead_letters_max < 1000;
    self->net = sim_net_new(sim, &net);
    self->broker = sim_broker_new(sim, self->net, &broker);
    const struct sim_model_options model = {
        .letters_max = broker.dead_letters_max,
        .can_store_twice = broker.has_weak_random,
        .retention_ignores_groups = broker.retention_ignores_groups,
    };
    self->model = sim_model_new(sim, sim_broker_disk(self->broker), &model);
    sim_broker_watch(self->broker, self->model);
    const uint32_t topics = 1 + (uint32_t)sim_below(sim, SIM_TOPICS_MAX);
    const uint32_t keys = 1 + (uint32_t)sim_below(sim, SIM_KEYS_MAX);
    add_producers(self, topics, keys);
    struct sim_operator_options operator_ = {0};
    add_groups(self, topics, &operator_);
    operator_.dealer = self->actors_count;
    self->operator_ = sim_operator_new(sim, self->net, &operator_);
    for (size_t i = 0; i < self->actors_count; i++) {
        self->actors[i].start_us = sim->now_us + sim_between(sim, 1, 300000);
    }
    self->broker_start_us = sim->now_us + sim_between(sim, 1, 100000);
    choose_faults(self);
}

static void tear_down(struct schedule *self)
{
    for (size_t i = 0; i < self->actors_count; i++) {
        sim_client_destroy(&self->actors[i].client);
        sim_producer_destroy(&self->actors[i].producer);
        sim_consumer_destroy(&self->actors[i].consumer);
    }
    sim_operator_destroy(&self->operator_);
    sim_broker_destroy(&self->broker);
    sim_model_destroy(&self->model);
    sim_net_destroy(&self->net);
}

// --- what goes wrong

static void spoil_disk(struct schedule *self, bool is_full)
{
    struct sim *sim = &self->sim;
    struct sim_disk *disk = sim_broker_disk(self->broker);
    const struct sim_disk_faults faults = {
        .short_writes = 50,
        .interruptions = 30,
        .failed_calls = sim_chance(sim, 500) ? 10 : 0,
        .failed_syncs = sim_chance(sim, 500) ? 60 : 0,
        .slow_syncs = sim_chance(sim, 300) ? 50 : 0,
    };
    if (is_full) {
        sim_disk_limit(disk, sim_below(sim, 600));
    } else {
        sim_disk_set_faults(disk, &faults);
    }
    sim_trace(sim, "fault: the disk is %s", is_full ? "nearly full" : "bad");
    self->disk_good_us = sim->now_us + sim_between(sim, 10000, 1500000);
}

static void mend_disk(struct schedule *self)
{
    sim_disk_limit(sim_broker_disk(self->broker), SIM_DISK_NO_LIMIT);
    sim_disk_set_faults(sim_broker_disk(self->broker), &(struct sim_disk_faults){0});
    self->disk_good_us = 0;
}

static void wrong_client(struct schedule *self, enum fault fault)
{
    struct sim *sim = &self->sim;
    const size_t at = (size_t)sim_below(sim, self->actors_count);
    struct actor *actor = &self->actors[at];
    if (fault == FAULT_CUT) {
        sim_net_cut(self->net, at, sim_chance(sim, 300) ? 3000000 : 20000);
    } else if (!sim_client_is_up(actor->client)) {
        return;
    } else if (fault == FAULT_KILL_CLIENT) {
        sim_client_kill(actor->client, sim_chance(sim, 300));
        if (sim_chance(sim, 200)) {
            sim_client_skew(actor->client, -sim_between(sim, 0, 10000000));
        }
    } else if (fault == FAULT_LEAVE) {
        sim_client_leave(actor->client);
    } else if (fault == FAULT_PAUSE_CLIENT) {
        sim_client_pause(actor->client, sim->now_us + sim_between(sim, 1000, 4000000));
    } else if (fault == FAULT_HANG && actor->consumer != NULL) {
        sim_consumer_hang(actor->consumer, sim->now_us + sim_between(sim, 1000, 4000000));
    } else if (fault == FAULT_CREDIT && actor->consumer != NULL) {
        sim_client_set_credit(actor->client, (uint32_t)sim_below(sim, 2 * actor->credit));
    }
}

static void wrong_broker(struct schedule *self, enum fault fault)
{
    struct sim *sim = &self->sim;
    if (fault == FAULT_KILL_BROKER || fault == FAULT_POWER) {
        sim_broker_kill(self->broker, fault == FAULT_POWER);
    } else if (fault == FAULT_KILL_WITHIN) {
        const bool is_at_sync = sim_chance(sim, 500);
        const uint32_t calls = 1 + (uint32_t)sim_below(sim, is_at_sync ? 4 : 40);
        sim_broker_kill_within(self->broker, calls, is_at_sync, sim_chance(sim, 600));
    } else if (fault == FAULT_STOP_BROKER) {
        sim_broker_stop(self->broker);
    } else if (fault == FAULT_PAUSE_BROKER) {
        sim_broker_pause(self->broker, sim->now_us + sim_between(sim, 1000, 4000000));
    } else if (fault == FAULT_CALENDAR) {
        sim_count(sim, SIM_CALENDAR_JUMPS);
        sim->wall_us += sim_between(sim, 0, 2 * HOUR_US);
    } else if (self->disk_good_us == 0) {
        spoil_disk(self, fault == FAULT_FULL_DISK);
    }
}

static void go_wrong(struct schedule *self)
{
    self->next_fault_us = self->sim.now_us + sim_between(&self->sim, 1, self->fault_pause_us);
    if (self->weights_sum == 0) {
        return;
    }
    uint64_t at = sim_below(&self->sim, self->weights_sum);
    size_t fault = 0;
    while (at >= self->weights[fault]) {
        at -= self->weights[fault++];
    }
    if (fault < FAULT_KILL_BROKER) {
        wrong_client(self, (enum fault)fault);
    } else {
        wrong_broker(self, (enum fault)fault);
    }
}

// --- who acts when

static int64_t actor_next_us(const struct actor *actor)
{
    return sim_client_is_up(actor->client) ? sim_client_next_us(actor->client) : actor->start_us;
}

static void actor_step(struct actor *actor)
{
    if (sim_client_is_up(actor->client)) {
        sim_client_step(actor->client);
    } else {
        actor->start_us = NEVER;
        sim_client_start(actor->client);
    }
}

static int64_t broker_next_us(const struct schedule *self)
{
    return sim_broker_is_up(self->broker) ? sim_broker_next_us(self->broker)
                                          : self->broker_start_us;
}

static void broker_step(struct schedule *self)
{
    if (sim_broker_is_up(self->broker)) {
        sim_broker_step(self->broker);
    } else {
        self->broker_start_us = NEVER;
        sim_broker_start(self->broker);
    }
}

// What is down comes up again some time later; twins only while faults go on.
static void plan_starts(struct schedule *self)
{
    struct sim *sim = &self->sim;
    const int64_t most_us = self->is_quiet ? 10000 : 800000;
    for (size_t i = 0; i < self->actors_count; i++) {
        struct actor *actor = &self->actors[i];
        if (!sim_client_is_up(actor->client) && actor->start_us == NEVER &&
            !(self->is_quiet && actor->is_twin)) {
            actor->start_us = sim->now_us + sim_between(sim, 1, most_us);
        }
    }
    if (!sim_broker_is_up(self->broker) && self->broker_start_us == NEVER) {
        self->broker_start_us = sim_broker_ended_us(self->broker) + sim_between(sim, 0, 500000);
    }
}

static int64_t next_us(const struct schedule *self)
{
    int64_t next = sim_net_next_us(self->net);
    const int64_t others[] = {
        broker_next_us(self),
        sim_operator_next_us(self->operator_),
        self->is_quiet ? NEVER : self->next_fault_us,
        self->disk_good_us == 0 ? NEVER : self->disk_good_us,
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
static void step(struct schedule *self)
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
        go_wrong(self);
        plan_starts(self);
    }
    if (self->disk_good_us != 0 && self->disk_good_us <= sim->now_us) {
        mend_disk(self);
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

static void quiet_down(struct schedule *self)
{
    struct sim *sim = &self->sim;
    sim_trace(sim, "--- the faults have ended");
    self->is_quiet = true;
    mend_disk(self);
    sim_broker_kill_within(self->broker, 0, false, false);
    sim_broker_pause(self->broker, sim->now_us);
    sim_operator_finish(self->operator_, self->has_letters_max);
    for (size_t i = 0; i < self->actors_count; i++) {
        struct actor *actor = &self->actors[i];
        if (actor->is_twin) {
            sim_client_kill(actor->client, false);
            actor->start_us = NEVER;
        } else if (sim_client_is_up(actor->client)) {
            sim_client_pause(actor->client, sim->now_us);
            sim_client_set_credit(actor->client, actor->credit);
        }
        if (actor->consumer != NULL) {
            sim_consumer_calm(actor->consumer);
        } else {
            sim_producer_finish(actor->producer);
        }
    }
}

static bool is_done(const struct schedule *self)
{
    bool done = sim_broker_is_up(self->broker) && sim_model_left(self->model) == 0;
    for (size_t i = 0; i < self->actors_count && done; i++) {
        const struct actor *actor = &self->actors[i];
        done = actor->producer == NULL || sim_producer_is_done(actor->producer);
    }
    return done;
}

uint64_t sim_schedule_run(uint64_t seed, bool is_traced, uint64_t *counts)
{
    struct schedule *self = mem_calloc(1, sizeof *self);
    self->sim = (struct sim){
        .seed = seed,
        .random = seed * UINT64_C(0x9e3779b97f4a7c15),
        .now_us = 1000000,
        .wall_us = INT64_C(1795466400000000),
        .is_traced = is_traced,
        .counts = counts,
    };
    set_up(self);
    const int64_t end_us = self->sim.now_us + sim_between(&self->sim, RUN_MIN_US, RUN_MAX_US);
    while (self->sim.now_us < end_us) {
        step(self);
    }
    quiet_down(self);
    const int64_t limit_us = self->sim.now_us + QUIET_MAX_US;
    while (!is_done(self) && self->sim.now_us < limit_us) {
        step(self);
    }
    sim_model_finish(self->model);
    if (!is_done(self)) {
        sim_fail(&self->sim, "a producer is never answered");
    }
    const uint64_t hash = self->sim.hash;
    counts[SIM_STEPS] += self->sim.steps;
    tear_down(self);
    free(self);
    return hash;
}
