// The groups: what is held, failed, done, and may be delivered now.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/mem.h"
#include "common/wire.h"
#include "tests/sim/sim_model_state.h"

struct sim_entry *sim_group_entry(struct sim_group *self, uint64_t offset)
{
    return &self->entries[offset];
}

void sim_group_grow(struct sim_model *self, struct sim_group *group, uint64_t capacity)
{
    group->entries = mem_realloc(group->entries, (size_t)capacity * sizeof *group->entries);
    memset(group->entries + self->stored_count,
           0,
           (size_t)(capacity - self->stored_count) * sizeof *group->entries);
}

bool sim_group_wants(const struct sim_model *self, const struct sim_group *group, uint64_t offset)
{
    const struct sim_stored *stored = &self->stored[offset];
    const uint32_t topic = self->events[stored->event].topic;
    return stored->kind == SIM_PUBLISHED
               ? (group->options.topics >> topic & 1) != 0
               : stored->kind == SIM_COPY && group == &self->groups[stored->group];
}

void sim_group_stored(struct sim_model *self, struct sim_group *group, uint64_t offset)
{
    struct sim_entry *entry = sim_group_entry(group, offset);
    *entry = (struct sim_entry){.matches = group->exists && offset >= group->start &&
                                           sim_group_wants(self, group, offset)};
    group->left += entry->matches;
}

void sim_group_look_again(struct sim_group *group)
{
    group->first_left = group->start;
    for (size_t key = 0; key < SIM_KEYS_MAX; key++) {
        group->first_of_key[key] = group->start;
    }
}

void sim_group_begin(struct sim_model *self, struct sim_group *group, uint64_t start)
{
    group->exists = true;
    group->start = start;
    group->left = 0;
    sim_group_look_again(group);
    for (uint64_t offset = 0; offset < self->stored_count; offset++) {
        sim_group_stored(self, group, offset);
    }
}

void sim_group_reset(struct sim_model *self, struct sim_group *group, uint64_t offset)
{
    // Its members have nothing of it any more.
    for (uint32_t i = 0; i < self->peers_count; i++) {
        if (self->peers[i].group == (int)(group - self->groups)) {
            self->peers[i].held = 0;
        }
    }
    sim_group_begin(self, group, offset);
}

void sim_group_delete(struct sim_group *group)
{
    group->exists = false;
    group->left = 0;
    group->letters_count = 0;
}

bool sim_entry_is_left(const struct sim_entry *entry)
{
    return entry->matches && !entry->is_done;
}

uint64_t sim_group_first_left(struct sim_model *self, struct sim_group *group)
{
    while (group->first_left < self->stored_count &&
           !sim_entry_is_left(sim_group_entry(group, group->first_left))) {
        group->first_left++;
    }
    return group->first_left;
}

// The first event of a key that the group needs; stored_count: none.
static uint64_t first_of_key(struct sim_model *self, struct sim_group *group, uint32_t key)
{
    uint64_t *first = &group->first_of_key[key];
    while (*first < self->stored_count && (self->stored[*first].key != key ||
                                           !sim_entry_is_left(sim_group_entry(group, *first)))) {
        (*first)++;
    }
    return *first;
}

uint64_t sim_group_starving(struct sim_model *self, struct sim_group *group)
{
    uint64_t starving = 0;
    for (uint64_t at = sim_group_first_left(self, group); at < self->stored_count; at++) {
        const struct sim_entry *entry = sim_group_entry(group, at);
        const uint32_t key = group->options.is_unordered ? 0 : self->stored[at].key;
        if (sim_entry_is_left(entry) && entry->holder == 0) {
            const uint64_t first = key == 0 ? at : first_of_key(self, group, key);
            starving += sim_group_entry(group, first)->holder == 0;
        }
    }
    return starving;
}

// --- deliveries

static void check_delivery(struct sim_model *self, struct sim_group *group, uint64_t offset,
                           uint32_t attempt)
{
    const struct sim_entry *entry = sim_group_entry(group, offset);
    const char *name = group->options.name;
    const uint32_t key = self->stored[offset].key;
    if (!entry->matches) {
        sim_fail(
            self->sim, "%s is given offset %" PRIu64 ", which it did not ask for", name, offset);
    }
    if (entry->is_done) {
        sim_fail(self->sim, "%s is given offset %" PRIu64 " again, which is done", name, offset);
    }
    if (entry->holder != 0) {
        sim_fail(self->sim,
                 "%s is given offset %" PRIu64 ", which peer %u holds",
                 name,
                 offset,
                 entry->holder);
    }
    if (entry->is_dying) {
        sim_fail(self->sim, "%s is given offset %" PRIu64 ", which is to die", name, offset);
    }
    if (attempt <= entry->attempts_min || attempt > entry->attempts + 1) {
        sim_fail(self->sim,
                 "%s is given offset %" PRIu64 " as attempt %u after %u",
                 name,
                 offset,
                 attempt,
                 entry->attempts);
    }
    if (sim_broker_ms(self->sim) < entry->not_before_ms) {
        sim_fail(self->sim,
                 "%s is given offset %" PRIu64 " %" PRId64 " ms too early",
                 name,
                 offset,
                 entry->not_before_ms - sim_broker_ms(self->sim));
    }
    if (key != 0 && !group->options.is_unordered && first_of_key(self, group, key) != offset) {
        sim_fail(self->sim,
                 "%s is given offset %" PRIu64 " of %s before %" PRIu64,
                 name,
                 offset,
                 sim_key_name(key),
                 first_of_key(self, group, key));
    }
}

void sim_group_deliver(struct sim_model *self, uint32_t peer, uint64_t offset, uint32_t attempt)
{
    struct sim_peer *to = &self->peers[peer];
    if (!to->has_session || to->group == SIM_NONE) {
        sim_fail(self->sim, "offset %" PRIu64 " goes to peer %u, which is no member", offset, peer);
    }
    struct sim_group *group = &self->groups[to->group];
    check_delivery(self, group, offset, attempt);
    struct sim_entry *entry = sim_group_entry(group, offset);
    entry->holder = peer;
    entry->attempts = entry->attempts_min = attempt;
    if (++to->held > to->credit) {
        sim_fail(self->sim, "peer %u holds %u, with a credit of %u", peer, to->held, to->credit);
    }
    self->delivered++;
    self->redelivered += attempt > 1;
    sim_count(self->sim, attempt > 1 ? SIM_REDELIVERIES : SIM_DELIVERIES);
}

// --- answers

// The entry that the peer answers; NULL: it does not hold that.
static struct sim_entry *answered(struct sim_model *self, uint32_t peer, uint64_t offset,
                                  uint32_t attempt)
{
    struct sim_peer *from = &self->peers[peer];
    struct sim_entry *entry =
        offset < self->stored_count ? sim_group_entry(&self->groups[from->group], offset) : NULL;
    if (entry == NULL || entry->holder != peer || entry->attempts != attempt) {
        self->stale_acks++;
        sim_count(self->sim, SIM_STALE_ACKS);
        return NULL;
    }
    entry->holder = 0;
    from->held--;
    return entry;
}

void sim_group_ack(struct sim_model *self, uint32_t peer, uint64_t offset, uint32_t attempt)
{
    struct sim_entry *entry = answered(self, peer, offset, attempt);
    if (entry != NULL) {
        self->groups[self->peers[peer].group].left--;
        entry->is_done = true;
        entry->done_version = ++self->version;
        self->acked++;
        sim_count(self->sim, SIM_ACKS);
    }
}

void sim_group_fail(struct sim_model *self, uint32_t peer, uint64_t offset, uint32_t attempt,
                    int64_t delay_ms, bool rejects)
{
    struct sim_entry *entry = answered(self, peer, offset, attempt);
    if (entry == NULL) {
        return;
    }
    const struct sim_group *group = &self->groups[self->peers[peer].group];
    sim_count(self->sim, rejects ? SIM_REJECTS : SIM_NACKS);
    self->failed++;
    if (entry->failures_version <= self->saved_version) {
        entry->failures_saved = entry->failures;
    }
    if (rejects || entry->failures >= group->options.retries_max) {
        entry->is_dying = true;
        entry->dying_version = self->version + 1;
    } else if (delay_ms >= 0) {
        entry->not_before_ms = sim_broker_ms(self->sim) + delay_ms;
    } else { // the broker's own is at least half of the doubling
        const uint32_t doublings = entry->failures < 7 ? entry->failures : 7;
        entry->not_before_ms = sim_broker_ms(self->sim) + ((GROUP_BACKOFF_MIN_MS / 2) << doublings);
    }
    entry->failures++;
    entry->failures_version = ++self->version;
}

void sim_group_bury(struct sim_model *self, struct sim_group *group, uint64_t offset,
                    uint64_t letter)
{
    struct sim_entry *entry = sim_group_entry(group, offset);
    if (!entry->matches || entry->is_done || !entry->is_dying) {
        sim_fail(self->sim,
                 "%s buries offset %" PRIu64 ", which need not die",
                 group->options.name,
                 offset);
    }
    entry->is_done = true;
    entry->done_version = 0; // the log has it
    group->left--;
    self->dead_lettered++;
    if (group->letters_count == group->letters_capacity) {
        group->letters_capacity = 2 * group->letters_capacity + 16;
        group->letters =
            mem_realloc(group->letters, group->letters_capacity * sizeof *group->letters);
    }
    group->letters[group->letters_count++] = letter;
}

void sim_group_redriven(struct sim_model *self, struct sim_group *group, uint64_t letter)
{
    size_t at = 0;
    while (at < group->letters_count && group->letters[at] != letter) {
        at++;
    }
    if (at == group->letters_count) {
        sim_fail(self->sim,
                 "%s is given back the dead letter %" PRIu64 ", which it does not have",
                 group->options.name,
                 letter);
    }
    group->letters_count--;
    memmove(&group->letters[at],
            &group->letters[at + 1],
            (group->letters_count - at) * sizeof *group->letters);
    self->redriven++;
}

void sim_group_leave(struct sim_model *self, uint32_t peer)
{
    struct sim_peer *from = &self->peers[peer];
    if (from->group != SIM_NONE && from->held > 0) {
        struct sim_group *group = &self->groups[from->group];
        for (uint64_t offset = group->start; offset < self->stored_count; offset++) {
            struct sim_entry *entry = sim_group_entry(group, offset);
            entry->holder = entry->holder == peer ? 0 : entry->holder;
        }
    }
    *from = (struct sim_peer){.group = SIM_NONE,
                              .asked_group = from->asked_group,
                              .asked_credit = from->asked_credit,
                              .asked_topics = from->asked_topics};
}
