// A small log of several segments, cut at every byte and with every bit flipped. What
// must come of it is computed from where its batches lie: all before the damage is
// there, a torn tail is cut, all else is refused with file and byte, and what is read
// is compared with what was written.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/log_fixture.h"

enum {
    SEGMENTS = 3,
    BATCHES = 9,
    HEADER_SIZE = 24,
};

struct file {
    uint64_t base;
    uint8_t *data; // owned; as the log left it
    size_t size;   // zeros behind the batches included
    size_t tail;   // behind the last batch
};

struct place {
    size_t file;
    size_t at;
    size_t end;
    uint64_t base;
};

static struct log_fixture fixture;
static struct file files[SEGMENTS];
static struct place batches[BATCHES];
static uint64_t next;

static void open_log(void)
{
    cr_assert_eq(log_fixture_open(&fixture), ERR_OK, "%s", fixture.recovery.problem);
}

// Three batches a segment, of one, two and one records of 58 bytes.
static void set_up(void)
{
    log_fixture_set_up(&fixture);
    fixture.options.segment_bytes = 400;
    open_log();
    size_t file = 0;
    for (size_t i = 0; i < BATCHES; i++) {
        struct place *batch = &batches[i];
        batch->base = event_log_next(fixture.log);
        log_fixture_store(&fixture, 1 + i % 3 % 2, 24);
        file = (size_t)event_log_segments(fixture.log) - 1;
        batch->file = file;
        batch->at = i > 0 && batch[-1].file == file ? batch[-1].end : HEADER_SIZE;
        batch->end = batch->at + 32 + (1 + i % 3 % 2) * 58;
        files[file].base = batch->at == HEADER_SIZE ? batch->base : files[file].base;
        files[file].tail = batch->end;
    }
    next = event_log_next(fixture.log);
    cr_assert_eq(file + 1, SEGMENTS);
    log_fixture_close(&fixture);
    for (size_t i = 0; i < SEGMENTS; i++) {
        files[i].data = log_fixture_load(&fixture, files[i].base, &files[i].size);
    }
    cr_assert_eq(files[0].size, files[0].tail, "a full segment has no zeros");
    cr_assert_gt(files[SEGMENTS - 1].size, files[SEGMENTS - 1].tail);
}

static void tear_down(void)
{
    for (size_t i = 0; i < SEGMENTS; i++) {
        free(files[i].data);
    }
    log_fixture_tear_down(&fixture);
}

TestSuite(event_log_damage, .init = set_up, .fini = tear_down);

// Makes all files as they were, but this one with so many of these bytes.
static void write_files(size_t changed, const uint8_t *data, size_t size)
{
    log_fixture_close(&fixture);
    for (size_t i = 0; i < SEGMENTS; i++) {
        const bool is_changed = i == changed;
        log_fixture_replace(&fixture,
                            files[i].base,
                            is_changed ? data : files[i].data,
                            is_changed ? size : files[i].size);
    }
}

// The batch that byte at of the file belongs to; NULL: none, it is header or zeros.
static const struct place *batch_at(size_t file, size_t at)
{
    for (size_t i = 0; i < BATCHES; i++) {
        if (batches[i].file == file && batches[i].at <= at && at < batches[i].end) {
            return &batches[i];
        }
    }
    return NULL;
}

// The log ends before offset end, and so many bytes that are not all zeros were cut.
static void expect_cut(uint64_t end, size_t torn_bytes, const char *what, size_t at)
{
    cr_assert_eq(
        log_fixture_open(&fixture), ERR_OK, "%s %zu: %s", what, at, fixture.recovery.problem);
    cr_assert_eq(event_log_first(fixture.log), 0);
    cr_assert_eq(event_log_next(fixture.log), end, "%s %zu", what, at);
    cr_assert_eq(fixture.recovery.records, end);
    cr_assert_eq(fixture.recovery.torn_bytes, torn_bytes, "%s %zu", what, at);
    cr_assert_eq(fixture.recovery.torn_at, torn_bytes == 0 ? 0 : end);
    cr_assert(log_fixture_holds_all(&fixture), "%s %zu: a wrong byte", what, at);
}

// The log is refused, with this file and byte, and nothing is changed.
static void expect_refused(size_t file, size_t byte, size_t changed, struct bytes left,
                           const char *what, size_t at)
{
    cr_assert_eq(log_fixture_open(&fixture), ERR_CORRUPT, "%s %zu", what, at);
    cr_assert_null(fixture.log);
    char path[128];
    log_fixture_path(&fixture, files[file].base, path);
    char wanted[256];
    snprintf(wanted, sizeof wanted, "%s is damaged at byte %zu: ", path, byte);
    cr_assert_eq(strncmp(fixture.recovery.problem, wanted, strlen(wanted)),
                 0,
                 "%s %zu: not %s but %s",
                 what,
                 at,
                 wanted,
                 fixture.recovery.problem);
    size_t size = 0;
    uint8_t *data = log_fixture_load(&fixture, files[changed].base, &size);
    cr_assert(size == left.size && memcmp(data, left.data, size) == 0, "nothing was changed");
    free(data);
}

static size_t used_of(const uint8_t *data, size_t size)
{
    while (size > 0 && data[size - 1] == 0) {
        size--;
    }
    return size;
}

Test(event_log_damage, every_flipped_bit_is_cut_with_the_last_batch_or_refused)
{
    for (size_t file = 0; file < SEGMENTS; file++) {
        const struct bytes whole = {files[file].data, files[file].tail + 64};
        const size_t size = whole.size < files[file].size ? whole.size : files[file].size;
        uint8_t *data = malloc(size);
        for (size_t bit = 0; bit < size * 8; bit++) {
            const size_t byte = bit / 8;
            memcpy(data, whole.data, size);
            data[byte] ^= (uint8_t)(1U << (bit % 8));
            write_files(file, data, size);
            const struct place *batch = batch_at(file, byte);
            const struct bytes left = {data, size};
            if (byte < HEADER_SIZE) {
                expect_refused(file, 0, file, left, "bit", bit);
            } else if (batch == NULL) {
                expect_cut(next, byte + 1 - files[file].tail, "bit in the zeros", bit);
            } else if (batch == &batches[BATCHES - 1]) {
                expect_cut(batch->base, used_of(data, size) - batch->at, "bit", bit);
            } else {
                expect_refused(file, batch->at, file, left, "bit", bit);
            }
        }
        free(data);
    }
}

// A broker killed in mid-append, wherever the write stopped, with or without the zeros
// that were there before; and a file that somebody cut.
Test(event_log_damage, a_log_cut_at_any_byte_keeps_the_batches_before_or_is_refused)
{
    const size_t last = SEGMENTS - 1;
    const size_t tail = files[last].tail;
    for (size_t cut = 0; cut < tail; cut++) {
        for (int zeros_behind = 0; zeros_behind < 2; zeros_behind++) {
            uint8_t *data = calloc(1, files[last].size);
            memcpy(data, files[last].data, cut);
            size_t good = cut; // zeros may stand for zeros
            while (zeros_behind && good < tail && data[good] == files[last].data[good]) {
                good++;
            }
            // Shorter than a header, it counts as a segment whose making was cut short.
            const struct place *batch = batch_at(last, good);
            const uint64_t end = good < HEADER_SIZE ? files[last].base : batch ? batch->base : next;
            const size_t torn = batch && good > batch->at ? used_of(data, cut) - batch->at : 0;
            write_files(last, data, zeros_behind ? files[last].size : cut);
            expect_cut(end, torn, "cut", cut);
            log_fixture_store(&fixture, 1, 24); // not longer than what was there
            cr_assert(log_fixture_holds_all(&fixture));
            expect_cut(end + 1, 0, "started again after cut", cut);
            free(data);
        }
    }
    for (size_t file = 0; file < last; file++) {
        for (size_t cut = 0; cut < files[file].tail; cut++) {
            write_files(file, files[file].data, cut);
            const struct place *batch = batch_at(file, cut);
            const struct bytes left = {files[file].data, cut};
            if (cut < HEADER_SIZE) {
                expect_refused(file, 0, file, left, "cut", cut);
            } else if (cut > batch->at) {
                expect_refused(file, batch->at, file, left, "cut", cut);
            } else { // at the end of a batch: the next file shows it
                expect_refused(file + 1, 0, file, left, "cut", cut);
            }
        }
    }
}

// Damage that comes while the log is open.
Test(event_log_damage, no_bit_that_flips_under_an_open_log_is_served)
{
    for (size_t file = 0; file < SEGMENTS; file++) {
        write_files(file, files[file].data, files[file].size);
        open_log();
        uint8_t *data = malloc(files[file].size);
        for (size_t bit = 0; bit < files[file].tail * 8; bit += 3) {
            memcpy(data, files[file].data, files[file].size);
            data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            log_fixture_replace(&fixture, files[file].base, data, files[file].size);
            const struct place *batch = batch_at(file, bit / 8);
            const uint64_t bad = batch == NULL ? next : batch->base;
            const uint64_t good = file + 1 < SEGMENTS ? files[file + 1].base : next;
            event_log_cursor_destroy(&fixture.cursor);
            fixture.cursor = event_log_cursor_new(fixture.log);
            for (uint64_t i = 0; i < next; i++) {
                // Of the damaged segment nothing from there on: its batches are a chain.
                const bool is_lost = i >= bad && i < good;
                cr_assert_eq(log_fixture_holds(&fixture, i), !is_lost, "bit %zu: %d", bit, (int)i);
                char wanted[32];
                snprintf(wanted, sizeof wanted, "byte %zu:", is_lost ? batch->at : 0);
                cr_assert(!is_lost || strstr(event_log_cursor_problem(fixture.cursor), wanted));
            }
        }
        free(data);
    }
}
