// The event log on a bad disk: full, short of breath, interrupted, broken.
#include <criterion/criterion.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
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

static void limit_disk(uint64_t bytes_left)
{
    fixture.disk.is_limited = true;
    fixture.disk.bytes_left = bytes_left;
}

TestSuite(event_log_faults, .init = set_up, .fini = tear_down);

// However much of the batch found room: all of it is dropped, nothing of it is
// read by anybody, and its offsets are used by the batch that has room again.
Test(event_log_faults, a_batch_that_finds_no_room_is_dropped_whole)
{
    open_log();
    log_fixture_store(&fixture, 3, 100);
    const size_t batch_size = 32 + 2 * (16 + 13 + 3 + 2 + 200);

    for (uint64_t room = 0; room < batch_size; room += 7) {
        const uint64_t next = event_log_next(fixture.log);
        log_fixture_append(&fixture, next, 2, 200);
        limit_disk(room);
        cr_assert_eq(log_fixture_sync(&fixture), ERR_FULL);
        cr_assert_eq(event_log_next(fixture.log), next);
        cr_assert_eq(event_log_pending(fixture.log), 0);
        struct event_log_entry entry;
        cr_assert_eq(event_log_cursor_read(fixture.cursor, next, &entry), ERR_NOT_FOUND);
        cr_assert(log_fixture_holds_all(&fixture), "reads go on");

        if (room % 2 == 0) { // a restart on the full disk is fine as well
            open_log();
            cr_assert_eq(event_log_next(fixture.log), next);
            cr_assert_eq(fixture.recovery.torn_bytes, 0, "cut before anybody was told");
        }
        fixture.disk.is_limited = false;
        log_fixture_store(&fixture, 1, 50);
        cr_assert(log_fixture_holds_all(&fixture));
    }
    open_log();
    cr_expect(log_fixture_holds_all(&fixture));
}

Test(event_log_faults, a_disk_without_room_for_zeros_still_takes_batches)
{
    open_log();
    log_fixture_store(&fixture, 1, 100);
    open_log(); // the zeros stay, but
    while (event_log_bytes(fixture.log) < 1200 * 1024) {
        log_fixture_store(&fixture, 100, 1000);
    }
    // Near the end of the zeros that were written ahead, room for one batch only.
    const uint64_t end = event_log_bytes(fixture.log);
    while (event_log_bytes(fixture.log) == end) {
        limit_disk(101 * 1100 + 70 * 1024);
        log_fixture_store(&fixture, 100, 1000);
    }
    cr_expect_lt(event_log_bytes(fixture.log), end + 300 * 1024);
    open_log();
    cr_expect(log_fixture_holds_all(&fixture));
}

Test(event_log_faults, no_room_for_a_new_segment_leaves_the_log_as_it_was)
{
    fixture.options.segment_bytes = 4096;
    open_log();
    log_fixture_store(&fixture, 3, 1000);

    for (uint64_t room = 0; room < 32 + 2 * 1034; room += 50) {
        log_fixture_append(&fixture, 3, 2, 1000); // does not fit into this segment
        limit_disk(room);
        cr_assert_eq(log_fixture_sync(&fixture), ERR_FULL);
        cr_assert(log_fixture_holds_all(&fixture));
        if (room % 100 == 0) {
            fixture.disk.is_limited = false;
            open_log();
            cr_assert_eq(event_log_next(fixture.log), 3);
        }
    }
    fixture.disk.is_limited = false;
    log_fixture_store(&fixture, 2, 1000);
    cr_expect_eq(event_log_segments(fixture.log), 2);
    open_log();
    cr_expect_eq(event_log_next(fixture.log), 5);
    cr_expect(log_fixture_holds_all(&fixture));
}

Test(event_log_faults, short_writes_and_reads_and_interruptions_change_nothing)
{
    fixture.options.segment_bytes = 4096;
    fixture.disk.call_bytes_max = 7;
    fixture.disk.interrupt_each = 3;
    open_log();
    for (int i = 0; i < 10; i++) {
        log_fixture_store(&fixture, 3, 200);
    }
    cr_expect(log_fixture_holds_all(&fixture));
    open_log();
    cr_expect_eq(event_log_next(fixture.log), 30);
    cr_expect(log_fixture_holds_all(&fixture));
}

// Syncs and expects that this ends the process, with a sentence that says what failed,
// on which file, and why.
static void expect_death(const char *action, uint64_t base, int error)
{
    jmp_buf death;
    fixture.disk.death = &death;
    if (setjmp(death) == 0) {
        (void)log_fixture_sync(&fixture);
        cr_assert_fail("it lives");
    }
    fixture.disk.death = NULL;
    char path[128];
    log_fixture_path(&fixture, base, path);
    char wanted[512];
    snprintf(wanted, sizeof wanted, "cannot %s %s: %s. ", action, path, strerror(error));
    cr_expect_not_null(strstr(fixture.disk.last_words, wanted), "%s", fixture.disk.last_words);
}

// The same with a real end.
Test(event_log_faults, the_end_of_the_process_is_an_abort_with_a_sentence_on_stderr)
{
    open_log();
    log_fixture_append(&fixture, 0, 1, 100);
    fixture.disk.sync_error = EIO;
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        (void)log_fixture_sync(&fixture);
        _exit(0);
    }
    close(ends[1]);
    char said[512] = "";
    size_t size = 0;
    for (ssize_t got = 1; got > 0; size += (size_t)got) {
        got = read(ends[0], said + size, sizeof said - 1 - size);
        cr_assert_geq(got, 0);
    }
    close(ends[0]);
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_expect_not_null(strstr(said, "the process ends; the next start reads it"), "%s", said);
}

Test(event_log_faults, a_failed_sync_ends_the_process_and_the_next_start_reads_the_disk)
{
    open_log();
    log_fixture_store(&fixture, 2, 100);
    log_fixture_append(&fixture, 2, 1, 100);
    fixture.disk.sync_error = EIO;

    expect_death("sync", 0, EIO);

    fixture.disk.sync_error = 0;
    open_log();
    cr_expect_eq(event_log_next(fixture.log), 3, "not acked, but there");
    cr_expect(log_fixture_holds_all(&fixture));
}

Test(event_log_faults, a_failed_write_ends_the_process)
{
    open_log();
    log_fixture_store(&fixture, 1, 100);
    log_fixture_append(&fixture, 1, 1, 100);
    fixture.disk.write_error = EIO;

    expect_death("write", 0, EIO);
}

// ENOSPC from a sync is no "try again later": pages may be lost already.
Test(event_log_faults, a_sync_that_finds_no_room_ends_the_process)
{
    open_log();
    log_fixture_store(&fixture, 1, 100);
    log_fixture_append(&fixture, 1, 1, 100);
    fixture.disk.sync_error = ENOSPC;

    expect_death("sync", 0, ENOSPC);
}

Test(event_log_faults, a_segment_that_cannot_be_made_ends_the_process)
{
    fixture.options.segment_bytes = 300;
    open_log();
    log_fixture_store(&fixture, 1, 100);
    log_fixture_append(&fixture, 1, 1, 200);
    fixture.disk.write_error = EIO;

    expect_death("make", 1, EIO);
}

Test(event_log_faults, a_disk_that_fails_at_the_start_is_an_error_with_a_sentence)
{
    fixture.disk.sync_error = EIO;
    cr_expect_eq(log_fixture_open(&fixture), ERR_IO);
    cr_expect_not_null(strstr(fixture.recovery.problem, fixture.directory));
    cr_expect_null(fixture.log);

    fixture.disk.sync_error = 0;
    open_log();
    log_fixture_store(&fixture, 1, 100);
    fixture.disk.sync_error = EIO;
    cr_expect_eq(log_fixture_open(&fixture), ERR_IO);
    fixture.disk.sync_error = 0;
    fixture.disk.read_error = EIO;
    cr_expect_eq(log_fixture_open(&fixture), ERR_IO);
    cr_expect_not_null(strstr(fixture.recovery.problem, "00000000000000000000.log"));
    fixture.disk.read_error = 0;
    open_log();
    cr_expect(log_fixture_holds_all(&fixture));
}

// The process before may have died of a failed sync, with its last batch in the
// page cache only, where no sync would write it again.
Test(event_log_faults, the_start_writes_the_last_batch_again)
{
    open_log();
    log_fixture_store(&fixture, 5, 100);
    fixture.disk.writes = 0;
    fixture.disk.syncs = 0;

    open_log();

    cr_expect_eq(fixture.disk.writes, 1);
    cr_expect_geq(fixture.disk.syncs, 1);
}

struct life {
    uint64_t stored; // events that were acknowledged
    uint64_t first;  // what lies below was dropped, or is being dropped
};

// Opens, stores, rolls, reads, drops, opens again. false: a call has failed and the log
// said so, or the process died of it.
static bool live(struct life *life)
{
    jmp_buf death;
    fixture.disk.death = &death;
    if (setjmp(death) != 0) {
        return false;
    }
    for (int day = 0; day < 2; day++) {
        if (log_fixture_open(&fixture) != ERR_OK) {
            return false;
        }
        for (int i = 0; i < 6; i++) {
            const uint64_t next = event_log_next(fixture.log);
            log_fixture_append(&fixture, next, 2, 100);
            if (log_fixture_sync(&fixture) != ERR_OK) {
                return false;
            }
            life->stored = next + 2;
            struct event_log_entry entry;
            if (event_log_cursor_read(fixture.cursor, next, &entry) != ERR_OK) {
                return false;
            }
        }
        struct event_log_extent oldest;
        event_log_oldest(fixture.log, &oldest);
        life->first = oldest.next;
        if (event_log_drop(fixture.log, oldest.next) != ERR_OK) {
            return false;
        }
    }
    return true;
}

// Whatever call it is, of whatever kind: the log says so or the process ends, and the
// next start has every acknowledged event.
static void expect_survival(int error)
{
    fixture.options.segment_bytes = 700;
    bool has_failed = true;
    unsigned calls = 0;
    while (has_failed) {
        log_fixture_tear_down(&fixture);
        log_fixture_set_up(&fixture);
        fixture.options.segment_bytes = 700;
        struct life life = {0};
        fixture.disk.fail_in = ++calls;
        fixture.disk.fail_error = error;
        const bool is_whole = live(&life);
        fixture.disk.death = NULL;
        has_failed = fixture.disk.fail_in == 0;
        cr_assert(has_failed || is_whole);
        fixture.disk.fail_in = 0;
        open_log();
        const uint64_t next = event_log_next(fixture.log);
        cr_assert(next == life.stored || next == life.stored + 2, "call %u", calls);
        cr_assert_leq(event_log_first(fixture.log), life.first, "call %u", calls);
        cr_assert(log_fixture_holds_all(&fixture), "call %u", calls);
        log_fixture_store(&fixture, 1, 100);
        cr_assert(log_fixture_holds_all(&fixture), "call %u", calls);
    }
    cr_expect_gt(calls, 60, "every call had its turn");
}

Test(event_log_faults, no_call_that_fails_once_costs_an_acknowledged_event)
{
    expect_survival(EIO);
}

Test(event_log_faults, no_call_that_finds_no_room_costs_an_acknowledged_event)
{
    expect_survival(ENOSPC);
}
