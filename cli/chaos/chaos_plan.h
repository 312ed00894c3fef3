// chaos_plan - what `faultline chaos` does to whom, when and for how long: all of it
// decided by a seed, without looking at the machine, so that the same seed on the same
// stack makes the same plan.
//
// The plan has its own idea of the house: it knows when each fault that it has planned
// is over, and hits nobody who is still under one. Who recovers counts as free: he
// may be hit again while he does.
#ifndef FAULTLINE_CLI_CHAOS_PLAN_H
#define FAULTLINE_CLI_CHAOS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/seed.h"

enum chaos_kind {
    CHAOS_KILL,         // SIGKILL, one process
    CHAOS_KILL_SEVERAL, // at the same moment, up to all of them
    CHAOS_AMBUSH,       // SIGKILL of the broker while those killed before come up again
    CHAOS_HICCUP,       // a pause that sessions outlive
    CHAOS_FREEZE,       // a pause longer than three heartbeats
    CHAOS_RESTART,      // SIGTERM, then a start
    CHAOS_SLOW,         // stopped and continued, many times a second
    CHAOS_FULL,         // its files take nothing any more: no write succeeds
    CHAOS_BRIM,         // no file of it can become larger than its largest one is
    CHAOS_CRASH,        // comes to the crash point that it was armed with: not an action
};

enum {
    CHAOS_KINDS = CHAOS_CRASH + 1,
    CHAOS_PARTS_MAX = 128,
};

// What a kind is.
struct chaos_kind_def {
    const char *name;
    unsigned weight;  // how often it is drawn, beside the others; 0: it follows from another
    bool several;     // hits more than one
    bool native_only; // needs the process itself, which containers hide
    bool kills;       // they are dead meanwhile and started at its end
    int64_t for_min_ms, for_max_ms;
};
extern const struct chaos_kind_def chaos_kinds[CHAOS_KINDS];

// The house that a plan is for.
struct chaos_house {
    size_t parts_count;    // at least 1, at most CHAOS_PARTS_MAX
    size_t broker;         // the part that is the broker
    bool native;           // faults that need the process itself are possible
    int64_t minutes_in_ms; // no action begins later than this
    // How many crash points each part has; 0: it is always started unarmed.
    size_t crash_points[CHAOS_PARTS_MAX];
};

struct chaos_action {
    enum chaos_kind kind;
    int64_t at_ms;  // from the start
    int64_t for_ms; // the fault is lifted so long after that
    bool whom[CHAOS_PARTS_MAX];
    int running_percent; // CHAOS_SLOW: so much of the time it runs
    // Whoever was dead is armed at its start: it dies again at the crash_pass-th passing
    // of the point of this index. -1: not armed.
    int crash_point[CHAOS_PARTS_MAX];
    int crash_pass;
};

struct chaos_plan {
    struct seed seed;
    struct chaos_house house;
    int64_t now_ms;                   // when the last action began
    int64_t free_ms[CHAOS_PARTS_MAX]; // when each part's last fault is over
    bool ambush_is_due;
    struct chaos_action ambush; // when it is
};

// chaos_plan_init begins a plan; it copies the house.
void chaos_plan_init(struct chaos_plan *self, uint64_t seed, const struct chaos_house *house);

// chaos_plan_next gives the next action, never earlier than the one before. false: the
// time is over.
bool chaos_plan_next(struct chaos_plan *self, struct chaos_action *out);

#endif
