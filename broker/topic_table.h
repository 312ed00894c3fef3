// topic_table - the topics of the log, a small number for each, and how many
// records each has. Pure.
#ifndef FAULTLINE_TOPIC_TABLE_H
#define FAULTLINE_TOPIC_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/record.h"

enum {
    TOPICS_MAX = 1024,        // topics that clients may name
    DEAD_LETTER_TOPICS = 256, // room for one dead-letter topic a group
    TOPIC_SLOTS = TOPICS_MAX + DEAD_LETTER_TOPICS,
    TOPIC_NONE = -1,
};

// The topics of dead letters, "dead-letter.GROUP", are the broker's own.
#define TOPIC_DEAD_LETTER "dead-letter."

bool topic_is_dead_letter(struct bytes topic);

struct topic_table; // opaque

struct topic_table *topic_table_new(void);
void topic_table_destroy(struct topic_table **self_p);

// topic_find gives the number of a topic, TOPIC_NONE when it was never added.
int topic_find(const struct topic_table *self, struct bytes topic);

// topic_add finds it or adds it. TOPIC_NONE: TOPICS_MAX are there (dead-letter
// topics count by themselves).
int topic_add(struct topic_table *self, struct bytes topic);

// topic_name is borrowed; topic is a number below topic_count.
const char *topic_name(const struct topic_table *self, int topic);
int topic_count(const struct topic_table *self);

// topic_records: records of this topic in the log; topic_records_add adds some.
uint64_t topic_records(const struct topic_table *self, int topic);
void topic_records_add(struct topic_table *self, int topic, uint64_t records);

// A set of topics: what a group subscribes to.
struct topic_set {
    uint64_t bits[TOPIC_SLOTS / 64];
};

bool topic_set_has(const struct topic_set *set, int topic);
void topic_set_add(struct topic_set *set, int topic);

#endif
