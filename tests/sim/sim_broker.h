// sim_broker - the broker's process: what server.c is around the real broker core, with a
// ROUTER, a disk and clocks that are simulated, and all the ways to die.
#ifndef FAULTLINE_SIM_BROKER_H
#define FAULTLINE_SIM_BROKER_H

#include "tests/sim/sim.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_model.h"
#include "tests/sim/sim_net.h"

struct sim_broker; // opaque

struct sim_broker_options {
    uint64_t segment_bytes;
    uint64_t disk_bytes_max, reserve_bytes;
    uint32_t heartbeat_ms;
    uint32_t sessions_max;
    uint32_t dead_letters_max;
    uint64_t retention_bytes;
    int64_t retention_hours;
    bool retention_ignores_groups;
    bool has_weak_random; // its random numbers are all 0
};

// sim_broker_new makes a process that does not run yet, on an empty disk.
struct sim_broker *sim_broker_new(struct sim *sim, struct sim_net *net,
                                  const struct sim_broker_options *options);
void sim_broker_destroy(struct sim_broker **self_p);

struct sim_disk *sim_broker_disk(const struct sim_broker *self);
void sim_broker_watch(struct sim_broker *self, struct sim_model *model);

// sim_broker_start: it may not come up, when the disk says no, or die of it.
void sim_broker_start(struct sim_broker *self);
bool sim_broker_is_up(const struct sim_broker *self);

// sim_broker_ended_us: when the last process ended; the next begins no earlier.
int64_t sim_broker_ended_us(const struct sim_broker *self);

// sim_broker_step takes what has arrived and does one round. sim_broker_next_us: when.
void sim_broker_step(struct sim_broker *self);
int64_t sim_broker_next_us(const struct sim_broker *self);

// sim_broker_stop: SIGTERM. sim_broker_kill: SIGKILL, or the power fails.
// sim_broker_kill_within: the same in so many of its calls to the world, or, is_at_sync, just
// before so many syncs are done.
void sim_broker_stop(struct sim_broker *self);
void sim_broker_kill(struct sim_broker *self, bool loses_power);
void sim_broker_kill_within(struct sim_broker *self, uint32_t calls, bool is_at_sync,
                            bool loses_power);

// sim_broker_pause stops it (SIGSTOP) until then.
void sim_broker_pause(struct sim_broker *self, int64_t until_us);

#endif
