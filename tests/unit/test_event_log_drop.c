// The old end of the log: what is dropped, what stays readable, and the time of things.
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/log_fixture.h"

static struct log_fixture fixture;

static void open_log(void)
{
    cr_assert_eq(log_fixture_open(&fixture), ERR_OK, "%s", fixture.recovery.problem);
}

// Segments of three events each, one batch an event, stored at 1000 + its offset.
static void set_up(void)
{
    log_fixture_set_up(&fixture);
    fixture.options.segment_bytes = 24 + 3 * 166;
    open_log();
}

static void tear_down(void)
{
    log_fixture_tear_down(&fixture);
}

static void store(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        log_fixture_store(&fixture, 1, 100);
    }
}

static bool has_file(uint64_t base)
{
    char path[128];
    log_fixture_path(&fixture, base, path);
    return access(path, F_OK) == 0;
}

TestSuite(event_log_drop, .init = set_up, .fini = tear_down);

Test(event_log_drop, the_oldest_segments_go_one_at_a_time_as_far_as_they_lie_below)
{
    store(11); // 0, 3, 6, 9

    cr_expect_eq(event_log_drop(fixture.log, 2), ERR_NOT_FOUND, "its last record is not below");
    cr_expect_eq(event_log_drop(fixture.log, 3), ERR_OK);
    cr_expect_eq(event_log_first(fixture.log), 3);
    cr_expect_eq(event_log_segments(fixture.log), 3);
    cr_expect_not(has_file(0));
    cr_expect_eq(event_log_drop(fixture.log, 8), ERR_OK);
    cr_expect_eq(event_log_drop(fixture.log, 8), ERR_NOT_FOUND);
    cr_expect_eq(event_log_first(fixture.log), 6);

    struct event_log_entry entry;
    cr_expect_eq(event_log_cursor_read(fixture.cursor, 5, &entry), ERR_NOT_FOUND);
    cr_expect(log_fixture_holds_all(&fixture));
    store(20);
    cr_expect(log_fixture_holds_all(&fixture), "what comes later is found as well");
    open_log();
    cr_expect_eq(event_log_first(fixture.log), 6);
    cr_expect_eq(event_log_next(fixture.log), 31);
    cr_expect(log_fixture_holds_all(&fixture));
}

Test(event_log_drop, the_last_segment_stays)
{
    store(4);
    cr_expect_eq(event_log_drop(fixture.log, 100), ERR_OK);
    cr_expect_eq(event_log_drop(fixture.log, 100), ERR_NOT_FOUND);
    cr_expect_eq(event_log_first(fixture.log), 3);
    cr_expect(log_fixture_holds_all(&fixture));
}

// The segment behind it has found no room yet: were the only file dropped, the next
// start would begin at offset 0 again. So that one is begun before.
Test(event_log_drop,
     the_last_file_goes_once_the_next_one_is_begun_and_stays_while_that_finds_no_room)
{
    store(3);
    log_fixture_append(&fixture, 3, 1, 100);
    fixture.disk.is_limited = true;
    cr_assert_eq(log_fixture_sync(&fixture), ERR_FULL);

    cr_expect_eq(event_log_drop(fixture.log, 3), ERR_FULL);

    open_log();
    cr_expect_eq(event_log_next(fixture.log), 3);
    fixture.disk.is_limited = true;
    log_fixture_append(&fixture, 3, 1, 100);
    cr_assert_eq(log_fixture_sync(&fixture), ERR_FULL);
    fixture.disk.is_limited = false;
    cr_expect_eq(event_log_drop(fixture.log, 3), ERR_OK);
    cr_expect_not(has_file(0));
    cr_expect(has_file(3));
    cr_expect_eq(event_log_first(fixture.log), 3);
    open_log();
    cr_expect_eq(event_log_next(fixture.log), 3);
    store(1);
    open_log();
    cr_expect_eq(event_log_next(fixture.log), 4);
    cr_expect(log_fixture_holds_all(&fixture));
}

Test(event_log_drop, cursors_go_on_wherever_they_are)
{
    store(11);
    struct event_log_cursor *cursors[11];
    struct event_log_entry entry;
    for (uint64_t i = 0; i < 11; i++) {
        cursors[i] = event_log_cursor_new(fixture.log);
        cr_assert_eq(event_log_cursor_read(cursors[i], i, &entry), ERR_OK);
    }

    cr_assert_eq(event_log_drop(fixture.log, 6), ERR_OK);
    cr_assert_eq(event_log_drop(fixture.log, 6), ERR_OK);

    for (uint64_t i = 0; i < 11; i++) {
        cr_expect_eq(event_log_cursor_read(cursors[i], 5, &entry), ERR_NOT_FOUND);
        for (uint64_t j = i < 6 ? 6 : i; j < 11; j++) {
            cr_assert_eq(event_log_cursor_read(cursors[i], j, &entry), ERR_OK);
            cr_expect_eq(entry.time_us, 1000 + j);
        }
    }
    for (size_t i = 0; i < 11; i++) {
        event_log_cursor_destroy(&cursors[(i * 7) % 11]);
    }
}

// A file that somebody has open keeps its bytes on the disk without a name.
Test(event_log_drop, no_cursor_holds_the_space_of_a_dropped_file)
{
    store(4);
    cr_assert(log_fixture_holds(&fixture, 0));
    const unsigned open_before = fixture.disk.open_files;
    cr_assert_eq(event_log_drop(fixture.log, 3), ERR_OK);
    cr_expect_eq(fixture.disk.open_files, open_before - 1);
}

Test(event_log_drop, a_file_that_cannot_be_removed_stays_in_the_log)
{
    store(4);
    fixture.disk.unlink_error = EACCES;
    cr_expect_eq(event_log_drop(fixture.log, 3), ERR_IO);
    fixture.disk.unlink_error = ENOSPC;
    cr_expect_eq(event_log_drop(fixture.log, 3), ERR_FULL);
    cr_expect_eq(event_log_first(fixture.log), 0);
    cr_expect(log_fixture_holds_all(&fixture));
    fixture.disk.unlink_error = 0;
    cr_expect_eq(event_log_drop(fixture.log, 3), ERR_OK);
}

Test(event_log_drop, the_oldest_segment_is_described)
{
    struct event_log_extent oldest;
    event_log_oldest(fixture.log, &oldest);
    cr_expect(oldest.first == 0 && oldest.next == 0);

    store(5);
    event_log_oldest(fixture.log, &oldest);
    cr_expect(oldest.first == 0 && oldest.next == 3);
    cr_expect_eq(oldest.time_us, 1002, "the newest of its three");
    cr_expect_eq(oldest.bytes, 24 + 3 * 166);

    cr_assert_eq(event_log_drop(fixture.log, oldest.next), ERR_OK);
    open_log();
    event_log_oldest(fixture.log, &oldest);
    cr_expect(oldest.first == 3 && oldest.next == 5);
    cr_expect_eq(oldest.time_us, 1004);
}

static uint64_t find(uint64_t time_us)
{
    uint64_t offset = UINT64_MAX;
    cr_assert_eq(event_log_cursor_find_time(fixture.cursor, time_us, &offset), ERR_OK);
    return offset;
}

Test(event_log_drop, a_time_finds_the_first_event_stored_then_or_later)
{
    cr_expect_eq(find(0), 0, "an empty log");
    store(8);
    for (int restarted = 0; restarted < 2; restarted++) {
        cr_expect_eq(find(0), 0);
        for (uint64_t i = 0; i < 8; i++) {
            cr_expect_eq(find(1000 + i), i);
        }
        cr_expect_eq(find(1008), 8, "none yet: the next one");
        open_log();
    }
    cr_assert_eq(event_log_drop(fixture.log, 3), ERR_OK);
    cr_expect_eq(find(0), 3);
    cr_expect_eq(find(1001), 3);
    cr_expect_eq(find(1005), 5);
}

Test(event_log_drop, a_time_is_found_though_the_clock_was_put_back)
{
    static const uint64_t times_us[] = {100, 200, 300, 50, 60, 250, 400, 10};
    for (uint64_t i = 0; i < 8; i++) {
        log_fixture_append(&fixture, i, 1, 100);
        cr_assert_eq(event_log_sync(fixture.log, times_us[i], false), ERR_OK);
    }
    for (uint64_t time_us = 0; time_us < 500; time_us += 5) {
        uint64_t first = 0;
        while (first < 8 && times_us[first] < time_us) {
            first++;
        }
        cr_expect_eq(find(time_us), first, "%lu", (unsigned long)time_us);
    }
}

Test(event_log_drop, a_time_is_found_among_many_batches_of_one_segment)
{
    fixture.options.segment_bytes = 0;
    open_log();
    for (int i = 0; i < 300; i++) {
        log_fixture_store(&fixture, 2, 1000); // more than one place of the index
    }
    for (uint64_t i = 0; i < 600; i += 2) { // the two of a batch have one time
        cr_assert_eq(find(1000 + i), i);
        cr_assert_eq(find(1000 + i + 1), i + 2);
    }
}
