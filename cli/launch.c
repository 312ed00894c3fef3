#include "cli/launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/environment.h"
#include "cli/port.h"
#include "cli/spawn.h"
#include "common/http_client.h"
#include "common/mem.h"

extern char **environ;

enum {
    PROBE_TIMEOUT_MS = 250,
    PROBE_GAP_NS = 4000000,
    PROGRESS_MS = 2000,
    KILL_WAIT_MS = 2000,
    PORT_CHECKS_MAX = 100, // a second in all
    PORT_CHECK_GAP_NS = 10000000,
};

size_t launch_set_count(const struct launch_set *set)
{
    size_t count = 0;
    for (size_t i = 0; i < STACK_PROCESSES_MAX; i++) {
        count += set->has[i] ? 1 : 0;
    }
    return count;
}

char *launch_set_names(const struct stack *stack, const struct launch_set *set, const char *gap)
{
    struct buf names = {0};
    for (size_t i = 0; i < stack->processes_count; i++) {
        if (set->has[i]) {
            buf_printf(&names, "%s%s", names.size > 0 ? gap : "", stack->processes[i].name);
        }
    }
    buf_put_u8(&names, 0);
    char *text = mem_strdup((const char *)names.data);
    buf_release(&names);
    return text;
}

static char *executable_path(const struct stack *stack, const struct stack_process *process)
{
    return mem_format("%s/faultline-%s", stack->bin, house_service(process->service));
}

// A process that was killed just now is dead as soon as its first thread is, and lets go of
// its port when the last one is: nobody has the port then, and it is not free.
static enum err check_port(int port, const char *whose, char **problem)
{
    char *owner = NULL;
    for (int i = 0; i < PORT_CHECKS_MAX && owner == NULL; i++) {
        if (port_is_free(port)) {
            return ERR_OK;
        }
        owner = port_owner(port);
        if (owner == NULL) {
            nanosleep(&(struct timespec){.tv_nsec = PORT_CHECK_GAP_NS}, NULL);
        }
    }
    *problem = mem_format("port %d, which %s needs, is taken%s%s",
                          port,
                          whose,
                          owner == NULL ? "" : " by ",
                          owner == NULL ? "" : owner);
    free(owner);
    return ERR_CONFLICT;
}

enum err launch_check(const struct stack *stack, const struct launch_set *set, char **problem)
{
    *problem = NULL;
    for (size_t i = 0; i < stack->processes_count; i++) {
        if (!set->has[i]) {
            continue;
        }
        const struct stack_process *process = &stack->processes[i];
        char *path = executable_path(stack, process);
        const bool is_there = access(path, X_OK) == 0;
        if (!is_there) {
            *problem =
                mem_format("there is no %s. Build it (./demo does), or name the folder of the "
                           "executables with --bin",
                           path);
        }
        free(path);
        if (!is_there) {
            return ERR_NOT_FOUND;
        }
        enum err err = check_port(process->port, process->name, problem);
        if (err == ERR_OK && process->service == 0) {
            err = check_port(stack->bus_port, "broker", problem);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

static enum err make_folder(const char *path, char **problem)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST) {
        return ERR_OK;
    }
    *problem = mem_format("cannot make the folder %s: %s", path, strerror(errno));
    return ERR_IO;
}

// Starts one and writes it down: if we are killed behind it, `down` still finds it.
static enum err start_one(struct stack *stack, struct stack_process *process, char **problem)
{
    const struct process_id before = process->id;
    char *path = executable_path(stack, process);
    char *log_path = stack_log_path(stack, process);
    char *data_path = stack_data_path(stack, process);
    char **environment = environment_of(stack, process, environ);
    pid_t pid = 0;

    enum err err = make_folder(data_path, problem);
    if (err != ERR_OK) {
        goto out;
    }
    err =
        spawn_detached(path, (const char *const *)environment, stack->dir, log_path, &pid, problem);
    if (err != ERR_OK) {
        goto out;
    }
    // It may have died already; its pid stays ours until we wait for it, so its
    // identity can be read in any case.
    if (process_identify(pid, &process->id) != ERR_OK) {
        process->id = (struct process_id){0};
    }
    err = stack_save(stack, problem);
    if (err != ERR_OK) {
        // What is written down nowhere nobody could end any more.
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        process->id = before;
    }

out:
    environment_free(&environment);
    free(data_path);
    free(log_path);
    free(path);
    return err;
}

enum err launch_start(struct stack *stack, const struct launch_set *set, char **problem)
{
    *problem = NULL;
    const char *const folders[] = {"data", "logs"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        char *path = mem_format("%s/%s", stack->dir, folders[i]);
        const enum err err = make_folder(path, problem);
        free(path);
        if (err != ERR_OK) {
            return err;
        }
    }
    for (size_t i = 0; i < stack->processes_count; i++) {
        if (!set->has[i]) {
            continue;
        }
        const enum err err = start_one(stack, &stack->processes[i], problem);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

static void show_progress(const struct stack *stack, const struct launch_set *set, int64_t since_ms,
                          int64_t *next_ms)
{
    const int64_t now_ms = clock_mono_ms();
    if (now_ms < *next_ms) {
        return;
    }
    *next_ms = now_ms + PROGRESS_MS;
    char *names = launch_set_names(stack, set, ", ");
    fprintf(stderr, "waiting for %s (%.0f s)\n", names, (double)(now_ms - since_ms) / 1000.0);
    free(names);
}

void launch_wait(const struct stack *stack, struct launch_set *set, const char *path,
                 int64_t timeout_ms, size_t *dead)
{
    *dead = STACK_PROCESSES_MAX;
    struct http_client *client = http_client_new();
    const int64_t started_ms = clock_mono_ms();
    int64_t progress_ms = started_ms + PROGRESS_MS;
    while (launch_set_count(set) > 0 && *dead == STACK_PROCESSES_MAX &&
           clock_mono_ms() < started_ms + timeout_ms) {
        for (size_t i = 0; i < stack->processes_count; i++) {
            if (!set->has[i]) {
                continue;
            }
            const struct stack_process *process = &stack->processes[i];
            if (process_state(process->id) == PROCESS_DEAD) {
                *dead = i;
                break;
            }
            char url[64];
            struct http_response response;
            snprintf(url, sizeof url, "http://127.0.0.1:%d%s", process->port, path);
            if (http_client_call(client, "GET", url, NULL, NULL, PROBE_TIMEOUT_MS, &response) ==
                    ERR_OK &&
                response.status == 200) {
                set->has[i] = false;
            }
        }
        if (launch_set_count(set) > 0 && *dead == STACK_PROCESSES_MAX) {
            show_progress(stack, set, started_ms, &progress_ms);
            nanosleep(&(struct timespec){.tv_nsec = PROBE_GAP_NS}, NULL);
        }
    }
    http_client_destroy(&client);
}

// Ends those of the chosen that are the broker, or those that are not.
static void stop_some(const struct stack *stack, struct launch_set *set, bool broker)
{
    for (size_t i = 0; i < stack->processes_count; i++) {
        const struct stack_process *process = &stack->processes[i];
        if (set->has[i] && (process->service == 0) == broker) {
            process_signal(process->id, SIGTERM);
            // A paused process would not notice.
            process_signal(process->id, SIGCONT);
        }
    }
    const int64_t deadline_ms = clock_mono_ms() + LAUNCH_STOP_MS;
    for (size_t i = 0; i < stack->processes_count; i++) {
        const struct stack_process *process = &stack->processes[i];
        if (!set->has[i] || (process->service == 0) != broker) {
            continue;
        }
        const int64_t left_ms = deadline_ms - clock_mono_ms();
        if (process_wait_state(process->id, PROCESS_DEAD, left_ms > 0 ? left_ms : 0)) {
            set->has[i] = false;
        } else {
            process_signal(process->id, SIGKILL);
            process_wait_state(process->id, PROCESS_DEAD, KILL_WAIT_MS);
        }
    }
}

void launch_stop(const struct stack *stack, struct launch_set *set)
{
    stop_some(stack, set, false);
    stop_some(stack, set, true);
}
