// How a service's process comes up: database, bus, HTTP, workers; and goes down again.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crash_point.h"
#include "common/daemon.h"
#include "common/folder.h"
#include "common/http_exchange.h"
#include "common/inbox.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/service_state.h"

static const struct {
    const char *name, *setting;
} call_targets[] = {
    {"inventory", "INVENTORY_URL"},
    {"payment", "PAYMENT_URL"},
    {"fraud", "FRAUD_URL"},
    {"ledger", "LEDGER_URL"},
    {"notification", "NOTIFICATION_URL"},
};

#define TEXT_OF_VALUE(value) #value
#define TEXT_OF(macro)       TEXT_OF_VALUE(macro)
static const char schema_version_sql[] = "PRAGMA user_version = " TEXT_OF(SERVICE_SCHEMA_VERSION);

// A start that failed: the sentence goes to the log, where a supervisor and a
// person look, and the process ends. problem is freed.
static enum err give_up(enum err err, char *problem)
{
    log_error("cannot start", LOG_STR("error", problem));
    free(problem);
    return err;
}

// A file that another program or another version made is left alone.
static char *claim_store(struct service *self, const char *path)
{
    const int64_t version = store_schema_version(self->store);
    if (version == SERVICE_SCHEMA_VERSION ||
        (version == 0 && store_tables_count(self->store) == 0)) {
        return NULL;
    }
    return mem_format("%s is not of this version of Faultline (its schema is %lld, not %d). "
                      "Move it away, or set DATA_DIR to another folder",
                      path,
                      (long long)version,
                      SERVICE_SCHEMA_VERSION);
}

// What the process before this one had begun and not answered.
static enum err settle_cut(struct service *self)
{
    cJSON *problem = http_problem_new(
        409,
        "request-interrupted",
        "the process died while it worked on the request with this key, so it may have done a "
        "part of it. Look what there is, and use another key to ask for it again");
    struct inbox_answer answer = {.status = 409, .body = json_to_text(problem)};
    enum err err = ERR_OK;
    for (size_t i = 0; i < self->def->routes_count && err == ERR_OK; i++) {
        const struct service_route *route = &self->def->routes[i];
        if (route->is_cut_final) {
            err = inbox_end_cut(self->store, service_member(self), route->path, &answer);
        }
    }
    if (err == ERR_OK) {
        err = inbox_forget_cut(self->store, service_member(self));
    }
    free(answer.body);
    cJSON_Delete(problem);
    return err;
}

// Tables that are gone are not made again: their rows would be lost without a word.
static char *check_tables(struct service *self, const char *path, int64_t before)
{
    const int64_t missing = store_tables_count(self->store) - before;
    if (before == 0 || missing == 0) {
        return NULL;
    }
    return mem_format("%s is damaged: %lld of its tables are gone. Put a copy of it back, or see "
                      "what the log has of it: faultline rebuild %s --lose-http",
                      path,
                      (long long)missing,
                      self->def->name);
}

static enum err set_up_store(struct service *self, const char *path, char **problem)
{
    enum err err = store_begin(self->store);
    const int64_t before = err == ERR_OK ? store_tables_count(self->store) : 0;
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
        err = inbox_open(self->store);
    }
    if (err == ERR_OK) {
        err = outbox_open(&self->outbox,
                          self->store,
                          (size_t)config_int(self->config, SERVICE_SETTING_EVENT_BYTES));
    }
    if (err == ERR_OK && (*problem = check_tables(self, path, before)) != NULL) {
        err = ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        err = settle_cut(self);
    }
    if (err == ERR_OK && self->def->start != NULL) {
        err = self->def->start(self);
    }
    return err == ERR_OK ? store_commit(self->store) : err;
}

enum err service_open_store(struct service *self)
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
                  LOG_STR("BUS_MEMBER", service_member(self)));
    }
    return err;
}

static enum err open_http(struct service *self)
{
    const struct http_server_options options = {
        .address = config_text(self->config, "HTTP_ADDRESS"),
        .port = (uint16_t)config_int(self->config, "HTTP_PORT"),
        .name = self->def->name,
        .record = config_text(self->config, "HTTP_RECORD"),
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

enum err service_open(struct service *self)
{
    self->metrics = metrics_new();
    self->signal_fd = daemon_take_signals();
    enum err err = service_open_store(self);
    if (err == ERR_OK) {
        crash_point("service-schema-made");
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
                 LOG_STR("version", FAULTLINE_VERSION));
        log_flush();
    }
    return err;
}

void service_close(struct service *self)
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
