// The life of a service's process: settings, start, the loop, a clean end.
#include "common/service.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/folder.h"
#include "common/inbox.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/ready.h"
#include "common/service_state.h"

enum {
    EXIT_SETTINGS = 2,
    POLL_MAX_MS = 1000,
    CLEAN_DELAY_MS = 20,   // how long answered outbox rows wait for a batch to ride on
    STOP_BUDGET_MS = 1500, // from SIGTERM to exit
    HALF_BATCH = SERVICE_BATCH_MAX / 2,
};

// The defaults of HTTP_PORT, BUS_GROUP and so on are the service's own: NULL here,
// filled in by own_defaults.
enum {
    SETTING_HTTP_PORT,
    SETTING_DATA_DIR,
    SETTING_GROUP,
    SETTING_MEMBER,
    OWN_DEFAULTS
};

static const struct setting own_settings[OWN_DEFAULTS] = {
    [SETTING_HTTP_PORT] = {.name = "HTTP_PORT",
                           .kind = SETTING_INT,
                           .max = 65535,
                           .unit = "",
                           .help = "port of the HTTP interface; 0: any free one"},
    [SETTING_DATA_DIR] = {.name = "DATA_DIR",
                          .kind = SETTING_TEXT,
                          .unit = "",
                          .help = "folder of the database; replicas share it"},
    [SETTING_GROUP] = {.name = "BUS_GROUP",
                       .kind = SETTING_TEXT,
                       .unit = "",
                       .help = "consumer group; its members share the events"},
    [SETTING_MEMBER] = {.name = "BUS_MEMBER",
                        .kind = SETTING_TEXT,
                        .unit = "",
                        .help = "name of this process in its group; unique"},
};

static const struct setting common_settings[] = {
    {.name = "HTTP_ADDRESS",
     .fallback = "127.0.0.1",
     .kind = SETTING_TEXT,
     .unit = "",
     .help = "address to listen on"},
    {.name = "BUS_URL",
     .fallback = "tcp://127.0.0.1:5550",
     .kind = SETTING_TEXT,
     .unit = "",
     .help = "the broker: tcp://host:port or ipc://path"},
    {.name = "BUS_RETRIES",
     .fallback = "3",
     .kind = SETTING_INT,
     .max = 1000,
     .unit = "",
     .help = "failures after which an event is dead-lettered, less one"},
    {.name = "BUS_ACKS",
     .fallback = "all",
     .kind = SETTING_CHOICE,
     .choices = "all|none",
     .unit = "",
     .help = "all: an event is published when the broker has synced it; none: when it is sent"},
    {.name = "BUS_AUTO_OFFSET_RESET",
     .fallback = "earliest",
     .kind = SETTING_CHOICE,
     .choices = "earliest|latest",
     .unit = "",
     .help = "where a new group starts"},
    {.name = "BUS_CREDIT",
     .fallback = "512",
     .kind = SETTING_INT,
     .min = 1,
     .max = 4096,
     .unit = "events",
     .help = "deliveries held at a time"},
    {.name = "LOG_FORMAT",
     .fallback = "json",
     .kind = SETTING_CHOICE,
     .choices = "json|text",
     .unit = "",
     .help = "json: an object a line; text: for people"},
    {.name = "LOG_LEVEL",
     .fallback = "info",
     .kind = SETTING_CHOICE,
     .choices = "debug|info|warn|error",
     .unit = "",
     .help = "the least that is logged"},
    {.name = "SYNC_WORKERS",
     .fallback = "8",
     .kind = SETTING_INT,
     .min = 1,
     .max = 256,
     .unit = "threads",
     .help = "blocking HTTP calls at a time"},
    {.name = "SYNC_QUEUE",
     .fallback = "64",
     .kind = SETTING_INT,
     .max = 1024,
     .unit = "requests",
     .help = "requests that may wait for a worker; more are refused"},
    {.name = "SYNC_TIMEOUT_MS",
     .fallback = "2000",
     .kind = SETTING_INT,
     .min = 1,
     .max = 600000,
     .unit = "ms",
     .help = "how long a call of the chain may take"},
    {.name = "SYNC_RETRIES",
     .fallback = "0",
     .kind = SETTING_INT,
     .max = 10,
     .unit = "",
     .help = "retries of a failed call"},
    {.name = "SYNC_BREAKER_FAILURES",
     .fallback = "0",
     .kind = SETTING_INT,
     .max = 1000,
     .unit = "",
     .help = "failures in a row that open the circuit; 0: never"},
    {.name = "SYNC_BREAKER_OPEN_MS",
     .fallback = "5000",
     .kind = SETTING_INT,
     .min = 1,
     .max = 600000,
     .unit = "ms",
     .help = "how long the circuit stays open"},
    {.name = "INVENTORY_URL",
     .fallback = "http://127.0.0.1:8003",
     .kind = SETTING_URL,
     .unit = "",
     .help = "inventory's HTTP interface"},
    {.name = "PAYMENT_URL",
     .fallback = "http://127.0.0.1:8002",
     .kind = SETTING_URL,
     .unit = "",
     .help = "payment's"},
    {.name = "FRAUD_URL",
     .fallback = "http://127.0.0.1:8005",
     .kind = SETTING_URL,
     .unit = "",
     .help = "fraud's"},
    {.name = "LEDGER_URL",
     .fallback = "http://127.0.0.1:8006",
     .kind = SETTING_URL,
     .unit = "",
     .help = "ledger's"},
    {.name = "NOTIFICATION_URL",
     .fallback = "http://127.0.0.1:8004",
     .kind = SETTING_URL,
     .unit = "",
     .help = "notification's"},
    {0},
};

static const struct {
    const char *name;
    const char *setting;
} call_targets[] = {
    {"inventory", "INVENTORY_URL"},
    {"payment", "PAYMENT_URL"},
    {"fraud", "FRAUD_URL"},
    {"ledger", "LEDGER_URL"},
    {"notification", "NOTIFICATION_URL"},
};

// The settings of one service: its name decides some defaults.
struct settings {
    struct setting own[OWN_DEFAULTS + 1];
    char port[8];
    char data_dir[64];
    char member[64];
    const struct setting *tables[3];
    size_t tables_count;
};

static void settings_make(struct settings *out, const struct service_def *def)
{
    *out = (struct settings){0};
    memcpy(out->own, own_settings, sizeof own_settings);
    snprintf(out->port, sizeof out->port, "%u", (unsigned)def->port);
    snprintf(out->data_dir, sizeof out->data_dir, ".faultline/data/%s", def->name);
    snprintf(out->member, sizeof out->member, "%s-1", def->name);
    out->own[SETTING_HTTP_PORT].fallback = out->port;
    out->own[SETTING_DATA_DIR].fallback = out->data_dir;
    out->own[SETTING_GROUP].fallback = def->name;
    out->own[SETTING_MEMBER].fallback = out->member;
    out->tables[out->tables_count++] = out->own;
    out->tables[out->tables_count++] = common_settings;
    if (def->settings != NULL) {
        out->tables[out->tables_count++] = def->settings;
    }
}

// --- start

// Grows with every change of a table, of the runtime or of any service.
enum {
    SERVICE_SCHEMA_VERSION = 1
};
static const char schema_version_sql[] = "PRAGMA user_version = 1";

// A start that failed: the sentence goes to the log, where a supervisor and a
// person look, and the process ends.
static enum err give_up(enum err err, const char *problem)
{
    log_error("cannot start", LOG_STR("error", problem), LOG_END);
    return err;
}

// A file that another program or another version made is left alone.
static enum err claim_store(struct service *self, const char *path, char **problem)
{
    const int64_t version = store_schema_version(self->store);
    if (version == SERVICE_SCHEMA_VERSION || (version == 0 && store_is_empty(self->store))) {
        return ERR_OK;
    }
    *problem = mem_format("%s is not of this version of Faultline (its schema is %lld, not %d). "
                          "Move it away, or set DATA_DIR to another folder",
                          path,
                          (long long)version,
                          SERVICE_SCHEMA_VERSION);
    return ERR_CONFLICT;
}

static enum err open_store(struct service *self)
{
    const char *folder = config_text(self->config, "DATA_DIR");
    char *problem = NULL;
    char *path = NULL;
    enum err err = ERR_IO;
    if (!folder_make(folder)) {
        problem = mem_format("cannot make the folder DATA_DIR=%s: %s", folder, strerror(errno));
        goto out;
    }
    path = mem_format("%s/%s.db", folder, self->def->name);
    err = store_open(&self->store, path, &problem);
    if (err != ERR_OK) {
        goto out;
    }
    clock_format_rfc3339(self->now, clock_wall_us());
    err = store_begin(self->store);
    if (err == ERR_OK) {
        err = claim_store(self, path, &problem);
    }
    if (err == ERR_OK) {
        err = store_exec_script(self->store, schema_version_sql);
    }
    if (err == ERR_OK) {
        err = store_exec_script(self->store, self->def->schema);
    }
    if (err == ERR_OK) {
        err = inbox_open(self->store, service_member(self));
    }
    if (err == ERR_OK) {
        err = outbox_open(&self->outbox, self->store);
    }
    if (err == ERR_OK && self->def->start != NULL) {
        err = self->def->start(self);
    }
    if (err == ERR_OK) {
        err = store_commit(self->store);
    }
    if (err != ERR_OK && problem == NULL) {
        problem = mem_format("cannot set up %s: %s", path, store_last_error(self->store));
    }

out:
    if (err != ERR_OK) {
        (void)give_up(err, problem);
    }
    free(problem);
    free(path);
    return err;
}

enum err service_bus_open(struct service *self, const char **problem)
{
    return bus_open(&self->bus,
                    &(struct bus_options){
                        .url = config_text(self->config, "BUS_URL"),
                        .member = service_member(self),
                        .group = config_text(self->config, "BUS_GROUP"),
                        .topics = self->topics,
                        .topics_count = self->def->subscriptions_count,
                        .from_latest = strcmp(config_text(self->config, "BUS_AUTO_OFFSET_RESET"),
                                              "latest") == 0,
                        .retries_max = (uint32_t)config_int(self->config, "BUS_RETRIES"),
                        .credit = (uint32_t)config_int(self->config, "BUS_CREDIT"),
                        .without_acks = strcmp(config_text(self->config, "BUS_ACKS"), "none") == 0,
                    },
                    problem);
}

static enum err open_bus(struct service *self)
{
    self->topics = mem_calloc(self->def->subscriptions_count, sizeof *self->topics);
    for (size_t i = 0; i < self->def->subscriptions_count; i++) {
        self->topics[i] = self->def->subscriptions[i].topic;
    }
    const char *problem = NULL;
    const enum err err = service_bus_open(self, &problem);
    if (err != ERR_OK) {
        log_error("cannot start: one of BUS_URL, BUS_GROUP and BUS_MEMBER is malformed",
                  LOG_STR("error", problem),
                  LOG_STR("BUS_URL", config_text(self->config, "BUS_URL")),
                  LOG_STR("BUS_GROUP", config_text(self->config, "BUS_GROUP")),
                  LOG_STR("BUS_MEMBER", service_member(self)),
                  LOG_END);
    }
    return err;
}

static enum err open_http(struct service *self)
{
    char *problem = NULL;
    const enum err err =
        http_server_open(&self->http,
                         &(struct http_server_options){
                             .address = config_text(self->config, "HTTP_ADDRESS"),
                             .port = (uint16_t)config_int(self->config, "HTTP_PORT"),
                         },
                         &problem);
    if (err != ERR_OK) {
        (void)give_up(err, problem);
    }
    free(problem);
    return err;
}

static void open_workers(struct service *self)
{
    self->callers.timeout_ms = config_int(self->config, "SYNC_TIMEOUT_MS");
    self->callers.retries_max = config_int(self->config, "SYNC_RETRIES");
    self->callers.breaker_failures_max = config_int(self->config, "SYNC_BREAKER_FAILURES");
    self->callers.breaker_open_ms = config_int(self->config, "SYNC_BREAKER_OPEN_MS");
    self->callers.metrics = self->metrics;
    pthread_mutex_init(&self->callers.mutex, NULL);
    for (size_t i = 0; i < ARRAY_LEN(call_targets); i++) {
        self->callers.targets[i].name = call_targets[i].name;
        self->callers.targets[i].url = config_text(self->config, call_targets[i].setting);
        self->callers.targets_count++;
    }
    self->workers = worker_pool_new((size_t)config_int(self->config, "SYNC_WORKERS"),
                                    (size_t)config_int(self->config, "SYNC_QUEUE"),
                                    &self->callers);
}

// Before any thread starts: all of them inherit the mask, so that the signals come
// to signal_fd alone.
static void take_signals(struct service *self)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    signal(SIGPIPE, SIG_IGN);
    self->signal_fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
}

static enum err service_open(struct service *self)
{
    snprintf(self->source, sizeof self->source, "/services/%s", self->def->name);
    self->metrics = metrics_new();
    take_signals(self);
    enum err err = open_store(self);
    if (err == ERR_OK) {
        err = open_bus(self);
    }
    if (err == ERR_OK) {
        err = open_http(self);
    }
    if (err == ERR_OK) {
        open_workers(self);
        log_info("started",
                 LOG_INT("port", http_server_port(self->http)),
                 LOG_STR("bus", config_text(self->config, "BUS_URL")),
                 LOG_STR("member", service_member(self)),
                 LOG_STR("version", FAULTLINE_VERSION),
                 LOG_END);
        log_flush();
    }
    return err;
}

static void service_close(struct service *self)
{
    worker_pool_destroy(&self->workers);
    http_server_destroy(&self->http);
    bus_destroy(&self->bus);
    outbox_destroy(&self->outbox);
    store_destroy(&self->store);
    metrics_destroy(&self->metrics);
    config_destroy(&self->config);
    free(self->topics);
    if (self->signal_fd >= 0) {
        close(self->signal_fd);
    }
    log_flush();
}

// --- the loop

static struct input *add_input(struct service *self, enum input_kind kind)
{
    struct input *input = &self->inputs[self->inputs_count++];
    *input = (struct input){.kind = kind};
    return input;
}

static void take_results(struct service *self)
{
    while (self->inputs_count < SERVICE_BATCH_MAX) {
        struct work *work = self->kept;
        if (work != NULL) {
            self->kept = work->next;
        } else {
            work = worker_pool_take(self->workers);
        }
        if (work == NULL) {
            return;
        }
        struct input *input = add_input(self, INPUT_RESULT);
        input->work = work;
        input->request = work->request;
    }
}

static bool is_paused(const struct service *self)
{
    return self->now_ms < self->paused_until_ms;
}

// Reads are answered at once, from what is committed; they need no transaction.
static void take_requests(struct service *self)
{
    struct http_exchange *exchanges[HALF_BATCH];
    const size_t count = http_server_take(self->http, exchanges, HALF_BATCH);
    for (size_t i = 0; i < count; i++) {
        struct request *request = request_open(self, exchanges[i]);
        if (request == NULL) {
            continue;
        }
        if (strcmp(request->route->method, "GET") == 0) {
            batch_read(self, request);
        } else if (is_paused(self)) {
            batch_refuse(self, request);
        } else {
            add_input(self, INPUT_REQUEST)->request = request;
        }
    }
}

static void take_events(struct service *self)
{
    struct bus_input inputs[SERVICE_BATCH_MAX];
    const size_t count = bus_take(self->bus, inputs, SERVICE_BATCH_MAX - self->inputs_count);
    for (size_t i = 0; i < count; i++) {
        if (inputs[i].kind == BUS_DELIVERY) {
            add_input(self, INPUT_EVENT)->delivery = inputs[i].delivery;
        } else {
            outbox_on_input(self->outbox, &inputs[i], self->now_ms);
        }
        if (inputs[i].kind == BUS_CONNECTED) {
            log_info("connected to the broker", LOG_END);
        } else if (inputs[i].kind == BUS_LOST) {
            log_warn("lost the broker", LOG_STR("error", inputs[i].detail), LOG_END);
        }
    }
}

static int poll_timeout_ms(struct service *self, int64_t clean_due_ms)
{
    if (is_paused(self)) {
        return (int)(self->paused_until_ms - self->now_ms);
    }
    if (bus_has_input(self->bus)) {
        return 0;
    }
    int64_t timeout_ms = POLL_MAX_MS;
    const int64_t bus_ms = bus_timer_ms(self->bus);
    if (bus_ms < timeout_ms) {
        timeout_ms = bus_ms;
    }
    const int64_t outbox_ms = outbox_timer_ms(self->outbox, self->bus, self->now_ms);
    if (outbox_ms >= 0 && outbox_ms < timeout_ms) {
        timeout_ms = outbox_ms;
    }
    if (outbox_is_dirty(self->outbox) && clean_due_ms - self->now_ms < timeout_ms) {
        timeout_ms = clean_due_ms - self->now_ms;
    }
    return (int)(timeout_ms < 0 ? 0 : timeout_ms);
}

static void wait_for_input(struct service *self, int timeout_ms)
{
    const bool paused = is_paused(self); // what is not taken must not wake us
    struct pollfd fds[] = {
        {.fd = paused ? -1 : bus_fd(self->bus), .events = POLLIN},
        {.fd = http_server_fd(self->http), .events = POLLIN},
        {.fd = paused ? -1 : worker_pool_fd(self->workers), .events = POLLIN},
        {.fd = self->signal_fd, .events = POLLIN},
    };
    if (poll(fds, ARRAY_LEN(fds), timeout_ms) > 0 && (fds[3].revents & POLLIN) != 0) {
        struct signalfd_siginfo info;
        self->stopping = read(self->signal_fd, &info, sizeof info) == (ssize_t)sizeof info;
    }
}

static void loop(struct service *self)
{
    int64_t clean_due_ms = INT64_MAX;
    while (!self->stopping) {
        self->now_ms = clock_mono_ms();
        take_requests(self);
        if (!is_paused(self)) {
            take_results(self);
            take_events(self);
        }
        const bool dirty = outbox_is_dirty(self->outbox) && !is_paused(self);
        if (dirty && clean_due_ms == INT64_MAX) {
            clean_due_ms = self->now_ms + CLEAN_DELAY_MS;
        }
        if (self->inputs_count > 0 || (dirty && self->now_ms >= clean_due_ms)) {
            batch_run(self);
            clean_due_ms = INT64_MAX;
        }
        outbox_relay(self->outbox, self->bus, self->now_ms);
        bus_flush(self->bus);
        log_flush();
        wait_for_input(self, poll_timeout_ms(self, clean_due_ms));
    }
}

// --- the end

// No new work is taken: deliveries go back with the BYE, requests are answered by
// the server as it stops. What is under way gets the rest of the time.
static bool is_settled(struct service *self)
{
    return worker_pool_counts(self->workers).pending == 0 &&
           (!bus_is_connected(self->bus) ||
            (bus_in_flight(self->bus) == 0 && outbox_timer_ms(self->outbox, self->bus, 0) < 0)) &&
           !outbox_is_dirty(self->outbox);
}

static void drain(struct service *self)
{
    const int64_t deadline_ms = clock_mono_ms() + STOP_BUDGET_MS;
    bus_set_credit(self->bus, 0);
    while (!is_settled(self) && clock_mono_ms() < deadline_ms) {
        self->now_ms = clock_mono_ms();
        take_results(self);
        struct bus_input inputs[SERVICE_BATCH_MAX];
        const size_t count = bus_take(self->bus, inputs, SERVICE_BATCH_MAX);
        for (size_t i = 0; i < count; i++) {
            outbox_on_input(self->outbox, &inputs[i], self->now_ms);
        }
        if (self->inputs_count > 0 || outbox_is_dirty(self->outbox)) {
            batch_run(self);
        }
        outbox_relay(self->outbox, self->bus, self->now_ms);
        bus_flush(self->bus);
        log_flush();
        if (!is_settled(self)) {
            wait_for_input(self, 20);
        }
    }
    bus_bye(self->bus, 100);
}

static int stop(struct service *self)
{
    log_info("stopping", LOG_END);
    drain(self);
    const bool unfinished = worker_pool_counts(self->workers).pending > 0;
    log_info("stopped", LOG_INT("outbox", outbox_depth(self->outbox)), LOG_END);
    log_flush();
    if (unfinished) {
        // A worker blocks in a call for up to SYNC_TIMEOUT_MS. All that must stay
        // is on disk; its client sees the connection end.
        _exit(EXIT_SUCCESS);
    }
    service_close(self);
    return EXIT_SUCCESS;
}

static int read_arguments(const struct service_def *def, const struct settings *settings, int argc,
                          char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("faultline-%s: %s\n\n"
               "  --ready    asks the process that runs with these settings whether it is ready\n"
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
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("faultline-%s %s\n", def->name, FAULTLINE_VERSION);
        return EXIT_SUCCESS;
    }
    fprintf(stderr,
            "faultline-%s takes no arguments but --ready, --help and --version; "
            "settings come from the environment\n",
            def->name);
    return EXIT_SETTINGS;
}

// A story reads better without "-1"; replicas keep their number.
static const char *log_name(const struct service *self)
{
    char first[80];
    snprintf(first, sizeof first, "%s-1", self->def->name);
    return strcmp(service_member(self), first) == 0 ? self->def->name : service_member(self);
}

int service_run(const struct service_def *def, int argc, char **argv)
{
    struct settings settings;
    settings_make(&settings, def);
    const bool asks = argc == 2 && strcmp(argv[1], "--ready") == 0;
    if (argc > 1 && !asks) {
        return read_arguments(def, &settings, argc, argv);
    }
    struct service *self = mem_calloc(1, sizeof *self);
    self->def = def;
    self->signal_fd = -1;
    int code = EXIT_SETTINGS;
    char *problem = NULL;
    if (config_load(&self->config, settings.tables, settings.tables_count, &problem) != ERR_OK) {
        fprintf(stderr, "faultline-%s: %s\n", def->name, problem);
        goto out;
    }
    if (asks) {
        code = ready_ask((uint16_t)config_int(self->config, "HTTP_PORT"));
        config_destroy(&self->config);
        goto out;
    }
    const enum err log_err = log_open(log_name(self),
                                      config_text(self->config, "LOG_FORMAT"),
                                      config_text(self->config, "LOG_LEVEL"));
    if (log_err != ERR_OK || service_open(self) != ERR_OK) {
        code = EXIT_FAILURE;
        service_close(self);
        goto out;
    }
    loop(self);
    code = stop(self);

out:
    free(problem);
    free(self);
    return code;
}
