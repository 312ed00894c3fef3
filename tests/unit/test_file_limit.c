// The disk of one running process is full, and has room again.
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/file_limit.h"

enum {
    BLOCK = 4096,
    WRITTEN = 3 * BLOCK,
    INHERITED_MAX = 256,
};

static int questions[2], answers[2];
static struct process_id child;

// Writes a block to the end of a file for each byte it reads, and answers with errno.
static void write_blocks(void)
{
    char path[] = "/tmp/test_file_limit.XXXXXX";
    char block[BLOCK] = {0};
    char question = 0;
    for (int inherited = STDERR_FILENO + 1; inherited < INHERITED_MAX; inherited++) {
        if (inherited != questions[0] && inherited != answers[1]) {
            close(inherited);
        }
    }
    const int fd = mkstemp(path);
    unlink(path);
    (void)signal(SIGXFSZ, SIG_IGN); // as daemon_take_signals does
    while (read(questions[0], &question, 1) == 1) {
        errno = 0;
        const ssize_t size = write(fd, block, sizeof block);
        const char answer = size == BLOCK ? 0 : (char)(errno == 0 ? ENOSPC : errno);
        if (write(answers[1], &answer, 1) != 1) {
            break;
        }
    }
    _exit(0);
}

static int write_block(void)
{
    char byte = 1;
    cr_assert_eq(write(questions[1], &byte, 1), 1);
    cr_assert_eq(read(answers[0], &byte, 1), 1);
    return byte;
}

static void start(void)
{
    cr_assert(pipe(questions) == 0 && pipe(answers) == 0);
    const pid_t pid = fork();
    if (pid == 0) {
        write_blocks();
    }
    cr_assert_eq(process_identify(pid, &child), ERR_OK);
    for (int written = 0; written < WRITTEN; written += BLOCK) {
        cr_assert_eq(write_block(), 0);
    }
}

static void end(void)
{
    kill(child.pid, SIGKILL);
    waitpid(child.pid, NULL, 0);
}

TestSuite(file_limit, .init = start, .fini = end, .timeout = 20);

Test(file_limit, a_write_beyond_it_fails_until_it_is_lifted)
{
    cr_assert_eq(file_limit_set(child, 0), ERR_OK);
    cr_expect_eq(write_block(), EFBIG);
    cr_assert_eq(file_limit_lift(child), ERR_OK);
    cr_expect_eq(write_block(), 0);
}

Test(file_limit, no_file_grows_beyond_the_largest_one)
{
    const uint64_t largest = file_limit_largest(child);
    cr_assert_eq(largest, WRITTEN);
    cr_assert_eq(file_limit_set(child, largest), ERR_OK);
    cr_expect_eq(write_block(), EFBIG);
    cr_assert_eq(file_limit_set(child, largest + BLOCK), ERR_OK);
    cr_expect_eq(write_block(), 0);
    cr_expect_eq(write_block(), EFBIG);
}

Test(file_limit, who_is_dead_has_no_limit)
{
    end();
    cr_expect_eq(file_limit_set(child, 0), ERR_NOT_FOUND);
    cr_expect_eq(file_limit_lift(child), ERR_NOT_FOUND);
    cr_expect_eq(file_limit_largest(child), 0);
}
