#include "broker/topic.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

bool topic_begins(struct bytes topic, const char *prefix)
{
    const size_t size = strlen(prefix);
    return topic.size >= size && memcmp(topic.data, prefix, size) == 0;
}

bool topic_is_own(struct bytes topic)
{
    return topic_begins(topic, TOPIC_DEAD_LETTER) || topic_begins(topic, TOPIC_REDRIVE);
}

struct bytes topic_of_group(char name[RECORD_TOPIC_MAX + 1], const char *prefix, const char *group)
{
    snprintf(name, RECORD_TOPIC_MAX + 1, "%s%s", prefix, group);
    return bytes_of_text(name);
}

// The place in the index where topic is, or where it would go.
static size_t place_of(const struct topic_table *self, struct bytes topic)
{
    size_t at = record_crc32c(0, topic.data, topic.size) % TOPIC_INDEX_SIZE;
    while (self->index[at] != 0 &&
           !bytes_equal_text(topic, self->topics[self->index[at] - 1].name)) {
        at = (at + 1) % TOPIC_INDEX_SIZE;
    }
    return at;
}

int topic_find(const struct topic_table *self, struct bytes topic)
{
    return self->index[place_of(self, topic)] - 1;
}

int topic_add(struct topic_table *self, struct bytes topic, int topics_max)
{
    assert(topic.size <= RECORD_TOPIC_MAX && topics_max <= TOPIC_SLOTS);
    const size_t at = place_of(self, topic);
    if (self->index[at] != 0) {
        return self->index[at] - 1;
    }
    if (self->count >= topics_max) {
        return TOPIC_NONE;
    }
    memcpy(self->topics[self->count].name, topic.data, topic.size);
    self->index[at] = (int16_t)(self->count + 1);
    return self->count++;
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
