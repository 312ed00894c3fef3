#include "common/http_queue.h"

#include <assert.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/http_exchange.h"

bool http_queue_open(struct http_queue *self)
{
    *self = (struct http_queue){.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    return self->event_fd >= 0;
}

void http_queue_close(struct http_queue *self)
{
    if (self->event_fd >= 0) {
        close(self->event_fd);
    }
    self->event_fd = -1;
}

void http_queue_wake(struct http_queue *self)
{
    if (self->is_signaled) {
        return; // one wake serves all that come until the next take
    }
    const uint64_t one = 1;
    const ssize_t size = write(self->event_fd, &one, sizeof one);
    assert(size == (ssize_t)sizeof one);
    self->is_signaled = true;
}

void http_queue_put(struct http_queue *self, struct http_exchange *exchange)
{
    exchange->next = NULL;
    if (self->head == NULL) {
        self->head = exchange;
    } else {
        self->tail->next = exchange;
    }
    self->tail = exchange;
    http_queue_wake(self);
}

size_t http_queue_take(struct http_queue *self, struct http_exchange **out, size_t max)
{
    size_t count = 0;
    while (count < max && self->head != NULL) {
        out[count] = self->head;
        self->head = self->head->next;
        count++;
    }
    if (self->head == NULL && self->is_signaled) {
        uint64_t wakes = 0;
        const ssize_t size = read(self->event_fd, &wakes, sizeof wakes);
        assert(size == (ssize_t)sizeof wakes);
        self->is_signaled = false;
    }
    return count;
}
