// http_queue - exchanges in a row from one thread to another, and a descriptor that is
// readable while there are some. http_server.c's alone, which guards it with its
// mutex.
#ifndef FAULTLINE_HTTP_QUEUE_H
#define FAULTLINE_HTTP_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

struct http_exchange;

struct http_queue {
    struct http_exchange *head; // oldest; the exchanges belong to their connections
    struct http_exchange *tail;
    int event_fd;     // -1 until open
    bool is_signaled; // event_fd is readable
};

// http_queue_open makes the descriptor. false: the system has none.
bool http_queue_open(struct http_queue *self);
void http_queue_close(struct http_queue *self);

void http_queue_put(struct http_queue *self, struct http_exchange *exchange);

// http_queue_wake makes the descriptor readable until the next take though nothing
// came.
void http_queue_wake(struct http_queue *self);

// http_queue_take gives up to max exchanges, oldest first.
size_t http_queue_take(struct http_queue *self, struct http_exchange **out, size_t max);

#endif
