// consumer - one consumer group as the broker keeps it: the state machine, the topics
// it subscribes to, its lag and its dead letters.
#ifndef FAULTLINE_CONSUMER_H
#define FAULTLINE_CONSUMER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/event_log.h"
#include "broker/group.h"
#include "broker/topic_table.h"
#include "common/wire.h"

struct consumer {
    struct group *group; // owned
    uint16_t topics[WIRE_TOPICS_MAX];
    size_t topics_count;
    struct topic_set wanted; // the same as a set

    // Matching events that are not done, wherever they are: +1 with each matching
    // append, -1 with each that is done.
    uint64_t backlog;
    uint64_t *dead_letters; // owned; offsets of its dead letters in the log, ascending
    size_t dead_letters_count;
    size_t dead_letters_capacity;

    struct event_log_cursor *cursor; // owned; NULL while it keeps up with the log's end
    int64_t no_member_since_us;      // wall clock; 0: it has members
    int64_t paused_until_ms;         // 0: not; a record it needs could not be read
};

// consumer_new takes over group.
struct consumer *consumer_new(struct group *group);
void consumer_destroy(struct consumer **self_p);

// consumer_set_topics replaces the topics; numbers are topic_table's. It tells
// whether the set is another one now.
bool consumer_set_topics(struct consumer *self, const uint16_t *topics, size_t count);

// consumer_done: one matching event less to do.
void consumer_done(struct consumer *self);

// consumer_add_dead_letter notes a dead letter behind all others.
void consumer_add_dead_letter(struct consumer *self, uint64_t offset);

// consumer_dead_letter_from gives the first dead letter at or above offset; false: none.
bool consumer_dead_letter_from(const struct consumer *self, uint64_t offset, uint64_t *out);

#endif
