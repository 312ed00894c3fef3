// The groups, and how a start finds them: their file may lag behind the log, which is the
// truth, so it reads the log on from where the file ends.
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "broker/group_file.h"
#include "common/log.h"
#include "common/mem.h"

struct consumer *broker_find_consumer(const struct broker *self, struct bytes name)
{
    for (size_t i = 0; i < self->consumers_count; i++) {
        if (bytes_equal_text(name, group_name(self->consumers[i]->group))) {
            return self->consumers[i];
        }
    }
    return NULL;
}

static void find_redrive_topic(struct broker *self, struct consumer *consumer)
{
    char name[RECORD_TOPIC_MAX + 1];
    consumer->redrive_topic =
        topic_find(&self->topics, topic_of_group(name, TOPIC_REDRIVE, group_name(consumer->group)));
}

struct consumer *broker_add_consumer(struct broker *self, struct group *group)
{
    struct consumer *consumer = mem_calloc(1, sizeof *consumer);
    consumer->group = group;
    find_redrive_topic(self, consumer);
    consumer->no_member_since_us = broker_wall_us(self);
    self->consumers[self->consumers_count++] = consumer;
    return consumer;
}

void broker_remove_consumer(struct broker *self, struct consumer *consumer)
{
    size_t i = 0;
    while (self->consumers[i] != consumer) {
        i++;
    }
    self->consumers[i] = self->consumers[--self->consumers_count];
}

void consumer_destroy(struct consumer **self_p)
{
    struct consumer *self = *self_p;
    event_log_cursor_destroy(&self->cursor);
    free(self->dead_letters);
    group_destroy(&self->group);
    free(self);
    *self_p = NULL;
}

// --- loading

// Reads the log from where the file of the groups ends, and as far back as the window of
// duplicates goes.
static enum err replay(struct broker *self, char **problem)
{
    const uint64_t next = event_log_next(self->log);
    const uint64_t first = event_log_first(self->log);
    const uint64_t window = next - first < DUPLICATES_WINDOW ? first : next - DUPLICATES_WINDOW;
    struct event_log_entry entry;
    const uint64_t known = self->kept_end > first ? self->kept_end : first;
    for (uint64_t offset = known < window ? known : window; offset < next; offset++) {
        const enum err err = event_log_cursor_read(self->tail, offset, &entry);
        if (err != ERR_OK) {
            *problem = mem_strdup(event_log_cursor_problem(self->tail));
            return err;
        }
        const bool is_own = topic_is_own(entry.record.topic);
        if (is_own && offset >= known) {
            broker_settle_found(self, &entry);
        } else if (!is_own && offset >= window) {
            duplicates_add(
                &self->duplicates, offset, duplicates_hash(&self->duplicates, entry.record.id));
        }
    }
    return ERR_OK;
}

// Counts a record that the start has found.
static const char *found(void *context, uint64_t segment, uint64_t offset,
                         const struct record *record)
{
    struct broker *self = context;
    int topic = topic_find(&self->topics, record->topic);
    if (topic == TOPIC_NONE && !record_topic_is_valid(record->topic)) {
        return "a record has a topic that no broker writes";
    }
    topic = topic == TOPIC_NONE ? topic_add(&self->topics, record->topic, TOPIC_SLOTS) : topic;
    if (topic == TOPIC_NONE) {
        return "the log has more topics than this broker can know";
    }
    tallies_add(&self->tallies, segment, offset, topic, 1);
    return NULL;
}

static enum err open_log(struct broker *self, char **problem)
{
    struct event_log_recovery recovery = {0};
    const int64_t started_us = self->world.mono_us(self->world.context);
    const enum err err = event_log_open(&self->log, &self->options.log, &recovery);
    if (err != ERR_OK) {
        *problem = mem_strdup(recovery.problem);
        return err;
    }
    self->tail = event_log_cursor_new(self->log);
    self->elsewhere = event_log_cursor_new(self->log);
    self->tail_from = event_log_next(self->log);
    log_info("log recovered",
             LOG_STR("directory", self->options.log.directory),
             LOG_INT("records", recovery.records),
             LOG_INT("next_offset", event_log_next(self->log)),
             LOG_INT("segments", event_log_segments(self->log)),
             LOG_INT("duration_us", self->world.mono_us(self->world.context) - started_us));
    if (recovery.torn_bytes > 0) {
        log_warn("torn tail cut off",
                 LOG_INT("bytes", recovery.torn_bytes),
                 LOG_INT("offset", recovery.torn_at));
    }
    return ERR_OK;
}

// Brings the groups to where the log is: a crash may have come between a drop and their save. They
// skip what is gone first: a group knows of nothing that is too far above its floor, and what the
// log says of later events must not be lost on it.
static enum err catch_up(struct broker *self, char **problem)
{
    for (size_t i = 0; i < self->consumers_count; i++) {
        broker_skip_to(self, self->consumers[i], event_log_first(self->log));
    }
    enum err err = replay(self, problem);
    for (size_t i = 0; i < self->consumers_count && err == ERR_OK; i++) {
        struct consumer *consumer = self->consumers[i];
        find_redrive_topic(self, consumer);
        err = broker_count(self, consumer, event_log_next(self->log), &consumer->backlog);
        if (err != ERR_OK) {
            *problem = mem_strdup(event_log_cursor_problem(self->elsewhere));
        }
    }
    return err;
}

enum err broker_load(struct broker *self, char **problem)
{
    char text[GROUP_FILE_PROBLEM_SIZE];
    enum err err = group_file_load(
        self->options.log.disk, self->options.directory, broker_take_kept, self, text);
    if (err != ERR_OK) {
        *problem = mem_strdup(text);
        return err;
    }
    self->options.log.known_end = self->kept_end;
    self->options.log.found = found;
    self->options.log.found_context = self;
    err = open_log(self, problem);
    if (err != ERR_OK) {
        return err;
    }
    if (self->kept_end > event_log_next(self->log)) {
        *problem = mem_format("%s/" GROUP_FILE_NAME " knows the log up to offset %llu, but the log "
                              "ends at %llu: files of the log are missing; restore them, or move "
                              "the file away to start all groups anew",
                              self->options.directory,
                              (unsigned long long)self->kept_end,
                              (unsigned long long)event_log_next(self->log));
        return ERR_CORRUPT;
    }
    return catch_up(self, problem);
}

// Counts what the group has taken, or wants, of the offsets from first up to end.
static enum err read_and_count(struct broker *self, const struct consumer *consumer, uint64_t first,
                               uint64_t end, uint64_t *out)
{
    struct event_log_entry entry;
    for (uint64_t at = first; at < end; at++) {
        if (group_is_taken(consumer->group, at)) {
            ++*out;
        } else if (!group_is_done(consumer->group, at)) {
            const enum err err = broker_read(self, self->elsewhere, at, &entry);
            if (err != ERR_OK) {
                return err;
            }
            *out += consumer_wants(consumer, topic_find(&self->topics, entry.record.topic));
        }
    }
    return ERR_OK;
}

enum err broker_count(struct broker *self, const struct consumer *consumer, uint64_t end,
                      uint64_t *out)
{
    const struct tallies *tallies = &self->tallies;
    struct group_stats stats;
    uint64_t count = 0;
    enum err err = ERR_OK;
    group_stats_get(consumer->group, &stats);
    for (size_t i = 0; i < tallies->count && tallies->list[i].first < end && err == ERR_OK; i++) {
        const struct tally *tally = &tallies->list[i];
        const uint64_t next = i + 1 < tallies->count ? tally[1].first : event_log_next(self->log);
        for (int topic = 0; topic < tally->topics && tally->first >= stats.end; topic++) {
            count += consumer_wants(consumer, topic) ? tally->records[topic] : 0;
        }
        if (tally->first < stats.end && next > stats.floor) { // partly done, or not meant
            const uint64_t first = tally->first < stats.floor ? stats.floor : tally->first;
            err = read_and_count(self, consumer, first, next, &count);
        }
    }
    if (err == ERR_OK) {
        *out = count;
    }
    return err;
}

enum err broker_set_topics(struct broker *self, struct consumer *consumer,
                           const struct topic_set *wanted)
{
    const struct topic_set before = consumer->wanted;
    consumer->wanted = *wanted;
    const enum err err =
        broker_count(self, consumer, event_log_next(self->log), &consumer->backlog);
    if (err != ERR_OK) {
        consumer->wanted = before;
    }
    return err;
}
