// faultline-broker: reads the settings, opens the server, runs it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/server.h"
#include "common/crash_point.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/ready.h"

enum {
    EXIT_SETTINGS = 2, // a setting or an argument is wrong
};

// The body of a dead letter and its headers must fit a record: 240 KiB do.
static const struct setting settings[] = {
    {.name = "BROKER_BIND",
     .fallback = "tcp://127.0.0.1:5550",
     .help = "where clients connect: tcp://host:port or ipc://path, several with commas"},
    {.name = "HTTP_PORT",
     .fallback = "8000",
     .kind = SETTING_INT,
     .max = 65535,
     .help = "port of the HTTP interface; 0: any free one"},
    {.name = "DATA_DIR",
     .fallback = ".faultline/data/broker",
     .help = "folder of the log and of the groups' state; one broker at a time"},
    {.name = "EVENT_BYTES_MAX",
     .fallback = "65536",
     .kind = SETTING_INT,
     .min = 1024,
     .max = 240 * 1024,
     .unit = "bytes",
     .help = "the largest event that is taken"},
    {.name = "SEGMENT_BYTES",
     .fallback = "67108864",
     .kind = SETTING_INT,
     .min = 1024 * 1024,
     .max = INT64_C(1) << 30,
     .unit = "bytes",
     .help = "size of a file of the log; retention drops whole files"},
    {.name = "DISK_BYTES_MAX",
     .fallback = "0",
     .kind = SETTING_INT,
     .max = INT64_C(1) << 50,
     .unit = "bytes",
     .help = "what the log may take, SEGMENT_BYTES of it for dead letters and what is redriven "
             "alone; publishers then get disk-full; 0: the whole disk"},
    {.name = "RETENTION_BYTES",
     .fallback = "0",
     .kind = SETTING_INT,
     .max = INT64_C(1) << 50,
     .unit = "bytes",
     .help = "a larger log drops its oldest files, once no group needs them; 0: it keeps all"},
    {.name = "RETENTION_HOURS",
     .fallback = "0",
     .kind = SETTING_INT,
     .max = 24 * 366 * 100,
     .unit = "h",
     .help = "files whose events are all older are dropped, once no group needs them; 0: never"},
    {.name = "DEAD_LETTERS_MAX",
     .fallback = "100000",
     .kind = SETTING_INT,
     .min = 1,
     .max = 1000000,
     .help = "dead letters a group may have; what it gives up beyond that waits for a redrive"},
    {.name = "HEARTBEAT_MS",
     .fallback = "1000",
     .kind = SETTING_INT,
     .min = 50,
     .max = 60000,
     .unit = "ms",
     .help = "longest interval of heartbeats; three misses end a session"},
    {.name = NULL},
};

static const struct setting *const tables[] = {settings, daemon_settings};

static int help(void)
{
    printf("faultline-broker: the durable log, and the groups that share its events\n\n"
           "  --retention-ignores-groups\n"
           "             drops what is due also when a group has not handled it, or when it is a\n"
           "             dead letter: the group goes on with the first event that is kept\n"
           "  --ready    asks the broker that runs with these settings whether it is ready\n"
           "  --version  prints the version\n\n"
           "Settings come from the environment:\n\n");
    config_print_help(tables, ARRAY_LEN(tables), stdout);
    printf("\nHTTP interface:\n\n"
           "  GET /healthz  /readyz  /metrics\n"
           "  GET /status                              log, groups, lag, failing events\n"
           "  GET /dead-letters?group=&limit=&after=\n"
           "  GET /dead-letters/{offset}\n");
    return EXIT_SUCCESS;
}

// What no single setting can tell. One file of DISK_BYTES_MAX is a reserve for the broker's own
// records. The newest file is never dropped, so retention needs room for two more to keep
// publishers going. NULL: all is well.
static char *limits_problem(const struct config *config)
{
    const int64_t disk = config_int(config, "DISK_BYTES_MAX");
    const int64_t segment = config_int(config, "SEGMENT_BYTES");
    const int64_t retention = config_int(config, "RETENTION_BYTES");
    const bool retains = retention != 0 || config_int(config, "RETENTION_HOURS") != 0;
    const int64_t segments = retains ? 3 * segment : 2 * segment;
    if (disk != 0 && disk < segments) {
        return mem_format("DISK_BYTES_MAX is %lld, but %s takes %lld: raise it, or lower "
                          "SEGMENT_BYTES",
                          (long long)disk,
                          retains ? "a log with retention, three files of SEGMENT_BYTES (one in "
                                    "reserve),"
                                  : "a log, two files of SEGMENT_BYTES (one in reserve),",
                          (long long)segments);
    }
    if (disk != 0 && disk - segment < retention) {
        return mem_format(
            "DISK_BYTES_MAX is %lld, but RETENTION_BYTES keeps %lld, and a file of SEGMENT_BYTES "
            "is in reserve: publishes would be refused before anything is dropped; raise the one, "
            "or lower the other",
            (long long)disk,
            (long long)retention);
    }
    return NULL;
}

static int run(const struct config *config, bool ignores_groups)
{
    const struct server_options options = {
        .bind = config_text(config, "BROKER_BIND"),
        .http_address = config_text(config, "HTTP_ADDRESS"),
        .http_port = (uint16_t)config_int(config, "HTTP_PORT"),
        .http_record = config_text(config, "HTTP_RECORD"),
        .broker =
            {
                .log = {.segment_bytes = (uint64_t)config_int(config, "SEGMENT_BYTES"),
                        .disk_bytes_max = (uint64_t)config_int(config, "DISK_BYTES_MAX"),
                        .reserve_bytes = (uint64_t)config_int(config, "SEGMENT_BYTES")},
                .directory = config_text(config, "DATA_DIR"),
                .heartbeat_ms = (uint32_t)config_int(config, "HEARTBEAT_MS"),
                .event_bytes_max = (uint32_t)config_int(config, "EVENT_BYTES_MAX"),
                .dead_letters_max = (uint32_t)config_int(config, "DEAD_LETTERS_MAX"),
                .retention_bytes = (uint64_t)config_int(config, "RETENTION_BYTES"),
                .retention_hours = config_int(config, "RETENTION_HOURS"),
                .retention_ignores_groups = ignores_groups,
            },
    };
    struct server *server = NULL;
    char *problem = NULL;
    enum err err = server_open(&server, &options, &problem);
    if (err == ERR_OK) {
        err = server_run(server);
    } else {
        log_flush();
        fprintf(stderr, "faultline-broker: %s\n", problem);
    }
    server_destroy(&server);
    log_flush();
    free(problem);
    return err == ERR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return help();
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("faultline-broker %s\n", FAULTLINE_VERSION);
        return EXIT_SUCCESS;
    }
    const bool asks = argc == 2 && strcmp(argv[1], "--ready") == 0;
    const bool ignores_groups = argc == 2 && strcmp(argv[1], "--retention-ignores-groups") == 0;
    if (argc > 1 && !asks && !ignores_groups) {
        fprintf(stderr,
                "faultline-broker takes one of --retention-ignores-groups, --ready, --help and "
                "--version, or nothing; settings come from the environment\n");
        return EXIT_SETTINGS;
    }
    struct config *config = NULL;
    char *problem = NULL;
    int code = EXIT_SETTINGS;
    if (config_load(&config, tables, ARRAY_LEN(tables), &problem) != ERR_OK ||
        (problem = limits_problem(config)) != NULL) {
        fprintf(stderr, "faultline-broker: %s\n", problem);
    } else if (asks) {
        code = ready_ask((uint16_t)config_int(config, "HTTP_PORT"));
    } else if (crash_point_arm(config_text(config, CRASH_POINT_SETTING), "broker", &problem) !=
               ERR_OK) {
        fprintf(stderr, "faultline-broker: %s\n", problem);
    } else if (log_open("broker",
                        config_text(config, "LOG_FORMAT"),
                        config_text(config, "LOG_LEVEL")) == ERR_OK) {
        umask(S_IRWXG | S_IRWXO); // the log holds everybody's data
        code = run(config, ignores_groups);
    }
    config_destroy(&config);
    free(problem);
    return code;
}
