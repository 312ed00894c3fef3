#include "cli/stack.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/stack_json.h"
#include "cli/write_all.h"
#include "common/bytes.h"
#include "common/mem.h"

enum {
    STACK_FILE_BYTES_MAX = 1024 * 1024,
    LOCK_POLL_NS = 10000000,
    PATH_SIZE = 4096,
};

char *stack_own_bin(void)
{
    char path[PATH_SIZE];
    const ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    if (size <= 0) {
        return mem_strdup(".");
    }
    path[size] = '\0';
    *strrchr(path, '/') = '\0';
    return mem_strdup(path);
}

static char *absolute_path(const char *path)
{
    char folder[PATH_SIZE];
    if (path[0] == '/' || getcwd(folder, sizeof folder) == NULL) {
        return mem_strdup(path);
    }
    return mem_format("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, path);
}

struct stack *stack_new(const char *dir, const char *bin)
{
    struct stack *self = mem_calloc(1, sizeof *self);
    *self = (struct stack){
        .dir = absolute_path(dir),
        .bin = absolute_path(bin),
        .http_port = HOUSE_HTTP_PORT,
        .bus_port = HOUSE_BUS_PORT,
        .settings = mem_calloc(STACK_SETTINGS_MAX, sizeof *self->settings),
        .processes = mem_calloc(STACK_PROCESSES_MAX, sizeof *self->processes),
    };
    return self;
}

void stack_destroy(struct stack **self_p)
{
    struct stack *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < self->settings_count; i++) {
        free(self->settings[i]);
    }
    free(self->settings);
    for (size_t i = 0; i < self->processes_count; i++) {
        stack_process_release(&self->processes[i]);
    }
    free(self->processes);
    free(self->bin);
    free(self->dir);
    free(self);
    *self_p = NULL;
}

enum err stack_add_process(struct stack *self, size_t service, int replica)
{
    if (self->processes_count == STACK_PROCESSES_MAX) {
        return ERR_FULL;
    }
    struct stack_process *process = &self->processes[self->processes_count++];
    *process = (struct stack_process){
        .service = service,
        .replica = replica,
        .port = house_port(self->http_port, service, replica),
    };
    house_process_name(process->name, house_service(service), replica);
    return ERR_OK;
}

enum err stack_process_set(struct stack_process *process, const char *assignment)
{
    const size_t name_size = strcspn(assignment, "=") + 1;
    size_t at = 0;
    while (at < process->settings_count &&
           strncmp(process->settings[at], assignment, name_size) != 0) {
        at++;
    }
    const bool is_forgotten = assignment[name_size] == '\0';
    if (at == process->settings_count && !is_forgotten) {
        if (at == STACK_PROCESS_SETTINGS_MAX) {
            return ERR_FULL;
        }
        process->settings[process->settings_count++] = NULL;
    }
    if (at < process->settings_count) {
        free(process->settings[at]);
        process->settings[at] =
            is_forgotten ? process->settings[--process->settings_count] : mem_strdup(assignment);
    }
    return ERR_OK;
}

void stack_process_release(struct stack_process *process)
{
    while (process->settings_count > 0) {
        free(process->settings[--process->settings_count]);
    }
}

// Reads path whole. ERR_NOT_FOUND: there is no such file.
static enum err read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
    }
    out->size += fread(buf_reserve(out, STACK_FILE_BYTES_MAX), 1, STACK_FILE_BYTES_MAX - 1, file);
    buf_put_u8(out, 0);
    const enum err err = ferror(file) ? ERR_IO : ERR_OK;
    fclose(file);
    return err;
}

enum err stack_load(struct stack **out, const char *dir, char **problem)
{
    *out = NULL;
    *problem = NULL;
    struct buf text = {0};
    char *path = mem_format("%s/stack.json", dir);
    enum err err = read_file(path, &text);
    if (err == ERR_IO) {
        *problem = mem_format("cannot read %s: %s", path, strerror(errno));
    }
    // A power failure may leave an empty file; no process outlived it.
    if (err == ERR_OK && text.data[0] == '\0') {
        err = ERR_NOT_FOUND;
    }
    if (err != ERR_OK) {
        goto out;
    }
    char *reason = NULL;
    err = stack_from_json(out, dir, (const char *)text.data, &reason);
    if (err != ERR_OK) {
        *problem = mem_format(
            "%s is damaged (%s): end its processes by hand and remove the file", path, reason);
        free(reason);
    }

out:
    free(path);
    buf_release(&text);
    return err;
}

// Readers never see half a file because of the rename. It is not synced: pids mean
// nothing after a power failure, and stack_load copes with an empty file.
enum err stack_save(const struct stack *self, char **problem)
{
    *problem = NULL;
    char *path = mem_format("%s/stack.json", self->dir);
    char *new_path = mem_format("%s/stack.json.new", self->dir);
    char *text = stack_to_json(self);
    enum err err = ERR_IO;

    const int fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        goto out;
    }
    err = write_all(fd, bytes_of_text(text));
    if (close(fd) < 0 || (err == ERR_OK && rename(new_path, path) < 0)) {
        err = ERR_IO;
    }

out:
    if (err != ERR_OK) {
        *problem = mem_format("cannot write %s: %s", new_path, strerror(errno));
    }
    free(text);
    free(new_path);
    free(path);
    return err;
}

void stack_forget(const struct stack *self)
{
    char *path = mem_format("%s/stack.json", self->dir);
    unlink(path);
    free(path);
}

size_t stack_living_count(const struct stack *self)
{
    size_t count = 0;
    for (size_t i = 0; i < self->processes_count; i++) {
        count += process_state(self->processes[i].id) != PROCESS_DEAD ? 1 : 0;
    }
    return count;
}

const struct stack_process *stack_find_living(const struct stack *self, size_t service)
{
    for (size_t i = 0; i < self->processes_count; i++) {
        const struct stack_process *process = &self->processes[i];
        if (process->service == service && process_state(process->id) != PROCESS_DEAD) {
            return process;
        }
    }
    return NULL;
}

char *stack_log_path(const struct stack *self, const struct stack_process *process)
{
    return mem_format("%s/logs/%s.log", self->dir, process->name);
}

char *stack_data_path(const struct stack *self, const struct stack_process *process)
{
    return mem_format("%s/data/%s", self->dir, house_service(process->service));
}

// A lock of fcntl ends with its owner and is not inherited by what we start.
enum err stack_lock(const char *dir, int64_t timeout_ms, int *out_fd, char **problem)
{
    *problem = NULL;
    *out_fd = -1;
    char *path = mem_format("%s/lock", dir);
    enum err err = ERR_IO;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        *problem = mem_format("cannot write to %s: %s", dir, strerror(errno));
        goto out;
    }
    const int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    while (fcntl(fd, F_SETLK, &lock) < 0) {
        if (errno != EACCES && errno != EAGAIN && errno != EINTR) {
            *problem = mem_format("cannot lock %s: %s", path, strerror(errno));
            goto out;
        }
        if (clock_mono_ms() >= deadline_ms) {
            struct flock holder = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
            const bool known = fcntl(fd, F_GETLK, &holder) == 0 && holder.l_type != F_UNLCK;
            *problem = mem_format("another command (pid %ld) is changing the stack in %s; "
                                  "try again when it is done",
                                  known ? (long)holder.l_pid : 0L,
                                  dir);
            err = ERR_TIMEOUT;
            goto out;
        }
        nanosleep(&(struct timespec){.tv_nsec = LOCK_POLL_NS}, NULL);
    }
    *out_fd = fd;
    fd = -1; // handed to the caller
    err = ERR_OK;

out:
    if (fd >= 0) {
        close(fd);
    }
    free(path);
    return err;
}

void stack_unlock(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}
