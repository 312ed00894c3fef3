#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/record.h"

// clang-format off
static const char *const names[SIM_HAPPENING_COUNT] = {
    [SIM_STEPS] = "steps", [SIM_PUBLISHES] = "publishes", [SIM_DELIVERIES] = "deliveries",
    [SIM_REDELIVERIES] = "redeliveries", [SIM_ACKS] = "acks", [SIM_NACKS] = "nacks",
    [SIM_REJECTS] = "rejects", [SIM_DEAD_LETTERS] = "dead letters",
    [SIM_STALE_ACKS] = "stale acks", [SIM_READS] = "reads",
    [SIM_UNACKED_PUBLISHES] = "publishes without acks", [SIM_REPUBLISHES] = "publishes again",
    [SIM_BROKER_STOPS] = "broker stopped", [SIM_BROKER_KILLS] = "broker killed",
    [SIM_POWER_LOSSES] = "power lost", [SIM_KILLS_IN_A_CALL] = "killed within a call",
    [SIM_BROKER_PAUSES] = "broker paused", [SIM_FAILED_STARTS] = "broker could not start",
    [SIM_CUT_TAILS] = "tails cut off", [SIM_TORN_WRITES] = "writes torn",
    [SIM_LOST_WRITES] = "writes lost", [SIM_KEPT_WRITES] = "unsynced writes kept",
    [SIM_LOST_NAMES] = "names lost", [SIM_KEPT_NAMES] = "unsynced names kept",
    [SIM_STALE_BLOCKS] = "stale blocks", [SIM_FULL_DISKS] = "disk full",
    [SIM_SHORT_WRITES] = "short writes", [SIM_INTERRUPTED_CALLS] = "interrupted calls",
    [SIM_FAILED_CALLS] = "failed calls", [SIM_FAILED_SYNCS] = "failed syncs",
    [SIM_LOST_PAGES] = "dirty pages dropped", [SIM_SLOW_SYNCS] = "slow syncs",
    [SIM_ROLLED_SEGMENTS] = "segments begun", [SIM_CUTS] = "connections cut",
    [SIM_CUT_MESSAGES] = "messages lost in cuts", [SIM_RECONNECTIONS] = "reconnections",
    [SIM_MESSAGES_WITHOUT_HELLO] = "messages without HELLO", [SIM_FULL_QUEUES] = "full queues",
    [SIM_GONE_PEERS] = "sends to peers that are gone", [SIM_STUCK_CLIENTS] = "clients stuck",
    [SIM_CLIENT_KILLS] = "clients killed", [SIM_CLIENT_PAUSES] = "clients paused",
    [SIM_GOODBYES] = "clients that said BYE", [SIM_HANGS] = "consumers that hang",
    [SIM_CREDIT_CHANGES] = "credit changes", [SIM_EVICTIONS] = "evictions",
    [SIM_STALE_HELLOS] = "stale HELLOs", [SIM_SILENT_SESSIONS] = "silent sessions ended",
    [SIM_SILENT_BROKERS] = "silent brokers left", [SIM_REFUSED_PUBLISHES] = "publishes refused",
    [SIM_FORGOTTEN_ACKS] = "acks a crash forgot",
    [SIM_DUPLICATES] = "duplicates answered", [SIM_REDRIVES] = "redrives",
    [SIM_RESETS] = "groups reset", [SIM_DELETES] = "groups deleted",
    [SIM_REPORTS] = "reports", [SIM_REFUSED_REQUESTS] = "requests refused",
    [SIM_TOPIC_CHANGES] = "changes of topics",
    [SIM_FORGOTTEN_TOPICS] = "changes of topics forgotten", [SIM_FULL_LISTS] = "lists of dead letters full",
    [SIM_DROPPED_SEGMENTS] = "segments dropped", [SIM_SKIPPED_EVENTS] = "events retention took",
    [SIM_CALENDAR_JUMPS] = "calendar jumps",
};
// clang-format on

const char *sim_happening_name(enum sim_happening what)
{
    return names[what];
}

// splitmix64
uint64_t sim_random(struct sim *self)
{
    uint64_t value = self->random += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

uint64_t sim_below(struct sim *self, uint64_t limit)
{
    return sim_random(self) % limit;
}

int64_t sim_between(struct sim *self, int64_t low, int64_t high)
{
    return low + (int64_t)sim_below(self, (uint64_t)(high - low) + 1);
}

bool sim_chance(struct sim *self, uint64_t per_mille)
{
    return sim_below(self, 1000) < per_mille;
}

void sim_note(struct sim *self, uint64_t number)
{
    self->hash = (self->hash ^ number) * UINT64_C(0x9fb21c651e98df25);
    self->hash ^= self->hash >> 29;
}

void sim_note_bytes(struct sim *self, struct bytes bytes)
{
    sim_note(self, record_crc32c(0, bytes.data, bytes.size));
}

void sim_count(struct sim *self, enum sim_happening what)
{
    self->counts[what]++;
}

void sim_trace(struct sim *self, const char *format, ...)
{
    if (!self->is_traced) {
        return;
    }
    va_list args;
    va_start(args, format);
    log_flush(); // what the broker has said before
    fprintf(stderr, "%6" PRIu64 " %10.3f ms  ", self->steps, (double)self->now_us / 1000);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void sim_fail(struct sim *self, const char *format, ...)
{
    struct buf text = {0}; // written at once: another process may fail at the same time
    const unsigned long long seed = self->seed;
    va_list args;
    va_start(args, format);
    log_flush();
    buf_printf(&text, "\nsim: seed %llu fails at step %" PRIu64, seed, self->steps);
    buf_printf(&text, ", %.3f ms: ", (double)self->now_us / 1000);
    buf_vprintf(&text, format, args);
    buf_printf(&text, "\n     again, with all that happened: sim --seed %llu --trace\n", seed);
    va_end(args);
    fwrite(text.data, 1, text.size, stderr);
    _exit(1);
}
