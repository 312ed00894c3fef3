// down - ends a native stack.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/compose.h"
#include "cli/launch.h"
#include "cli/term.h"
#include "common/mem.h"

enum {
    LOCK_TIMEOUT_MS = 20000,
    DATA_DEPTH_MAX = 4,
};

static const struct option_def down_options[] = {
    {.name = "data",
     .kind = OPTION_FLAG,
     .help = "also remove the data and the logs of this stack"},
    {0},
};

// Removes what a service kept, folders in its folder too; links are not followed.
static void remove_folder(int parent, const char *name, int depth)
{
    const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        return;
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (unlinkat(dirfd(folder), entry->d_name, 0) < 0 && depth < DATA_DEPTH_MAX) {
            remove_folder(dirfd(folder), entry->d_name, depth + 1);
        }
    }
    closedir(folder);
    unlinkat(parent, name, AT_REMOVEDIR);
}

// Only what `up` made, by name: --dir may be a folder with other things in it.
// False: something of it is still there.
static bool remove_data(const char *dir)
{
    bool removed = true;
    for (size_t i = 0; i < HOUSE_SERVICES_COUNT; i++) {
        char *path = mem_format("%s/data/%s", dir, house_service(i));
        remove_folder(AT_FDCWD, path, 0);
        free(path);
        for (int replica = 1; replica <= HOUSE_REPLICAS_MAX; replica++) {
            char name[HOUSE_NAME_SIZE];
            house_process_name(name, house_service(i), replica);
            path = mem_format("%s/logs/%s.log", dir, name);
            unlink(path);
            free(path);
        }
    }
    const char *const folders[] = {"data", "logs"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        char *path = mem_format("%s/%s", dir, folders[i]);
        if (rmdir(path) < 0 && errno != ENOENT) {
            cli_problem("%s is not removed: %s", path, strerror(errno));
            removed = false;
        }
        free(path);
    }
    return removed;
}

static void print_down(const char *dir, size_t stopped, int64_t took_us, bool with_data)
{
    char took[TERM_NUMBER_SIZE];
    term_format_duration(took, took_us);
    if (stopped > 0) {
        printf("faultline is down: %zu processes ended in %s\n", stopped, took);
    } else {
        printf("nothing ran in %s\n", dir);
    }
    if (with_data) {
        printf("data and logs in %s are removed\n", dir);
    } else {
        printf("data stays in %s/data and logs in %s/logs; remove both: %s down --data\n",
               dir,
               dir,
               cli_name());
    }
}

static void print_down_json(const struct stack *stack, size_t stopped,
                            const struct launch_set *killed, int64_t took_us)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "stopped", (double)stopped);
    cJSON_AddNumberToObject(json, "took_ms", (double)took_us / 1000.0);
    cJSON *names = cJSON_AddArrayToObject(json, "killed");
    for (size_t i = 0; stack != NULL && i < stack->processes_count; i++) {
        if (killed->has[i]) {
            cJSON_AddItemToArray(names, cJSON_CreateString(stack->processes[i].name));
        }
    }
    cli_print_json(&json);
}

// Ends what lives and returns how many those were; in *killed those that did not
// listen to SIGTERM.
static size_t stop_all(const struct stack *stack, struct launch_set *killed)
{
    for (size_t i = 0; i < stack->processes_count; i++) {
        killed->has[i] = process_state(stack->processes[i].id) != PROCESS_DEAD;
    }
    const size_t count = launch_set_count(killed);
    launch_stop(stack, killed);
    if (launch_set_count(killed) > 0) {
        char *names = launch_set_names(stack, killed, ", ");
        cli_problem(
            "%s did not end within %d s of SIGTERM and got SIGKILL", names, LAUNCH_STOP_MS / 1000);
        free(names);
    }
    stack_forget(stack);
    return count;
}

// Without a native stack, containers may be meant. True: they run, and it was said.
static bool is_meant_for_compose(void)
{
    struct part *parts = NULL;
    size_t parts_count = 0;
    bool runs = false;
    if (compose_list(&parts, &parts_count) == ERR_OK) {
        for (size_t i = 0; i < parts_count; i++) {
            runs = runs || parts[i].state != PROCESS_DEAD;
        }
    }
    free(parts);
    if (runs) {
        cli_problem("what runs is the compose stack. End it with: docker compose down "
                    "(with -v its data goes too)");
    }
    return runs;
}

static enum cli_exit down_locked(const struct options *options, const char *dir)
{
    const int64_t started_us = clock_mono_us();
    struct stack *stack = NULL;
    struct launch_set killed = {0};
    size_t stopped = 0;
    char *problem = NULL;
    const enum err err = stack_load(&stack, dir, &problem);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return cli_cannot(problem);
    }
    if (stack != NULL) {
        stopped = stop_all(stack, &killed);
    }
    const int64_t took_us = clock_mono_us() - started_us;
    bool removed = false;
    enum cli_exit result = CLI_YES;
    if (options_flag(options, "data")) {
        removed = remove_data(dir);
        result = removed ? CLI_YES : CLI_NO;
    }
    if (options_flag(options, "json")) {
        print_down_json(stack, stopped, &killed, took_us);
    } else {
        print_down(dir, stopped, took_us, removed);
    }
    stack_destroy(&stack);
    return result;
}

static enum cli_exit down_run(const struct options *options)
{
    const char *dir = cli_dir(options);
    struct stack *stack = NULL;
    char *problem = NULL;
    const enum err err = stack_load(&stack, dir, &problem);
    free(problem);
    stack_destroy(&stack);
    if (err == ERR_NOT_FOUND && is_meant_for_compose()) {
        return CLI_NO;
    }
    if (access(dir, F_OK) != 0) {
        printf("nothing ran: there is no folder %s\n", dir);
        return CLI_YES;
    }
    int lock = -1;
    if (stack_lock(dir, LOCK_TIMEOUT_MS, &lock, &problem) != ERR_OK) {
        cli_problem("%s", problem);
        free(problem);
        return CLI_NO;
    }
    const enum cli_exit result = down_locked(options, dir);
    stack_unlock(&lock);
    return result;
}

const struct command cmd_down = {
    .name = "down",
    .topic = COMMAND_STACK,
    .arguments = "",
    .summary = "end all processes of the stack; data and logs stay",
    .details =
        "Each process gets SIGTERM and 5 s to finish what it is at, then SIGKILL: the services\n"
        "first, then the broker.\n",
    .options = down_options,
    .run = down_run,
};
