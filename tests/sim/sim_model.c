#include "tests/sim/sim_model.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/mem.h"
#include "tests/sim/sim_model_state.h"

enum {
    SAVE_SLACK_MS = 5 // a round that begins in time may end a little later
};

static const char *const topic_names[SIM_TOPICS_MAX] = {
    "order-created", "order-cancelled", "payment-authorized", "stock.low"};
static const char *const key_names[SIM_KEYS_MAX] = {"", "o-1", "o-2", "o-3", "o-4", "o-5"};

const char *sim_topic_name(uint32_t topic)
{
    return topic_names[topic];
}

const char *sim_key_name(uint32_t key)
{
    return key_names[key];
}

struct sim_model *sim_model_new(struct sim *sim, const struct sim_disk *disk,
                                const struct sim_model_options *options)
{
    struct sim_model *self = mem_calloc(1, sizeof *self);
    self->sim = sim;
    self->disk = disk;
    self->options = *options;
    self->failed_calls = sim->counts[SIM_FAILED_CALLS];
    self->unsaved_ms = -1;
    return self;
}

void sim_model_destroy(struct sim_model **self_p)
{
    struct sim_model *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (uint32_t i = 0; i < self->events_count; i++) {
        free(self->events[i].body);
    }
    for (size_t i = 0; i < self->groups_count; i++) {
        free(self->groups[i].entries);
        free(self->groups[i].letters);
    }
    free(self->events);
    free(self->stored);
    free(self->peers);
    free(self);
    *self_p = NULL;
}

size_t sim_model_add_group(struct sim_model *self, const struct sim_group_options *options)
{
    assert(self->groups_count < SIM_GROUPS_MAX && self->stored_count == 0);
    self->groups[self->groups_count] = (struct sim_group){.options = *options};
    return self->groups_count++;
}

uint32_t sim_model_add_event(struct sim_model *self, uint32_t topic, uint32_t key, size_t body_size)
{
    if (self->events_count == self->events_capacity) {
        self->events_capacity = 2 * self->events_capacity + 64;
        self->events = mem_realloc(self->events, self->events_capacity * sizeof *self->events);
    }
    struct sim_event *event = &self->events[self->events_count];
    *event = (struct sim_event){
        .topic = topic, .key = key, .body = mem_alloc(body_size), .body_size = body_size};
    snprintf(event->id, sizeof event->id, "e-%u", self->events_count);
    for (size_t i = 0; i < body_size; i++) {
        event->body[i] = (uint8_t)sim_random(self->sim);
    }
    return self->events_count++;
}

bool sim_model_may_store_twice(const struct sim_model *self)
{
    return self->options.can_store_twice ||
           self->sim->counts[SIM_FAILED_CALLS] != self->failed_calls;
}

const struct sim_event *sim_model_event(const struct sim_model *self, uint32_t event)
{
    return &self->events[event];
}

// --- the disk

void sim_model_synced(struct sim_model *self, const char *path)
{
    if (strcmp(path, "/data") == 0) {
        self->saved_version = self->clean_version = self->replaced_version;
        self->unsaved_ms = -1;
    } else {
        sim_log_synced(self, path);
    }
}

void sim_model_replaced(struct sim_model *self, const char *path)
{
    if (strcmp(path, "/data/groups") == 0) {
        self->replaced_version = self->version;
    }
}

// --- the broker

static void compare(struct sim_model *self, const char *what, uint64_t broker, uint64_t truth)
{
    if (broker != truth) {
        sim_fail(
            self->sim, "the broker counts %" PRIu64 " %s, in truth %" PRIu64, broker, what, truth);
    }
}

// The file of the groups lags by BROKER_SAVE_MS at most, unless the disk will not have it.
static void check_lag(struct sim_model *self)
{
    const uint64_t *counts = self->sim->counts;
    const uint64_t troubles =
        counts[SIM_FULL_DISKS] + counts[SIM_FAILED_CALLS] + counts[SIM_FAILED_SYNCS];
    const int64_t now_ms = sim_broker_ms(self->sim);
    const int64_t begun_ms = sim_now_ms(self->sim); // a slow sync may lie behind the save
    if (troubles != self->troubles) {
        self->patient_ms = now_ms + BROKER_RETRY_MS;
    }
    if (self->version == self->clean_version) {
        self->unsaved_ms = -1;
    } else if (self->unsaved_ms < 0) {
        self->unsaved_ms = now_ms;
    } else if (begun_ms - self->unsaved_ms > BROKER_SAVE_MS + SAVE_SLACK_MS &&
               begun_ms - self->patient_ms > SAVE_SLACK_MS) {
        sim_fail(self->sim,
                 "what was acked is not saved after %" PRId64 " ms",
                 now_ms - self->unsaved_ms);
    }
    self->troubles = troubles;
}

void sim_model_check(struct sim_model *self, struct broker *broker)
{
    check_lag(self);
    const struct broker_counters *counters = &broker->counters;
    compare(self, "published", counters->published, self->published);
    compare(self, "delivered", counters->delivered, self->delivered);
    compare(self, "redelivered", counters->redelivered, self->redelivered);
    compare(self, "acked", counters->acked, self->acked);
    compare(self, "stale acks", counters->stale_acks, self->stale_acks);
    compare(self, "failed", counters->failed, self->failed);
    compare(self, "dead letters", counters->dead_lettered, self->dead_lettered);
    compare(self, "redriven", counters->redriven, self->redriven);
    compare(self, "records", event_log_next(broker->log), self->stored_count);
    if (event_log_bytes(broker->log) > self->options.disk_bytes_max) {
        sim_fail(self->sim, "the log takes %" PRIu64 " bytes", event_log_bytes(broker->log));
    }
    struct event_log_extent oldest;
    event_log_oldest(broker->log, &oldest);
    self->oldest_end = oldest.next;
    for (size_t i = 0; i < self->groups_count; i++) {
        if (self->groups[i].exists) {
            sim_group_check(self, &self->groups[i], broker);
        }
    }
    sim_log_dropped(self, event_log_first(broker->log));
}

void sim_model_crashed(struct sim_model *self, bool has_lost_power)
{
    self->has_lost_power = has_lost_power;
    self->broker = NULL;
    if (has_lost_power) {
        self->replaced_version = self->saved_version; // at least that
    }
    for (uint32_t i = 0; i < self->peers_count; i++) {
        self->peers[i] = (struct sim_peer){.group = SIM_NONE, .asked_group = SIM_NONE};
    }
    for (size_t i = 0; i < self->groups_count; i++) {
        sim_group_crashed(&self->groups[i], self->stored_count);
    }
}

void sim_model_started(struct sim_model *self, struct broker *broker)
{
    self->broker = broker;
    sim_log_read_again(self, event_log_first(broker->log));
    sim_log_check(self, broker);
    for (size_t i = 0; i < self->groups_count; i++) {
        sim_group_started(self, &self->groups[i], broker);
    }
    if (self->has_lost_power) {
        // What is there now survives the next one as well. After a kill it may be in the
        // page cache only.
        self->saved_version = self->replaced_version = self->version;
    }
    self->published = self->delivered = self->redelivered = self->acked = 0;
    self->stale_acks = self->failed = self->dead_lettered = self->redriven = 0;
    self->asked = (struct sim_asked){0};
    self->clean_version = self->version;
    self->unsaved_ms = -1;
    sim_model_check(self, broker);
}

// --- clients

void sim_model_answered(struct sim_model *self, uint32_t number, const struct bus_input *input)
{
    const struct sim_event *event = &self->events[number];
    const uint64_t offset = input->offset;
    if (offset >= self->stored_count || self->stored[offset].kind != SIM_PUBLISHED ||
        self->stored[offset].event != number) {
        sim_fail(self->sim,
                 "%s was answered with offset %" PRIu64 ", which does not hold it",
                 event->id,
                 offset);
    }
    if (offset != event->first_offset && !event->is_twice) {
        sim_fail(self->sim,
                 "%s was answered with offset %" PRIu64 ", it is at %" PRIu64,
                 event->id,
                 offset,
                 event->first_offset);
    }
    if (input->duplicate) {
        sim_count(self->sim, SIM_DUPLICATES);
    }
}

void sim_model_delivered(struct sim_model *self, const struct bus_delivery *delivery)
{
    const struct record record = {
        .topic = delivery->topic, .key = delivery->key, .id = delivery->id, .body = delivery->body};
    sim_log_expect_event(self, delivery->offset, &record, "handed to a consumer");
}

// --- the end

uint64_t sim_model_left(const struct sim_model *self)
{
    uint64_t left = 0;
    for (size_t i = 0; i < self->groups_count; i++) {
        left += self->groups[i].exists ? self->groups[i].left : 1;
    }
    return left;
}

uint64_t sim_model_starving(struct sim_model *self)
{
    uint64_t starving = 0;
    for (size_t i = 0; i < self->groups_count; i++) {
        starving += self->groups[i].exists ? sim_group_starving(self, &self->groups[i]) : 1;
    }
    return starving;
}

void sim_model_explain(struct sim_model *self)
{
    for (size_t i = 0; i < self->groups_count; i++) {
        struct sim_group *group = &self->groups[i];
        for (uint64_t offset = group->start; offset < self->stored_count; offset++) {
            const struct sim_entry *entry = sim_group_entry(group, offset);
            if (entry->matches && !entry->is_done) {
                sim_trace(self->sim,
                          "left: %s, offset %" PRIu64 ", key %s, held by %u, %u attempts, "
                          "%u failures%s",
                          group->options.name,
                          offset,
                          key_names[self->stored[offset].key],
                          entry->holder,
                          entry->attempts,
                          entry->failures,
                          entry->is_dying ? ", to die" : "");
            }
        }
    }
}

void sim_model_finish(struct sim_model *self)
{
    if (sim_model_left(self) > 0) {
        sim_model_explain(self);
        sim_fail(self->sim, "%" PRIu64 " events are never done", sim_model_left(self));
    }
}
