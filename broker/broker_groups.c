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

struct consumer *broker_add_consumer(struct broker *self, struct group *group)
{
    struct consumer *consumer = mem_calloc(1, sizeof *consumer);
    char redrive[RECORD_TOPIC_MAX + 1];
    consumer->group = group;
    consumer->redrive_topic =
        topic_find(&self->topics, topic_of_group(redrive, TOPIC_REDRIVE, group_name(group)));
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

// A record that the file does not know yet.
static void replay_one(struct broker *self, const struct event_log_entry *entry, int topic)
{
    if (topic_is_own(entry->record.topic)) {
        broker_settle_found(self, entry, topic);
    }
    for (size_t i = 0; i < self->consumers_count; i++) {
        self->consumers[i]->backlog += consumer_wants(self->consumers[i], topic);
    }
}

// Reads the log for the totals from counted on, for the groups from known on, and as far
// back as the window of duplicates goes.
static enum err replay(struct broker *self, uint64_t counted, uint64_t known, char **problem)
{
    const uint64_t next = event_log_next(self->log);
    const uint64_t first = event_log_first(self->log);
    const uint64_t window = next - first < DUPLICATES_WINDOW ? first : next - DUPLICATES_WINDOW;
    struct event_log_entry entry;
    uint64_t offset = counted < known ? counted : known;
    for (offset = offset < window ? offset : window; offset < next; offset++) {
        const enum err err = event_log_cursor_read(self->tail, offset, &entry);
        const int topic =
            err == ERR_OK ? topic_add(&self->topics, entry.record.topic, TOPIC_SLOTS) : TOPIC_NONE;
        if (topic == TOPIC_NONE) {
            *problem = mem_format("offset %llu of the log cannot be read (%s): restore %s from a "
                                  "backup",
                                  (unsigned long long)offset,
                                  err == ERR_OK ? "too many topics" : err_name(err),
                                  self->options.directory);
            return err == ERR_OK ? ERR_CORRUPT : err;
        }
        self->topics.topics[topic].records += offset >= counted;
        if (offset >= known) {
            replay_one(self, &entry, topic);
        }
        if (offset >= window && !topic_is_own(entry.record.topic)) {
            duplicates_add(
                &self->duplicates, offset, duplicates_hash(&self->duplicates, entry.record.id));
        }
    }
    return ERR_OK;
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

// Reads what the file does not know.
static enum err catch_up(struct broker *self, char **problem)
{
    // A log without this file is read from its beginning, and so it is for the totals when
    // a segment was dropped and the file does not know, or was to be dropped and was not.
    const uint64_t first = event_log_first(self->log);
    const uint64_t known = self->kept_end > first ? self->kept_end : first;
    const bool is_counted = self->kept_first == first;
    for (int topic = 0; topic < self->topics.count && !is_counted; topic++) {
        self->topics.topics[topic].records = 0;
    }
    enum err err = replay(self, is_counted ? known : first, known, problem);
    for (size_t i = 0; i < self->consumers_count && err == ERR_OK && !is_counted; i++) {
        broker_skip_to(self, self->consumers[i], first);
        err = broker_count_backlog(self, self->consumers[i]);
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

enum err broker_count_backlog(struct broker *self, struct consumer *consumer)
{
    struct group_stats stats;
    struct event_log_entry entry;
    struct buf unwanted = {0}; // offsets that were offered as wanted
    uint64_t backlog = 0;
    enum err err = ERR_OK;
    group_stats_get(consumer->group, &stats);
    for (uint64_t at = stats.floor; at < event_log_next(self->log) && err == ERR_OK; at++) {
        if (group_is_done(consumer->group, at)) {
            continue;
        }
        err = broker_read(self, self->elsewhere, at, &entry);
        if (err == ERR_OK &&
            consumer_wants(consumer, topic_find(&self->topics, entry.record.topic))) {
            backlog++;
        } else if (err == ERR_OK && at < stats.cursor) {
            buf_put(&unwanted, &at, sizeof at);
        }
    }
    if (err == ERR_OK) { // else a part of it would be wrong for ever
        consumer->backlog = backlog;
    }
    // A start would offer them again, as unwanted; so they end now, before they are counted.
    for (size_t at = 0; err == ERR_OK && at < unwanted.size; at += sizeof(uint64_t)) {
        uint64_t offset = 0;
        memcpy(&offset, unwanted.data + at, sizeof offset);
        (void)group_buried(consumer->group, offset);
    }
    if (unwanted.size > 0 && err == ERR_OK) {
        broker_let_go(self, consumer);
    }
    buf_release(&unwanted);
    return err;
}

enum err broker_count_fresh(struct broker *self, struct consumer *consumer)
{
    if (group_cursor(consumer->group) != event_log_first(self->log)) {
        return broker_count_backlog(self, consumer);
    }
    consumer->backlog = 0;
    for (int topic = 0; topic < self->topics.count; topic++) {
        const uint64_t records = self->topics.topics[topic].records;
        consumer->backlog += consumer_wants(consumer, topic) ? records : 0;
    }
    return ERR_OK;
}
