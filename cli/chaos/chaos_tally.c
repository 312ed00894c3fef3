#include "cli/chaos/chaos_tally.h"

#include <stdlib.h>

#include "common/crash_point.h"
#include "common/mem.h"

// --- times

void chaos_times_add(struct chaos_times *self, int64_t us)
{
    self->us = mem_grow(self->us, &self->capacity, self->count + 1, sizeof *self->us);
    self->us[self->count++] = us;
}

static int compare_times(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left;
    const int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

int64_t chaos_times_percentile(struct chaos_times *self, int percent)
{
    if (self->count == 0) {
        return -1;
    }
    qsort(self->us, self->count, sizeof *self->us, compare_times);
    return self->us[(self->count - 1) * (size_t)percent / 100];
}

void chaos_tally_release(struct chaos_tally *self)
{
    for (size_t kind = 0; kind < CHAOS_KINDS; kind++) {
        free(self->outage[kind].us);
        free(self->recovery[kind].us);
        self->outage[kind] = self->recovery[kind] = (struct chaos_times){0};
    }
}

// --- crash points

size_t chaos_tally_points_of(size_t service)
{
    size_t count = 0;
    for (size_t i = 0; i < CHAOS_POINTS_MAX && crash_points[i].name != NULL; i++) {
        count += crash_point_is_of(&crash_points[i], house_service(service)) ? 1 : 0;
    }
    return count;
}

int chaos_tally_point(size_t service, int n)
{
    for (int i = 0; n >= 0 && i < CHAOS_POINTS_MAX && crash_points[i].name != NULL; i++) {
        if (crash_point_is_of(&crash_points[i], house_service(service)) && n-- == 0) {
            return i;
        }
    }
    return -1;
}
