#include "tests/crash/rig.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/house.h"
#include "cli/spawn.h"
#include "cli/stack.h"
#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/free_ports.h"

enum {
    ARGUMENTS_MAX = 16,
    ASK_TIMEOUT_MS = 2000,
    RUN_MS = 60000,
    PORTS = HOUSE_SERVICES_COUNT + 1, // for HTTP, and the last one for the bus
    STOP_MS = 10000,
    LOOK_MS = 5
};

void rig_pause_ms(int64_t ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

// --- the stack

bool rig_open(struct rig *self, const char *bin)
{
    char folder[] = "/tmp/faultline-crash-XXXXXX";
    *self = (struct rig){0};
    if (mkdtemp(folder) == NULL) {
        return false;
    }
    self->http_port = free_ports_in_a_row(PORTS);
    self->bin = mem_strdup(bin);
    self->folder = mem_strdup(folder);
    self->client = http_client_new();
    return true;
}

static void rig_down(struct rig *self)
{
    rig_end_beside(self);
    if (self->dir != NULL) {
        (void)RIG_RUN(self, "down", "--data");
        char *lock = mem_format("%s/lock", self->dir); // is all that stays
        (void)unlink(lock);
        (void)rmdir(self->dir);
        free(lock);
        char *record = rig_record_path(self);
        (void)unlink(record);
        free(record);
        free(self->dir);
        self->dir = NULL;
    }
}

void rig_close(struct rig *self)
{
    rig_down(self);
    if (self->folder != NULL) {
        (void)rmdir(self->folder);
    }
    http_client_destroy(&self->client);
    buf_release(&self->said);
    free(self->folder);
    self->folder = NULL;
    free(self->bin);
    self->bin = NULL;
}

bool rig_up(struct rig *self)
{
    rig_down(self);
    self->dir = mem_format("%s/%d", self->folder, self->ups++);
    char *http_port = mem_format("%d", self->http_port);
    char *bus_port = mem_format("%d", self->http_port + HOUSE_SERVICES_COUNT);
    const int code =
        RIG_RUN(self, "up", "--bin", self->bin, "--http-port", http_port, "--bus-port", bus_port);
    free(bus_port);
    free(http_port);
    return code == 0;
}

// Reads what fd gives until it ends. false: it does not, by then.
static bool read_all(int fd, int64_t deadline_ms, struct buf *out)
{
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        const int64_t left_ms = deadline_ms - clock_mono_ms();
        if (left_ms <= 0 || (poll(&poll_fd, 1, (int)left_ms) < 0 && errno != EINTR)) {
            return false;
        }
        if (poll_fd.revents == 0) {
            continue;
        }
        const ssize_t size = read(fd, buf_reserve(out, 4096), 4096);
        if (size <= 0) {
            return true;
        }
        out->size += (size_t)size;
    }
}

static bool start_command(const struct rig *self, const char *const *arguments, pid_t *pid, int *fd)
{
    char *path = mem_format("%s/faultline", self->bin);
    const char *argv[ARGUMENTS_MAX + 4] = {path, arguments[0], "--dir", self->dir};
    for (size_t i = 1; i < ARGUMENTS_MAX && arguments[i] != NULL; i++) {
        argv[3 + i] = arguments[i];
    }
    const enum err err = spawn_pipe(argv, pid, fd);
    free(path);
    return err == ERR_OK;
}

int rig_run(struct rig *self, const char *const *arguments)
{
    const int64_t deadline_ms = clock_mono_ms() + RUN_MS;
    pid_t pid = 0;
    int fd = -1;
    int status = -1;
    buf_clear(&self->said);
    if (start_command(self, arguments, &pid, &fd)) {
        if (!read_all(fd, deadline_ms, &self->said)) {
            (void)kill(pid, SIGKILL);
        }
        close(fd);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    buf_put_u8(&self->said, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool rig_run_beside(struct rig *self, const char *const *arguments)
{
    rig_end_beside(self);
    return start_command(self, arguments, &self->beside, &self->beside_fd);
}

void rig_end_beside(struct rig *self)
{
    if (self->beside > 0) {
        (void)kill(self->beside, SIGKILL);
        (void)waitpid(self->beside, NULL, 0);
        close(self->beside_fd);
    }
    self->beside = 0;
}

// --- deaths

void rig_note_death(struct rig *self, const char *process)
{
    self->deaths[house_index(process)]++;
}

bool rig_kill(struct rig *self, const char *process)
{
    rig_note_death(self, process);
    return RIG_RUN(self, "kill", process) == 0;
}

// Its command has ended, so it is ours to wait for (PR_SET_CHILD_SUBREAPER).
bool rig_stop(struct rig *self, const char *process)
{
    const int64_t deadline_ms = clock_mono_ms() + STOP_MS;
    const pid_t pid = rig_pid(self, process);
    rig_note_death(self, process);
    bool has_ended = false;
    if (pid > 0 && kill(pid, SIGTERM) == 0) {
        while (!(has_ended = waitpid(pid, NULL, WNOHANG) != 0) && clock_mono_ms() < deadline_ms) {
            rig_pause_ms(LOOK_MS);
        }
    }
    return has_ended;
}

// --- asking it

char *rig_url(const struct rig *self, const char *service)
{
    return mem_format("http://127.0.0.1:%d", house_port(self->http_port, house_index(service), 1));
}

const char *rig_get_text(struct rig *self, const char *service, const char *path)
{
    char *base = rig_url(self, service);
    char *url = mem_format("%s%s", base, path);
    struct http_response response = {0};
    const enum err err =
        http_client_call(self->client, "GET", url, NULL, NULL, ASK_TIMEOUT_MS, &response);
    free(url);
    free(base);
    return err == ERR_OK && response.status == 200 ? (const char *)response.body.data : NULL;
}

cJSON *rig_get(struct rig *self, const char *service, const char *path)
{
    const char *text = rig_get_text(self, service, path);
    return text == NULL ? NULL : cJSON_Parse(text);
}

int rig_post(struct rig *self, const char *service, const char *path, const char *body)
{
    char *base = rig_url(self, service);
    char *url = mem_format("%s%s", base, path);
    struct http_response response = {0};
    const enum err err =
        http_client_call(self->client, "POST", url, NULL, body, ASK_TIMEOUT_MS, &response);
    free(url);
    free(base);
    return err == ERR_OK ? response.status : 0;
}

char *rig_record_path(const struct rig *self)
{
    return mem_format("%s/record-%d.jsonl", self->folder, self->ups);
}

pid_t rig_pid(const struct rig *self, const char *process)
{
    struct stack *stack = NULL;
    char *problem = NULL;
    pid_t pid = 0;
    if (stack_load(&stack, self->dir, &problem) == ERR_OK) {
        for (size_t i = 0; i < stack->processes_count; i++) {
            pid = strcmp(stack->processes[i].name, process) == 0 ? stack->processes[i].id.pid : pid;
        }
    }
    stack_destroy(&stack);
    free(problem);
    return pid;
}

// --- logs

static char *log_path(const struct rig *self, const char *process)
{
    return mem_format("%s/logs/%s.log", self->dir, process);
}

int64_t rig_log_size(const struct rig *self, const char *process)
{
    struct stat file;
    char *path = log_path(self, process);
    const int64_t size = stat(path, &file) == 0 ? (int64_t)file.st_size : 0;
    free(path);
    return size;
}

bool rig_log_has(const struct rig *self, const char *process, int64_t from, const char *text)
{
    char *path = log_path(self, process);
    FILE *file = fopen(path, "r");
    struct buf content = {0};
    bool has = false;
    if (file != NULL && fseek(file, (long)from, SEEK_SET) == 0) {
        size_t size = 0;
        while ((size = fread(buf_reserve(&content, 65536), 1, 65536, file)) > 0) {
            content.size += size;
        }
        buf_put_u8(&content, 0);
        has = strstr((const char *)content.data, text) != NULL;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    buf_release(&content);
    free(path);
    return has;
}
