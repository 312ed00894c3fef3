// chaos_tally - what came of the faults of a run: who was hit by what and how often, how
// long it took him to come back, which crash points fired.
#ifndef FAULTLINE_CLI_CHAOS_TALLY_H
#define FAULTLINE_CLI_CHAOS_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "cli/chaos/chaos_plan.h"
#include "cli/house.h"

enum {
    CHAOS_POINTS_MAX = 128
};

// Samples in microseconds.
struct chaos_times {
    int64_t *us; // owned
    size_t count;
    size_t capacity;
};

void chaos_times_add(struct chaos_times *self, int64_t us);

// chaos_times_percentile sorts them and gives one by nearest rank; -1 without samples.
int64_t chaos_times_percentile(struct chaos_times *self, int percent);

// What came of a run's faults.
struct chaos_tally {
    char names[CHAOS_PARTS_MAX][HOUSE_NAME_SIZE];
    size_t parts_count;
    size_t hits[CHAOS_KINDS][CHAOS_PARTS_MAX];
    size_t armed[CHAOS_POINTS_MAX]; // as crash_points of common/crash_point.h
    size_t fired[CHAOS_POINTS_MAX];
    size_t missed; // was still under a fault: the machine is slower than the plan thought
    struct chaos_times outage[CHAOS_KINDS];   // the fault's beginning to ready again
    struct chaos_times recovery[CHAOS_KINDS]; // the fault's end to ready
    // Findings.
    size_t deaths[CHAOS_PARTS_MAX];    // that nobody had asked for
    size_t bad_ends[CHAOS_PARTS_MAX];  // after SIGTERM: later than 5 s, or not with exit code 0
    size_t bad_lifts[CHAOS_PARTS_MAX]; // could not be started, or may not be signalled
};

// chaos_tally_release frees the times.
void chaos_tally_release(struct chaos_tally *self);

// chaos_tally_points_of: how many crash points a process of a service has.
size_t chaos_tally_points_of(size_t service);

// chaos_tally_point is the nth of them, from 0, as an index of crash_points; -1 for -1.
int chaos_tally_point(size_t service, int n);

#endif
