// Who there is in a schedule, and with which settings.
#include <stdio.h>

#include "common/mem.h"
#include "tests/sim/sim_schedule_state.h"

enum {
    QUOTA_PUBLISHES = 14000,
    QUOTA_RESERVE = 64000, // so much that no schedule uses it up
};

static void add_producers(struct sim_schedule *self, uint32_t topics, uint32_t keys)
{
    struct sim *sim = &self->sim;
    const size_t count = 1 + (size_t)sim_below(sim, SIM_PRODUCERS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct sim_actor *actor = &self->actors[self->actors_count];
        const struct sim_producer_options options = {
            .topics = topics,
            .keys = keys,
            .events = 4 + (uint32_t)sim_below(sim, self->has_quota ? 160 : 40),
            .burst_max = 1 + (uint32_t)sim_below(sim, 8),
            .sent_max = self->has_quota ? 8 : UINT32_MAX,
            .body_max = sim_chance(sim, 100) && !self->has_quota ? 3000 : 120,
            .pause_max_us = sim_between(sim, 20000, self->has_quota ? 60000 : 400000),
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

static void add_member(struct sim_schedule *self, const struct sim_group_options *group,
                       size_t number, bool is_twin)
{
    struct sim *sim = &self->sim;
    struct sim_actor *actor = &self->actors[self->actors_count];
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

static void add_groups(struct sim_schedule *self, uint32_t topics,
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
        struct sim_group_options other = group; // an older version of the service, say
        other.topics = sim_chance(sim, 250)
                           ? 1 + (uint32_t)sim_below(sim, (UINT64_C(1) << topics) - 1)
                           : group.topics;
        for (size_t member = 0; member < members; member++) {
            add_member(self, sim_chance(sim, 500) ? &group : &other, member, false);
        }
        self->actors[self->actors_count - 1].hangs =
            members > 1 && !self->has_quota && sim_chance(sim, 500);
        if (sim_chance(sim, 200)) {
            add_member(self, &group, 0, true);
        }
    }
}

void sim_cast_set_up(struct sim_schedule *self)
{
    struct sim *sim = &self->sim;
    const struct sim_net_options net = {
        .delay_min_us = 20,
        .delay_max_us = sim_between(sim, 100, sim_chance(sim, 300) ? 200000 : 5000),
        .router_hwm = sim_chance(sim, 300) ? 3 + (size_t)sim_below(sim, 6) : 1000,
        .dealer_hwm = sim_chance(sim, 300) ? 2 + (size_t)sim_below(sim, 6) : 1000,
    };
    struct sim_broker_options broker = {
        .segment_bytes = (uint64_t)sim_between(sim, 1000, 16000),
        .heartbeat_ms = (uint32_t)sim_between(sim, 200, 1000),
        .retention_bytes = sim_chance(sim, 250) ? 2000 + sim_below(sim, 12000) : 0,
        .retention_hours = sim_chance(sim, 150) ? 1 : 0,
        .retention_ignores_groups = sim_chance(sim, 300),
        .dead_letters_max = sim_chance(sim, 150) ? 1 + (uint32_t)sim_below(sim, 3) : 1000,
        .has_weak_random = sim_chance(sim, 50),
    };
    self->has_quota = sim_chance(sim, 200);
    if (self->has_quota) { // for publishes: a segment and two of the largest batches
        broker.segment_bytes = (uint64_t)sim_between(sim, 1000, 4000);
        broker.reserve_bytes = QUOTA_RESERVE;
        broker.disk_bytes_max = QUOTA_PUBLISHES + broker.reserve_bytes;
        broker.retention_bytes = 2000 + sim_below(sim, QUOTA_PUBLISHES - 2000);
    }
    self->needs_redrive = broker.dead_letters_max < 1000 || self->has_quota;
    self->net = sim_net_new(sim, &net);
    self->broker = sim_broker_new(sim, self->net, &broker);
    const struct sim_model_options model = {
        .letters_max = broker.dead_letters_max,
        .can_store_twice = broker.has_weak_random,
        .retention_ignores_groups = broker.retention_ignores_groups,
        .publish_bytes_max =
            self->has_quota ? broker.disk_bytes_max - broker.reserve_bytes : UINT64_MAX,
        .disk_bytes_max = self->has_quota ? broker.disk_bytes_max : UINT64_MAX,
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
    sim_faults_choose(self);
}

void sim_cast_tear_down(struct sim_schedule *self)
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
