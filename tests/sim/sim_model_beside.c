// The broker's groups beside the model's: after each round they agree; after a start the
// broker remembers no less than was saved and no more than has happened.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/mem.h"
#include "tests/sim/sim_model_state.h"

static struct consumer *consumer_of(struct sim_group *group, struct broker *broker)
{
    return broker_find_consumer(broker, bytes_of_text(group->options.name));
}

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
        if (sim_entry_is_left(entry)) {
            sim_count(self->sim, SIM_SKIPPED_EVENTS);
            group->left--;
            entry->is_done = entry->is_skipped = true;
        }
        if (entry->holder != 0) {
            sim_fail(self->sim,
                     "retention takes offset %" PRIu64 ", and peer %u, which holds it, is not told",
                     offset,
                     entry->holder);
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

// Whether the group wants what it has not done and was not offered yet: what is to die wants a
// dead letter, whatever its topic.
static bool is_still_wanted(const struct sim_model *self, struct sim_group *group, uint64_t offset)
{
    return sim_group_wants(self, group, offset) || sim_group_entry(group, offset)->is_dying;
}

// The group says whether it has done with an offset; it may have forgotten what was not saved.
static void resolve_done(struct sim_model *self, struct sim_group *group, uint64_t offset,
                         bool is_done)
{
    struct sim_entry *entry = sim_group_entry(group, offset);
    if (is_done && sim_entry_is_left(entry)) {
        sim_fail(self->sim,
                 "%s takes offset %" PRIu64 " as done; it is not",
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
    }
}

static void count_left(struct sim_model *self, struct sim_group *group)
{
    group->left = 0;
    for (uint64_t offset = group->start; offset < self->stored_count; offset++) {
        group->left += sim_entry_is_left(sim_group_entry(group, offset));
    }
    sim_group_look_again(group);
}

void sim_group_topics(struct sim_model *self, struct sim_group *group, uint32_t topics)
{
    if (group->exists && topics == group->options.topics) {
        return;
    }
    group->options.topics = topics;
    group->topics_version = self->version + 1;
    if (!group->exists) {
        return; // it is made with these, or was there with others and nobody knew
    }
    self->version++;
    sim_count(self->sim, SIM_TOPIC_CHANGES);
    const struct group *now = consumer_of(group, self->broker)->group;
    for (uint64_t offset = group->start; offset < self->stored_count; offset++) {
        const bool is_done = group_is_done(now, offset);
        struct sim_entry *entry = sim_group_entry(group, offset);
        if (is_done == sim_entry_is_left(entry) && (is_done || offset < group_cursor(now))) {
            sim_fail(self->sim,
                     "other topics change whether %s has done with offset %" PRIu64,
                     group->options.name,
                     offset);
        }
        if (!is_done && offset >= group_cursor(now)) {
            entry->matches = is_still_wanted(self, group, offset);
        }
    }
    count_left(self, group);
}

// A crash may take back topics that were not saved.
static void resolve_topics(struct sim_model *self, struct sim_group *group, struct broker *broker)
{
    uint32_t topics = 0;
    for (uint32_t topic = 0; topic < SIM_TOPICS_MAX; topic++) {
        const int number = topic_find(&broker->topics, bytes_of_text(sim_topic_name(topic)));
        const struct topic_set *wanted = &consumer_of(group, broker)->wanted;
        topics |= number != TOPIC_NONE && topic_set_has(wanted, number) ? 1U << topic : 0;
    }
    if (topics == group->options.topics) {
        return;
    }
    if (group->topics_version <= self->saved_version) {
        sim_fail(self->sim, "%s has forgotten its topics", group->options.name);
    }
    sim_count(self->sim, SIM_FORGOTTEN_TOPICS);
    group->options.topics = topics;
    group->topics_version = 0;
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
    resolve_topics(self, group, broker);
    skip_with(self, group, consumer);
    if (looks_reset(self, group, consumer->group)) {
        reset_perhaps(self, group);
    }
    for (uint64_t offset = group->start; offset < self->stored_count; offset++) {
        const bool is_done = group_is_done(consumer->group, offset);
        resolve_done(self, group, offset, is_done);
        if (!is_done) {
            resolve_failures(self, group, offset, consumer->group);
            sim_group_entry(group, offset)->matches = is_still_wanted(self, group, offset);
        }
    }
    count_left(self, group);
    check_letters(self, group, consumer);
}
