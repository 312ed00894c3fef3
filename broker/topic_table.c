#include "broker/topic_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum {
    INDEX_SIZE = 4096, // less than a third full
};

struct topic {
    char *name; // owned
    size_t size;
    uint64_t records;
};

struct topic_table {
    struct topic topics[TOPIC_SLOTS];
    int16_t index[INDEX_SIZE]; // number + 1; 0: empty. Open addressing
    int count;
    int dead_letter_count;
};

bool topic_is_dead_letter(struct bytes topic)
{
    const size_t prefix = sizeof TOPIC_DEAD_LETTER - 1;
    return topic.size >= prefix && memcmp(topic.data, TOPIC_DEAD_LETTER, prefix) == 0;
}

struct topic_table *topic_table_new(void)
{
    return mem_calloc(1, sizeof(struct topic_table));
}

void topic_table_destroy(struct topic_table **self_p)
{
    struct topic_table *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (int i = 0; i < self->count; i++) {
        free(self->topics[i].name);
    }
    free(self);
    *self_p = NULL;
}

// The place in the index where topic is, or where it would go.
static size_t topic_place(const struct topic_table *self, struct bytes topic)
{
    uint32_t at = record_crc32c(0, topic.data, topic.size) % INDEX_SIZE;
    while (self->index[at] != 0) {
        const struct topic *there = &self->topics[self->index[at] - 1];
        if (there->size == topic.size && memcmp(there->name, topic.data, topic.size) == 0) {
            break;
        }
        at = (at + 1) % INDEX_SIZE;
    }
    return at;
}

int topic_find(const struct topic_table *self, struct bytes topic)
{
    return self->index[topic_place(self, topic)] - 1;
}

int topic_add(struct topic_table *self, struct bytes topic)
{
    const size_t at = topic_place(self, topic);
    if (self->index[at] != 0) {
        return self->index[at] - 1;
    }
    const bool dead_letter = topic_is_dead_letter(topic);
    const int others = self->count - self->dead_letter_count;
    if (dead_letter ? self->dead_letter_count == DEAD_LETTER_TOPICS : others == TOPICS_MAX) {
        return TOPIC_NONE;
    }
    const int number = self->count++;
    self->dead_letter_count += dead_letter;
    self->topics[number] = (struct topic){
        .name = mem_strndup((const char *)topic.data, topic.size),
        .size = topic.size,
    };
    self->index[at] = (int16_t)(number + 1);
    return number;
}

const char *topic_name(const struct topic_table *self, int topic)
{
    assert(topic >= 0 && topic < self->count);
    return self->topics[topic].name;
}

int topic_count(const struct topic_table *self)
{
    return self->count;
}

uint64_t topic_records(const struct topic_table *self, int topic)
{
    assert(topic >= 0 && topic < self->count);
    return self->topics[topic].records;
}

void topic_records_add(struct topic_table *self, int topic, uint64_t records)
{
    assert(topic >= 0 && topic < self->count);
    self->topics[topic].records += records;
}

bool topic_set_has(const struct topic_set *set, int topic)
{
    assert(topic >= 0 && topic < TOPIC_SLOTS);
    return (set->bits[topic / 64] >> (topic % 64) & 1) != 0;
}

void topic_set_add(struct topic_set *set, int topic)
{
    assert(topic >= 0 && topic < TOPIC_SLOTS);
    set->bits[topic / 64] |= UINT64_C(1) << (topic % 64);
}
