#include "bench/messages/workload.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/messages/role.h"
#include "common/clock.h"
#include "common/mem.h"

enum {
    LEAD = 65536,          // how far a producer may be ahead of the slowest group
    PRELOAD_WINDOW = 8192, // in flight while a log is filled
    READY_MS = 30000,
    PRELOAD_MS = 600000,
    STOP_MS = 10000,
};

static const double warm_s = 0.5;

static void doze(double seconds)
{
    const int64_t us = (int64_t)(seconds * 1e6);
    nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL);
}

// --- processes

struct crew {
    pid_t pids[LANES_MAX];
    uint32_t count;
    struct lanes *lanes;
};

static void crew_add(struct crew *self, const struct role *role)
{
    self->pids[self->count++] = role_fork(role);
}

// Fails when one of them is no more.
static void crew_check(struct crew *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        int status = 0;
        if (waitpid(self->pids[i], &status, WNOHANG) == self->pids[i] && status != 0) {
            engine_fail("a client failed");
        }
    }
}

static void crew_go(struct crew *self)
{
    const int64_t deadline_ms = clock_mono_ms() + READY_MS;
    while (self->lanes->ready < self->count) {
        crew_check(self);
        if (clock_mono_ms() > deadline_ms) {
            engine_fail("a client does not get ready");
        }
        doze(0.001);
    }
    self->lanes->go = true;
}

// Waits until they have ended, which those that wait for stop do only after it.
static void crew_end(struct crew *self, int64_t patience_ms)
{
    const int64_t deadline_ms = clock_mono_ms() + patience_ms;
    for (uint32_t i = 0; i < self->count; i++) {
        int status = 0;
        while (waitpid(self->pids[i], &status, WNOHANG) == 0) {
            if (clock_mono_ms() > deadline_ms) {
                kill(self->pids[i], SIGKILL);
                engine_fail("a client does not end");
            }
            doze(0.001);
        }
        if (status != 0) {
            engine_fail("a client failed");
        }
    }
    self->count = 0;
}

static uint64_t done_sum(const struct lanes *lanes, uint32_t from, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = from; i < from + count; i++) {
        sum += lanes->lanes[i].done;
    }
    return sum;
}

// --- parts of a measurement

static struct crew crew_new(const struct options *options)
{
    lanes_clear(options->lanes);
    return (struct crew){.lanes = options->lanes};
}

static void prepare(const struct server *server)
{
    if (server->engine->prepare == NULL) {
        return;
    }
    const pid_t pid = fork(); // the measuring process opens no client library
    if (pid == 0) {
        server->engine->prepare(&server->place);
        exit(0);
    }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        engine_fail("cannot prepare %s", server->engine->name);
    }
}

static void preload(const struct server *server, const struct options *options, uint64_t events)
{
    struct crew crew = crew_new(options);
    const struct role role = {
        .engine = server->engine,
        .who = {.place = &server->place, .lanes = crew.lanes, .lane = &crew.lanes->lanes[0]},
        .count = events,
        .window = PRELOAD_WINDOW};
    crew_add(&crew, &role);
    crew_go(&crew);
    crew_end(&crew, PRELOAD_MS);
}

static struct role role_of(const struct workload *self, const struct server *server,
                           struct lanes *lanes, uint32_t number)
{
    const bool consumes = number >= self->producers;
    return (struct role){.engine = server->engine,
                         .who = {.place = &server->place,
                                 .number = consumes ? number - self->producers : number,
                                 .consumes = consumes,
                                 .prompt = self->window == 1 || self->rate > 0,
                                 .lanes = lanes,
                                 .lane = &lanes->lanes[number]},
                         .window = self->window,
                         .lead = server->place.groups > 0 ? LEAD : 0,
                         .rate = self->rate,
                         .consumers = &lanes->lanes[self->producers]};
}

static int compare(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a;
    const uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void latencies_get(struct lanes *lanes, uint32_t from, uint32_t count, struct result *out)
{
    uint32_t *all = NULL;
    size_t size = 0;
    for (uint32_t i = from; i < from + count; i++) {
        const struct lane *lane = &lanes->lanes[i];
        all = mem_realloc(all, (size + lane->samples_count + 1) * sizeof *all);
        memcpy(all + size, lane->samples_us, lane->samples_count * sizeof *all);
        size += lane->samples_count;
        out->wrong += lane->wrong;
    }
    if (size > 0) {
        qsort(all, size, sizeof *all, compare);
        out->p50_us = all[size / 2];
        out->p99_us = all[size * 99 / 100];
    }
    free(all);
}

static void run(const struct workload *self, struct server *server, const struct options *options,
                struct result *out)
{
    if (self->preloaded) {
        preload(server, options, options->events);
    }
    struct crew crew = crew_new(options);
    struct lanes *lanes = crew.lanes;
    const uint32_t groups = server->place.groups;
    for (uint32_t i = 0; i < self->producers + groups; i++) {
        const struct role role = role_of(self, server, lanes, i);
        crew_add(&crew, &role);
    }
    const uint32_t from = groups > 0 ? self->producers : 0;
    const uint32_t count = groups > 0 ? groups : self->producers;
    const uint64_t all = options->events * groups;
    struct server_use before;
    struct server_use after;
    crew_go(&crew);
    if (!self->preloaded) {
        doze(warm_s);
    }
    server_use(server, &before);
    const int64_t start_us = clock_mono_us();
    const uint64_t start = self->preloaded ? 0 : done_sum(lanes, from, count);
    lanes->sample = self->figure == FIGURE_P50;
    while (self->preloaded ? done_sum(lanes, from, count) < all
                           : (double)(clock_mono_us() - start_us) / 1e6 < options->seconds) {
        crew_check(&crew);
        doze(self->preloaded ? 0.0005 : 0.01);
    }
    const double events = (double)(done_sum(lanes, from, count) - start);
    const double took_s = (double)(clock_mono_us() - start_us) / 1e6;
    server_use(server, &after);
    lanes->sample = false;
    lanes->stop = true;
    crew_end(&crew, STOP_MS);
    out->rate = events / took_s;
    out->server_us = events == 0 ? 0 : (after.cpu_s - before.cpu_s) * 1e6 / events;
    out->cpu_cores = (after.cpu_s - before.cpu_s) / took_s;
    out->rss_peak_mb = after.rss_peak_mb;
    out->pss_mb = after.pss_mb;
    latencies_get(lanes, from, count, out);
}

// --- what the broker takes

static void memory_get(const struct server *server, struct result *out)
{
    struct server_use use;
    server_use(server, &use);
    out->rss_peak_mb = use.rss_peak_mb;
    out->pss_mb = use.pss_mb;
}

static void run_idle(const struct workload *self, struct server *server,
                     const struct options *options, struct result *out)
{
    (void)self;
    (void)options;
    doze(1.0);
    memory_get(server, out);
}

// The group is there before the events and its only member has gone: all is behind.
static void run_full(const struct workload *self, struct server *server,
                     const struct options *options, struct result *out)
{
    struct crew crew = crew_new(options);
    const struct role role = role_of(self, server, crew.lanes, self->producers);
    crew_add(&crew, &role);
    crew_go(&crew);
    crew.lanes->stop = true;
    crew_end(&crew, STOP_MS);
    preload(server, options, options->backlog);
    doze(2.0); // what a burst took is given back
    memory_get(server, out);
}

static void run_recovery(const struct workload *self, struct server *server,
                         const struct options *options, struct result *out)
{
    (void)self;
    preload(server, options, options->events);
    server_kill(server);
    out->ms = server_start(server);
    memory_get(server, out);
}

// --- the table

#define DURABLE "redis-always"

static const struct workload workloads[] = {
    {"publish-1",
     "publish, 1 in flight: ack p50",
     FIGURE_P50,
     1,
     0,
     1,
     .has_disk = true,
     .against = DURABLE,
     .target = 1.4},
    {"publish-1024",
     "publish, 1 producer, 1,024 in flight",
     FIGURE_RATE,
     1,
     0,
     1024,
     .against = DURABLE,
     .target = 6},
    {"publish-1024x4", "the same, 4 producers", FIGURE_RATE, 4, 0, 1024, .against = DURABLE},
    {"publish-1024x16", "the same, 16 producers", FIGURE_RATE, 16, 0, 1024, .against = DURABLE},
    {"publish-1024x64",
     "the same, 64 producers",
     FIGURE_RATE,
     64,
     0,
     1024,
     .against = DURABLE,
     .target = 3},
    {"publish-batch",
     "publish, 1 producer, 4 batches of 4,096 in flight",
     FIGURE_RATE,
     1,
     0,
     16384,
     .against = DURABLE},
    {"end-to-end",
     "end to end, acked, 1 group",
     FIGURE_RATE,
     1,
     1,
     1024,
     .against = DURABLE,
     .target = 7},
    {"fan-out",
     "fan-out to 5 groups, acked, deliveries in all",
     FIGURE_RATE,
     1,
     5,
     1024,
     .against = DURABLE,
     .target = 6},
    {"catch-up",
     "catch-up of a group, acked",
     FIGURE_RATE,
     0,
     1,
     1,
     .preloaded = true,
     .against = "redis-everysec",
     .target = 6},
    {"latency-1000",
     "publish to received at 1,000 a second: p50",
     FIGURE_P50,
     1,
     1,
     1024,
     .rate = 1000,
     .has_disk = true,
     .against = DURABLE,
     .target = 1.3},
    {"memory-idle",
     "memory of a new broker, idle",
     FIGURE_MEMORY,
     .ours_only = true,
     .run = run_idle,
     .target = 12},
    {"memory-full",
     "memory, full duplicate window and a group far behind",
     FIGURE_MEMORY,
     .groups = 1,
     .ours_only = true,
     .run = run_full,
     .target = 48},
    {"recovery",
     "killed, until it takes connections again",
     FIGURE_MS,
     .ours_only = true,
     .run = run_recovery,
     .target = 1000},
};

const struct workload *workloads_at(size_t place)
{
    return place < ARRAY_LEN(workloads) ? &workloads[place] : NULL;
}

void workload_run(const struct workload *self, const struct engine *engine,
                  const struct options *options, struct result *out)
{
    struct server server;
    *out = (struct result){0};
    server_open(&server, engine, options->folder, engine->take == NULL ? 0 : self->groups);
    server_start(&server);
    prepare(&server);
    (self->run == NULL ? run : self->run)(self, &server, options, out);
    server_close(&server);
}

double workload_figure(const struct workload *self, const struct result *result)
{
    const double figures[] = {[FIGURE_RATE] = result->rate,
                              [FIGURE_P50] = result->p50_us,
                              [FIGURE_MEMORY] = result->pss_mb,
                              [FIGURE_MS] = result->ms};
    return figures[self->figure];
}
