#include "common/service_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/daemon.h"
#include "common/service_state.h"

// clang-format off
static const struct setting common_settings[] = {
    {.name = "BUS_URL", .fallback = "tcp://127.0.0.1:5550",
     .help = "the broker: tcp://host:port or ipc://path"},
    {.name = "BUS_RETRIES", .fallback = "3", .kind = SETTING_INT, .max = 1000,
     .help = "failures after which an event is dead-lettered, less one"},
    {.name = "BUS_ACKS", .fallback = "all", .kind = SETTING_CHOICE, .choices = "all|none",
     .help = "all: an event is published when the broker has synced it; none: when it is sent"},
    {.name = "BUS_AUTO_OFFSET_RESET", .fallback = "earliest", .kind = SETTING_CHOICE,
     .choices = "earliest|latest", .help = "where a new group starts"},
    {.name = "BUS_CREDIT", .fallback = "512", .kind = SETTING_INT, .min = 1, .max = 4096,
     .unit = "events", .help = "deliveries held at a time"},
    {.name = SERVICE_SETTING_EVENT_BYTES, .fallback = "65536", .kind = SETTING_INT, .min = 1024,
     .max = 240 * 1024, .unit = "bytes",
     .help = "the largest event that is emitted; the broker has the same setting"},
    {.name = "EVENT_VERSION_MAX", .fallback = "0", .kind = SETTING_INT, .max = 1000,
     .help = "plays an older release: newer versions of events are dead-lettered; 0: knows all"},
    {.name = "SYNC_WORKERS", .fallback = "8", .kind = SETTING_INT, .min = 1, .max = 256,
     .unit = "threads", .help = "blocking HTTP calls at a time"},
    {.name = "SYNC_QUEUE", .fallback = "64", .kind = SETTING_INT, .max = 1024, .unit = "requests",
     .help = "requests that may wait for a worker; more are refused"},
    {.name = "SYNC_TIMEOUT_MS", .fallback = "2000", .kind = SETTING_INT, .min = 1, .max = 600000,
     .unit = "ms", .help = "how long a call of the chain may take"},
    {.name = "SYNC_RETRIES", .fallback = "0", .kind = SETTING_INT, .max = 10,
     .help = "retries of a failed call"},
    {.name = "SYNC_BREAKER_FAILURES", .fallback = "0", .kind = SETTING_INT, .max = 1000,
     .help = "failures in a row that open the circuit; 0: never"},
    {.name = "SYNC_BREAKER_OPEN_MS", .fallback = "5000", .kind = SETTING_INT, .min = 1,
     .max = 600000, .unit = "ms", .help = "how long the circuit stays open"},
    {.name = "INVENTORY_URL", .kind = SETTING_URL, .fallback = "http://127.0.0.1:8003",
     .help = "inventory's HTTP interface"},
    {.name = "PAYMENT_URL", .kind = SETTING_URL, .fallback = "http://127.0.0.1:8002",
     .help = "payment's"},
    {.name = "FRAUD_URL", .kind = SETTING_URL, .fallback = "http://127.0.0.1:8005",
     .help = "fraud's"},
    {.name = "LEDGER_URL", .kind = SETTING_URL, .fallback = "http://127.0.0.1:8006",
     .help = "ledger's"},
    {.name = "NOTIFICATION_URL", .kind = SETTING_URL, .fallback = "http://127.0.0.1:8004",
     .help = "notification's"},
    {0}
};
// clang-format on

void service_settings_make(struct service_settings *out, const struct service_def *def)
{
    snprintf(out->port, sizeof out->port, "%u", (unsigned)def->port);
    snprintf(out->data_dir, sizeof out->data_dir, ".faultline/data/%s", def->name);
    snprintf(out->member, sizeof out->member, "%s-1", def->name);
    // clang-format off
    const struct setting own[] = {
        {.name = "HTTP_PORT", .fallback = out->port, .kind = SETTING_INT, .max = 65535,
         .help = "port of the HTTP interface; 0: any free one"},
        {.name = "DATA_DIR", .fallback = out->data_dir,
         .help = "folder of the database; replicas share it"},
        {.name = "BUS_GROUP", .fallback = def->name,
         .help = "consumer group; its members share the events"},
        {.name = "BUS_MEMBER", .fallback = out->member,
         .help = "name of this process in its group; unique"},
        {0}
    };
    // clang-format on
    memcpy(out->own, own, sizeof own);
    out->tables[0] = out->own;
    out->tables[1] = daemon_settings;
    out->tables[2] = common_settings;
    out->tables[3] = def->settings;
    out->tables_count = def->settings == NULL ? 3 : 4;
}

int service_answer_arguments(const struct service_def *def, const struct service_settings *settings,
                             int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf(
            "faultline-%s: %s\n\n"
            "  --ready    asks the process that runs with these settings whether it is ready\n"
            "  --topics   prints the topics that it subscribes to\n"
            "  --rebuild FILE  makes the database anew from the events that `faultline rebuild`\n"
            "             put into FILE, and ends; there must be none in DATA_DIR\n"
            "  --version  prints the version\n\n"
            "Settings come from the environment:\n\n",
            def->name,
            def->summary);
        config_print_help(settings->tables, settings->tables_count, stdout);
        printf("\nHTTP interface, besides /healthz, /readyz and /metrics:\n\n");
        for (size_t i = 0; i < def->routes_count; i++) {
            printf("  %-6s %s\n", def->routes[i].method, def->routes[i].path);
        }
        printf("\nSubscribes to:\n\n");
        for (size_t i = 0; i < def->subscriptions_count; i++) {
            printf("  %s\n", def->subscriptions[i].topic);
        }
        return EXIT_SUCCESS;
    }
    if (argc == 2 && strcmp(argv[1], "--topics") == 0) {
        for (size_t i = 0; i < def->subscriptions_count; i++) {
            puts(def->subscriptions[i].topic);
        }
        return EXIT_SUCCESS;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("faultline-%s %s\n", def->name, FAULTLINE_VERSION);
        return EXIT_SUCCESS;
    }
    fprintf(stderr,
            "faultline-%s takes no arguments but --ready, --topics, --rebuild FILE, --help and "
            "--version; "
            "settings come from the environment\n",
            def->name);
    return SERVICE_EXIT_SETTINGS;
}

const char *service_member(const struct service *self)
{
    return config_text(self->config, "BUS_MEMBER");
}
