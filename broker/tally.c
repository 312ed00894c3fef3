#include "broker/tally.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

void tallies_release(struct tallies *self)
{
    tallies_drop(self, UINT64_MAX);
    free(self->list);
}

// The stretch that offset is in, as the latest record of all.
static struct tally *tally_at(struct tallies *self, uint64_t segment, uint64_t offset)
{
    struct tally *last = self->count == 0 ? NULL : &self->list[self->count - 1];
    if (last == NULL || last->first < segment || offset - last->first >= TALLY_RECORDS) {
        self->list = mem_realloc(self->list, (self->count + 1) * sizeof *self->list);
        last = &self->list[self->count++];
        *last = (struct tally){.first = offset};
    }
    return last;
}

void tallies_add(struct tallies *self, uint64_t segment, uint64_t offset, int topic,
                 uint32_t records)
{
    struct tally *tally = tally_at(self, segment, offset);
    if (topic >= tally->topics) {
        const size_t topics = (size_t)topic + 1;
        const size_t before = (size_t)tally->topics;
        tally->records = mem_realloc(tally->records, topics * sizeof *tally->records);
        memset(tally->records + before, 0, (topics - before) * sizeof *tally->records);
        tally->topics = topic + 1;
    }
    tally->records[topic] += records;
}

void tallies_drop(struct tallies *self, uint64_t first)
{
    size_t gone = 0;
    while (gone < self->count && self->list[gone].first < first) {
        free(self->list[gone++].records);
    }
    self->count -= gone;
    if (gone > 0) {
        memmove(self->list, self->list + gone, self->count * sizeof *self->list);
    }
}
