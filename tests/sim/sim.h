// sim - what all parts of the simulator share: the randomness of one seed, the clock,
// the trace, what has happened how often, and the way to fail.
//
//   main            options, processes, the summary
//   sim_schedule    one seed: in which order all act; sim_cast: who there is; sim_faults:
//                   what goes wrong
//   sim_broker      the broker's process around the real broker core
//   sim_client      a client's process around the real bus_session
//   sim_operator    a hand-made client: READ, STATUS and what a person may ask for
//   sim_net         ROUTER and DEALERs, and the wire between them
//   sim_disk        a file system in memory behind struct disk
//   sim_model       what must be true, beside all that
//
// Nothing in here reads a clock, a file or a random number of the machine.
#ifndef FAULTLINE_SIM_H
#define FAULTLINE_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"

// What can happen. A big run in which one of these never did has tested nothing of it.
// clang-format off
enum sim_happening {
    SIM_STEPS, SIM_PUBLISHES, SIM_DELIVERIES, SIM_REDELIVERIES, SIM_ACKS, SIM_NACKS, SIM_REJECTS,
    SIM_DEAD_LETTERS, SIM_STALE_ACKS, SIM_READS, SIM_UNACKED_PUBLISHES, SIM_REPUBLISHES,
    SIM_BROKER_STOPS, SIM_BROKER_KILLS, SIM_POWER_LOSSES, SIM_KILLS_IN_A_CALL, SIM_BROKER_PAUSES,
    SIM_FAILED_STARTS, SIM_CUT_TAILS, SIM_TORN_WRITES, SIM_LOST_WRITES, SIM_KEPT_WRITES,
    SIM_LOST_NAMES, SIM_KEPT_NAMES, SIM_STALE_BLOCKS, SIM_FULL_DISKS, SIM_SHORT_WRITES,
    SIM_INTERRUPTED_CALLS, SIM_FAILED_CALLS, SIM_FAILED_SYNCS, SIM_LOST_PAGES, SIM_SLOW_SYNCS,
    SIM_ROLLED_SEGMENTS, SIM_CUTS, SIM_CUT_MESSAGES, SIM_RECONNECTIONS, SIM_MESSAGES_WITHOUT_HELLO,
    SIM_FULL_QUEUES, SIM_GONE_PEERS, SIM_STUCK_CLIENTS, SIM_CLIENT_KILLS, SIM_CLIENT_PAUSES,
    SIM_GOODBYES, SIM_HANGS, SIM_CREDIT_CHANGES, SIM_EVICTIONS, SIM_STALE_HELLOS,
    SIM_SILENT_SESSIONS, SIM_SILENT_BROKERS, SIM_REFUSED_PUBLISHES, SIM_FORGOTTEN_ACKS,
    SIM_DUPLICATES, SIM_REDRIVES, SIM_RESETS, SIM_DELETES, SIM_REPORTS,
    SIM_REFUSED_REQUESTS, SIM_TOPIC_CHANGES, SIM_FORGOTTEN_TOPICS, SIM_FULL_LISTS, SIM_DROPPED_SEGMENTS, SIM_SKIPPED_EVENTS,
    SIM_CALENDAR_JUMPS,
    SIM_HAPPENING_COUNT
};
// clang-format on

struct sim {
    uint64_t seed;
    uint64_t random; // state of chance
    int64_t now_us;  // the machine's monotonic clock
    int64_t wall_us; // what the calendar is ahead of it
    int64_t lead_us; // so much later it is already for the broker, within its call
    uint64_t hash;   // of all that happened: the same seed gives the same
    uint64_t steps;
    bool is_traced;
    uint64_t *counts; // borrowed; of enum sim_happening
};

// sim_random gives any number, sim_below one under limit (which is not 0), sim_between
// one of both and all between. sim_chance is true so many times in a thousand.
uint64_t sim_random(struct sim *self);
uint64_t sim_below(struct sim *self, uint64_t limit);
int64_t sim_between(struct sim *self, int64_t low, int64_t high);
bool sim_chance(struct sim *self, uint64_t per_mille);

static inline int64_t sim_now_ms(const struct sim *self)
{
    return self->now_us / 1000;
}

static inline int64_t sim_broker_ms(const struct sim *self)
{
    return (self->now_us + self->lead_us) / 1000;
}

// sim_note takes a number into the hash of all that happened, sim_note_bytes a CRC.
void sim_note(struct sim *self, uint64_t number);
void sim_note_bytes(struct sim *self, struct bytes bytes);

// sim_count: it happened once more.
void sim_count(struct sim *self, enum sim_happening what);
const char *sim_happening_name(enum sim_happening what);

// sim_trace writes a line when the run is traced: the step, the time and this.
__attribute__((format(printf, 2, 3))) void sim_trace(struct sim *self, const char *format, ...);

// sim_fail: something that must be true is not. It says what, at which step, and how to
// see it again, and ends the process.
__attribute__((format(printf, 2, 3), noreturn)) void sim_fail(struct sim *self, const char *format,
                                                              ...);

#endif
