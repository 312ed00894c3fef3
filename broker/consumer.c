#include "broker/consumer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct consumer *consumer_new(struct group *group)
{
    struct consumer *self = mem_calloc(1, sizeof *self);
    self->group = group;
    return self;
}

void consumer_destroy(struct consumer **self_p)
{
    struct consumer *self = *self_p;
    if (self == NULL) {
        return;
    }
    event_log_cursor_destroy(&self->cursor);
    free(self->dead_letters);
    group_destroy(&self->group);
    free(self);
    *self_p = NULL;
}

bool consumer_set_topics(struct consumer *self, const uint16_t *topics, size_t count)
{
    assert(count <= WIRE_TOPICS_MAX);
    struct topic_set wanted = {0};
    self->topics_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!topic_set_has(&wanted, topics[i])) {
            topic_set_add(&wanted, topics[i]);
            self->topics[self->topics_count++] = topics[i];
        }
    }
    const bool changed = memcmp(&wanted, &self->wanted, sizeof wanted) != 0;
    self->wanted = wanted;
    return changed;
}

void consumer_done(struct consumer *self)
{
    if (self->backlog > 0) {
        self->backlog--;
    }
}

void consumer_add_dead_letter(struct consumer *self, uint64_t offset)
{
    if (self->dead_letters_count == self->dead_letters_capacity) {
        self->dead_letters_capacity =
            self->dead_letters_capacity == 0 ? 16 : 2 * self->dead_letters_capacity;
        self->dead_letters = mem_realloc(self->dead_letters,
                                         self->dead_letters_capacity * sizeof *self->dead_letters);
    }
    assert(self->dead_letters_count == 0 ||
           self->dead_letters[self->dead_letters_count - 1] < offset);
    self->dead_letters[self->dead_letters_count++] = offset;
}

bool consumer_dead_letter_from(const struct consumer *self, uint64_t offset, uint64_t *out)
{
    size_t low = 0;
    size_t high = self->dead_letters_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->dead_letters[middle] < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == self->dead_letters_count) {
        return false;
    }
    *out = self->dead_letters[low];
    return true;
}
