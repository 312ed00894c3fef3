// worker_pool - the threads that may block: SYNC_WORKERS of them, each with an HTTP
// client of its own, and a queue of at most SYNC_QUEUE jobs that wait for one.
#ifndef FAULTLINE_WORKER_POOL_H
#define FAULTLINE_WORKER_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/caller.h"
#include "common/err.h"
#include "common/service.h"

struct worker_pool; // opaque

// A job on its way through the pool. The owner fills it and gets it back.
struct work {
    const struct service_job *job;
    struct request *request;   // borrowed; the pool does not look at it
    cJSON *input;              // owned
    cJSON *result;             // owned; NULL until it has run
    struct call_context calls; // how its calls are named and traced
    struct work *next;
};

void work_destroy(struct work **self_p);

// worker_pool_new starts the threads. caller_options is borrowed and must outlive it.
struct worker_pool *worker_pool_new(size_t workers_count, size_t queue_max,
                                    struct caller_options *caller_options);

// worker_pool_destroy waits for the threads; every job must have been taken back.
void worker_pool_destroy(struct worker_pool **self_p);

// worker_pool_has_room tells whether one more job may wait, besides staged others
// that are not put yet.
bool worker_pool_has_room(struct worker_pool *self, size_t staged);

// worker_pool_put hands work over.
void worker_pool_put(struct worker_pool *self, struct work *work);

// worker_pool_fd is readable while finished work waits; worker_pool_take gives one
// of them, or NULL, and its ownership.
int worker_pool_fd(const struct worker_pool *self);
struct work *worker_pool_take(struct worker_pool *self);

struct worker_counts {
    size_t busy;    // threads that run a job now
    size_t queued;  // jobs that wait for a thread
    size_t pending; // jobs that were put and not taken
};
struct worker_counts worker_pool_counts(struct worker_pool *self);

#endif
