// What the broker keeps beside the log: the file of the groups. It may lag behind
// the log, which is the truth: a start reads the log on from where the file ends.
#include <assert.h>
#include <stdlib.h>

#include "broker/broker_state.h"
#include "broker/group_file.h"
#include "common/log.h"
#include "common/mem.h"

static_assert((int)GROUP_FILE_GROUPS_MAX == (int)BROKER_GROUPS_MAX, "all groups fit the file");
static_assert((int)GROUP_FILE_TOPICS_MAX >= (int)TOPIC_SLOTS, "all topics fit the file");

struct consumer *broker_find_consumer(const struct broker *self, struct bytes name)
{
    for (size_t i = 0; i < self->consumers_count; i++) {
        if (bytes_equal_text(name, group_name(self->consumers[i]->group))) {
            return self->consumers[i];
        }
    }
    return NULL;
}

// --- saving

// The state borrows names for the length of a call, and never writes to them.
static char *borrowed(const char *name)
{
    return (char *)(uintptr_t)name;
}

static void state_fill_group(const struct broker *self, const struct consumer *consumer,
                             struct group_file_group *out)
{
    *out = (struct group_file_group){
        .group = consumer->group,
        .backlog = consumer->backlog,
        .topics = mem_calloc(WIRE_TOPICS_MAX, sizeof *out->topics),
        .topics_count = consumer->topics_count,
        .dead_letters = consumer->dead_letters,
        .dead_letters_count = consumer->dead_letters_count,
    };
    for (size_t i = 0; i < consumer->topics_count; i++) {
        out->topics[i] = borrowed(topic_name(self->topics, consumer->topics[i]));
    }
}

enum err broker_save(struct broker *self)
{
    const enum err synced = broker_sync(self);
    if (synced != ERR_OK) {
        return synced;
    }
    const size_t topics = (size_t)topic_count(self->topics);
    struct group_file_state state = {
        .log_end = event_log_next(self->log),
        .totals = mem_calloc(topics + 1, sizeof *state.totals),
        .groups = mem_calloc(self->consumers_count + 1, sizeof *state.groups),
        .groups_count = self->consumers_count,
    };
    for (size_t i = 0; i < topics; i++) {
        const uint64_t records = topic_records(self->topics, (int)i);
        if (records > 0) { // else somebody only asked for it
            state.totals[state.totals_count++] = (struct group_file_total){
                .topic = borrowed(topic_name(self->topics, (int)i)), .count = records};
        }
    }
    for (size_t i = 0; i < self->consumers_count; i++) {
        state_fill_group(self, self->consumers[i], &state.groups[i]);
    }
    char problem[GROUP_FILE_PROBLEM_SIZE];
    const enum err err =
        group_file_save(self->options.directory, broker_now_ms(self), &state, problem);
    if (err == ERR_OK) {
        self->save_due_ms = 0;
    } else {
        log_error("groups cannot be saved", LOG_STR("error", problem), LOG_END);
    }
    for (size_t i = 0; i < self->consumers_count; i++) {
        free(state.groups[i].topics);
    }
    free(state.groups);
    free(state.totals);
    return err;
}

// --- loading

static void adopt_group(struct broker *self, struct group_file_group *from)
{
    struct consumer *consumer = consumer_new(from->group);
    from->group = NULL;
    uint16_t topics[WIRE_TOPICS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < from->topics_count && i < WIRE_TOPICS_MAX; i++) {
        const int topic = topic_add(self->topics, bytes_of_text(from->topics[i]));
        if (topic != TOPIC_NONE) {
            topics[count++] = (uint16_t)topic;
        }
    }
    consumer_set_topics(consumer, topics, count);
    consumer->backlog = from->backlog;
    for (size_t i = 0; i < from->dead_letters_count; i++) {
        consumer_add_dead_letter(consumer, from->dead_letters[i]);
    }
    consumer->no_member_since_us = self->started_us;
    self->consumers[self->consumers_count++] = consumer;
    char *dead_letters = mem_format("%s%s", TOPIC_DEAD_LETTER, group_name(consumer->group));
    (void)topic_add(self->topics, bytes_of_text(dead_letters));
    free(dead_letters);
}

// A dead letter that the file does not know yet: it was durable, so its event is
// done, whatever the file says.
static void replay_dead_letter(struct broker *self, const struct event_log_entry *entry)
{
    struct dead_letter letter;
    if (dead_letter_parse(entry->record.headers, &letter) != ERR_OK) {
        return;
    }
    struct consumer *consumer = broker_find_consumer(self, bytes_of_text(letter.group));
    if (consumer == NULL) {
        return;
    }
    if (group_buried(consumer->group, letter.offset)) {
        consumer_done(consumer);
    }
    consumer_add_dead_letter(consumer, entry->offset);
}

static enum err replay(struct broker *self, uint64_t from, char **problem)
{
    struct event_log_entry entry;
    for (uint64_t offset = from; offset < event_log_next(self->log); offset++) {
        const enum err err = event_log_cursor_read(self->tail, offset, &entry);
        const int topic = err == ERR_OK ? topic_add(self->topics, entry.record.topic) : TOPIC_NONE;
        if (topic == TOPIC_NONE) {
            *problem = mem_format("offset %llu of the log cannot be read (%s): restore %s from a "
                                  "backup",
                                  (unsigned long long)offset,
                                  err == ERR_OK ? "too many topics" : err_name(err),
                                  self->options.directory);
            return err == ERR_OK ? ERR_CORRUPT : err;
        }
        topic_records_add(self->topics, topic, 1);
        for (size_t i = 0; i < self->consumers_count; i++) {
            self->consumers[i]->backlog += topic_set_has(&self->consumers[i]->wanted, topic);
        }
        if (topic_is_dead_letter(entry.record.topic)) {
            replay_dead_letter(self, &entry);
        }
    }
    return ERR_OK;
}

enum err broker_load(struct broker *self, char **problem)
{
    struct group_file_state state = {0};
    char text[GROUP_FILE_PROBLEM_SIZE];
    enum err err = group_file_load(self->options.directory, broker_now_ms(self), &state, text);
    if (err != ERR_OK) {
        *problem = mem_strdup(text);
        return err;
    }
    const uint64_t next = event_log_next(self->log);
    if (state.log_end > next) {
        *problem = mem_format("%s/" GROUP_FILE_NAME " knows the log up to offset %llu, but the log "
                              "ends at %llu: files of the log are missing; restore them, or move "
                              "the file away to start all groups anew",
                              self->options.directory,
                              (unsigned long long)state.log_end,
                              (unsigned long long)next);
        err = ERR_CORRUPT;
        goto out;
    }
    for (size_t i = 0; i < state.totals_count; i++) {
        const int topic = topic_add(self->topics, bytes_of_text(state.totals[i].topic));
        if (topic != TOPIC_NONE) {
            topic_records_add(self->topics, topic, state.totals[i].count);
        }
    }
    for (size_t i = 0; i < state.groups_count; i++) {
        adopt_group(self, &state.groups[i]);
    }
    // A log without this file is read from its beginning.
    const uint64_t first = event_log_first(self->log);
    err = replay(self, state.log_end > first ? state.log_end : first, problem);

out:
    group_file_state_release(&state);
    return err;
}

void broker_count_backlog(struct broker *self, struct consumer *consumer)
{
    struct group_stats stats;
    group_stats_get(consumer->group, &stats);
    consumer->backlog =
        (uint64_t)stats.ready + stats.held + stats.waiting + stats.parked + stats.dying;
    struct event_log_entry entry;
    for (uint64_t offset = stats.cursor; offset < event_log_next(self->log); offset++) {
        if (broker_read(self, self->elsewhere, offset, &entry) != ERR_OK) {
            return;
        }
        const int topic = topic_find(self->topics, entry.record.topic);
        consumer->backlog +=
            topic_set_has(&consumer->wanted, topic) && !group_is_done(consumer->group, offset);
    }
}
