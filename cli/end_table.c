#include "cli/end_table.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/uuid.h"

enum {
    SLOTS_MIN = 1024
}; // a power of two

struct end {
    char id[UUID_SIZE]; // empty: a free slot
    bool confirmed;
    int64_t at_us;
};

struct end_table {
    pthread_mutex_t mutex;
    struct end *slots;  // owned; at most half of them used
    size_t slots_count; // a power of two
    size_t used;
};

struct end_table *end_table_new(void)
{
    struct end_table *self = mem_calloc(1, sizeof *self);
    self->slots = mem_calloc(SLOTS_MIN, sizeof *self->slots);
    self->slots_count = SLOTS_MIN;
    pthread_mutex_init(&self->mutex, NULL);
    return self;
}

void end_table_destroy(struct end_table **self_p)
{
    struct end_table *self = *self_p;
    if (self == NULL) {
        return;
    }
    pthread_mutex_destroy(&self->mutex);
    free(self->slots);
    free(self);
    *self_p = NULL;
}

// FNV-1a (Fowler, Noll, Vo), 64 bits.
static uint64_t hash_of(const char *id)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *id != '\0'; id++) {
        hash = (hash ^ (uint8_t)*id) * UINT64_C(0x100000001b3);
    }
    return hash;
}

// The slot that holds id, or the free one where it belongs.
static struct end *slot_of(struct end *slots, size_t slots_count, const char *id)
{
    size_t at = hash_of(id) & (slots_count - 1);
    while (slots[at].id[0] != '\0' && strcmp(slots[at].id, id) != 0) {
        at = (at + 1) & (slots_count - 1);
    }
    return &slots[at];
}

static void grow(struct end_table *self)
{
    const size_t count = self->slots_count * 2;
    struct end *slots = mem_calloc(count, sizeof *slots);
    for (size_t i = 0; i < self->slots_count; i++) {
        if (self->slots[i].id[0] != '\0') {
            *slot_of(slots, count, self->slots[i].id) = self->slots[i];
        }
    }
    free(self->slots);
    self->slots = slots;
    self->slots_count = count;
}

bool end_table_add(struct end_table *self, struct bytes id, bool confirmed, int64_t at_us)
{
    if (id.size != UUID_SIZE - 1 || memchr(id.data, '\0', id.size) != NULL) {
        return false;
    }
    struct end end = {.confirmed = confirmed, .at_us = at_us};
    memcpy(end.id, id.data, id.size);
    pthread_mutex_lock(&self->mutex);
    struct end *slot = slot_of(self->slots, self->slots_count, end.id);
    const bool first = slot->id[0] == '\0';
    if (first) {
        *slot = end;
        self->used++;
        if (self->used * 2 > self->slots_count) {
            grow(self);
        }
    }
    pthread_mutex_unlock(&self->mutex);
    return first;
}

bool end_table_find(const struct end_table *self, const char *id, bool *confirmed, int64_t *at_us)
{
    const struct end *slot = slot_of(self->slots, self->slots_count, id);
    if (slot->id[0] == '\0' || id[0] == '\0') {
        return false;
    }
    *confirmed = slot->confirmed;
    *at_us = slot->at_us;
    return true;
}

void end_table_lock(struct end_table *self)
{
    pthread_mutex_lock(&self->mutex);
}

void end_table_unlock(struct end_table *self)
{
    pthread_mutex_unlock(&self->mutex);
}
