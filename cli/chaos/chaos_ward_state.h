// chaos_ward_state - the inside of chaos_ward.h, for chaos_ward.c, chaos_ward_hit.c and
// chaos_ward_lift.c.
#ifndef FAULTLINE_CLI_CHAOS_WARD_STATE_H
#define FAULTLINE_CLI_CHAOS_WARD_STATE_H

#include "cli/chaos/chaos_ward.h"

enum {
    CHAOS_WARD_END_MS = 5000,  // after SIGTERM; a service promises 2 s
    CHAOS_WARD_AGAIN_MS = 300, // after a death, or a start that failed
};

enum phase {
    WELL,
    DOWN,    // dead until due_ms
    LEAVING, // it got SIGTERM and has until due_ms
    STILL,   // paused until due_ms
    SLOWED,  // in slices until due_ms
    FULL,    // its files are limited until due_ms
    COMING,  // not ready yet
    LOST,    // it could not be brought back, and nobody tries any more
};

struct patient {
    enum phase phase;
    enum chaos_kind kind; // of its last fault
    int64_t due_ms;
    int64_t hit_us;
    int64_t lifted_us;
    int64_t probe_ms; // when to ask it again
    int64_t down_ms;  // LEAVING: how long to be dead then
    bool was_coming;  // when it was hit
    int point;        // index of crash_points that it is armed with; -1: none
    int point_pass;   // at which passing
    int next_point;   // likewise, from its next start on
    int next_pass;
    int running_percent;  // SLOWED
    int64_t slice_end_ms; // SLOWED: then it is stopped, or goes on
    bool stopped;         // SLOWED
    bool is_late;         // that has been told
    int failures;         // to bring it back, in a row
};

struct chaos_ward {
    const char *dir;             // borrowed
    struct target *target;       // borrowed
    const struct chaos_log *log; // borrowed
    struct http_client *client;  // owned
    struct patient patients[CHAOS_PARTS_MAX];
    int64_t look_ms; // when to look for deaths again
    char *problem;   // owned; why the last start failed; NULL: it did not
    struct chaos_tally tally;
};

// chaos_ward_enter reads who is who, since a person may start things as well, and locks
// the stack until target_release. false: it cannot be changed any more, which was said.
bool chaos_ward_enter(struct chaos_ward *self);

// chaos_ward_name is the name of a part; borrowed.
const char *chaos_ward_name(const struct chaos_ward *self, size_t index);

// chaos_ward_is_native: its processes are ours to start, not a container engine's.
bool chaos_ward_is_native(const struct chaos_ward *self);

// chaos_ward_is_held: a fault is still on it, which is to be ended.
bool chaos_ward_is_held(enum phase phase);

// chaos_ward_lift_due ends the faults whose time is up. false: as chaos_ward_enter.
bool chaos_ward_lift_due(struct chaos_ward *self, int64_t now_ms);

// chaos_ward_reap writes how a child of ours died, or "" when it is not ours, and returns
// out. Its first thread may be gone a little before the last one is; only then can it be
// waited for.
const char *chaos_ward_reap(const struct part *part, char *out, size_t size);

// chaos_ward_has_fired tells whether who died so did it at its crash point; if so that is
// written down. chaos_ward_count_death writes down that nobody had asked for it.
bool chaos_ward_has_fired(struct chaos_ward *self, size_t index, const char *how);
void chaos_ward_count_death(struct chaos_ward *self, size_t index, const char *how);

#endif
