#include "broker/topic.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

bool topic_is_dead_letter(struct bytes topic)
{
    const size_t prefix = sizeof TOPIC_DEAD_LETTER - 1;
    return topic.size >= prefix && memcmp(topic.data, TOPIC_DEAD_LETTER, prefix) == 0;
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

int topic_add(struct topic_table *self, struct bytes topic)
{
    assert(topic.size <= RECORD_TOPIC_MAX);
    const size_t at = place_of(self, topic);
    if (self->index[at] != 0) {
        return self->index[at] - 1;
    }
    const bool dead_letter = topic_is_dead_letter(topic);
    const int others = self->count - self->dead_letter_count;
    if (dead_letter ? self->dead_letter_count == DEAD_LETTER_TOPICS : others == TOPICS_MAX) {
        return TOPIC_NONE;
    }
    memcpy(self->topics[self->count].name, topic.data, topic.size);
    self->dead_letter_count += dead_letter;
    self->index[at] = (int16_t)(self->count + 1);
    return self->count++;
}

int topic_add_dead_letters(struct topic_table *self, struct bytes group)
{
    char name[RECORD_TOPIC_MAX + 1];
    snprintf(
        name, sizeof name, TOPIC_DEAD_LETTER "%.*s", (int)group.size, (const char *)group.data);
    return topic_add(self, bytes_of_text(name));
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
