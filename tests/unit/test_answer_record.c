// What clients were answered, as lines that `verify --record` reads.
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/answer_record.h"

static char path[] = "/tmp/test_answer_record.XXXXXX";

static void make_file(void)
{
    close(mkstemp(path));
}

static void remove_file(void)
{
    unlink(path);
}

TestSuite(answer_record, .init = make_file, .fini = remove_file);

static void expect_line(const struct answer *answer, const char *wanted)
{
    char text[512] = "";
    const int fd = answer_record_open(path);
    cr_assert_geq(fd, 0);
    const off_t start = lseek(fd, 0, SEEK_END);
    cr_assert(answer_record_write(fd, answer));
    close(fd);
    const int in = open(path, O_RDONLY);
    cr_assert_gt(pread(in, text, sizeof text - 1, start), 0);
    close(in);
    cr_expect_str_eq(text, wanted);
}

Test(answer_record, each_answer_is_a_line_behind_those_before)
{
    expect_line(&(struct answer){.id = "0-1", .status = 202, .at_us = 1000000},
                "{\"order_id\":\"0-1\",\"mode\":\"async\",\"status\":202,"
                "\"at\":\"1970-01-01T00:00:01.000000Z\"}\n");
    expect_line(&(struct answer){.id = "0-2", .is_transfer = true, .status = 202},
                "{\"transfer_id\":\"0-2\",\"mode\":\"async\",\"status\":202,"
                "\"at\":\"1970-01-01T00:00:00.000000Z\"}\n");
}

Test(answer_record, a_line_that_was_never_finished_is_ended_before_the_next)
{
    int fd = answer_record_open(path);
    cr_assert_eq(write(fd, "{\"order", 7), 7);
    close(fd);
    fd = answer_record_open(path);
    cr_assert(answer_record_write(fd, &(struct answer){.id = "0-1", .status = 202}));
    close(fd);
    char text[512] = "";
    const int in = open(path, O_RDONLY);
    cr_assert_gt(read(in, text, sizeof text - 1), 0);
    close(in);
    cr_expect_eq(strncmp(text, "{\"order\n{\"order_id\":\"0-1\"", 25), 0, "%s", text);
}

Test(answer_record, an_answer_that_never_came_is_a_line_as_well)
{
    expect_line(&(struct answer){.id = "", .is_sync = true, .err = ERR_TIMEOUT},
                "{\"order_id\":null,\"mode\":\"sync\",\"status\":\"timeout\","
                "\"at\":\"1970-01-01T00:00:00.000000Z\"}\n");
    expect_line(&(struct answer){.id = "", .is_sync = true, .err = ERR_IO},
                "{\"order_id\":null,\"mode\":\"sync\",\"status\":\"no-answer\","
                "\"at\":\"1970-01-01T00:00:00.000000Z\"}\n");
}

Test(answer_record, a_line_that_cannot_be_written_is_told)
{
    const int fd = open("/dev/full", O_WRONLY);
    cr_assert_geq(fd, 0);
    cr_expect_not(answer_record_write(fd, &(struct answer){.id = ""}));
    close(fd);
}

// The disk takes ten bytes of the line and then no more. Such a write has no error of its own.
Test(answer_record, a_line_that_is_cut_short_is_told_with_the_reason, .init = cr_redirect_stderr)
{
    make_file();
    const struct rlimit room = {.rlim_cur = 10, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &room), 0);
    const int fd = answer_record_open(path);
    errno = 0;
    cr_expect_not(answer_record_write(fd, &(struct answer){.id = "0-1"}));
    close(fd);
    cr_assert_stderr_eq_str("faultline: the record cannot be written: File too large\n");
}
