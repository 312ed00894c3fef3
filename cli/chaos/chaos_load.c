#include "cli/chaos/chaos_load.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/answer_record.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/uuid.h"

enum {
    CLIENTS = 64,
    CALL_TIMEOUT_MS = 3000, // the chain gives up after 2 s
    TRIES_MAX = 5,
    TRY_PAUSE_MS = 400,
};

struct chaos_load {
    struct chaos_load_options options; // its texts are borrowed
    int record_fd;                     // owned
    int64_t start_ms;                  // by the clock that never goes back
    pthread_t clients[CLIENTS];
    atomic_size_t drawn;
    atomic_bool stopping;
    pthread_mutex_t lock; // of what follows
    struct chaos_way_counts counts[CHAOS_WAYS];
    bool record_failed; // once is enough
};

// How each way is asked.
static const struct {
    const char *path;
    const char *id; // the member of the answer that names it
    bool repeatable;
} ways[CHAOS_WAYS] = {
    [CHAOS_ASYNC] = {.path = "/orders", .id = "order_id", .repeatable = true},
    [CHAOS_SYNC] = {.path = "/orders?mode=sync", .id = "order_id"},
    [CHAOS_TRANSFER] = {.path = "/transfers", .id = "transfer_id", .repeatable = true},
};

// What came of one call, or of several with the same key.
struct outcome {
    enum err err;
    int status;
    bool is_unknown; // of one of the calls nobody knows what became
    size_t repeated;
    char id[UUID_SIZE];
};

static void sleep_ms(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000}, NULL);
}

// --- what is written down

static bool is_accepted(const struct outcome *outcome)
{
    return outcome->status == 201 || outcome->status == 202;
}

// Nothing was answered when there was no connection: no line.
static void write_down(struct chaos_load *self, enum chaos_way way, const struct outcome *outcome)
{
    const struct answer answer = {.id = outcome->id,
                                  .is_transfer = way == CHAOS_TRANSFER,
                                  .is_sync = way == CHAOS_SYNC,
                                  .err = outcome->err,
                                  .status = outcome->status,
                                  .at_us = clock_wall_us()};
    if (outcome->err != ERR_UNAVAILABLE && !self->record_failed) {
        self->record_failed = !answer_record_write(self->record_fd, &answer);
    }
}

static void note(struct chaos_load *self, enum chaos_way way, const struct outcome *outcome)
{
    pthread_mutex_lock(&self->lock);
    struct chaos_way_counts *counts = &self->counts[way];
    counts->placed++;
    counts->repeated += outcome->repeated;
    if (is_accepted(outcome)) {
        counts->accepted++;
    } else if (outcome->status >= 400 && outcome->status < 500) {
        counts->refused++;
    } else if (outcome->is_unknown) {
        counts->unknown++;
    } else {
        counts->failed++;
    }
    write_down(self, way, outcome);
    pthread_mutex_unlock(&self->lock);
}

// --- a client

static void call(struct chaos_load *self, struct http_client *client, const struct chaos_work *work,
                 const char *key, struct outcome *out)
{
    char url[128];
    const int port =
        work->way == CHAOS_TRANSFER ? self->options.transfer_port : self->options.order_port;
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, ways[work->way].path);
    const struct http_header headers[] = {{"Idempotency-Key", key}, {NULL, NULL}};
    struct http_response response = {0};
    out->err =
        http_client_call(client, "POST", url, headers, work->body, CALL_TIMEOUT_MS, &response);
    out->status = out->err == ERR_OK ? response.status : 0;
    // Without a connection nothing was sent.
    out->is_unknown = out->is_unknown || (out->err != ERR_OK && out->err != ERR_UNAVAILABLE);
    if (out->err == ERR_OK) {
        cJSON *json = cJSON_ParseWithLength((const char *)response.body.data, response.body.size);
        const char *id = json_text_of(json, ways[work->way].id);
        snprintf(out->id, sizeof out->id, "%s", id == NULL ? "" : id);
        cJSON_Delete(json);
    }
}

// Whether it was taken is not known, or it was not, and it may be asked again.
static bool is_worth_another_try(const struct chaos_load *self, const struct outcome *outcome)
{
    const bool open = outcome->err != ERR_OK || outcome->status >= 500;
    return open && outcome->repeated + 1 < TRIES_MAX && !atomic_load(&self->stopping);
}

static void place(struct chaos_load *self, struct http_client *client, uint64_t index)
{
    struct chaos_work work;
    struct outcome outcome = {0};
    char key[UUID_SIZE];
    chaos_work_of(self->options.seed, index, &work);
    uuid_new(key); // of this run: the same seed once more is new work
    call(self, client, &work, key, &outcome);
    while (ways[work.way].repeatable && is_worth_another_try(self, &outcome)) {
        sleep_ms(TRY_PAUSE_MS);
        outcome.repeated++;
        call(self, client, &work, key, &outcome);
    }
    note(self, work.way, &outcome);
}

static void *client_main(void *arg)
{
    struct chaos_load *self = arg;
    struct http_client *client = http_client_new();
    while (!atomic_load(&self->stopping)) {
        const size_t index = atomic_fetch_add(&self->drawn, 1);
        const int64_t due_ms = self->start_ms + (int64_t)index * 1000 / self->options.rate;
        // In pieces, so that a slow rate does not keep the end waiting.
        for (int64_t left_ms = due_ms - clock_mono_ms();
             left_ms > 0 && !atomic_load(&self->stopping);
             left_ms = due_ms - clock_mono_ms()) {
            sleep_ms(left_ms < 100 ? left_ms : 100);
        }
        if (!atomic_load(&self->stopping)) {
            place(self, client, index);
        }
    }
    http_client_destroy(&client);
    return NULL;
}

// --- the whole

enum err chaos_load_start(struct chaos_load **out, const struct chaos_load_options *options,
                          char **problem)
{
    *out = NULL;
    *problem = NULL;
    (void)unlink(options->record_path);
    const int record_fd = answer_record_open(options->record_path);
    if (record_fd < 0) {
        *problem = mem_format("cannot write %s: %s", options->record_path, strerror(errno));
        return ERR_IO;
    }
    struct chaos_load *self = mem_calloc(1, sizeof *self);
    self->options = *options;
    self->record_fd = record_fd;
    self->start_ms = clock_mono_ms();
    pthread_mutex_init(&self->lock, NULL);
    for (size_t i = 0; i < CLIENTS; i++) {
        if (pthread_create(&self->clients[i], NULL, client_main, self) != 0) {
            fputs("faultline: cannot start a thread\n", stderr);
            abort();
        }
    }
    *out = self;
    return ERR_OK;
}

void chaos_load_stop(struct chaos_load *self)
{
    atomic_store(&self->stopping, true);
    for (size_t i = 0; i < CLIENTS; i++) {
        pthread_join(self->clients[i], NULL);
    }
}

void chaos_load_counts(struct chaos_load *self, struct chaos_way_counts out[CHAOS_WAYS])
{
    pthread_mutex_lock(&self->lock);
    memcpy(out, self->counts, sizeof self->counts);
    pthread_mutex_unlock(&self->lock);
}

bool chaos_load_is_recorded(struct chaos_load *self)
{
    pthread_mutex_lock(&self->lock);
    const bool recorded = !self->record_failed;
    pthread_mutex_unlock(&self->lock);
    return recorded;
}

void chaos_load_destroy(struct chaos_load **self_p)
{
    struct chaos_load *self = *self_p;
    if (self == NULL) {
        return;
    }
    close(self->record_fd);
    pthread_mutex_destroy(&self->lock);
    free(self);
    *self_p = NULL;
}
