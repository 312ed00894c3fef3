#include "cli/verify/verify_compose.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/compose.h"
#include "cli/spawn.h"
#include "common/mem.h"

enum {
    ARGUMENTS_MAX = 256,
    RECORDS_MAX = 50,
    PATH_SIZE = 4096
};

#define DATA   "/verify/data"
#define RECORD "/verify/record"

// The arguments of `docker run`, of which it owns the texts.
struct arguments {
    char *texts[ARGUMENTS_MAX + 1]; // ended by NULL
    size_t count;
};

__attribute__((format(printf, 2, 3))) static void add(struct arguments *self, const char *format,
                                                      ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_vformat(format, args);
    va_end(args);
    assert(self->count < ARGUMENTS_MAX); // there is room for RECORDS_MAX records
    self->texts[self->count++] = text;
}

static void release(struct arguments *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->texts[i]);
    }
}

static void add_texts(struct arguments *self, const char *const *texts)
{
    for (; *texts != NULL; texts++) {
        add(self, "%s", *texts);
    }
}

// How the container is made: it can do no more than the others.
static void add_container(struct arguments *self, const struct compose_mounts *mounts,
                          const struct part *broker, const struct options *options)
{
    static const char *const fixed[] = {"docker",
                                        "run",
                                        "--rm",
                                        "--read-only",
                                        "--tmpfs",
                                        "/tmp",
                                        "--cap-drop",
                                        "ALL",
                                        "--security-opt",
                                        "no-new-privileges:true",
                                        "--network",
                                        NULL};
    add_texts(self, fixed);
    if (broker != NULL) {
        add(self, "container:%s", broker->container);
    } else {
        add(self, "none");
    }
    for (size_t i = 0; i < HOUSE_SERVICES_COUNT; i++) {
        if (mounts->data[i] != NULL) {
            add(self, "--volume");
            add(self, "%s:" DATA "/%s", mounts->data[i], house_service(i));
        }
    }
    char here[PATH_SIZE] = "";
    (void)getcwd(here, sizeof here);
    for (size_t i = 0; i < options_list_count(options, "record"); i++) {
        const char *path = options_list(options, "record", i);
        add(self, "--volume");
        add(self,
            "%s%s%s:" RECORD "/%zu:ro",
            path[0] == '/' ? "" : here,
            path[0] == '/' ? "" : "/",
            path,
            i);
    }
    if (isatty(STDOUT_FILENO) == 1 && isatty(STDERR_FILENO) == 1 &&
        !options_flag(options, "json")) {
        add(self, "--tty");
    }
    add(self, "%s", mounts->image);
}

// What runs in it.
static void add_command(struct arguments *self, const struct part *broker, bool is_running,
                        const struct options *options)
{
    static const char *const fixed[] = {"faultline", "verify", "--data", DATA, "--limit", NULL};
    add_texts(self, fixed);
    add(self, "%lld", (long long)options_int(options, "limit"));
    if (broker != NULL) {
        add(self, "--bus");
        add(self, "tcp://127.0.0.1:%d", HOUSE_BUS_PORT);
    }
    if (is_running) {
        add(self, "--running");
    }
    if (options_flag(options, "json")) {
        add(self, "--json");
    }
    for (size_t i = 0; i < options_list_count(options, "record"); i++) {
        add(self, "--record");
        add(self, RECORD "/%zu", i);
    }
}

enum cli_exit verify_compose_run(const struct target *target, const struct options *options)
{
    const struct part *broker = NULL;
    bool is_running = false;
    for (size_t i = 0; i < target->parts_count; i++) {
        const struct part *part = &target->parts[i];
        if (part->state != PROCESS_DEAD && part->service == 0) {
            broker = part;
        }
        is_running =
            is_running || (part->state != PROCESS_DEAD && part->service == house_index("order"));
    }
    if (options_list_count(options, "record") > RECORDS_MAX) {
        cli_problem("it cannot be told: at most %d files of --record go into a container",
                    RECORDS_MAX);
        return CLI_UNKNOWN;
    }
    for (size_t i = 0; i < options_list_count(options, "record"); i++) {
        const char *path = options_list(options, "record", i);
        if (access(path, R_OK) != 0) { // docker would make a folder of that name
            cli_problem("it cannot be told: cannot read %s", path);
            return CLI_UNKNOWN;
        }
    }
    struct arguments arguments = {0};
    struct compose_mounts mounts;
    enum cli_exit result = CLI_UNKNOWN;
    int code = -1;
    fflush(stdout);
    if (compose_mounts_read(target->parts, target->parts_count, &mounts) != ERR_OK) {
        cli_problem("docker does not tell where the containers keep their data");
        goto out;
    }
    add_container(&arguments, &mounts, broker, options);
    add_command(&arguments, broker, is_running, options);
    if (spawn_run((const char *const *)arguments.texts, &code) != ERR_OK) {
        cli_problem("docker cannot be run");
    } else if (code == CLI_YES || code == CLI_NO) {
        result = (enum cli_exit)code;
    }

out:
    release(&arguments);
    compose_mounts_release(&mounts);
    return result;
}
