// A log under a random sequence of everything, beside a model that is two numbers:
// how many events are stored and how many wait. What is stored is always there.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/log_fixture.h"

struct story {
    struct log_fixture fixture;
    uint64_t random;
    uint64_t stored;
    uint64_t waiting;
};

// xorshift64*; the seed of a story is its whole input.
static uint64_t draw(struct story *self, uint64_t below)
{
    self->random ^= self->random >> 12;
    self->random ^= self->random << 25;
    self->random ^= self->random >> 27;
    return (self->random * 2685821657736338717U >> 33) % below;
}

static void reopen(struct story *self)
{
    self->fixture.disk.is_limited = false;
    cr_assert_eq(log_fixture_open(&self->fixture), ERR_OK, "%s", self->fixture.recovery.problem);
    cr_assert_eq(self->fixture.recovery.records, self->stored);
    self->waiting = 0;
}

// A crash in mid-sync: the batch that waits is on disk up to somewhere, or whole.
static void tear(struct story *self)
{
    if (self->waiting == 0) {
        return;
    }
    const enum err err = log_fixture_sync(&self->fixture);
    const uint64_t waited = self->waiting;
    self->waiting = 0;
    if (err != ERR_OK) {
        return;
    }
    log_fixture_close(&self->fixture);
    // The file with the batch: the one whose base is the greatest.
    cr_assert_eq(log_fixture_open(&self->fixture), ERR_OK);
    struct event_log_entry entry;
    cr_assert_eq(event_log_cursor_read(self->fixture.cursor, self->stored, &entry), ERR_OK);
    uint64_t base = self->stored;
    char path[128];
    for (;; base--) {
        log_fixture_path(&self->fixture, base, path);
        FILE *file = fopen(path, "r");
        if (file != NULL) {
            fclose(file);
            break;
        }
    }
    log_fixture_close(&self->fixture);
    size_t size = 0;
    uint8_t *data = log_fixture_load(&self->fixture, base, &size);
    size_t used = size;
    while (used > 0 && data[used - 1] == 0) {
        used--;
    }
    data[used - 1 - draw(self, 20)] ^= (uint8_t)(1 + draw(self, 255));
    log_fixture_replace(&self->fixture, base, data, size);
    free(data);
    cr_assert_eq(log_fixture_open(&self->fixture), ERR_OK, "%s", self->fixture.recovery.problem);
    cr_assert_eq(event_log_next(self->fixture.log), self->stored);
    cr_assert_gt(self->fixture.recovery.torn_bytes, 0, "%lu events", (unsigned long)waited);
}

static void step(struct story *self)
{
    struct log_fixture *fixture = &self->fixture;
    const uint64_t dice = draw(self, 100);
    if (dice < 40) {
        const uint64_t count = 1 + draw(self, 12);
        const uint64_t size = 24 + draw(self, draw(self, 10) == 0 ? 9000 : 300);
        log_fixture_append(fixture, self->stored + self->waiting, count, size);
        self->waiting += count;
    } else if (dice < 60) {
        const enum err err = log_fixture_sync(fixture);
        cr_assert(err == ERR_OK || (err == ERR_FULL && fixture->disk.is_limited));
        self->stored += err == ERR_OK ? self->waiting : 0;
        self->waiting = 0;
    } else if (dice < 85) {
        if (self->stored > 0) {
            cr_assert(log_fixture_holds(fixture, draw(self, self->stored)));
        }
    } else if (dice < 90) {
        fixture->disk.is_limited = draw(self, 3) == 0;
        fixture->disk.bytes_left = draw(self, 20000);
    } else if (dice < 94) {
        fixture->disk.call_bytes_max = (size_t)draw(self, 2) * (1 + (size_t)draw(self, 3000));
        fixture->disk.interrupt_each = (unsigned)draw(self, 2) * (2 + (unsigned)draw(self, 5));
    } else if (dice < 98) {
        reopen(self);
    } else {
        fixture->disk.is_limited = false;
        tear(self);
    }
    cr_assert_eq(event_log_next(fixture->log), self->stored);
    cr_assert_eq(event_log_pending(fixture->log), self->waiting);
}

Test(event_log_random, what_was_stored_is_there_whatever_happens)
{
    const char *given = getenv("FAULTLINE_SEED");
    const uint64_t first = given == NULL ? 1 : strtoull(given, NULL, 10);
    const uint64_t count = given == NULL ? 40 : 1;
    for (uint64_t seed = first; seed < first + count; seed++) {
        cr_log_info("seed %lu\n", (unsigned long)seed);
        struct story story = {.random = seed * 0x9e3779b97f4a7c15U};
        log_fixture_set_up(&story.fixture);
        story.fixture.options.segment_bytes = 512 + draw(&story, 20000);
        reopen(&story);
        for (int i = 0; i < 400; i++) {
            step(&story);
        }
        reopen(&story);
        cr_assert(log_fixture_holds_all(&story.fixture), "FAULTLINE_SEED=%lu", (unsigned long)seed);
        log_fixture_tear_down(&story.fixture);
    }
}
