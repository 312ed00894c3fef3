// Processes by pid and start time: a reused pid is never taken for the old process.
#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/process.h"

enum {
    WAIT_MS = 5000
};

static pid_t start_child(void)
{
    const pid_t pid = fork();
    if (pid == 0) {
        for (;;) {
            pause();
        }
    }
    return pid;
}

Test(process, a_stat_line_is_read_whatever_the_command_is_called)
{
    struct process_stat stat;
    const char *line =
        "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 12 34 0 0 20 0 1 0 987654 1 2 3";
    cr_assert_eq(process_stat_parse(line, &stat), ERR_OK);
    cr_expect_eq(stat.state, 'S');
    cr_expect_eq(stat.cpu_ticks, 46);
    cr_expect_eq(stat.started_ticks, 987654);
}

Test(process, a_line_that_is_cut_is_refused)
{
    struct process_stat stat;
    cr_expect_eq(process_stat_parse("", &stat), ERR_INVALID);
    cr_expect_eq(process_stat_parse("42 (a)", &stat), ERR_INVALID);
    cr_expect_eq(process_stat_parse("42 (a) S 1 42 42", &stat), ERR_INVALID);
}

Test(process, it_is_running_then_paused_then_dead)
{
    const pid_t pid = start_child();
    struct process_id id;
    cr_assert_eq(process_identify(pid, &id), ERR_OK);
    cr_expect(process_wait_state(id, PROCESS_RUNNING, WAIT_MS));

    cr_expect_eq(process_signal(id, SIGSTOP), ERR_OK);
    cr_expect(process_wait_state(id, PROCESS_PAUSED, WAIT_MS));
    cr_expect_eq(process_signal(id, SIGCONT), ERR_OK);
    cr_expect(process_wait_state(id, PROCESS_RUNNING, WAIT_MS));

    // Nobody has waited for it: a zombie counts as dead.
    cr_expect_eq(process_signal(id, SIGKILL), ERR_OK);
    cr_expect(process_wait_state(id, PROCESS_DEAD, WAIT_MS));
    cr_expect_eq(process_signal(id, SIGTERM), ERR_NOT_FOUND);
    waitpid(pid, NULL, 0);
    cr_expect_eq(process_identify(pid, &id), ERR_NOT_FOUND);
}

Test(process, another_one_with_the_same_pid_is_never_signalled)
{
    const pid_t pid = start_child();
    struct process_id id;
    cr_assert_eq(process_identify(pid, &id), ERR_OK);
    struct process_id older = id;
    older.started_ticks--;

    cr_expect_eq(process_state(older), PROCESS_DEAD);
    cr_expect_eq(process_signal(older, SIGKILL), ERR_NOT_FOUND);
    cr_expect_neq(process_state(id), PROCESS_DEAD);

    process_signal(id, SIGKILL);
    waitpid(pid, NULL, 0);
}

Test(process, no_pid_is_a_dead_process)
{
    cr_expect_eq(process_state((struct process_id){0}), PROCESS_DEAD);
    cr_expect_eq(process_signal((struct process_id){0}, SIGKILL), ERR_NOT_FOUND);
    cr_expect_eq(process_pss_kb(0), -1);
}

Test(process, memory_and_times_of_a_living_one_are_known)
{
    struct process_id id;
    int64_t cpu_ms = -1;
    int64_t age_ms = -1;
    cr_assert_eq(process_identify(getpid(), &id), ERR_OK);
    process_times(id, &cpu_ms, &age_ms);
    cr_expect_gt(process_pss_kb(getpid()), 0);
    cr_expect_geq(cpu_ms, 0);
    cr_expect_geq(age_ms, 0);
    cr_expect_lt(age_ms, 600000);
}
