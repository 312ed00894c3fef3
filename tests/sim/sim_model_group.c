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

static bool matches(const struct sim_model *self, const struct sim_group *group, uint64_t offset)
{
    const struct sim_stored *stored = &self->stored[offset];
    const uint32_t topic = self->events[stored->event].topic;
    const bool is_wanted = stored->kind == SIM_PUBLISHED
                               ? (group->options.topics >> topic & 1) != 0
                               : stored->kind == SIM_COPY && group == &self->groups[stored->group];
    return group->exists && offset >= group->start && is_wanted;
}

void sim_group_stored(struct sim_model *self, struct sim_group *group, uint64_t offset)
{
    struct sim_entry *entry = sim_group_entry(group, offset);
    *entry = (struct sim_entry){.matches = matches(self, group, offset)};
    group->left += entry->matches;
}

static void look_from_the_start(struct sim_group *group)
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
    look_from_the_start(group);
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

static bool is_left(const struct sim_entry *entry)
{
    return entry->matches && !entry->is_done;
}

uint64_t sim_group_first_left(struct sim_model *self, struct sim_group *group)
{
    while (group->first_left < self->stored_count &&
           !is_left(sim_group_entry(group, group->first_left))) {
        group->first_left++;
    }
    return group->first_left;
}

// The first event of a key that the group needs; stored_count: none.
static uint64_t first_of_key(struct sim_model *self, struct sim_group *group, uint32_t key)
{
    uint64_t *first = &group->first_of_key[key];
    while (*first < self->stored_count &&
           (self->stored[*first].key != key || !is_left(sim_group_entry(group, *first)))) {
        (*first)++;
    }
    return *first;
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
    *from = (struct sim_peer){
        .group = SIM_NONE, .asked_group = from->asked_group, .asked_credit = from->asked_credit};
}

// --- the broker beside it

// Retention that ignores groups takes what is below floor, and saves that before. When it
// cannot be saved, a crash may bring some of it back.
static void skip_with(struct sim_model *self, struct sim_group *group,
                      const struct consumer *consumer)
{
    struct group_stats stats;
    if (!self->options.retention_ignores_groups) {
        return;
    }
    group_stats_get(consumer->group, &stats);
    const uint64_t floor = sim_log_border(self, stats.floor); // it may have gone on by itself
    for (uint64_t offset = sim_group_first_left(self, group); offset < floor; offset++) {
        struct sim_entry *entry = sim_group_entry(group, offset);
        if (is_left(entry)) {
            sim_count(self->sim, SIM_SKIPPED_EVENTS);
            group->left--;
            entry->is_done = entry->is_skipped = true;
        }
        if (entry->holder != 0) {
            self->peers[entry->holder].held--;
            entry->holder = 0;
        }
    }
    size_t gone = 0;
    while (gone < group->letters_count && group->letters[gone] < floor &&
           group->letters_count - gone > consumer->dead_letters_count) {
        gone++;
    }
    if (gone > 0) {
        group->letters_count -= gone;
        memmove(
            group->letters, group->letters + gone, group->letters_count * sizeof *group->letters);
    }
}

static struct consumer *consumer_of(struct sim_group *group, struct broker *broker)
{
    return broker_find_consumer(broker, bytes_of_text(group->options.name));
}

void sim_group_check(struct sim_model *self, struct sim_group *group, struct broker *broker)
{
    const struct consumer *consumer = consumer_of(group, broker);
    struct group_stats stats;
    if (consumer == NULL) {
        sim_fail(self->sim, "%s is not there any more", group->options.name);
    }
    skip_with(self, group, consumer);
    if (consumer->backlog != group->left) {
        sim_fail(self->sim,
                 "%s has a backlog of %" PRIu64 ", in truth %" PRIu64,
                 group->options.name,
                 consumer->backlog,
                 group->left);
    }
    if (consumer->dead_letters_count != group->letters_count) {
        sim_fail(self->sim,
                 "%s lists %zu dead letters, in truth %zu",
                 group->options.name,
                 consumer->dead_letters_count,
                 group->letters_count);
    }
    if (group->letters_count > self->options.letters_max) {
        sim_fail(self->sim, "%s has %zu dead letters", group->options.name, group->letters_count);
    }
    if (group->letters_count == self->options.letters_max) {
        sim_count(self->sim, SIM_FULL_LISTS);
    }
    group_stats_get(consumer->group, &stats);
    if (stats.floor > sim_group_first_left(self, group)) {
        sim_fail(self->sim,
                 "the floor of %s is %" PRIu64 ", but %" PRIu64 " is not done",
                 group->options.name,
                 stats.floor,
                 group->first_left);
    }
}

void sim_group_crashed(struct sim_group *group, uint64_t count)
{
    for (uint64_t offset = 0; offset < count; offset++) {
        sim_group_entry(group, offset)->holder = 0;
    }
}

// What the group remembers of an entry that is not done.
static void resolve_failures(struct sim_model *self, struct sim_group *group, uint64_t offset,
                             const struct group *remembered)
{
    struct sim_entry *entry = sim_group_entry(group, offset);
    struct group_entry_info info = {0};
    if (!group_failing_next(remembered, offset, &info) || info.offset != offset) {
        info = (struct group_entry_info){0};
    }
    const bool is_saved = entry->failures_version <= self->saved_version;
    const uint32_t least = is_saved ? entry->failures : entry->failures_saved;
    if (info.failures > entry->failures || info.failures < least) {
        sim_fail(self->sim,
                 "%s has %u failures of offset %" PRIu64 " after a start, %u before",
                 group->options.name,
                 info.failures,
                 offset,
                 entry->failures);
    }
    if (info.dying ? !entry->is_dying
                   : entry->is_dying && entry->dying_version <= self->saved_version) {
        sim_fail(self->sim,
                 "a start changes whether offset %" PRIu64 " of %s is to die",
                 offset,
                 group->options.name);
    }
    entry->not_before_ms = info.failures == entry->failures ? entry->not_before_ms : 0;
    entry->failures = info.failures;
    entry->is_dying = info.dying;
    entry->attempts_min = 0;
}

// Whether the group was reset just before the crash, or so near to it that it is the same.
static bool looks_reset(struct sim_model *self, const struct sim_group *group,
                        const struct group *remembered)
{
    struct group_stats stats;
    struct group_entry_info info;
    group_stats_get(remembered, &stats);
    bool looks = self->asked.type == WIRE_RESET && self->asked.group == group - self->groups &&
                 stats.floor == sim_reset_target(self) && !group_failing_next(remembered, 0, &info);
    for (uint64_t offset = stats.floor; offset < self->stored_count && looks; offset++) {
        looks = !group_is_done(remembered, offset);
    }
    return looks;
}

// It was reset, or is as if it had been, but for how often each event was delivered.
static void reset_perhaps(struct sim_model *self, struct sim_group *group)
{
    struct sim_entry *before = mem_alloc((size_t)self->stored_count * sizeof *before);
    memcpy(before, group->entries, (size_t)self->stored_count * sizeof *before);
    sim_group_reset(self, group, sim_reset_target(self));
    for (uint64_t offset = 0; offset < self->stored_count; offset++) {
        sim_group_entry(group, offset)->attempts = before[offset].attempts;
    }
    free(before);
}

static void resolve_done(struct sim_model *self, struct sim_group *group, uint64_t offset,
                         bool is_done)
{
    struct sim_entry *entry = sim_group_entry(group, offset);
    if (is_done && !entry->is_done) {
        sim_fail(self->sim,
                 "%s takes offset %" PRIu64 " as done after a start; it is not",
                 group->options.name,
                 offset);
    }
    if (entry->is_done && !is_done) {
        if (entry->done_version <= self->saved_version && !entry->is_skipped) {
            sim_fail(self->sim,
                     "%s has forgotten that offset %" PRIu64 " is done",
                     group->options.name,
                     offset);
        }
        sim_count(self->sim, SIM_FORGOTTEN_ACKS);
        entry->is_done = entry->is_skipped = false;
        group->left++;
    }
}

// Retention that ignores groups takes dead letters off the list before it drops a segment,
// and may fail in between: a crash then brings them back.
static void letters_come_back(struct sim_model *self, struct sim_group *group,
                              const struct consumer *consumer)
{
    size_t more = consumer->dead_letters_count;
    more = more > group->letters_count ? more - group->letters_count : 0;
    if (!self->options.retention_ignores_groups || more == 0) {
        return;
    }
    group->letters_capacity = consumer->dead_letters_count;
    group->letters = mem_realloc(group->letters, group->letters_capacity * sizeof *group->letters);
    memmove(group->letters + more, group->letters, group->letters_count * sizeof *group->letters);
    for (size_t i = 0; i < more; i++) {
        const uint64_t letter = consumer->dead_letters[i];
        const struct sim_stored *stored = &self->stored[letter];
        if (stored->kind != SIM_LETTER || &self->groups[stored->group] != group) {
            sim_fail(self->sim, "%s lists %" PRIu64, group->options.name, letter);
        }
        group->letters[i] = letter;
    }
    group->letters_count += more;
}

static void check_letters(struct sim_model *self, struct sim_group *group,
                          const struct consumer *consumer)
{
    letters_come_back(self, group, consumer);
    if (consumer->dead_letters_count != group->letters_count ||
        (group->letters_count > 0 && memcmp(consumer->dead_letters,
                                            group->letters,
                                            group->letters_count * sizeof *group->letters) != 0)) {
        sim_fail(self->sim, "a start changes the dead letters of %s", group->options.name);
    }
}

void sim_group_started(struct sim_model *self, struct sim_group *group, struct broker *broker)
{
    struct consumer *consumer = consumer_of(group, broker);
    if (!group->exists) {
        return; // it may be there: its first member was not told yet
    }
    if (consumer == NULL) {
        if (self->asked.type != WIRE_DELETE || self->asked.group != group - self->groups) {
            sim_fail(self->sim, "a crash has lost %s, which was confirmed", group->options.name);
        }
        sim_group_delete(group);
        return;
    }
    skip_with(self, group, consumer);
    if (looks_reset(self, group, consumer->group)) {
        reset_perhaps(self, group);
    }
    for (uint64_t offset = group->start; offset < self->stored_count; offset++) {
        const bool is_done = group_is_done(consumer->group, offset);
        if (sim_group_entry(group, offset)->matches) {
            resolve_done(self, group, offset, is_done);
            if (!is_done) {
                resolve_failures(self, group, offset, consumer->group);
            }
        }
    }
    check_letters(self, group, consumer);
    look_from_the_start(group);
}
