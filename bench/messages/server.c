#include "bench/messages/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

enum {
    START_MS = 60000,
};

// Whether somebody listens there.
static bool port_connects(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool connects =
        fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return connects;
}

static uint16_t port_free(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        engine_fail("no free port");
    }
    close(fd);
    return ntohs(address.sin_port);
}

void server_open(struct server *self, const struct engine *engine, const char *parent,
                 uint32_t groups)
{
    struct statfs system;
    *self = (struct server){.engine = engine, .place = {.groups = groups}};
    if (statfs(parent, &system) != 0) {
        engine_fail("%s: no such folder", parent);
    }
    if (system.f_type == TMPFS_MAGIC) {
        engine_fail("%s lies in memory (tmpfs), where a sync costs nothing: give --dir", parent);
    }
    snprintf(self->folder, sizeof self->folder, "%s/faultline-bench-XXXXXX", parent);
    if (mkdtemp(self->folder) == NULL) {
        engine_fail("cannot make a folder below %s", parent);
    }
    self->place.folder = self->folder;
    self->place.port = port_free();
}

// In the child: becomes the server.
static void become(const struct server *self)
{
    struct engine_command command;
    self->engine->command(&command, &self->place);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; command.environment[i] != NULL; i++) {
        char *equals = strchr(command.environment[i], '=');
        char name[64];
        snprintf(name,
                 sizeof name,
                 "%.*s",
                 (int)(equals - command.environment[i]),
                 command.environment[i]);
        setenv(name, equals + 1, 1);
    }
    char *args[ENGINE_ARGS_MAX] = {0};
    for (size_t i = 0; command.args[i] != NULL; i++) {
        args[i] = strdup(command.args[i]);
    }
    // What it says as a matter of course is of no use here; its complaints are.
    const int nowhere = open("/dev/null", O_WRONLY);
    (void)dup2(nowhere, STDOUT_FILENO);
    execv(args[0], args);
    engine_fail("cannot run %s", args[0]);
}

double server_start(struct server *self)
{
    const int64_t start_us = clock_mono_us();
    if (self->engine->command == NULL) {
        return 0; // no server
    }
    self->pid = fork();
    if (self->pid == 0) {
        become(self);
    }
    while (!port_connects(self->place.port)) {
        if (waitpid(self->pid, NULL, WNOHANG) == self->pid ||
            clock_mono_us() - start_us > START_MS * INT64_C(1000)) {
            engine_fail("%s does not start", self->engine->name);
        }
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    }
    return (double)(clock_mono_us() - start_us) / 1e3;
}

// The size behind name in a file like /proc/PID/status, which says it in KiB; in MB.
static double number_of(pid_t pid, const char *file, const char *name)
{
    char path[64];
    char line[256];
    double kib = 0;
    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, file);
    FILE *stream = fopen(path, "r");
    while (stream != NULL && fgets(line, sizeof line, stream) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            kib = strtod(line + strlen(name), NULL);
        }
    }
    if (stream != NULL) {
        fclose(stream);
    }
    return kib * 1024 / 1e6;
}

void server_use(const struct server *self, struct server_use *out)
{
    *out = (struct server_use){0};
    if (self->pid == 0) {
        return;
    }
    char path[64];
    unsigned long user = 0;
    unsigned long system = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)self->pid);
    FILE *stream = fopen(path, "r");
    if (stream != NULL) {
        static const char format[] =
            "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu";
        (void)fscanf(stream, format, &user, &system);
        fclose(stream);
    }
    out->cpu_s = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    out->rss_mb = number_of(self->pid, "status", "VmRSS:");
    out->rss_peak_mb = number_of(self->pid, "status", "VmHWM:");
    out->pss_mb = number_of(self->pid, "smaps_rollup", "Pss:");
}

void server_kill(struct server *self)
{
    if (self->pid != 0) {
        kill(self->pid, SIGKILL);
        waitpid(self->pid, NULL, 0);
        self->pid = 0;
    }
}

void server_close(struct server *self)
{
    server_kill(self);
    const pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", self->folder, (char *)NULL);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
}
