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
    STOP_POLL_MS = 20,
    HALF_BATCH = SERVICE_BATCH_MAX / 2
};

// clang-format off
static const struct setting common_settings[] = {
    {.name = "HTTP_ADDRESS", .fallback = "127.0.0.1", .help = "address to listen on"},
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
    {.name = "LOG_FORMAT", .fallback = "json", .kind = SETTING_CHOICE, .choices = "json|text",
     .help = "json: an object a line; text: for people"},
    {.name = "LOG_LEVEL", .fallback = "info", .kind = SETTING_CHOICE,
     .choices = "debug|info|warn|error", .help = "the least that is logged"},
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

static const struct {
    const char *name, *setting;
} call_targets[] = {
    {"inventory", "INVENTORY_URL"},
    {"payment", "PAYMENT_URL"},
    {"fraud", "FRAUD_URL"},
    {"ledger", "LEDGER_URL"},
    {"notification", "NOTIFICATION_URL"},
};

// The settings of one service: its name decides some defaults.
struct settings {
    char port[8], data_dir[64], member[64];
    struct setting own[5];
    const struct setting *tables[3];
    size_t tables_count;
};

static void settings_make(struct settings *out, const struct service_def *def)
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
    out->tables[1] = common_settings;
    out->tables[2] = def->settings;
    out->tables_count = def->settings == NULL ? 2 : 3;
}

// --- start

// Grows with every change of a table, of the runtime or of any service.
enum {
    SERVICE_SCHEMA_VERSION = 1
};
static const char schema_version_sql[] = "PRAGMA user_version = 1";

// A start that failed: the sentence goes to the log, where a supervisor and a
// person look, and the process ends. problem is freed.
static enum err give_up(enum err err, char *problem)
{
    log_error("cannot start", LOG_STR("error", problem), LOG_END);
    free(problem);
    return err;
}

// A file that another program or another version made is left alone.
static char *claim_store(struct service *self, const char *path)
{
    const int64_t version = store_schema_version(self->store);
    if (version == SERVICE_SCHEMA_VERSION || (version == 0 && store_is_empty(self->store))) {
        return NULL;
    }
    return mem_format("%s is not of this version of Faultline (its schema is %lld, not %d). "
                      "Move it away, or set DATA_DIR to another folder",
                      path,
                      (long long)version,
                      SERVICE_SCHEMA_VERSION);
}

static enum err set_up_store(struct service *self, const char *path, char **problem)
{
    enum err err = store_begin(self->store);
    if (err == ERR_OK && (*problem = claim_store(self, path)) != NULL) {
        err = ERR_CONFLICT;
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
    return err == ERR_OK ? store_commit(self->store) : err;
}

static enum err open_store(struct service *self)
{
    const char *folder = config_text(self->config, "DATA_DIR");
    if (!folder_make(folder)) {
        const char *why = strerror(errno);
        return give_up(ERR_IO, mem_format("cannot make the folder DATA_DIR=%s: %s", folder, why));
    }
    char *problem = NULL;
    char *path = mem_format("%s/%s.db", folder, self->def->name);
    enum err err = store_open(&self->store, path, &problem);
    if (err == ERR_OK) {
        clock_format_rfc3339(self->now, clock_wall_us());
        err = set_up_store(self, path, &problem);
        if (err != ERR_OK && problem == NULL) {
            problem = mem_format("cannot set up %s: %s", path, store_last_error(self->store));
        }
    }
    free(path);
    return err == ERR_OK ? ERR_OK : give_up(err, problem);
}

static bool is_set_to(const struct service *self, const char *setting, const char *value)
{
    return strcmp(config_text(self->config, setting), value) == 0;
}

enum err service_bus_open(struct service *self, const char **problem)
{
    const struct bus_options options = {
        .url = config_text(self->config, "BUS_URL"),
        .member = service_member(self),
        .group = config_text(self->config, "BUS_GROUP"),
        .topics = self->topics,
        .topics_count = self->def->subscriptions_count,
        .from_latest = is_set_to(self, "BUS_AUTO_OFFSET_RESET", "latest"),
        .retries_max = (uint32_t)config_int(self->config, "BUS_RETRIES"),
        .credit = (uint32_t)config_int(self->config, "BUS_CREDIT"),
        .without_acks = is_set_to(self, "BUS_ACKS", "none"),
    };
    return bus_open(&self->bus, &options, problem);
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
    const struct http_server_options options = {
        .address = config_text(self->config, "HTTP_ADDRESS"),
        .port = (uint16_t)config_int(self->config, "HTTP_PORT"),
    };
    char *problem = NULL;
    const enum err err = http_server_open(&self->http, &options, &problem);
    return err == ERR_OK ? ERR_OK : give_up(err, problem);
}

static void open_workers(struct service *self)
{
    const struct config *config = self->config;
    struct caller_options *callers = &self->callers;
    callers->timeout_ms = config_int(config, "SYNC_TIMEOUT_MS");
    callers->retries_max = config_int(config, "SYNC_RETRIES");
    callers->breaker_failures_max = config_int(config, "SYNC_BREAKER_FAILURES");
    callers->breaker_open_ms = config_int(config, "SYNC_BREAKER_OPEN_MS");
    callers->metrics = self->metrics;
    pthread_mutex_init(&callers->mutex, NULL);
    callers->targets_count = ARRAY_LEN(call_targets);
    for (size_t i = 0; i < ARRAY_LEN(call_targets); i++) {
        callers->targets[i].name = call_targets[i].name;
        callers->targets[i].url = config_text(config, call_targets[i].setting);
    }
    const size_t queue_max = (size_t)config_int(config, "SYNC_QUEUE");
    self->workers = worker_pool_new((size_t)config_int(config, "SYNC_WORKERS"), queue_max, callers);
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
    signal(SIGXFSZ, SIG_IGN); // a file at its limit is a full disk
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

static struct input *add_input(struct service *self, struct request *request)
{
    struct input *input = &self->inputs[self->inputs_count++];
    *input = (struct input){.request = request};
    return input;
}

static struct work *next_result(struct service *self)
{
    struct work *work = self->kept;
    if (work == NULL) {
        return worker_pool_take(self->workers);
    }
    self->kept = work->next;
    return work;
}

static void take_results(struct service *self)
{
    struct work *work = NULL;
    while (self->inputs_count < SERVICE_BATCH_MAX && (work = next_result(self)) != NULL) {
        add_input(self, work->request)->work = work;
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
            batch_refuse(request);
        } else {
            add_input(self, request);
        }
    }
}

static void take_events(struct service *self)
{
    struct bus_input inputs[SERVICE_BATCH_MAX];
    const size_t count = bus_take(self->bus, inputs, SERVICE_BATCH_MAX - self->inputs_count);
    for (size_t i = 0; i < count; i++) {
        if (inputs[i].kind == BUS_CONNECTED) {
            log_info("connected to the broker", LOG_END);
        } else if (inputs[i].kind == BUS_LOST) {
            log_warn("lost the broker", LOG_STR("error", inputs[i].detail), LOG_END);
        }
        if (inputs[i].kind != BUS_DELIVERY) {
            outbox_on_input(self->outbox, &inputs[i], self->now_ms);
        } else if (!self->stopping) { // else it goes back with the BYE
            add_input(self, NULL)->delivery = inputs[i].delivery;
        }
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t timeout_ms(struct service *self)
{
    const int64_t most_ms = self->stopping ? STOP_POLL_MS : POLL_MAX_MS;
    if (is_paused(self)) {
        return least(most_ms, self->paused_until_ms - self->now_ms);
    }
    if (bus_has_input(self->bus)) {
        return 0;
    }
    int64_t due_ms = least(most_ms, bus_timer_ms(self->bus));
    const int64_t outbox_ms = outbox_timer_ms(self->outbox, self->bus, self->now_ms);
    due_ms = outbox_ms >= 0 ? least(due_ms, outbox_ms) : due_ms;
    if (outbox_is_dirty(self->outbox)) {
        due_ms = least(due_ms, self->clean_due_ms - self->now_ms);
    }
    return due_ms > 0 ? due_ms : 0;
}

static void wait_for_input(struct service *self)
{
    const bool paused = is_paused(self); // what is not taken must not wake us
    struct pollfd fds[] = {
        {.fd = self->signal_fd, .events = POLLIN},
        {.fd = paused ? -1 : bus_fd(self->bus), .events = POLLIN},
        {.fd = paused ? -1 : worker_pool_fd(self->workers), .events = POLLIN},
        {.fd = http_server_fd(self->http), .events = POLLIN},
    };
    // Who stops takes no requests: they would be there each time.
    const nfds_t count = self->stopping ? 3 : 4;
    if (poll(fds, count, (int)timeout_ms(self)) > 0 && (fds[0].revents & POLLIN) != 0) {
        struct signalfd_siginfo info;
        self->stopping = read(self->signal_fd, &info, sizeof info) > 0 || self->stopping;
    }
}

// Takes what is there, handles it in one batch, and says what there is to say.
static void turn(struct service *self)
{
    self->now_ms = clock_mono_ms();
    if (!self->stopping) {
        take_requests(self);
    }
    if (!is_paused(self)) {
        take_results(self);
        take_events(self);
    }
    const bool dirty = outbox_is_dirty(self->outbox) && !is_paused(self);
    if (dirty && self->clean_due_ms == INT64_MAX) {
        self->clean_due_ms = self->now_ms + CLEAN_DELAY_MS;
    }
    if (self->inputs_count > 0 ||
        (dirty && (self->stopping || self->now_ms >= self->clean_due_ms))) {
        batch_run(self);
        self->clean_due_ms = INT64_MAX;
    }
    outbox_relay(self->outbox, self->bus, self->now_ms);
    bus_flush(self->bus);
    log_flush();
}

// --- the end

static bool has_jobs(struct service *self)
{
    return self->kept != NULL || worker_pool_counts(self->workers).pending > 0;
}

static bool is_settled(struct service *self)
{
    return !has_jobs(self) &&
           (!bus_is_connected(self->bus) ||
            (bus_in_flight(self->bus) == 0 && outbox_timer_ms(self->outbox, self->bus, 0) < 0)) &&
           !outbox_is_dirty(self->outbox);
}

// No new work is taken: deliveries go back with the BYE, requests are answered by
// the server as it stops. What is under way gets the rest of the time.
static void drain(struct service *self)
{
    const int64_t deadline_ms = clock_mono_ms() + STOP_BUDGET_MS;
    bus_set_credit(self->bus, 0);
    while (!is_settled(self) && clock_mono_ms() < deadline_ms) {
        turn(self);
        if (!is_settled(self)) {
            wait_for_input(self);
        }
    }
    bus_bye(self->bus, 100);
}

static int stop(struct service *self)
{
    log_info("stopping", LOG_END);
    drain(self);
    const bool unfinished = has_jobs(self);
    log_info("stopped", LOG_INT("outbox", outbox_depth(self->outbox)), LOG_END);
    log_flush();
    if (unfinished) {
        // A worker blocks in a call for up to SYNC_TIMEOUT_MS, say. All that must stay
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
    self->clean_due_ms = INT64_MAX;
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
    while (!self->stopping) {
        turn(self);
        wait_for_input(self);
    }
    code = stop(self);

out:
    free(problem);
    free(self);
    return code;
}
