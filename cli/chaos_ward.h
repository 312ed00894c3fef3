// chaos_ward - the processes of a house while it is harmed: who is under which fault, when
// that ends, who comes up again and how long it takes.
//
//            hit                 time is up                answers /readyz
//   WELL -----------> DOWN ---------------------> COMING -----------------> WELL
//     \  SIGTERM      /|\          start            |
//      \---> LEAVING --/                            |  hit again, or died
//       \--> STILL, SLOWED, FULL ------------------>|
//                        resumed, limit lifted
//
// Who dies at the crash point that he was armed with is started again; who dies without
// having been asked to as well, and is a finding.
#ifndef FAULTLINE_CLI_CHAOS_WARD_H
#define FAULTLINE_CLI_CHAOS_WARD_H

#include "cli/chaos_log.h"
#include "cli/chaos_plan.h"
#include "cli/target.h"

enum {
    CHAOS_POINTS_MAX = 128
};

// Samples in microseconds.
struct chaos_times {
    int64_t *us; // owned
    size_t count;
    size_t capacity;
};

// chaos_times_percentile sorts them and gives one by nearest rank; -1 without samples.
int64_t chaos_times_percentile(struct chaos_times *self, int percent);

// What came of it.
struct chaos_ward_counts {
    char names[CHAOS_PARTS_MAX][HOUSE_NAME_SIZE];
    size_t parts_count;
    size_t hits[CHAOS_KINDS][CHAOS_PARTS_MAX];
    size_t armed[CHAOS_POINTS_MAX]; // as crash_points of common/crash_point.h
    size_t fired[CHAOS_POINTS_MAX];
    size_t missed; // was still under a fault: the machine is slower than the plan thought
    struct chaos_times outage[CHAOS_KINDS];   // the fault's beginning to ready again
    struct chaos_times recovery[CHAOS_KINDS]; // the fault's end to ready
    // Findings.
    size_t deaths;    // that nobody had asked for
    size_t bad_ends;  // after SIGTERM: later than 5 s, or with another exit code than 0
    size_t bad_lifts; // could not be started, or may not be signalled
};
void chaos_ward_counts_release(struct chaos_ward_counts *self);

struct chaos_ward; // opaque

// chaos_ward_new takes over nothing: dir, target and log are borrowed and outlive it.
struct chaos_ward *chaos_ward_new(const char *dir, struct target *target,
                                  const struct chaos_log *log);
void chaos_ward_destroy(struct chaos_ward **self_p);

// chaos_ward_crash_points: how many a process of a service has, for the plan.
size_t chaos_ward_crash_points(size_t service);

// chaos_ward_hit begins an action. false: the stack cannot be changed any more, which has
// been said.
bool chaos_ward_hit(struct chaos_ward *self, const struct chaos_action *action);

// chaos_ward_tend ends what is due and looks after everybody; call it every few
// milliseconds. false: as above.
bool chaos_ward_tend(struct chaos_ward *self);

// chaos_ward_lift_all makes everything that is under a fault due now.
void chaos_ward_lift_all(struct chaos_ward *self);

// chaos_ward_ill: how many are not well, be it that they are under a fault or not ready yet.
size_t chaos_ward_ill(const struct chaos_ward *self);

// chaos_ward_counts borrows the counts, until the ward is destroyed. Whoever copies them
// out for good sets them to zero, so that destroying the ward does not free their times.
struct chaos_ward_counts *chaos_ward_counts(struct chaos_ward *self);

#endif
