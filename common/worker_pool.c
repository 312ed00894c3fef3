#include "common/worker_pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

// First in, first out.
struct queue {
    struct work *head;
    struct work **tail;
    size_t count;
};

struct worker_pool {
    struct caller_options *caller_options; // borrowed
    pthread_t *threads;                    // owned
    size_t threads_count;
    size_t queue_max;
    int done_fd;           // eventfd: readable while done holds something
    pthread_mutex_t mutex; // guards all below
    pthread_cond_t wake;
    struct queue todo;
    struct queue done;
    size_t busy;
    size_t pending;
    bool stopping;
};

static void queue_put(struct queue *queue, struct work *work)
{
    work->next = NULL;
    if (queue->head == NULL) {
        queue->tail = &queue->head;
    }
    *queue->tail = work;
    queue->tail = &work->next;
    queue->count++;
}

static struct work *queue_take(struct queue *queue)
{
    struct work *work = queue->head;
    if (work != NULL) {
        queue->head = work->next;
        queue->count--;
    }
    return work;
}

void work_destroy(struct work **self_p)
{
    struct work *self = *self_p;
    if (self == NULL) {
        return;
    }
    cJSON_Delete(self->input);
    cJSON_Delete(self->result);
    free(self);
    *self_p = NULL;
}

static void *worker_main(void *arg)
{
    struct worker_pool *self = arg;
    struct caller *caller = caller_new(self->caller_options);
    pthread_mutex_lock(&self->mutex);
    while (true) {
        struct work *work = queue_take(&self->todo);
        if (work == NULL) {
            if (self->stopping) {
                break;
            }
            pthread_cond_wait(&self->wake, &self->mutex);
            continue;
        }
        self->busy++;
        pthread_mutex_unlock(&self->mutex);

        caller_begin(caller, &work->calls);
        work->result = work->job->run(caller, work->input);

        pthread_mutex_lock(&self->mutex);
        self->busy--;
        queue_put(&self->done, work);
        (void)eventfd_write(self->done_fd, 1);
    }
    pthread_mutex_unlock(&self->mutex);
    caller_destroy(&caller);
    return NULL;
}

struct worker_pool *worker_pool_new(size_t workers_count, size_t queue_max,
                                    struct caller_options *caller_options)
{
    struct worker_pool *self = mem_calloc(1, sizeof *self);
    *self = (struct worker_pool){
        .caller_options = caller_options,
        .threads = mem_calloc(workers_count, sizeof(pthread_t)),
        .queue_max = queue_max,
        .done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
    };
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->wake, NULL);
    for (size_t i = 0; i < workers_count; i++) {
        if (pthread_create(&self->threads[i], NULL, worker_main, self) != 0) {
            log_error("cannot start a worker thread", LOG_END);
            abort();
        }
        self->threads_count++;
    }
    return self;
}

void worker_pool_destroy(struct worker_pool **self_p)
{
    struct worker_pool *self = *self_p;
    if (self == NULL) {
        return;
    }
    pthread_mutex_lock(&self->mutex);
    self->stopping = true;
    pthread_cond_broadcast(&self->wake);
    pthread_mutex_unlock(&self->mutex);
    for (size_t i = 0; i < self->threads_count; i++) {
        pthread_join(self->threads[i], NULL);
    }
    pthread_cond_destroy(&self->wake);
    pthread_mutex_destroy(&self->mutex);
    close(self->done_fd);
    free(self->threads);
    free(self);
    *self_p = NULL;
}

bool worker_pool_has_room(struct worker_pool *self, size_t staged)
{
    pthread_mutex_lock(&self->mutex);
    const size_t idle = self->threads_count - self->busy;
    const bool room = self->todo.count + staged < self->queue_max + idle;
    pthread_mutex_unlock(&self->mutex);
    return room;
}

void worker_pool_put(struct worker_pool *self, struct work *work)
{
    pthread_mutex_lock(&self->mutex);
    queue_put(&self->todo, work);
    self->pending++;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
}

int worker_pool_fd(const struct worker_pool *self)
{
    return self->done_fd;
}

struct work *worker_pool_take(struct worker_pool *self)
{
    pthread_mutex_lock(&self->mutex);
    struct work *work = queue_take(&self->done);
    if (work != NULL) {
        self->pending--;
    } else {
        eventfd_t seen;
        (void)eventfd_read(self->done_fd, &seen);
    }
    pthread_mutex_unlock(&self->mutex);
    return work;
}

struct worker_counts worker_pool_counts(struct worker_pool *self)
{
    pthread_mutex_lock(&self->mutex);
    const struct worker_counts counts = {
        .busy = self->busy, .queued = self->todo.count, .pending = self->pending};
    pthread_mutex_unlock(&self->mutex);
    return counts;
}
