// The state of a native stack on disk, and the lock around it.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/stack.h"
#include "cli/stack_json.h"
#include "common/mem.h"

static char *make_folder(void)
{
    char *dir = mem_strdup("/tmp/faultline-test-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    return dir;
}

static void remove_folder(char *dir)
{
    const char *const files[] = {"stack.json", "stack.json.new", "lock"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char *path = mem_format("%s/%s", dir, files[i]);
        unlink(path);
        free(path);
    }
    rmdir(dir);
    free(dir);
}

static struct stack *make_stack(const char *dir)
{
    struct stack *stack = stack_new(dir, "/opt/faultline/bin");
    stack->http_port = 9000;
    stack->bus_port = 6550;
    clock_format_rfc3339(stack->started_at, INT64_C(1764014400000000));
    stack->settings[stack->settings_count++] = mem_strdup("FRAUD_LIMIT_MINOR=7=8");
    stack_add_process(stack, 0, 1);
    stack_add_process(stack, house_index("payment"), 2);
    return stack;
}

static void save(const struct stack *stack)
{
    char *problem = NULL;
    cr_assert_eq(stack_save(stack, &problem), ERR_OK, "%s", problem);
}

static void write_state(const char *dir, const char *text)
{
    char *path = mem_format("%s/stack.json", dir);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    free(path);
}

Test(stack, what_is_saved_is_loaded)
{
    char *dir = make_folder();
    struct stack *stack = make_stack(dir);
    process_identify(getpid(), &stack->processes[1].id);
    stack_process_set(&stack->processes[1], "BUS_RETRIES=1");
    stack_process_set(&stack->processes[1], "EVENT_VERSION_MAX=1");
    stack_process_set(&stack->processes[1], "BUS_RETRIES=2"); // in place of the first
    save(stack);

    struct stack *loaded = NULL;
    char *problem = NULL;
    cr_assert_eq(stack_load(&loaded, dir, &problem), ERR_OK, "%s", problem);

    cr_expect_str_eq(loaded->dir, dir);
    cr_expect_str_eq(loaded->bin, "/opt/faultline/bin");
    cr_expect_eq(loaded->http_port, 9000);
    cr_expect_eq(loaded->bus_port, 6550);
    cr_expect_str_eq(loaded->started_at, stack->started_at);
    cr_expect_eq(loaded->settings_count, 1);
    cr_expect_str_eq(loaded->settings[0], "FRAUD_LIMIT_MINOR=7=8");
    cr_expect_eq(loaded->processes_count, 2);
    cr_expect_str_eq(loaded->processes[0].name, "broker");
    cr_expect_str_eq(loaded->processes[1].name, "payment-2");
    cr_expect_eq(loaded->processes[1].port, 9012);
    cr_expect_eq(loaded->processes[1].id.pid, getpid());
    cr_expect_eq(loaded->processes[1].id.started_ticks, stack->processes[1].id.started_ticks);
    cr_expect_eq(stack_living_count(loaded), 1);
    cr_expect_eq(loaded->processes[0].settings_count, 0);
    cr_assert_eq(loaded->processes[1].settings_count, 2);
    cr_expect_str_eq(loaded->processes[1].settings[0], "BUS_RETRIES=2");
    cr_expect_str_eq(loaded->processes[1].settings[1], "EVENT_VERSION_MAX=1");

    stack_destroy(&loaded);
    stack_destroy(&stack);
    remove_folder(dir);
}

Test(stack, a_folder_without_a_state_file_or_with_an_empty_one_has_no_stack)
{
    char *dir = make_folder();
    struct stack *stack = NULL;
    char *problem = NULL;

    cr_expect_eq(stack_load(&stack, dir, &problem), ERR_NOT_FOUND);
    cr_expect_null(problem);
    write_state(dir, "");
    cr_expect_eq(stack_load(&stack, dir, &problem), ERR_NOT_FOUND);
    cr_expect_eq(stack_load(&stack, "/nonexistent/folder", &problem), ERR_NOT_FOUND);
    cr_expect_null(stack);

    remove_folder(dir);
}

Test(stack, a_damaged_state_file_is_named_and_never_guessed)
{
    char *dir = make_folder();
    const char *const texts[] = {
        "{",
        "[]",
        "{\"format\":2}",
        "{\"format\":1,\"boot_id\":\"\",\"started_at\":\"\",\"bin\":\"/"
        "b\",\"http_port\":0,\"bus_port\":1}",
        "{\"format\":1,\"boot_id\":\"\",\"started_at\":\"\",\"bin\":\"/"
        "b\",\"http_port\":1,\"bus_port\":1,"
        "\"processes\":[{\"service\":\"shop\",\"replica\":1,\"port\":1,\"pid\":1,\"start_time\":1}]"
        "}",
        "{\"format\":1,\"boot_id\":\"\",\"started_at\":\"\",\"bin\":\"/"
        "b\",\"http_port\":1,\"bus_port\":1,"
        "\"processes\":[{\"service\":\"order\",\"replica\":1,\"port\":1,\"pid\":-1,\"start_time\":"
        "1}]}",
        "{\"format\":1,\"boot_id\":\"\",\"started_at\":\"\",\"bin\":\"/"
        "b\",\"http_port\":1,\"bus_port\":1,"
        "\"settings\":[1]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct stack *stack = NULL;
        char *problem = NULL;
        write_state(dir, texts[i]);
        cr_expect_eq(stack_load(&stack, dir, &problem), ERR_CORRUPT, "%s", texts[i]);
        cr_expect_null(stack);
        cr_expect_not_null(problem);
        cr_expect_not_null(strstr(problem, "stack.json is damaged"), "%s", problem);
        free(problem);
    }
    remove_folder(dir);
}

// After a reboot another process may have the same pid and even the same start time.
Test(stack, pids_of_another_run_of_the_kernel_are_forgotten)
{
    char *dir = make_folder();
    struct stack *stack = make_stack(dir);
    process_identify(getpid(), &stack->processes[0].id);
    char *text = stack_to_json(stack);
    char *boot_id = strstr(text, "\"boot_id\":\t\"");
    cr_assert_not_null(boot_id);
    memset(boot_id + strlen("\"boot_id\":\t\""), '0', 8);

    struct stack *loaded = NULL;
    char *problem = NULL;
    cr_assert_eq(stack_from_json(&loaded, dir, text, &problem), ERR_OK, "%s", problem);
    cr_expect_eq(loaded->processes[0].id.pid, 0);
    cr_expect_eq(stack_living_count(loaded), 0);

    stack_destroy(&loaded);
    stack_destroy(&stack);
    free(text);
    remove_folder(dir);
}

Test(stack, a_folder_that_cannot_be_written_is_a_sentence)
{
    struct stack *stack = stack_new("/proc/nowhere", "/b");
    char *problem = NULL;
    cr_expect_eq(stack_save(stack, &problem), ERR_IO);
    cr_expect_not_null(problem);
    free(problem);
    stack_destroy(&stack);
}

Test(stack, it_is_full_at_its_maximum)
{
    struct stack *stack = stack_new("/tmp", "/b");
    for (int i = 0; i < STACK_PROCESSES_MAX; i++) {
        cr_expect_eq(stack_add_process(stack, 1, 1), ERR_OK);
    }
    cr_expect_eq(stack_add_process(stack, 1, 1), ERR_FULL);
    stack_destroy(&stack);
}

Test(stack, a_process_has_so_many_settings_of_its_own_and_no_more)
{
    struct stack *stack = stack_new("/s", "/b");
    stack_add_process(stack, house_index("payment"), 1);
    for (int i = 0; i < STACK_PROCESS_SETTINGS_MAX; i++) {
        char *assignment = mem_format("PAYMENT_%d=x", i);
        cr_expect_eq(stack_process_set(&stack->processes[0], assignment), ERR_OK);
        free(assignment);
    }
    cr_expect_eq(stack_process_set(&stack->processes[0], "PAYMENT_MORE=x"), ERR_FULL);
    cr_expect_eq(stack_process_set(&stack->processes[0], "PAYMENT_0=y"), ERR_OK);
    cr_expect_eq(stack_process_set(&stack->processes[0], "PAYMENT_NONE="), ERR_OK);
    cr_expect_eq(stack_process_set(&stack->processes[0], "PAYMENT_0="), ERR_OK); // forgets it
    cr_expect_eq(stack_process_set(&stack->processes[0], "PAYMENT_MORE=x"), ERR_OK);
    stack_destroy(&stack);
}

Test(stack, two_commands_cannot_change_it_at_once)
{
    char *dir = make_folder();
    char *problem = NULL;
    int lock = -1;
    int report[2];
    cr_assert_eq(stack_lock(dir, 0, &lock, &problem), ERR_OK);
    cr_assert_eq(pipe(report), 0);

    // Locks of fcntl are between processes.
    const pid_t pid = fork();
    if (pid == 0) {
        int other = -1;
        char *sentence = NULL;
        const enum err err = stack_lock(dir, 0, &other, &sentence);
        const char answer =
            err == ERR_TIMEOUT && strstr(sentence, "another command (pid ") ? 'y' : 'n';
        free(sentence);
        _exit(write(report[1], &answer, 1) == 1 ? 0 : 1);
    }
    char answer = '?';
    cr_expect_eq(read(report[0], &answer, 1), 1);
    cr_expect_eq(answer, 'y');
    waitpid(pid, NULL, 0);

    stack_unlock(&lock);
    cr_expect_eq(lock, -1);
    cr_expect_eq(stack_lock(dir, 0, &lock, &problem), ERR_OK);
    stack_unlock(&lock);
    close(report[0]);
    close(report[1]);
    remove_folder(dir);
}

Test(stack, a_lock_needs_a_folder)
{
    char *problem = NULL;
    int lock = -1;
    cr_expect_eq(stack_lock("/nonexistent", 0, &lock, &problem), ERR_IO);
    cr_expect_not_null(problem);
    free(problem);
}
