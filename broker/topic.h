// topic - the topics of the log: a small number for each. Pure. Zero is an empty table.
#ifndef FAULTLINE_TOPIC_H
#define FAULTLINE_TOPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/record.h"

enum {
    TOPICS_MAX = 1024,              // no client brings a topic when there are so many
    TOPIC_SLOTS = TOPICS_MAX + 512, // the rest is for the broker's own: two a group
    TOPIC_INDEX_SIZE = 4096,        // less than half full
    TOPIC_NONE = -1,
};

// The broker's own topics: the dead letters of a group, "dead-letter.GROUP", and those
// that were given back to it, "redrive.GROUP". There are none before the first is written.
#define TOPIC_DEAD_LETTER "dead-letter."
#define TOPIC_REDRIVE     "redrive."

struct topic {
    char name[RECORD_TOPIC_MAX + 1];
    uint32_t pending; // appended and not synced
};

struct topic_table {
    struct topic topics[TOPIC_SLOTS];
    int16_t index[TOPIC_INDEX_SIZE]; // number + 1; 0: empty. Open addressing
    int count;                       // numbers are below it
};

// A set of topics, by number: what a group subscribes to.
struct topic_set {
    uint64_t bits[TOPIC_SLOTS / 64];
};

// topic_begins: with TOPIC_DEAD_LETTER or TOPIC_REDRIVE; topic_is_own: with one of them.
bool topic_begins(struct bytes topic, const char *prefix);
bool topic_is_own(struct bytes topic);

// topic_of_group writes the name of the broker's own topic of a group and returns a view of it.
struct bytes topic_of_group(char name[RECORD_TOPIC_MAX + 1], const char *prefix, const char *group);

// topic_find gives the number of a topic, TOPIC_NONE when it was never added.
int topic_find(const struct topic_table *self, struct bytes topic);

// topic_add finds it or adds it. TOPIC_NONE: topics_max (at most TOPIC_SLOTS) are there.
int topic_add(struct topic_table *self, struct bytes topic, int topics_max);

bool topic_set_has(const struct topic_set *set, int topic);
void topic_set_add(struct topic_set *set, int topic);

#endif
