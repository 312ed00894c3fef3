// Starting the processes of a stack, when the disk has other ideas.
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/launch.h"
#include "common/mem.h"

static char dir[] = "/tmp/faultline-test-XXXXXX";

static char *path_of(const char *name)
{
    return mem_format("%s/%s", dir, name);
}

static void make_folder(const char *name)
{
    char *path = path_of(name);
    cr_assert_eq(mkdir(path, 0755), 0);
    free(path);
}

// A payment that lives long, whoever asks it for anything.
static void make_program(void)
{
    char *path = path_of("faultline-payment");
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs("#!/bin/sh\nexec sleep 600\n", file);
    fclose(file);
    cr_assert_eq(chmod(path, 0755), 0);
    free(path);
}

static void make_house(void)
{
    cr_assert_not_null(mkdtemp(dir));
    make_program();
}

static void remove_house(void)
{
    char *command = mem_format("rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
    free(command);
}

TestSuite(launch, .init = make_house, .fini = remove_house);

// The file that is to take the place of stack.json cannot be made, as when there is no room:
// then nobody would find the process again.
Test(launch, who_cannot_be_written_down_is_not_left_running)
{
    struct stack *stack = stack_new(dir, dir);
    const struct launch_set one = {.has = {true}};
    char *problem = NULL;
    cr_assert_eq(stack_add_process(stack, house_index("payment"), 1), ERR_OK);
    make_folder("stack.json.new");

    cr_expect_eq(launch_start(stack, &one, &problem), ERR_IO);

    cr_expect_not_null(strstr(problem, "stack.json.new"), "%s", problem);
    cr_expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "no child of ours is left");
    cr_expect_eq(stack->processes[0].id.pid, 0);
    free(problem);
    stack_destroy(&stack);
}
