#include "common/http_server.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/daemon.h"
#include "common/http_exchange.h"
#include "common/http_socket.h"
#include "common/mem.h"

enum {
    TIMEOUT_MS = 10000,
    BODY_TIMEOUTS = 3,                    // a head, then a body, must be whole within so many
    CHUNKED_BYTES_MAX = 16 * 1024 * 1024, // read, mostly thrown away, before a 413
    STOP_WAIT_MS = 500,                   // for the last answers to reach their sockets
    TURN_MS = 20,                         // between looks at those, and at lingering sockets
    FILES_SPARE = 256,                    // descriptors beyond those of connections
};

// Exchanges in a row from one thread to another.
struct queue {
    struct http_exchange *head;  // oldest; the exchanges belong to their connections
    struct http_exchange **tail; // where the next goes, unless head is NULL
    int event_fd;                // readable while there are some; -1 until open
};

//   sockets --> libmicrohttpd, on the server's thread --waiting--> core
//                     ^                                             |
//                     \---------- answered ------ http_reply -------/
struct http_server {
    struct MHD_Daemon *daemon;
    pthread_t thread; // runs the daemon; all call-backs are on it
    bool has_thread;
    struct http_record *record; // owned; NULL: nothing is recorded
    int listener;               // -1 while libmicrohttpd owns it
    uint16_t port;
    int64_t body_timeout_ms;
    struct http_linger linger; // the thread's
    struct http_heads heads;   // the thread's
    pthread_mutex_t mutex;     // guards all below
    struct queue waiting;
    struct queue answered; // not yet resumed; wakes the thread
    size_t waiting_count;  // whole requests without an answer
    size_t answers_count;  // answers on their way to the socket
    bool is_stopping;
};

// --- the queues; the mutex is held

static void queue_put(struct queue *queue, struct http_exchange *exchange)
{
    if (queue->head == NULL) {
        queue->tail = &queue->head;
        eventfd_write(queue->event_fd, 1); // one wake serves all until the next take
    }
    exchange->next = NULL;
    *queue->tail = exchange;
    queue->tail = &exchange->next;
}

static size_t queue_take(struct queue *queue, struct http_exchange **out, size_t max)
{
    size_t count = 0;
    for (; count < max && queue->head != NULL; queue->head = queue->head->next) {
        out[count++] = queue->head;
    }
    if (queue->head == NULL) {
        eventfd_t wakes = 0;
        eventfd_read(queue->event_fd, &wakes);
    }
    return count;
}

// --- call-backs of libmicrohttpd, on the server's thread

// The request line is there: the first we hear of a request, and the only place
// that has the URL as it was sent.
static void *on_request_line(void *context, const char *uri, struct MHD_Connection *connection)
{
    struct http_server *self = context;
    return http_exchange_new(self, connection, self->record, uri);
}

static bool method_is_known(const char *method)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (strcmp(methods[i], method) == 0) {
            return true;
        }
    }
    return false;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **head_p,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *self = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *head_p = http_heads_add(&self->heads, info->connect_fd, clock_mono_ms());
    } else {
        http_heads_remove(*head_p);
        *head_p = NULL;
    }
}

// Notes whether the connection owes us a head; INT64_MAX: it does not.
static void head_is_due_since(struct MHD_Connection *connection, int64_t since_ms)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_head *head = info->socket_context;
    head->since_ms = since_ms;
}

// The headers are there, the body is not. false: hang up.
static bool request_begin(struct http_exchange *exchange, const char *method, const char *path)
{
    head_is_due_since(exchange->connection, INT64_MAX);
    exchange->state = EXCHANGE_READING;
    exchange->method = method;
    exchange->path = path;
    if (exchange->refusal == HTTP_REFUSAL_NONE && !method_is_known(method)) {
        exchange->refusal = HTTP_UNKNOWN_METHOD;
    }
    const char *length = http_header(exchange, "Content-Length");
    const unsigned long long size = length == NULL ? 0 : strtoull(length, NULL, 10);
    if (size <= HTTP_BODY_BYTES_MAX) {
        return true;
    }
    // Here, before any of the body is read, libmicrohttpd allows an answer. It closes
    // then, which would lose it for a client that is in the middle of sending.
    exchange->refusal = HTTP_BODY_TOO_LARGE;
    struct http_server *self = exchange->server;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    http_linger_add(&self->linger, info->connect_fd, clock_mono_ms() + self->body_timeout_ms);
    return http_exchange_send(exchange);
}

// A piece of the body. false: hang up, since an answer in mid-body is not possible.
static bool request_read(struct http_exchange *exchange, const char *data, size_t size)
{
    exchange->body_bytes += size;
    if (exchange->body_bytes > CHUNKED_BYTES_MAX ||
        clock_mono_us() - exchange->received_us > exchange->server->body_timeout_ms * 1000) {
        return false;
    }
    if (exchange->body_bytes > HTTP_BODY_BYTES_MAX) {
        exchange->refusal = HTTP_BODY_TOO_LARGE;
    }
    if (exchange->refusal == HTTP_REFUSAL_NONE) {
        buf_put(&exchange->body, data, size);
    }
    return true;
}

// The whole request is there: it waits for the core, or is refused.
static bool request_end(struct http_exchange *exchange)
{
    struct http_server *self = exchange->server;
    pthread_mutex_lock(&self->mutex);
    if (exchange->refusal == HTTP_REFUSAL_NONE) {
        exchange->refusal = self->is_stopping                         ? HTTP_STOPPING
                            : self->waiting_count == HTTP_WAITING_MAX ? HTTP_OVERLOADED
                                                                      : HTTP_REFUSAL_NONE;
    }
    const bool waits = exchange->refusal == HTTP_REFUSAL_NONE;
    if (waits) {
        // Suspended before it can be seen: the core may answer at once.
        MHD_suspend_connection(exchange->connection);
        exchange->state = EXCHANGE_WAITING;
        self->waiting_count++;
        queue_put(&self->waiting, exchange);
    }
    pthread_mutex_unlock(&self->mutex);
    return waits || http_exchange_send(exchange);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *data, size_t *size, void **exchange_p)
{
    (void)context;
    (void)connection;
    (void)version;
    struct http_exchange *exchange = *exchange_p;
    bool goes_on = true;
    switch (exchange->state) {
    case EXCHANGE_NEW:
        goes_on = request_begin(exchange, method, path);
        break;
    case EXCHANGE_READING:
        goes_on = *size > 0 ? request_read(exchange, data, *size) : request_end(exchange);
        *size = 0;
        break;
    case EXCHANGE_ANSWERED:
        goes_on = http_exchange_send(exchange);
        break;
    case EXCHANGE_WAITING:
        abort(); // a suspended connection was called
    }
    return goes_on ? MHD_YES : MHD_NO;
}

// The answer is sent, or the connection is gone.
static void on_completed(void *context, struct MHD_Connection *connection, void **exchange_p,
                         enum MHD_RequestTerminationCode code)
{
    (void)code;
    struct http_server *self = context;
    struct http_exchange *exchange = *exchange_p;
    head_is_due_since(connection, clock_mono_ms());
    if (exchange != NULL && exchange->state == EXCHANGE_ANSWERED) {
        pthread_mutex_lock(&self->mutex);
        self->answers_count--;
        pthread_mutex_unlock(&self->mutex);
    }
    http_exchange_destroy(&exchange);
    *exchange_p = NULL;
}

// --- the core's side

int http_server_fd(const struct http_server *self)
{
    return self->waiting.event_fd;
}

uint16_t http_server_port(const struct http_server *self)
{
    return self->port;
}

size_t http_server_take(struct http_server *self, struct http_exchange **out, size_t max)
{
    pthread_mutex_lock(&self->mutex);
    const size_t count = queue_take(&self->waiting, out, max);
    pthread_mutex_unlock(&self->mutex);
    return count;
}

// Gives an exchange back to the server's thread, which may free it at once.
static void exchange_give_back(struct http_exchange *exchange)
{
    struct http_server *self = exchange->server;
    pthread_mutex_lock(&self->mutex);
    assert(exchange->state == EXCHANGE_WAITING);
    exchange->state = EXCHANGE_ANSWERED;
    self->waiting_count--;
    self->answers_count++;
    queue_put(&self->answered, exchange);
    pthread_mutex_unlock(&self->mutex);
}

void http_reply(struct http_exchange *exchange, int status, const char *content_type,
                struct bytes body)
{
    http_exchange_respond(exchange, status, content_type, body);
    exchange_give_back(exchange);
}

// --- the thread

// Waits until there is something to do, at most max_ms.
static void daemon_wait(struct http_server *self, int max_ms)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    if (MHD_get_timeout(self->daemon, &timeout_ms) == MHD_NO ||
        timeout_ms > (MHD_UNSIGNED_LONG_LONG)max_ms) {
        timeout_ms = (MHD_UNSIGNED_LONG_LONG)max_ms;
    }
    if (timeout_ms == 0) {
        return;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(self->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd polls[] = {{.fd = info->epoll_fd, .events = POLLIN},
                             {.fd = self->answered.event_fd, .events = POLLIN}};
    poll(polls, ARRAY_LEN(polls), (int)timeout_ms);
}

// libmicrohttpd has a thread of its own to offer, but that one (0.9.75) sleeps on
// when exactly 128 sockets become ready at once: it asks epoll for more with the
// time-out meant for an idle server, having served none of them yet. And each
// http_reply would wake it; here many answers cost one wake.
static void *daemon_run(void *context)
{
    struct http_server *self = context;
    struct http_exchange *answered[HTTP_WAITING_MAX];
    int64_t deadline_ms = 0; // of stopping
    for (;;) {
        daemon_wait(self, deadline_ms != 0 || self->linger.count > 0 ? TURN_MS : INT_MAX);
        pthread_mutex_lock(&self->mutex);
        const size_t count = queue_take(&self->answered, answered, ARRAY_LEN(answered));
        const bool stops = self->is_stopping;
        const bool all_is_sent = self->waiting_count == 0 && self->answers_count == 0;
        pthread_mutex_unlock(&self->mutex);
        // Stopping the daemon closes every socket at once: first let the answers out.
        if (stops && (all_is_sent || (deadline_ms != 0 && clock_mono_ms() > deadline_ms))) {
            return NULL;
        }
        if (stops && deadline_ms == 0) {
            // This gives the listening socket back to us.
            self->listener = MHD_quiesce_daemon(self->daemon);
            deadline_ms = clock_mono_ms() + STOP_WAIT_MS;
        }
        for (size_t i = 0; i < count; i++) {
            MHD_resume_connection(answered[i]->connection);
        }
        MHD_run(self->daemon);
        http_heads_sweep(&self->heads, clock_mono_ms(), self->body_timeout_ms);
        if (self->linger.count > 0) {
            http_linger_drain(&self->linger, clock_mono_ms());
        }
    }
}

// --- start and stop

static bool daemon_start(struct http_server *self, int64_t timeout_ms)
{
    self->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME,
                                    0,
                                    NULL,
                                    NULL,
                                    on_request,
                                    self,
                                    MHD_OPTION_LISTEN_SOCKET,
                                    self->listener,
                                    MHD_OPTION_CONNECTION_LIMIT,
                                    (unsigned)HTTP_CONNECTIONS_MAX,
                                    MHD_OPTION_CONNECTION_TIMEOUT,
                                    (unsigned)((timeout_ms + 999) / 1000),
                                    MHD_OPTION_URI_LOG_CALLBACK,
                                    on_request_line,
                                    self,
                                    MHD_OPTION_NOTIFY_CONNECTION,
                                    on_connection,
                                    self,
                                    MHD_OPTION_NOTIFY_COMPLETED,
                                    on_completed,
                                    self,
                                    MHD_OPTION_END);
    if (self->daemon == NULL) {
        return false;
    }
    self->listener = -1;
    // The thread inherits the mask: signals belong to the core.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    self->has_thread = pthread_create(&self->thread, NULL, daemon_run, self) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return self->has_thread;
}

enum err http_server_open(struct http_server **out, const struct http_server_options *options,
                          char **problem)
{
    *out = NULL;
    *problem = NULL;
    const int64_t timeout_ms = options->timeout_ms == 0 ? TIMEOUT_MS : options->timeout_ms;
    struct http_server *self = mem_calloc(1, sizeof *self);
    *self = (struct http_server){.listener = -1,
                                 .waiting = {.event_fd = -1},
                                 .answered = {.event_fd = -1},
                                 .body_timeout_ms = timeout_ms * BODY_TIMEOUTS};
    pthread_mutex_init(&self->mutex, NULL);

    enum err err = http_listen(&self->listener, options->address, options->port, problem);
    if (err == ERR_OK && options->record != NULL) {
        err = http_record_open(&self->record, options->record, options->name, problem);
    }
    if (err != ERR_OK) {
        goto out;
    }
    self->port = http_port_of(self->listener);
    // The usual soft limit of 1024 files is fewer than HTTP_CONNECTIONS_MAX.
    daemon_allow_files(HTTP_CONNECTIONS_MAX + FILES_SPARE);
    self->waiting.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->answered.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->waiting.event_fd < 0 || self->answered.event_fd < 0 ||
        !daemon_start(self, timeout_ms)) {
        *problem = mem_format("cannot start the HTTP server: %s", strerror(errno));
        err = ERR_IO;
        goto out;
    }
    *out = self;
    self = NULL; // handed to the caller

out:
    http_server_destroy(&self);
    return err;
}

static void thread_stop(struct http_server *self)
{
    pthread_mutex_lock(&self->mutex);
    self->is_stopping = true;
    eventfd_write(self->answered.event_fd, 1);
    pthread_mutex_unlock(&self->mutex);
    struct http_exchange *exchange = NULL;
    while (http_server_take(self, &exchange, 1) == 1) {
        exchange->refusal = HTTP_STOPPING;
        exchange_give_back(exchange);
    }
    pthread_join(self->thread, NULL);
    // To stop the daemon with a suspended connection aborts the process.
    assert(self->waiting_count == 0);
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void http_server_destroy(struct http_server **self_p)
{
    struct http_server *self = *self_p;
    if (self == NULL) {
        return;
    }
    if (self->has_thread) {
        thread_stop(self);
    }
    if (self->daemon != NULL) {
        MHD_stop_daemon(self->daemon);
    }
    http_linger_drain(&self->linger, INT64_MAX);
    close_fd(self->listener);
    close_fd(self->answered.event_fd);
    close_fd(self->waiting.event_fd);
    http_record_destroy(&self->record);
    pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}
