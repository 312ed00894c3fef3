// Starting programs, and the ports that they will want.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/port.h"
#include "cli/spawn.h"
#include "common/mem.h"

Test(spawn, a_command_gives_its_output_and_its_exit_code)
{
    const char *const argv[] = {"sh", "-c", "echo out; echo err >&2; exit 3", NULL};
    struct buf output = {0};
    int exit_code = 0;
    cr_assert_eq(spawn_read(argv, &output, &exit_code), ERR_OK);
    cr_expect(bytes_equal_text(buf_view(&output), "out\n"));
    cr_expect_eq(exit_code, 3);
    buf_release(&output);
}

Test(spawn, a_program_that_is_not_there_is_told_at_once)
{
    const char *const argv[] = {"faultline-nonexistent", NULL};
    struct buf output = {0};
    int exit_code = 0;
    cr_expect_eq(spawn_read(argv, &output, &exit_code), ERR_NOT_FOUND);
    buf_release(&output);
}

Test(spawn, a_command_that_runs_with_our_output_gives_its_exit_code)
{
    const char *const argv[] = {"sh", "-c", "exit 4", NULL};
    const char *const nothing[] = {"faultline-nonexistent", NULL};
    int exit_code = 0;
    cr_expect_eq(spawn_run(argv, &exit_code), ERR_OK);
    cr_expect_eq(exit_code, 4);
    cr_expect_eq(spawn_run(nothing, &exit_code), ERR_NOT_FOUND);
}

// The helper outlives neither us nor, here, the process that stands for us.
Test(spawn, a_helper_ends_with_whom_it_helps)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    const pid_t owner = fork();
    if (owner == 0) {
        char *problem = NULL;
        pid_t helper = 0;
        const char *const argv[] = {"/usr/bin/yes", NULL};
        const char *const envp[] = {"PATH=/usr/bin:/bin", NULL};
        const enum err err = spawn_helper(argv, envp, "/dev/null", &helper, &problem);
        const ssize_t size = write(ends[1], &helper, sizeof helper);
        _exit(err == ERR_OK && size == (ssize_t)sizeof helper ? 0 : 1);
    }
    pid_t helper = 0;
    int status = 0;
    cr_assert_eq(waitpid(owner, &status, 0), owner);
    cr_expect_eq(status, 0);
    cr_assert_eq(read(ends[0], &helper, sizeof helper), (ssize_t)sizeof helper);
    for (int i = 0; i < 500 && kill(helper, 0) == 0; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    cr_expect_neq(kill(helper, 0), 0, "it is gone");
}

// A crash point in our environment was meant for a process that a person starts.
Test(spawn, a_helper_has_no_crash_point_and_says_its_words_through_a_pipe)
{
    const char *const argv[] = {
        "/bin/sh", "-c", "echo out; echo at $FAULTLINE_CRASH_AT. >&2; exit 3", NULL};
    const char *const envp[] = {
        "FAULTLINE_CRASH_AT=service-after-commit", "PATH=/usr/bin:/bin", NULL};
    struct buf output = {0};
    char *problem = NULL;
    int code = 0;
    cr_assert_eq(spawn_helper_read(argv, envp, &output, &code, &problem), ERR_OK, "%s", problem);
    char *words = spawn_last_line(buf_view(&output));
    cr_expect_str_eq(words, "at .");
    cr_expect_eq(code, 3);
    free(words);
    buf_release(&output);
    words = spawn_last_line(buf_view(&output));
    cr_expect_str_eq(words, "it said nothing");
    free(words);
}

Test(spawn, a_helper_with_a_log_has_no_crash_point_either)
{
    char log[] = "/tmp/faultline-test-XXXXXX";
    close(mkstemp(log));
    const char *const argv[] = {"/bin/sh", "-c", "echo at $FAULTLINE_CRASH_AT.", NULL};
    const char *const envp[] = {"PATH=/usr/bin:/bin", "FAULTLINE_CRASH_AT=broker-recovered", NULL};
    char *problem = NULL;
    pid_t pid = 0;
    cr_assert_eq(spawn_helper(argv, envp, log, &pid, &problem), ERR_OK, "%s", problem);
    waitpid(pid, NULL, 0);
    char *words = spawn_last_words(log);
    cr_expect_str_eq(words, "at .");
    free(words);
    unlink(log);
}

Test(spawn, a_helper_that_is_not_there_is_told)
{
    const char *const argv[] = {"/faultline-nonexistent", NULL};
    const char *const envp[] = {NULL};
    struct buf output = {0};
    char *problem = NULL;
    int code = 0;
    cr_expect_eq(spawn_helper_read(argv, envp, &output, &code, &problem), ERR_IO);
    cr_assert_not_null(problem);
    free(problem);
    buf_release(&output);
}

Test(spawn, a_detached_process_has_its_own_session_environment_and_log)
{
    char dir[] = "/tmp/faultline-test-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    char *program = mem_format("%s/program", dir);
    char *log = mem_format("%s/log", dir);
    FILE *file = fopen(program, "w");
    fputs("#!/bin/sh\nread x || echo \"$WORD $PWD\"; cut -d' ' -f6 /proc/$$/stat; echo err >&2\n",
          file);
    fclose(file);
    const char *const envp[] = {"WORD=hello", "PATH=/usr/bin:/bin", NULL};
    pid_t pid = 0;
    char *problem = NULL;

    cr_expect_eq(spawn_detached(program, envp, dir, log, &pid, &problem), ERR_IO);
    cr_expect_not_null(problem, "it is not executable yet");
    free(problem);

    cr_assert_eq(chmod(program, 0755), 0);
    cr_assert_eq(spawn_detached(program, envp, dir, log, &pid, &problem), ERR_OK, "%s", problem);
    waitpid(pid, NULL, 0);

    char text[256] = "";
    char expected[256];
    file = fopen(log, "r");
    const size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    snprintf(expected, sizeof expected, "hello %s\n%ld\nerr\n", dir, (long)pid);
    cr_expect_gt(size, 0);
    cr_expect_str_eq(text, expected);

    unlink(log);
    unlink(program);
    rmdir(dir);
    free(log);
    free(program);
}

Test(port, one_that_is_listened_on_is_taken_and_its_owner_known)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, size), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    cr_assert_eq(listen(fd, 1), 0);
    const int port = ntohs(address.sin_port);

    char *owner = port_owner(port);
    char *expected = mem_format("pid %ld (test_spawn)", (long)getpid());
    cr_expect_not(port_is_free(port));
    cr_expect_str_eq(owner == NULL ? "" : owner, expected);
    close(fd);
    cr_expect(port_is_free(port));

    free(expected);
    free(owner);
}
