// The event log without faults: what is appended and synced comes back, in order,
// also from another process's files; nothing else does.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

TestSuite(event_log, .init = set_up, .fini = tear_down);

Test(event_log, a_new_log_is_empty_and_takes_little_of_the_disk)
{
    open_log();

    cr_expect_eq(event_log_first(fixture.log), 0);
    cr_expect_eq(event_log_next(fixture.log), 0);
    cr_expect_eq(event_log_pending(fixture.log), 0);
    cr_expect_eq(event_log_segments(fixture.log), 1);
    cr_expect_leq(event_log_bytes(fixture.log), 1024 * 1024);
    cr_expect_eq(fixture.recovery.records, 0);
    cr_expect_eq(fixture.recovery.torn_bytes, 0);
    struct event_log_entry entry;
    cr_expect_eq(event_log_cursor_read(fixture.cursor, 0, &entry), ERR_NOT_FOUND);
}

Test(event_log, what_was_synced_is_read_back_in_order_with_the_time_of_its_batch)
{
    open_log();
    log_fixture_store(&fixture, 3, 100);
    log_fixture_store(&fixture, 1, 24);
    log_fixture_store(&fixture, 200, 300);

    cr_expect_eq(event_log_next(fixture.log), 204);
    cr_expect(log_fixture_holds_all(&fixture));
    struct event_log_entry entry;
    cr_assert_eq(event_log_cursor_read(fixture.cursor, 3, &entry), ERR_OK);
    cr_expect_eq(entry.time_us, 1003);
    cr_assert_eq(event_log_cursor_read(fixture.cursor, 203, &entry), ERR_OK);
    cr_expect_eq(entry.time_us, 1004);
}

Test(event_log, what_was_not_synced_cannot_be_read_and_is_gone_after_a_restart)
{
    open_log();
    log_fixture_store(&fixture, 2, 100);
    log_fixture_append(&fixture, 2, 5, 100);

    struct event_log_entry entry;
    cr_expect_eq(event_log_pending(fixture.log), 5);
    cr_expect_eq(event_log_next(fixture.log), 2);
    cr_expect_eq(event_log_cursor_read(fixture.cursor, 2, &entry), ERR_NOT_FOUND);

    open_log();
    cr_expect_eq(event_log_next(fixture.log), 2);
    cr_expect_eq(fixture.recovery.records, 2);
    cr_expect_eq(fixture.recovery.torn_bytes, 0);
    log_fixture_store(&fixture, 1, 100); // the fixture asserts that it gets offset 2
    cr_expect(log_fixture_holds_all(&fixture));
}

Test(event_log, what_was_not_synced_can_be_looked_at_by_offset)
{
    open_log();
    log_fixture_store(&fixture, 3, 100);
    for (int round = 0; round < 3; round++) { // the last one after a dropped batch
        const uint64_t next = event_log_next(fixture.log);
        log_fixture_append(&fixture, next, 50, 24 + (size_t)round);
        for (uint64_t i = 50; i-- > 0;) {
            char wanted[32];
            snprintf(wanted, sizeof wanted, "event-%lu ", (unsigned long)(next + i));
            struct record record;
            cr_assert_eq(event_log_peek(fixture.log, next + i, &record), ERR_OK);
            cr_expect_eq(memcmp(record.body.data, wanted, strlen(wanted)), 0);
            cr_expect_eq(record.body.size, 24 + (size_t)round);
        }
        fixture.disk.is_limited = round == 1;
        cr_assert_eq(log_fixture_sync(&fixture), round == 1 ? ERR_FULL : ERR_OK);
    }
}

Test(event_log, a_sync_with_nothing_to_write_touches_no_file)
{
    open_log();
    fixture.disk.calls = 0;
    fixture.disk.syncs = 0;

    cr_expect_eq(log_fixture_sync(&fixture), ERR_OK);

    cr_expect_eq(fixture.disk.calls, 0);
    cr_expect_eq(fixture.disk.syncs, 0);
}

Test(event_log, a_batch_is_one_write_and_one_sync)
{
    open_log();
    log_fixture_store(&fixture, 1, 100);
    fixture.disk.writes = 0;
    fixture.disk.syncs = 0;

    log_fixture_store(&fixture, 1000, 256);

    cr_expect_eq(fixture.disk.writes, 1);
    cr_expect_eq(fixture.disk.syncs, 1);
}

Test(event_log, a_log_comes_back_whole_however_often_it_is_opened)
{
    fixture.options.segment_bytes = 4096;
    for (uint64_t round = 0; round < 20; round++) {
        open_log();
        cr_assert_eq(event_log_next(fixture.log), round * 7);
        cr_assert_eq(fixture.recovery.records, round * 7);
        cr_assert_eq(fixture.recovery.torn_bytes, 0);
        cr_assert(log_fixture_holds_all(&fixture));
        log_fixture_store(&fixture, 5, 100);
        log_fixture_store(&fixture, 2, 300);
    }
    cr_expect_gt(event_log_segments(fixture.log), 5);
}

Test(event_log, full_segments_are_cut_to_what_they_hold_and_named_after_their_first_offset)
{
    fixture.options.segment_bytes = 4096;
    open_log();
    for (int i = 0; i < 10; i++) {
        log_fixture_store(&fixture, 4, 200); // about 1 KiB
    }

    cr_expect_eq(event_log_segments(fixture.log), 3);
    size_t size = 0;
    free(log_fixture_load(&fixture, 0, &size));
    cr_expect_lt(size, 4096);
    cr_expect_gt(size, 2048);
    free(log_fixture_load(&fixture, 16, &size)); // four batches of four fit
    cr_expect(log_fixture_holds_all(&fixture));
    cr_expect_leq(event_log_bytes(fixture.log), 3 * 4096);
}

Test(event_log, a_batch_larger_than_a_segment_gets_a_larger_one)
{
    fixture.options.segment_bytes = 4096;
    open_log();
    log_fixture_store(&fixture, 1, 100);
    log_fixture_store(&fixture, 100, 20000);
    log_fixture_store(&fixture, 1, 100);

    cr_expect_eq(event_log_segments(fixture.log), 3);
    cr_expect(log_fixture_holds_all(&fixture));
    open_log();
    cr_expect_eq(event_log_next(fixture.log), 102);
    cr_expect(log_fixture_holds_all(&fixture));
}

Test(event_log, an_append_over_the_batch_limit_is_refused_until_a_sync)
{
    open_log();
    struct buf whole = {0};
    uint8_t *body = calloc(1, 200 * 1024);
    const struct record record = {.topic = bytes_of_text("t"),
                                  .id = bytes_of_text("i"),
                                  .body = {.data = body, .size = 200 * 1024}};
    cr_assert_eq(record_append(&whole, &record), ERR_OK);
    uint64_t offset = 0;
    uint64_t taken = 0;
    while (event_log_append(fixture.log, buf_view(&whole), &offset) == ERR_OK) {
        cr_assert_eq(offset, taken);
        taken++;
    }

    cr_expect_eq(taken, EVENT_LOG_BATCH_MAX / whole.size);
    cr_expect_eq(log_fixture_sync(&fixture), ERR_OK);
    cr_expect_eq(event_log_next(fixture.log), taken);
    cr_expect_eq(event_log_append(fixture.log, buf_view(&whole), &offset), ERR_OK);
    cr_expect_eq(offset, taken);

    struct event_log_entry entry; // a batch 30 times the size of a cursor's buffer
    for (uint64_t i = 0; i < taken; i++) {
        cr_assert_eq(event_log_cursor_read(fixture.cursor, i, &entry), ERR_OK);
        cr_assert_eq(entry.record.whole.size, whole.size);
        cr_assert_eq(memcmp(entry.record.whole.data, whole.data, whole.size), 0);
    }
    buf_release(&whole);
    free(body);
}

Test(event_log, cursors_read_any_offset_in_any_order)
{
    fixture.options.segment_bytes = 128 * 1024;
    open_log();
    for (uint64_t i = 0; event_log_next(fixture.log) < 5000; i++) {
        log_fixture_store(&fixture, 1 + i * 13 % 40, 30 + i * 7 % 200);
    }
    cr_assert_gt(event_log_segments(fixture.log), 4);
    const uint64_t next = event_log_next(fixture.log);

    for (uint64_t i = 0; i < next; i++) {
        cr_assert(log_fixture_holds(&fixture, i * 2654435761U % next), "at random");
    }
    for (uint64_t i = next; i > 0; i--) {
        cr_assert(log_fixture_holds(&fixture, i - 1), "backwards");
    }
    for (uint64_t i = 0; i + 3 < next; i += 3) {
        cr_assert(log_fixture_holds(&fixture, i), "skipping");
        cr_assert(log_fixture_holds(&fixture, i), "again");
    }
    struct event_log_entry entry;
    cr_expect_eq(event_log_cursor_read(fixture.cursor, next, &entry), ERR_NOT_FOUND);
    cr_expect_eq(event_log_cursor_read(fixture.cursor, UINT64_MAX, &entry), ERR_NOT_FOUND);
}

Test(event_log, two_cursors_do_not_disturb_each_other)
{
    open_log();
    log_fixture_store(&fixture, 100, 100);
    struct event_log_cursor *other = event_log_cursor_new(fixture.log);
    struct event_log_entry entry;

    for (uint64_t i = 0; i < 100; i++) {
        cr_assert_eq(event_log_cursor_read(other, 99 - i, &entry), ERR_OK);
        cr_assert_eq(entry.offset, 99 - i);
        cr_assert(log_fixture_holds(&fixture, i));
    }
    event_log_cursor_destroy(&other);
    event_log_cursor_destroy(&other); // and nothing on NULL
}

Test(event_log, a_cursor_at_the_end_reads_what_is_stored_later_also_in_new_segments)
{
    fixture.options.segment_bytes = 4096;
    open_log();
    for (uint64_t i = 0; i < 100; i++) {
        struct event_log_entry entry;
        cr_assert_eq(event_log_cursor_read(fixture.cursor, i, &entry), ERR_NOT_FOUND);
        log_fixture_store(&fixture, 1, 200);
        cr_assert(log_fixture_holds(&fixture, i));
    }
}

// The newest batch is still in memory when those who keep up want it.
Test(event_log, whoever_keeps_up_reads_nothing_from_the_disk)
{
    fixture.options.segment_bytes = 4096;
    open_log();
    struct event_log_cursor *slow = event_log_cursor_new(fixture.log);
    struct event_log_entry entry;
    for (uint64_t round = 0; round < 20; round++) {
        log_fixture_store(&fixture, 3, 100 + round);
        fixture.disk.read_error = 5;
        for (uint64_t i = 0; i < 3; i++) {
            cr_assert(log_fixture_holds(&fixture, 3 * round + i));
        }
        // The slow one is in the middle of it when the next one comes.
        cr_assert_eq(event_log_cursor_read(slow, 3 * round, &entry), ERR_OK);
        fixture.disk.read_error = 0;
        if (round > 0) {
            cr_assert_eq(event_log_cursor_read(slow, 3 * round - 1, &entry), ERR_OK);
            cr_assert_eq(entry.offset, 3 * round - 1);
        }
    }
    cr_expect(log_fixture_holds_all(&fixture));
    event_log_cursor_destroy(&slow);
}

Test(event_log, many_small_batches_take_few_reads)
{
    open_log();
    for (int i = 0; i < 1000; i++) {
        log_fixture_store(&fixture, 1, 100);
    }
    fixture.disk.calls = 0;

    cr_expect(log_fixture_holds_all(&fixture));

    cr_expect_leq(fixture.disk.calls, 2); // 150 KB
}

Test(event_log, the_disk_limit_is_kept_and_a_refused_batch_leaves_no_trace)
{
    fixture.options.segment_bytes = 4096;
    fixture.options.disk_bytes_max = 10000;
    open_log();
    uint64_t stored = 0;
    for (;;) {
        log_fixture_append(&fixture, stored, 1, 400);
        if (log_fixture_sync(&fixture) != ERR_OK) {
            break;
        }
        stored++;
        cr_assert_leq(event_log_bytes(fixture.log), 10000);
    }

    cr_expect_gt(stored, 15);
    cr_expect_eq(event_log_next(fixture.log), stored);
    cr_expect_eq(event_log_pending(fixture.log), 0);
    cr_expect(log_fixture_holds_all(&fixture), "readers go on");
    log_fixture_append(&fixture, stored, 1, 400); // the same offset again
    cr_expect_eq(log_fixture_sync(&fixture), ERR_FULL);

    fixture.options.disk_bytes_max = 0;
    open_log();
    cr_expect_eq(event_log_next(fixture.log), stored);
    cr_expect_eq(fixture.recovery.torn_bytes, 0);
    log_fixture_store(&fixture, 5, 400);
    cr_expect(log_fixture_holds_all(&fixture));
}

static const char *see(void *context, uint64_t segment, uint64_t offset,
                       const struct record *record)
{
    uint64_t *seen = context;
    char body[32];
    snprintf(body, sizeof body, "event-%lu", (unsigned long)offset);
    cr_expect_eq(offset, *seen);
    cr_expect_leq(segment, offset);
    cr_expect_eq(memcmp(record->body.data, body, strlen(body)), 0);
    return ++*seen != 20 ? NULL : "it is the twentieth";
}

Test(event_log, a_start_shows_every_record_and_tells_what_is_wrong_with_one_that_is_refused)
{
    uint64_t seen = 0;
    fixture.options.segment_bytes = 4096;
    fixture.options.found = see;
    fixture.options.found_context = &seen;
    open_log();
    log_fixture_store(&fixture, 9, 400);
    log_fixture_store(&fixture, 9, 400);
    cr_assert_eq(event_log_newest(fixture.log), 9);
    open_log();
    cr_expect_eq(seen, 18);

    log_fixture_store(&fixture, 9, 400);
    for (int again = 0; again < 2; again++) { // and nothing was changed
        seen = 0;
        cr_expect_eq(log_fixture_open(&fixture), ERR_CORRUPT);
        cr_expect_not_null(strstr(fixture.recovery.problem, "it is the twentieth"));
        cr_expect_null(strstr(fixture.recovery.problem, "gives up"));
    }
}

Test(event_log, a_folder_belongs_to_one_log_at_a_time)
{
    open_log();
    struct event_log *second = NULL;
    struct event_log_recovery recovery;

    cr_expect_eq(event_log_open(&second, &fixture.options, &recovery), ERR_CONFLICT);
    cr_expect_null(second);
    cr_expect_not_null(strstr(recovery.problem, fixture.directory));
    cr_expect_not_null(strstr(recovery.problem, "another process"));

    log_fixture_close(&fixture);
    cr_expect_eq(event_log_open(&second, &fixture.options, &recovery), ERR_OK);
    event_log_destroy(&second);
}

Test(event_log, missing_folders_are_made_and_impossible_ones_named)
{
    char deep[128];
    snprintf(deep, sizeof deep, "%s/a/b//log/", fixture.directory);
    const char *made = fixture.directory;
    fixture.options.directory = deep;
    open_log();
    log_fixture_store(&fixture, 1, 100);
    open_log();
    cr_expect(log_fixture_holds(&fixture, 0));
    log_fixture_close(&fixture);

    char file[128];
    snprintf(file, sizeof file, "%s/a/b/log/lock/log", made);
    fixture.options.directory = file;
    cr_expect_eq(log_fixture_open(&fixture), ERR_IO);
    cr_expect_not_null(strstr(fixture.recovery.problem, file));
    fixture.options.directory = "";
    cr_expect_eq(log_fixture_open(&fixture), ERR_IO);

    static const char *const rest[] = {"a/b/log/lock", "a/b/log/00000000000000000000.log"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(file, sizeof file, "%s/%s", made, rest[i]);
        unlink(file);
    }
    static const char *const folders[] = {"a/b/log", "a/b", "a"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/%s", made, folders[i]);
        rmdir(file);
    }
}

Test(event_log, other_files_in_the_folder_are_left_alone)
{
    static const char *const names[] = {
        "groups", "1.log", "00000000000000000005.log.old", "99999999999999999999.log"};
    char path[128];
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", fixture.directory, names[i]);
        FILE *file = fopen(path, "w");
        cr_assert_not_null(file);
        fputs("mine", file);
        fclose(file);
    }
    open_log();
    log_fixture_store(&fixture, 3, 100);
    open_log();

    cr_expect_eq(event_log_next(fixture.log), 3);
    struct stat status;
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", fixture.directory, names[i]);
        cr_expect_eq(stat(path, &status), 0);
        cr_expect_eq(status.st_size, 4);
    }
}

Test(event_log, it_works_with_the_real_system_calls_too)
{
    fixture.options.disk = &disk_os;
    fixture.options.segment_bytes = 64 * 1024;
    open_log();
    for (int i = 0; i < 50; i++) {
        log_fixture_store(&fixture, 10, 300);
    }
    open_log();
    cr_expect_eq(event_log_next(fixture.log), 500);
    cr_expect(log_fixture_holds_all(&fixture));
}
