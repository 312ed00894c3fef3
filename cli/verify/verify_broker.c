#include "cli/verify/verify_broker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/bus_guest.h"
#include "cli/environment.h"
#include "cli/spawn.h"
#include "common/clock.h"
#include "common/mem.h"

extern char **environ;

enum {
    START_TIMEOUT_MS = 120000, // it reads the whole log
    ASK_TIMEOUT_MS = 250,
    STOP_TIMEOUT_MS = 10000,
    STOP_POLL_US = 5000,
    ENVIRONMENT_MAX = 1024,
};

// Neither its endpoint nor what it writes has a name in a folder: nothing stays behind,
// however this process ends.
struct verify_broker {
    char *url;    // owned
    FILE *output; // owned
    pid_t pid;    // 0: not started, or ended
};

static char *output_path(const struct verify_broker *self)
{
    return mem_format("/proc/self/fd/%d", fileno(self->output));
}

// Where it stands is ours to say; the settings of a person's shell are for their stack, and
// retention among them would drop what is to be read.
static enum err start_process(struct verify_broker *self, const char *bin, const char *data,
                              char **problem)
{
    char *own[] = {
        mem_format("BROKER_BIND=%s", self->url),
        mem_format("DATA_DIR=%s", data),
        mem_strdup("HTTP_ADDRESS=127.0.0.1"),
        mem_strdup("HTTP_PORT=0"),
        mem_strdup("LOG_LEVEL=warn"),
    };
    const char *envp[ENVIRONMENT_MAX + ARRAY_LEN(own) + 1];
    size_t count = 0;
    for (size_t i = 0; environ[i] != NULL && count < ENVIRONMENT_MAX; i++) {
        if (!environment_is_ours(environ[i])) {
            envp[count++] = environ[i];
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        envp[count++] = own[i];
    }
    envp[count] = NULL;
    char *program = mem_format("%s/faultline-broker", bin);
    char *output = output_path(self);
    const enum err err =
        spawn_helper((const char *const[]){program, NULL}, envp, output, &self->pid, problem);
    free(output);
    free(program);
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        free(own[i]);
    }
    return err;
}

static bool has_ended(struct verify_broker *self)
{
    if (self->pid != 0 && waitpid(self->pid, NULL, WNOHANG) != 0) {
        self->pid = 0;
    }
    return self->pid == 0;
}

static enum err wait_until_served(struct verify_broker *self, char **problem)
{
    const int64_t deadline_ms = clock_mono_ms() + START_TIMEOUT_MS;
    struct bus_guest *guest = NULL;
    while (bus_guest_open(&guest, self->url, ASK_TIMEOUT_MS) != ERR_OK) {
        if (has_ended(self)) {
            char *output = output_path(self);
            char *words = spawn_last_words(output);
            free(output);
            *problem = mem_format("the log cannot be read: %s", words);
            free(words);
            return ERR_UNAVAILABLE;
        }
        if (clock_mono_ms() >= deadline_ms) {
            *problem = mem_format("a broker over the log was not ready within %d s",
                                  START_TIMEOUT_MS / 1000);
            return ERR_UNAVAILABLE;
        }
    }
    bus_guest_destroy(&guest);
    return ERR_OK;
}

enum err verify_broker_start(struct verify_broker **out, const char *bin, const char *data,
                             char **problem)
{
    *out = NULL;
    *problem = NULL;
    struct verify_broker *self = mem_calloc(1, sizeof *self);
    enum err err = ERR_IO;

    if (access(data, R_OK | X_OK) != 0) {
        *problem = mem_format("there is no log to read in %s: %s", data, strerror(errno));
        err = ERR_NOT_FOUND;
        goto out;
    }
    self->output = tmpfile();
    if (self->output == NULL) {
        *problem = mem_format("cannot make a temporary file: %s", strerror(errno));
        goto out;
    }
    self->url =
        mem_format("ipc://@faultline-verify-%d-%lld", (int)getpid(), (long long)clock_mono_us());
    err = start_process(self, bin, data, problem);
    if (err == ERR_OK) {
        err = wait_until_served(self, problem);
    }
    if (err == ERR_OK) {
        *out = self;
        self = NULL; // handed to the caller
    }

out:
    verify_broker_stop(&self);
    return err;
}

static void end_process(struct verify_broker *self)
{
    const int64_t deadline_ms = clock_mono_ms() + STOP_TIMEOUT_MS;
    if (!has_ended(self)) {
        kill(self->pid, SIGTERM);
    }
    while (!has_ended(self) && clock_mono_ms() < deadline_ms) {
        nanosleep(&(struct timespec){.tv_nsec = STOP_POLL_US * 1000}, NULL);
    }
    if (self->pid != 0) {
        kill(self->pid, SIGKILL);
        waitpid(self->pid, NULL, 0);
    }
}

void verify_broker_stop(struct verify_broker **self_p)
{
    struct verify_broker *self = *self_p;
    if (self == NULL) {
        return;
    }
    end_process(self);
    if (self->output != NULL) {
        fclose(self->output);
    }
    free(self->url);
    free(self);
    *self_p = NULL;
}

const char *verify_broker_url(const struct verify_broker *self)
{
    return self->url;
}
