// The real broker, killed with SIGKILL again and again under load from real clients,
// some of which are killed as well: then what the producers were answered, what the
// log holds and what each consumer got must agree.
//
// FAULTLINE_KILLS=COUNT kills so often; FAULTLINE_SEED=N takes the same moments and
// victims again (what the processes do with them is up to the machine).
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/broker_process.h"
#include "tests/support/testimony.h"
#include "tests/support/witness.h"

enum {
    PRODUCERS = 4,
    GROUPS = 4,
    WITNESSES = 12,
    PER_SECOND = 1000, // events of each producer
    REJECTS = 2,       // of 1000 deliveries
    LIFE_MIN_MS = 5,   // from ready to the kill
    LIFE_MAX_MS = 300,
    END_MS = 60000,      // for all to come to rest
    CURSOR_LAG_MS = 100, // docs/protocol.md: groups come back at most so far behind
#if defined(__SANITIZE_ADDRESS__)
    KILLS = 100,
#else
    KILLS = 200,
#endif
    // For an ack on its way, and for the sync of the file of the groups, where other
    // processes want the processors and the disk as well.
    GRACE_MS = 1400,
    LAG_MS = CURSOR_LAG_MS + GRACE_MS,
};

// Who takes part. The last group comes when half of the kills are over.
static const struct witness_role roles[WITNESSES] = {
    {.name = "producer-0", .producer = 0},
    {.name = "producer-1", .producer = 1},
    {.name = "producer-2", .producer = 2},
    {.name = "producer-3", .producer = 3},
    {.name = "payment-1", .group = "payment", .topics = 7},
    {.name = "payment-2", .group = "payment", .topics = 7},
    {.name = "payment-3", .group = "payment", .topics = 7},
    {.name = "ledger-1", .group = "ledger", .topics = 3},
    {.name = "ledger-2", .group = "ledger", .topics = 3},
    {.name = "fraud-1", .group = "fraud", .topics = 4},
    {.name = "latecomer-1", .group = "latecomer", .topics = 7, .is_late = true},
    {.name = "latecomer-2", .group = "latecomer", .topics = 7, .is_late = true},
};

// --- the story

static struct broker_process *broker;
static struct witness *witnesses[WITNESSES];
static struct witness_signals *signals;
static uint64_t dice_state;
static int64_t *broker_kills_us; // ascending
static size_t broker_kills_count, witness_kills_count, recovery_kills_count;
static int64_t recovery_ms = 30; // of the last start
static int64_t recoveries_ms;    // of all together

static void stop(void)
{
    for (size_t i = 0; i < WITNESSES; i++) {
        witness_destroy(&witnesses[i]);
    }
    broker_process_destroy(&broker);
}

TestSuite(broker_kills, .fini = stop, .timeout = 280);

static uint64_t dice(uint64_t below)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return dice_state % below;
}

static int64_t between(int64_t min, int64_t max)
{
    return max <= min ? min : min + (int64_t)dice((uint64_t)(max - min + 1));
}

static void wait_until(int64_t mono_ms)
{
    for (int64_t left = 0; (left = mono_ms - clock_mono_ms()) > 0;) {
        nanosleep(&(struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000},
                  NULL);
    }
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *given = getenv(name);
    return given == NULL ? otherwise : strtoull(given, NULL, 10);
}

static void cast_witnesses(uint64_t seed, uint32_t rejects)
{
    signals = witness_signals_new(broker_process_directory(broker));
    for (size_t i = 0; i < WITNESSES; i++) {
        struct witness_role role = roles[i];
        role.url = broker_process_url(broker);
        role.folder = broker_process_directory(broker);
        role.signals = signals;
        role.seed = seed;
        role.per_second = PER_SECOND;
        role.rejects = rejects;
        witnesses[i] = witness_new(&role);
    }
}

static void start_witnesses(bool late)
{
    for (size_t i = 0; i < WITNESSES; i++) {
        if (roles[i].is_late == late) {
            witness_start(witnesses[i]);
        }
    }
}

static void kill_broker(void)
{
    broker_process_kill(broker);
    broker_kills_us[broker_kills_count++] = clock_mono_us();
    atomic_fetch_add(&signals->life, 1);
}

// How long the broker lives from ready on: some lives last, so that what was acked
// long before a kill is looked at as well.
static int64_t life_ms(void)
{
    const uint64_t kind = dice(40);
    return kind == 0   ? between(LAG_MS, 2 * LAG_MS)
           : kind < 21 ? between(LIFE_MIN_MS, LIFE_MAX_MS / 3)
                       : between(LIFE_MIN_MS, LIFE_MAX_MS);
}

static void live_and_die(bool all_are_here)
{
    const int64_t began_ms = clock_mono_ms();
    if (dice(5) == 0) { // killed while it recovers
        broker_process_begin(broker);
        wait_until(began_ms + between(0, recovery_ms));
        recovery_kills_count++;
        kill_broker();
        return;
    }
    broker_process_start(broker);
    const int64_t ready_ms = clock_mono_ms();
    recovery_ms = ready_ms - began_ms;
    recoveries_ms += recovery_ms;
    const int64_t end_ms = ready_ms + life_ms();
    if (dice(6) == 0) {
        const size_t victim = dice(all_are_here ? WITNESSES : WITNESSES - 2);
        wait_until(between(ready_ms, end_ms));
        witness_kill(witnesses[victim]);
        witness_kills_count++;
        wait_until(between(clock_mono_ms(), end_ms));
        witness_start(witnesses[victim]);
    }
    wait_until(end_ms);
    kill_broker();
}

// --- the end of the story

static bool all_left(bool producers)
{
    bool left = true;
    for (size_t i = 0; i < WITNESSES; i++) {
        left &= (roles[i].group == NULL) != producers || witness_has_left(witnesses[i]);
    }
    return left;
}

static bool nothing_lags(void)
{
    size_t idle = 0;
    char *status = broker_process_get(broker, "/status", NULL);
    for (const char *at = status; at != NULL && (at = strstr(at, "\"lag_events\":0,")) != NULL;) {
        idle++;
        at++;
    }
    free(status);
    return idle == GROUPS;
}

#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        const int64_t deadline_ms_ = clock_mono_ms() + END_MS;                                     \
        while (!(condition)) {                                                                     \
            cr_assert(clock_mono_ms() < deadline_ms_, "it never came true: %s", #condition);       \
            wait_until(clock_mono_ms() + 5);                                                       \
        }                                                                                          \
    } while (0)

static bool log_has_lost_its_beginning(void)
{
    char *status = broker_process_get(broker, "/status", NULL);
    const bool has = status != NULL && strstr(status, "\"first_offset\":0,") == NULL;
    free(status);
    return has;
}

static void come_to_rest(bool drops)
{
    broker_process_start(broker);
    // Who dies in the last life of the broker leaves what it held to others or to itself.
    for (size_t i = 0; i < WITNESSES; i += 2) {
        witness_kill(witnesses[i]);
        witness_start(witnesses[i]);
    }
    atomic_store(&signals->finish, true);
    WAIT_UNTIL(all_left(true));
    WAIT_UNTIL(nothing_lags());
    WAIT_UNTIL(!drops || log_has_lost_its_beginning());
    atomic_store(&signals->leave, true);
    WAIT_UNTIL(all_left(false));
}

static void tell(const struct testimony_figures *figures)
{
    fprintf(
        stderr,
        "%zu kills of the broker, %zu of them while it recovered; %zu of clients; starts took %ld "
        "ms each\n"
        "%lu records, %lu publishes of the same again; %lu deliveries, %lu of them "
        "again; %lu dead letters\n"
        "%lu acks over %d ms before an end, none of them forgotten; %lu later ones "
        "forgotten, %lu of those over %d ms before, the oldest %ld ms\n",
        broker_kills_count,
        recovery_kills_count,
        witness_kills_count,
        (long)(recoveries_ms / (int64_t)(broker_kills_count - recovery_kills_count + 1)),
        (unsigned long)figures->records,
        (unsigned long)figures->duplicates,
        (unsigned long)figures->deliveries,
        (unsigned long)figures->redeliveries,
        (unsigned long)figures->dead_letters,
        (unsigned long)figures->lasting_acks,
        LAG_MS,
        (unsigned long)figures->forgotten,
        (unsigned long)figures->forgotten_late,
        CURSOR_LAG_MS,
        (long)figures->oldest_forgotten_us / 1000);
}

// drops: the broker has settings by which the beginning of the log goes.
static void tell_story(const char *const *env, bool drops, uint64_t kills)
{
    const uint64_t seed = from_environment("FAULTLINE_SEED", (uint64_t)clock_wall_us());
    fprintf(stderr, "FAULTLINE_SEED=%lu, %lu kills\n", (unsigned long)seed, (unsigned long)kills);
    dice_state = seed | 1;
    broker_kills_us = mem_calloc(kills + 1, sizeof *broker_kills_us);
    broker = broker_process_new(env);
    cast_witnesses(seed, drops ? 0 : REJECTS); // retention keeps what a dead letter is in
    start_witnesses(false);
    kill_broker();
    while (broker_kills_count < kills) {
        if (broker_kills_count == (kills + 1) / 2) {
            start_witnesses(true);
        }
        live_and_die(broker_kills_count >= (kills + 1) / 2);
    }
    come_to_rest(drops);
    const struct testimony_case story = {
        .url = broker_process_url(broker),
        .witnesses = witnesses,
        .witnesses_count = WITNESSES,
        .kills_us = broker_kills_us,
        .kills_count = broker_kills_count,
        .lag_ms = LAG_MS,
    };
    struct testimony_figures figures;
    testimony_hear(&story, &figures);
    tell(&figures);
    cr_expect_eq(figures.first_offset > 0, drops);
    cr_expect_eq(broker_process_stop(broker, 5000), 0);
    free(broker_kills_us);
}

Test(broker_kills, what_was_acked_is_there_in_order_for_every_group_whoever_was_killed)
{
    tell_story((const char *const[]){"SEGMENT_BYTES=1048576", NULL},
               false,
               from_environment("FAULTLINE_KILLS", KILLS));
}

// Segments are dropped all the time, but only when every group has had what is in them.
Test(broker_kills, retention_takes_nothing_from_a_group_whoever_was_killed)
{
    tell_story((const char *const[]){"SEGMENT_BYTES=1048576", "RETENTION_BYTES=2097152", NULL},
               true,
               from_environment("FAULTLINE_KILLS", KILLS) / 8 + 20);
}
