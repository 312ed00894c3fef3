// After a crash or damage: what test_event_log_damage.c does not reach by cutting and
// flipping alone.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/log_fixture.h"

static struct log_fixture fixture;

static void set_up(void)
{
    log_fixture_set_up(&fixture);
}

static void tear_down(void)
{
    log_fixture_tear_down(&fixture);
}

static void open_log(void)
{
    cr_assert_eq(log_fixture_open(&fixture), ERR_OK, "%s", fixture.recovery.problem);
}

// The batches of the segment at base end here: the last byte that is not zero.
static size_t used_of(const uint8_t *data, size_t size)
{
    while (size > 0 && data[size - 1] == 0) {
        size--;
    }
    return size;
}

TestSuite(event_log_recovery, .init = set_up, .fini = tear_down);

// A disk may write the sectors of one batch in any order.
Test(event_log_recovery, a_last_batch_with_a_hole_is_cut)
{
    fixture.options.segment_bytes = 64 * 1024;
    open_log();
    log_fixture_store(&fixture, 1, 50);
    size_t size = 0;
    uint8_t *data = log_fixture_load(&fixture, 0, &size);
    const size_t start = used_of(data, size);
    free(data);
    log_fixture_store(&fixture, 10, 1000);
    data = log_fixture_load(&fixture, 0, &size);
    const size_t end = used_of(data, size);
    uint8_t *torn = malloc(size);
    log_fixture_close(&fixture);

    for (size_t hole = start; hole + 512 < end; hole += 512) {
        memcpy(torn, data, size);
        memset(torn + hole, 0, 512);
        log_fixture_replace(&fixture, 0, torn, size);
        open_log();
        cr_assert_eq(event_log_next(fixture.log), 1);
        cr_assert_gt(fixture.recovery.torn_bytes, 0);
        log_fixture_close(&fixture);
    }
    free(data);
    free(torn);
}

Test(event_log_recovery, damage_is_found_when_the_next_good_batch_is_far_behind)
{
    open_log();
    log_fixture_store(&fixture, 1, 100);    // 24 .. 190
    log_fixture_store(&fixture, 40, 20000); // 800 KB, several reads
    log_fixture_store(&fixture, 1, 100);
    log_fixture_close(&fixture);
    size_t size = 0;
    uint8_t *data = log_fixture_load(&fixture, 0, &size);
    data[190 + 8] ^= 0x10; // its size, so that the next is found by search alone
    log_fixture_replace(&fixture, 0, data, size);
    free(data);

    cr_expect_eq(log_fixture_open(&fixture), ERR_CORRUPT);
    cr_expect_not_null(strstr(fixture.recovery.problem, "at byte 190: "));
}

Test(event_log_recovery, a_missing_segment_is_refused)
{
    fixture.options.segment_bytes = 300;
    open_log();
    for (int i = 0; i < 3; i++) {
        log_fixture_store(&fixture, 1, 100);
    }
    log_fixture_close(&fixture);
    char path[128];
    log_fixture_path(&fixture, 1, path);
    cr_assert_eq(unlink(path), 0);

    cr_expect_eq(log_fixture_open(&fixture), ERR_CORRUPT);
    cr_expect_not_null(strstr(fixture.recovery.problem, "missing"));
}

Test(event_log_recovery, a_log_whose_oldest_segments_are_gone_begins_later)
{
    fixture.options.segment_bytes = 300;
    open_log();
    for (int i = 0; i < 3; i++) {
        log_fixture_store(&fixture, 1, 100);
    }
    log_fixture_close(&fixture);
    char path[128];
    log_fixture_path(&fixture, 0, path);
    cr_assert_eq(unlink(path), 0);
    open_log();

    cr_expect_eq(event_log_first(fixture.log), 1);
    cr_expect_eq(event_log_next(fixture.log), 3);
    struct event_log_entry entry;
    cr_expect_eq(event_log_cursor_read(fixture.cursor, 0, &entry), ERR_NOT_FOUND);
    cr_expect(log_fixture_holds_all(&fixture));
}

// A crash between making a segment and its first batch leaves any prefix of a
// header, zeros or nothing.
Test(event_log_recovery, a_half_made_segment_is_made_anew)
{
    fixture.options.segment_bytes = 300;
    open_log();
    log_fixture_store(&fixture, 1, 100);
    log_fixture_store(&fixture, 1, 100);
    log_fixture_close(&fixture);
    size_t size = 0;
    uint8_t *data = log_fixture_load(&fixture, 1, &size);
    memset(data + 24, 0, size - 24);

    for (size_t keep = 0; keep <= 24; keep++) {
        uint8_t *half = calloc(1, size);
        memcpy(half, data, keep);
        for (int zeros_behind = 0; zeros_behind < 2; zeros_behind++) {
            log_fixture_replace(&fixture, 1, half, zeros_behind ? size : keep);
            open_log();
            cr_assert_eq(event_log_next(fixture.log), 1);
            cr_assert_eq(fixture.recovery.torn_bytes, 0);
            log_fixture_store(&fixture, 1, 100);
            open_log();
            cr_assert_eq(event_log_next(fixture.log), 2);
            cr_assert(log_fixture_holds_all(&fixture));
            log_fixture_close(&fixture);
        }
        free(half);
    }
    free(data);
}

// What a client sends must never be taken for a batch: here the body of the torn
// event is a good batch of another log with the right offset.
Test(event_log_recovery, a_batch_within_a_torn_body_is_no_batch)
{
    open_log();
    log_fixture_store(&fixture, 1, 100);
    log_fixture_store(&fixture, 1, 100);
    size_t size = 0;
    uint8_t *bait = log_fixture_load(&fixture, 0, &size);
    log_fixture_close(&fixture);
    char path[128];
    log_fixture_path(&fixture, 0, path);
    cr_assert_eq(unlink(path), 0);

    open_log(); // a new log, with a mark of its own
    struct buf whole = {0};
    const struct record record = {.topic = bytes_of_text("t"),
                                  .id = bytes_of_text("i"),
                                  .body = {.data = bait, .size = 1000}};
    uint64_t offset = 0;
    cr_assert_eq(record_append(&whole, &record), ERR_OK);
    cr_assert_eq(event_log_append(fixture.log, buf_view(&whole), &offset), ERR_OK);
    cr_assert_eq(log_fixture_sync(&fixture), ERR_OK);
    log_fixture_close(&fixture);
    uint8_t *data = log_fixture_load(&fixture, 0, &size);
    data[24 + 4] ^= 1; // its CRC
    log_fixture_replace(&fixture, 0, data, size);

    open_log();
    cr_expect_eq(event_log_next(fixture.log), 0);
    cr_expect_gt(fixture.recovery.torn_bytes, 400);
    free(bait);
    free(data);
    buf_release(&whole);
}

// A whole batch of this very segment, in the wrong place: its CRC is right, only
// its offset tells.
Test(event_log_recovery, a_batch_whose_offset_is_not_the_next_is_no_batch)
{
    open_log();
    for (int i = 0; i < 3; i++) {
        log_fixture_store(&fixture, 1, 100); // 24, 190, 356 .. 522
    }
    log_fixture_close(&fixture);
    size_t size = 0;
    uint8_t *data = log_fixture_load(&fixture, 0, &size);
    memcpy(data + 522, data + 24, 166); // offset 0 behind offset 2
    log_fixture_replace(&fixture, 0, data, size);
    open_log();
    cr_expect_eq(event_log_next(fixture.log), 3);
    cr_expect_gt(fixture.recovery.torn_bytes, 0);
    log_fixture_close(&fixture);

    memcpy(data + 190, data + 24, 166); // offset 0 in the place of offset 1
    memset(data + 522, 0, 166);
    log_fixture_replace(&fixture, 0, data, size);
    cr_expect_eq(log_fixture_open(&fixture), ERR_CORRUPT);
    cr_expect_not_null(strstr(fixture.recovery.problem, "at byte 190"));

    memcpy(data + 190, data + 356, 166); // offset 2 in the place of offset 1, and the end
    memset(data + 356, 0, 166);
    log_fixture_replace(&fixture, 0, data, size);
    cr_expect_eq(log_fixture_open(&fixture), ERR_CORRUPT);
    free(data);
}

// Damage after the start: the file changes under the open log.
Test(event_log_recovery, a_cursor_refuses_what_was_damaged_later_and_says_where)
{
    open_log();
    for (int i = 0; i < 4; i++) { // the last one is read from memory
        log_fixture_store(&fixture, 1, 100);
    }
    size_t size = 0;
    uint8_t *data = log_fixture_load(&fixture, 0, &size);
    data[190 + 100] ^= 1;
    log_fixture_replace(&fixture, 0, data, size);

    struct event_log_entry entry;
    cr_expect(log_fixture_holds(&fixture, 0));
    cr_expect_eq(event_log_cursor_read(fixture.cursor, 1, &entry), ERR_CORRUPT);
    cr_expect_not_null(strstr(event_log_cursor_problem(fixture.cursor), "byte 190"));
    cr_expect_eq(event_log_cursor_read(fixture.cursor, 1, &entry), ERR_CORRUPT, "again");

    data[190 + 100] ^= 1;
    log_fixture_replace(&fixture, 0, data, size);
    cr_expect(log_fixture_holds_all(&fixture), "restored");

    uint8_t *moved = malloc(size); // offset 0 in the place of offset 1
    memcpy(moved, data, size);
    memcpy(moved + 190, data + 24, 166);
    log_fixture_replace(&fixture, 0, moved, size);
    free(moved);
    struct event_log_cursor *other = event_log_cursor_new(fixture.log);
    cr_expect_eq(event_log_cursor_read(other, 1, &entry), ERR_CORRUPT);
    event_log_cursor_destroy(&other);
    log_fixture_replace(&fixture, 0, data, size);

    fixture.disk.read_error = 5; // EIO
    other = event_log_cursor_new(fixture.log);
    cr_expect_eq(event_log_cursor_read(other, 1, &entry), ERR_IO);
    cr_expect_neq(event_log_cursor_problem(other)[0], '\0');
    fixture.disk.read_error = 0;
    cr_expect_eq(event_log_cursor_read(other, 1, &entry), ERR_OK);
    event_log_cursor_destroy(&other);

    log_fixture_replace(&fixture, 0, data, 300); // cut under our feet
    other = event_log_cursor_new(fixture.log);
    cr_expect_eq(event_log_cursor_read(other, 2, &entry), ERR_CORRUPT);
    event_log_cursor_destroy(&other);
    free(data);
}

// Whoever has acted on an event knows that it was synced: a tail that lacks it is not
// torn but damaged, and must be there for whoever mends it.
Test(event_log_recovery, a_tail_that_was_known_to_be_whole_is_refused_and_left_as_it_is)
{
    open_log();
    log_fixture_store(&fixture, 2, 50);
    log_fixture_store(&fixture, 1, 50);
    log_fixture_close(&fixture);
    size_t size = 0;
    uint8_t *data = log_fixture_load(&fixture, 0, &size);
    data[used_of(data, size) - 1] ^= 1;
    log_fixture_replace(&fixture, 0, data, size);

    fixture.options.known_end = 3;
    cr_expect_eq(log_fixture_open(&fixture), ERR_CORRUPT);
    cr_expect_not_null(strstr(fixture.recovery.problem, "Nothing was changed"));
    size_t size_now = 0;
    uint8_t *now = log_fixture_load(&fixture, 0, &size_now);
    cr_expect_eq(size_now, size);
    cr_expect_eq(memcmp(now, data, size), 0);

    fixture.options.known_end = 2;
    open_log();
    cr_expect_eq(event_log_next(fixture.log), 2);
    log_fixture_close(&fixture);
    free(now);
    free(data);
}
