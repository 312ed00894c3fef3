// The life of a service's process: the loop, and a clean end.
#include "common/service.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crash_point.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/ready.h"
#include "common/rebuild.h"
#include "common/service_settings.h"
#include "common/service_state.h"

enum {
    POLL_MAX_MS = 1000,
    CLEAN_DELAY_MS = 20,   // how long answered outbox rows wait for a batch to ride on
    STOP_BUDGET_MS = 1500, // from SIGTERM to exit
    STOP_POLL_MS = 20,
    HALF_BATCH = SERVICE_BATCH_MAX / 2
};

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
            log_warn("lost the broker", LOG_STR("error", inputs[i].detail));
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
    crash_point("service-stop-flushed");
    bus_bye(self->bus, 100);
}

static int stop(struct service *self)
{
    crash_point("service-stop-begun");
    log_info("stopping", LOG_END);
    drain(self);
    const bool unfinished = has_jobs(self);
    log_info("stopped", LOG_INT("outbox", outbox_depth(self->outbox)));
    log_flush();
    if (unfinished) {
        // A worker blocks in a call for up to SYNC_TIMEOUT_MS, say. All that must stay
        // is on disk; its client sees the connection end.
        _exit(EXIT_SUCCESS);
    }
    service_close(self);
    return EXIT_SUCCESS;
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
    struct service_settings settings;
    service_settings_make(&settings, def);
    const bool asks = argc == 2 && strcmp(argv[1], "--ready") == 0;
    const char *plan = argc == 3 && strcmp(argv[1], "--rebuild") == 0 ? argv[2] : NULL;
    if (argc > 1 && !asks && plan == NULL) {
        return service_answer_arguments(def, &settings, argc, argv);
    }
    struct service *self = mem_calloc(1, sizeof *self);
    self->def = def;
    self->signal_fd = -1;
    self->clean_due_ms = INT64_MAX;
    snprintf(self->source, sizeof self->source, "/services/%s", def->name);
    int code = SERVICE_EXIT_SETTINGS;
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
    const char *crash_at = config_text(self->config, CRASH_POINT_SETTING);
    if (crash_point_arm(crash_at, def->name, &problem) != ERR_OK) {
        fprintf(stderr, "faultline-%s: %s\n", def->name, problem);
        config_destroy(&self->config);
        goto out;
    }
    const enum err log_err = log_open(log_name(self),
                                      config_text(self->config, "LOG_FORMAT"),
                                      config_text(self->config, "LOG_LEVEL"));
    if (log_err == ERR_OK && plan != NULL) {
        code = rebuild_run(self, plan) == ERR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
        service_close(self);
        goto out;
    }
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
