#include "tests/support/broker_process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/free_ports.h"

enum {
    ENV_FIXED = 6, // what this file sets itself, and the NULL
};

struct broker_process {
    char *binary;    // owned
    char *directory; // owned; removed at the end
    char *url;       // owned
    char *output;    // owned; the file that takes what it writes
    uint16_t http_port;
    pid_t pid;                                     // 0: not running
    char *env[BROKER_PROCESS_ENV_MAX + ENV_FIXED]; // owned, ended by NULL
};

static void die(const char *what)
{
    fprintf(stderr, "broker_process: %s (%s)\n", what, strerror(errno));
    abort();
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

// --- HTTP, as small as it gets

static int http_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

char *broker_process_ask(const struct broker_process *self, const char *method, const char *path,
                         int *status)
{
    char *text = NULL;
    struct buf answer = {0};
    struct buf request = {0};
    const int fd = http_connect(self->http_port);
    if (fd < 0) {
        return NULL;
    }
    buf_printf(&request, "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", method, path);
    if (send(fd, request.data, request.size, MSG_NOSIGNAL) == (ssize_t)request.size) {
        ssize_t got = 0;
        while ((got = read(fd, buf_reserve(&answer, 4096), 4096)) > 0) {
            answer.size += (size_t)got;
        }
        text = mem_strndup((const char *)answer.data, answer.size);
        *status = 0;
        (void)sscanf(text, "HTTP/1.1 %d", status);
    }
    close(fd);
    buf_release(&request);
    buf_release(&answer);
    return text;
}

char *broker_process_get(const struct broker_process *self, const char *path, int *status)
{
    int code = 0;
    char *answer = broker_process_ask(self, "GET", path, status == NULL ? &code : status);
    const char *blank = answer == NULL ? NULL : strstr(answer, "\r\n\r\n");
    char *body = blank == NULL ? NULL : mem_strdup(blank + 4);
    free(answer);
    return body;
}

// --- the process

void broker_process_begin(struct broker_process *self)
{
    self->pid = fork();
    if (self->pid < 0) {
        die("fork");
    }
    if (self->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that dies takes it along
        const int fd = open(self->output, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0) {
            _exit(126);
        }
        char *argv[] = {self->binary, NULL};
        execve(self->binary, argv, self->env);
        _exit(127);
    }
}

static char *read_output(const struct broker_process *self)
{
    struct buf text = {0};
    const int fd = open(self->output, O_RDONLY | O_CLOEXEC);
    ssize_t got = 0;
    while (fd >= 0 && (got = read(fd, buf_reserve(&text, 4096), 4096)) > 0) {
        text.size += (size_t)got;
    }
    if (fd >= 0) {
        close(fd);
    }
    buf_put_u8(&text, 0);
    return (char *)text.data;
}

// Returns true and the status once the process has ended.
static int has_ended(struct broker_process *self, int *status)
{
    int raw = 0;
    if (waitpid(self->pid, &raw, WNOHANG) != self->pid) {
        return 0;
    }
    self->pid = 0;
    *status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
    return 1;
}

int broker_process_try(struct broker_process *self, char **output)
{
    const int64_t deadline_ms = clock_mono_ms() + BROKER_PROCESS_READY_MS;
    unlink(self->output);
    broker_process_begin(self);
    int status = 0;
    while (!has_ended(self, &status)) {
        int code = 0;
        free(broker_process_get(self, "/readyz", &code));
        if (code == 200) {
            break;
        }
        if (clock_mono_ms() > deadline_ms) {
            broker_process_kill(self);
            status = -1;
            break;
        }
        nap();
    }
    if (output != NULL) {
        *output = read_output(self);
    }
    return status;
}

void broker_process_start(struct broker_process *self)
{
    char *output = NULL;
    const int status = broker_process_try(self, &output);
    if (status != 0 || self->pid == 0) {
        fprintf(stderr, "%s\n", output);
        die("the broker did not start");
    }
    free(output);
}

static struct broker_process *make(void)
{
    struct broker_process *self = mem_calloc(1, sizeof *self);
    const char *bin = getenv("FAULTLINE_BIN");
    char directory[] = "/tmp/faultline-test-XXXXXX";
    if (mkdtemp(directory) == NULL) {
        die("mkdtemp");
    }
    self->binary = mem_format("%s/faultline-broker", bin == NULL ? "build/dev/bin" : bin);
    self->directory = mem_strdup(directory);
    self->output = mem_format("%s/output", directory);
    return self;
}

static size_t add_settings(struct broker_process *self, size_t count, const char *const *env)
{
    for (size_t i = 0; env != NULL && env[i] != NULL && i < BROKER_PROCESS_ENV_MAX; i++) {
        self->env[count++] = mem_strdup(env[i]);
    }
    return count;
}

struct broker_process *broker_process_new(const char *const *env)
{
    struct broker_process *self = make();
    uint16_t ports[2];
    free_ports(ports, 2);
    self->url = mem_format("tcp://127.0.0.1:%d", ports[0]);
    self->http_port = ports[1];
    size_t count = add_settings(self, 0, env); // of two with one name the first counts
    self->env[count++] = mem_format("DATA_DIR=%s", self->directory);
    self->env[count++] = mem_format("BROKER_BIND=%s", self->url);
    self->env[count++] = mem_format("HTTP_PORT=%d", self->http_port);
    // 64 MiB for each test's log would be a lot of zeros to write.
    self->env[count] = mem_strdup("SEGMENT_BYTES=4194304");
    broker_process_start(self);
    return self;
}

int broker_process_run(const char *const *env, char **output)
{
    struct broker_process *self = make();
    const int64_t deadline_ms = clock_mono_ms() + BROKER_PROCESS_READY_MS;
    int status = -1;
    bool has_folder = false;
    for (size_t i = 0; env[i] != NULL; i++) {
        has_folder |= strncmp(env[i], "DATA_DIR=", 9) == 0;
    }
    const size_t count = add_settings(self, 0, env);
    if (!has_folder) {
        self->env[count] = mem_format("DATA_DIR=%s", self->directory);
    }
    broker_process_begin(self);
    while (!has_ended(self, &status) && clock_mono_ms() < deadline_ms) {
        nap();
    }
    *output = read_output(self);
    broker_process_destroy(&self);
    return status;
}

static void remove_tree(const char *path)
{
    const pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/rm", "rm", "-rf", "--", path, (char *)NULL);
        _exit(127);
    }
    if (pid > 0) {
        waitpid(pid, NULL, 0);
    }
}

void broker_process_destroy(struct broker_process **self_p)
{
    struct broker_process *self = *self_p;
    if (self == NULL) {
        return;
    }
    broker_process_kill(self);
    remove_tree(self->directory);
    for (size_t i = 0; self->env[i] != NULL; i++) {
        free(self->env[i]);
    }
    free(self->binary);
    free(self->directory);
    free(self->output);
    free(self->url);
    free(self);
    *self_p = NULL;
}

const char *broker_process_url(const struct broker_process *self)
{
    return self->url;
}

const char *broker_process_directory(const struct broker_process *self)
{
    return self->directory;
}

uint16_t broker_process_http_port(const struct broker_process *self)
{
    return self->http_port;
}

int broker_process_pid(const struct broker_process *self)
{
    return (int)self->pid;
}

void broker_process_kill(struct broker_process *self)
{
    if (self->pid > 0) {
        kill(self->pid, SIGKILL);
        waitpid(self->pid, NULL, 0);
        self->pid = 0;
    }
}

int broker_process_wait(struct broker_process *self, int timeout_ms, char **output)
{
    const int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    int status = 0;
    while (!has_ended(self, &status)) {
        if (clock_mono_ms() > deadline_ms) {
            broker_process_kill(self);
            status = -1;
            break;
        }
        nap();
    }
    if (output != NULL) {
        *output = read_output(self);
    }
    return status;
}

int broker_process_stop(struct broker_process *self, int timeout_ms)
{
    kill(self->pid, SIGTERM);
    return broker_process_wait(self, timeout_ms, NULL);
}
