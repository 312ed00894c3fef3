// topic - the topics of the log: a small number for each, and how many records each
// has. Pure. Zero is an empty table.
#ifndef FAULTLINE_TOPIC_H
#define FAULTLINE_TOPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/record.h"

enum {
    TOPICS_MAX = 1024,        // topics that clients may name
    DEAD_LETTER_TOPICS = 256, // room for one dead-letter topic a group
    TOPIC_SLOTS = TOPICS_MAX + DEAD_LETTER_TOPICS,
    TOPIC_INDEX_SIZE = 4096, // less than a third full
    TOPIC_NONE = -1,
};

// The topics of dead letters, "dead-letter.GROUP", are the broker's own.
#define TOPIC_DEAD_LETTER "dead-letter."

struct topic {
    char name[RECORD_TOPIC_MAX + 1];
    uint64_t records; // of this topic in the log
    uint32_t pending; // appended and not synced
};

struct topic_table {
    struct topic topics[TOPIC_SLOTS];
    int16_t index[TOPIC_INDEX_SIZE]; // number + 1; 0: empty. Open addressing
    int count;                       // numbers are below it
    int dead_letter_count;
};

// A set of topics, by number: what a group subscribes to.
struct topic_set {
    uint64_t bits[TOPIC_SLOTS / 64];
};

bool topic_is_dead_letter(struct bytes topic);

// topic_find gives the number of a topic, TOPIC_NONE when it was never added.
int topic_find(const struct topic_table *self, struct bytes topic);

// topic_add finds it or adds it. TOPIC_NONE: TOPICS_MAX are there (dead-letter topics
// count by themselves). topic_add_dead_letters does that for a group's dead letters.
int topic_add(struct topic_table *self, struct bytes topic);
int topic_add_dead_letters(struct topic_table *self, struct bytes group);

bool topic_set_has(const struct topic_set *set, int topic);
void topic_set_add(struct topic_set *set, int topic);

#endif
