// The event log on a disk that is really full: a small tmpfs, and the limit of the
// system on the size of a file. Publishers are refused, reading goes on, nothing of a
// refused batch is ever seen, and writing goes on by itself when there is space.
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/support/log_fixture.h"

static struct log_fixture fixture;

static void set_up(void)
{
    log_fixture_set_up(&fixture);
    fixture.options.disk = &disk_os;
    fixture.options.segment_bytes = 256 * 1024;
}

static void tear_down(void)
{
    log_fixture_tear_down(&fixture);
}

static void open_log(void)
{
    cr_assert_eq(log_fixture_open(&fixture), ERR_OK, "%s", fixture.recovery.problem);
}

TestSuite(event_log_full, .init = set_up, .fini = tear_down);

// Stores batches of this many bytes a body until one is refused; gives how many were stored.
static unsigned fill(size_t body_bytes)
{
    for (unsigned count = 0;; count++) {
        cr_assert_lt(count, 100000, "it is never full");
        const uint64_t next = event_log_next(fixture.log);
        log_fixture_append(&fixture, next, 3, body_bytes);
        const enum err err = log_fixture_sync(&fixture);
        if (err != ERR_OK) {
            cr_assert_eq(err, ERR_FULL);
            cr_assert_eq(event_log_next(fixture.log), next);
            return count;
        }
    }
}

// What was stored is there and nothing more, now and after a start.
static void expect_whole(void)
{
    const uint64_t next = event_log_next(fixture.log);
    struct event_log_entry entry;
    cr_assert(log_fixture_holds_all(&fixture), "reading goes on");
    cr_assert_eq(event_log_cursor_read(fixture.cursor, next, &entry), ERR_NOT_FOUND);
    open_log();
    cr_assert_eq(event_log_next(fixture.log), next);
    cr_assert_eq(fixture.recovery.torn_bytes, 0, "cut before anybody was told");
    cr_assert(log_fixture_holds_all(&fixture));
}

static void ballast_make(const char *path, size_t size)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    uint8_t *data = mem_calloc(1, size);
    cr_assert_eq(write(fd, data, size), (ssize_t)size);
    free(data);
    close(fd);
}

// Enters a file system of 2 MiB of its own, which nobody else sees and which goes with
// the test, however it ends.
static bool tmpfs_enter(void)
{
    const bool is_in = mount("tmpfs", fixture.directory, "tmpfs", 0, "size=2m") == 0 &&
                       chdir(fixture.directory) == 0;
    if (is_in) {
        cr_assert_eq(umount2(fixture.directory, MNT_DETACH), 0);
    }
    return is_in;
}

Test(event_log_full, on_a_full_file_system_reading_goes_on_and_writing_comes_back)
{
    if (!tmpfs_enter()) {
        log_fixture_tear_down(&fixture); // what is skipped is not torn down
        cr_skip_test("only root may mount the small file system that this fills");
    }
    fixture.options.directory = ".";
    for (int round = 0; round < 3; round++) {
        char ballast[32];
        snprintf(ballast, sizeof ballast, "ballast-%d", round);
        ballast_make(ballast, 256 * 1024);
    }
    open_log();
    cr_expect_gt(fill(3000), 20);
    for (int round = 0; round < 3; round++) {
        (void)fill(1000); // what is left for smaller ones
        (void)fill(24);
        cr_expect_eq(fill(24), 0, "still full");
        if (round > 0) {
            expect_whole();
            cr_expect_eq(fill(24), 0, "a start makes no room");
        }
        char ballast[32];
        snprintf(ballast, sizeof ballast, "ballast-%d", round);
        cr_assert_eq(unlink(ballast), 0);
        cr_expect_gt(fill(3000), 20, "without a new start");
    }
    while (event_log_drop(fixture.log, event_log_next(fixture.log)) == ERR_OK) {
    }
    cr_expect_gt(fill(3000), 100, "retention makes room as well");
    expect_whole();
    cr_assert_eq(chdir("/"), 0);
}

Test(event_log_full, a_file_that_may_not_grow_is_a_full_disk)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    const rlim_t before = limit.rlim_cur;
    fixture.options.segment_bytes = 0;
    open_log();
    for (rlim_t size = 100000; size < 400000; size += 77777) { // within a batch
        limit.rlim_cur = size;
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        cr_expect_gt(fill(3000), 5);
        expect_whole();
    }
    limit.rlim_cur = before;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    log_fixture_store(&fixture, 3, 3000);
    expect_whole();
}
