// What the log acknowledged is there after every crash: power cuts that lose any
// part of what was not synced, kills, and syncs that failed without anybody knowing
// afterwards; at any call, also of a drop, also during the start that follows, also on
// a full disk.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/support/fragile_disk.h"
#include "tests/support/log_fixture.h"

enum {
    EVENTS_MAX = 4096,
    STEPS = 60
};

struct story {
    struct log_fixture fixture;
    struct fragile_disk disk;
    uint64_t seed;
    uint64_t stored;          // acknowledged
    uint64_t maybe;           // in a sync that crashed: all of them are there, or none
    uint64_t first;           // what lies below is dropped
    uint64_t maybe_first;     // by a drop that crashed: this, or what was first before
    size_t sizes[EVENTS_MAX]; // of each body
    unsigned crashes;
    unsigned drops;
};

// Every acknowledged event must be there, as it was given.
static void check_all(struct story *self)
{
    struct log_fixture *fixture = &self->fixture;
    for (uint64_t i = self->first; i < self->stored; i++) {
        struct event_log_entry entry;
        cr_assert_eq(event_log_cursor_read(fixture->cursor, i, &entry),
                     ERR_OK,
                     "FAULTLINE_SEED=%lu: offset %lu: %s",
                     (unsigned long)self->seed,
                     (unsigned long)i,
                     event_log_cursor_problem(fixture->cursor));
        cr_assert_eq(entry.record.body.size, self->sizes[i]);
        cr_assert(log_fixture_holds(fixture, i));
    }
}

static void restart(struct story *self)
{
    struct log_fixture *fixture = &self->fixture;
    struct fragile_disk *disk = &self->disk;
    for (;;) {
        log_fixture_close(fixture);
        if (disk->has_crashed) {
            fragile_disk_restore(disk);
            self->crashes++;
        }
        disk->is_limited = false;
        if (fragile_disk_draw(disk, 3) == 0) { // the start itself may crash
            fragile_disk_arm(disk,
                             (enum crash_kind)fragile_disk_draw(disk, CRASH_KINDS),
                             1 + fragile_disk_draw(disk, 5));
        }
        cr_assert_eq(log_fixture_open(fixture),
                     ERR_OK,
                     "FAULTLINE_SEED=%lu: %s",
                     (unsigned long)self->seed,
                     fixture->recovery.problem);
        disk->crash_in = 0;
        if (!disk->has_crashed) {
            break;
        }
    }
    const uint64_t next = event_log_next(fixture->log);
    cr_assert(next == self->stored || next == self->stored + self->maybe,
              "FAULTLINE_SEED=%lu: next %lu, stored %lu, maybe %lu",
              (unsigned long)self->seed,
              (unsigned long)next,
              (unsigned long)self->stored,
              (unsigned long)self->maybe);
    self->stored = next; // from here on it must stay
    self->maybe = 0;
    const uint64_t kept = event_log_first(fixture->log);
    cr_assert(kept == self->first || kept == self->maybe_first,
              "FAULTLINE_SEED=%lu: first %lu, not %lu nor %lu",
              (unsigned long)self->seed,
              (unsigned long)kept,
              (unsigned long)self->first,
              (unsigned long)self->maybe_first);
    self->first = self->maybe_first = kept;
    check_all(self);
}

static void store(struct story *self)
{
    struct fragile_disk *disk = &self->disk;
    const uint64_t count = 1 + fragile_disk_draw(disk, 6);
    const size_t size = 24 + fragile_disk_draw(disk, fragile_disk_draw(disk, 8) == 0 ? 3000 : 200);
    for (uint64_t i = 0; i < count; i++) {
        self->sizes[self->stored + i] = size;
    }
    log_fixture_append(&self->fixture, self->stored, count, size);
    if (fragile_disk_draw(disk, 4) == 0) {
        fragile_disk_arm(disk,
                         (enum crash_kind)fragile_disk_draw(disk, CRASH_KINDS),
                         1 + fragile_disk_draw(disk, 8));
    }
    const enum err err = log_fixture_sync(&self->fixture);
    cr_assert(err == ERR_OK || (err == ERR_FULL && disk->is_limited));
    disk->crash_in = 0;
    if (disk->has_crashed) {
        self->maybe = count;
        restart(self);
    } else if (err == ERR_OK) {
        self->stored += count;
    }
}

static void drop(struct story *self)
{
    struct fragile_disk *disk = &self->disk;
    const uint64_t before = self->first + fragile_disk_draw(disk, self->stored - self->first + 1);
    if (fragile_disk_draw(disk, 2) == 0) {
        fragile_disk_arm(disk,
                         (enum crash_kind)fragile_disk_draw(disk, CRASH_KINDS),
                         1 + fragile_disk_draw(disk, 4));
    }
    while (event_log_drop(self->fixture.log, before) == ERR_OK) {
        self->maybe_first = event_log_first(self->fixture.log);
        self->drops++;
        if (disk->has_crashed) {
            restart(self);
            break;
        }
        self->first = self->maybe_first;
    }
    disk->crash_in = 0;
}

static void tell(uint64_t seed, unsigned *crashes, unsigned *drops)
{
    struct story *self = calloc(1, sizeof *self);
    cr_assert_not_null(self);
    self->seed = seed;
    log_fixture_set_up(&self->fixture);
    fragile_disk_init(&self->disk, self->fixture.directory, seed * 0x9e3779b97f4a7c15U);
    self->fixture.options.disk = &self->disk.disk;
    self->fixture.options.segment_bytes = 1000 + fragile_disk_draw(&self->disk, 8000);
    restart(self);
    for (int i = 0; i < STEPS; i++) {
        if (fragile_disk_draw(&self->disk, 6) == 0) {
            self->disk.is_limited = fragile_disk_draw(&self->disk, 2) == 0;
            self->disk.bytes_left = fragile_disk_draw(&self->disk, 3000);
        }
        store(self);
        if (fragile_disk_draw(&self->disk, 8) == 0) {
            drop(self);
        }
        if (fragile_disk_draw(&self->disk, 10) == 0) {
            fragile_disk_crash(&self->disk, CRASH_POWER);
            restart(self);
        }
    }
    *crashes += self->crashes;
    *drops += self->drops;
    log_fixture_tear_down(&self->fixture);
    fragile_disk_release(&self->disk);
    free(self);
}

Test(event_log_power, no_crash_loses_an_acknowledged_event)
{
    const char *given = getenv("FAULTLINE_SEED");
    const char *wanted = getenv("FAULTLINE_STORIES_COUNT");
    const uint64_t first = given == NULL ? 1 : strtoull(given, NULL, 10);
    const uint64_t count = given != NULL ? 1 : wanted == NULL ? 200 : strtoull(wanted, NULL, 10);
    unsigned crashes = 0;
    unsigned drops = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        tell(seed, &crashes, &drops);
    }
    cr_expect_geq(crashes, count, "crashes were taken");
    cr_expect_geq(drops, count, "segments were dropped");
}
