#include "common/bus.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <zmq.h>

#include "common/bus_session.h"
#include "common/clock.h"
#include "common/crash_point.h"
#include "common/mem.h"

enum {
    HELD_MAX = 64,     // messages whose views are out until the next bus_take
    RECONNECT_MS = 50, // of ZeroMQ's own attempts to connect
    CONNECT_TIMEOUT_MS = 2000,
    SEND_RETRY_MS = 5 // how soon to look again when the socket took nothing
};

struct bus {
    char *url;                   // owned
    struct bus_session *session; // owned
    void *context;               // owned; one io thread
    void *socket;                // owned; NULL: no connection
    uint64_t connection;         // the session's number of the socket; 0: none
    int poll_fd;                 // owned; an epoll of whichever socket's fd there is
    bool stuck;                  // the socket would not take the first message
    zmq_msg_t held[HELD_MAX];    // received, and borrowed by inputs
    size_t held_count;
};

// --- the socket

static void socket_set(void *socket, int option, int value)
{
    (void)zmq_setsockopt(socket, option, &value, sizeof value); // always allowed
}

static int socket_get(void *socket, int option)
{
    int value = -1;
    size_t size = sizeof value;
    (void)zmq_getsockopt(socket, option, &value, &size);
    return value;
}

static bool socket_is_ready(const struct bus *self, int event)
{
    return self->socket != NULL && (socket_get(self->socket, ZMQ_EVENTS) & event) != 0;
}

static void socket_close(struct bus *self)
{
    if (self->socket == NULL) {
        return;
    }
    // Before the close: the descriptor may get another meaning right after.
    epoll_ctl(self->poll_fd, EPOLL_CTL_DEL, socket_get(self->socket, ZMQ_FD), NULL);
    zmq_close(self->socket);
    self->socket = NULL;
    self->connection = 0;
    self->stuck = false;
}

// Makes the socket the one that the session wants.
static enum err socket_follow(struct bus *self)
{
    const uint64_t wanted = bus_session_connection(self->session);
    if (wanted == self->connection) {
        return ERR_OK;
    }
    socket_close(self);
    void *socket = wanted == 0 ? NULL : zmq_socket(self->context, ZMQ_DEALER);
    if (socket == NULL) {
        return wanted == 0 ? ERR_OK : ERR_IO;
    }
    // What is unsent when a session ends must not reach the next one; what matters
    // was answered, or its owner still has it.
    socket_set(socket, ZMQ_LINGER, 0);
    socket_set(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    socket_set(socket, ZMQ_CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS);
    const int64_t message_bytes_max = INT64_C(2) * WIRE_BATCH_BYTES_MAX;
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &message_bytes_max, sizeof message_bytes_max);
    struct epoll_event event = {.events = EPOLLIN};
    const bool connects = zmq_connect(socket, self->url) == 0;
    if (!connects ||
        epoll_ctl(self->poll_fd, EPOLL_CTL_ADD, socket_get(socket, ZMQ_FD), &event) != 0) {
        zmq_close(socket);
        return connects ? ERR_IO : ERR_INVALID;
    }
    self->socket = socket;
    self->connection = wanted;
    return ERR_OK;
}

// --- sending

static bool frame_send(void *socket, struct buf frame, int flags)
{
    zmq_msg_t message;
    if (zmq_msg_init_size(&message, frame.size) != 0) {
        abort(); // out of memory
    }
    memcpy(zmq_msg_data(&message), frame.data, frame.size);
    if (zmq_msg_send(&message, socket, flags | ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&message);
        return false;
    }
    return true;
}

// Sends what the session has to say, as far as the socket takes it. A socket takes
// a message whole or not at all: only its first frame can fail.
static void out_send(struct bus *self)
{
    self->stuck = false;
    const struct bus_message *message = NULL;
    while (self->socket != NULL && (message = self->session->out.first) != NULL) {
        const bool two_frames = message->batch.size > 0;
        if (!frame_send(self->socket, message->control, two_frames ? ZMQ_SNDMORE : 0)) {
            self->stuck = true;
            return;
        }
        if (two_frames) {
            frame_send(self->socket, message->batch, 0);
        }
        bus_session_sent(self->session, clock_mono_ms());
    }
}

// --- receiving

static void held_close(struct bus *self)
{
    while (self->held_count > 0) {
        zmq_msg_close(&self->held[--self->held_count]);
    }
}

static struct bytes message_view(zmq_msg_t *message)
{
    return (struct bytes){.data = zmq_msg_data(message), .size = zmq_msg_size(message)};
}

// Receives one message, holds its first two frames, and gives it to the session.
// false: none is there.
static bool message_receive(struct bus *self, int64_t now_ms)
{
    struct bytes views[2] = {{0}};
    size_t frames = 0;
    bool more = self->socket != NULL;
    while (more) {
        zmq_msg_t *frame = &self->held[self->held_count];
        zmq_msg_init(frame);
        if (zmq_msg_recv(frame, self->socket, ZMQ_DONTWAIT) < 0) {
            break; // before the first: a message arrives whole
        }
        more = zmq_msg_more(frame) != 0;
        if (frames < 2) {
            views[frames] = message_view(frame);
            self->held_count++;
        } else {
            zmq_msg_close(frame);
        }
        frames++;
    }
    if (frames > 0) {
        bus_session_receive(self->session, views[0], views[1], frames, now_ms);
    }
    return frames > 0;
}

// --- the interface

enum err bus_open(struct bus **out, const struct bus_options *options, const char **problem)
{
    *out = NULL;
    *problem = "the URL must be tcp://HOST:PORT or ipc://PATH";
    const char *url = options->url;
    if (url == NULL || (strncmp(url, "tcp://", 6) != 0 && strncmp(url, "ipc://", 6) != 0)) {
        return ERR_INVALID;
    }
    struct bus *self = mem_calloc(1, sizeof *self);
    self->url = mem_strdup(url);
    self->poll_fd = -1;
    const uint64_t seed = (uint64_t)clock_wall_us() ^ (uint64_t)getpid() << 32;
    enum err err = bus_session_new(&self->session, options, seed, problem);
    if (err != ERR_OK) {
        goto out;
    }
    self->context = zmq_ctx_new();
    self->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    bus_session_tick(self->session, clock_mono_ms(), clock_wall_us());
    err = self->context == NULL || self->poll_fd < 0 ? ERR_IO : socket_follow(self);
    if (err != ERR_OK) {
        *problem = err == ERR_IO ? "no more descriptors" : "the URL names no endpoint";
        goto out;
    }
    out_send(self);
    *problem = NULL;
    *out = self;
    self = NULL; // handed to the caller

out:
    bus_destroy(&self);
    return err;
}

void bus_destroy(struct bus **self_p)
{
    struct bus *self = *self_p;
    if (self == NULL) {
        return;
    }
    held_close(self);
    socket_close(self);
    if (self->context != NULL) {
        zmq_ctx_term(self->context);
    }
    if (self->poll_fd >= 0) {
        close(self->poll_fd);
    }
    bus_session_destroy(&self->session);
    free(self->url);
    free(self);
    *self_p = NULL;
}

int bus_fd(const struct bus *self)
{
    return self->poll_fd;
}

bool bus_has_input(struct bus *self)
{
    return bus_session_has_input(self->session) || socket_is_ready(self, ZMQ_POLLIN) ||
           (self->stuck && socket_is_ready(self, ZMQ_POLLOUT));
}

int64_t bus_timer_ms(const struct bus *self)
{
    const int64_t left_ms = bus_session_due_ms(self->session) - clock_mono_ms();
    if (self->stuck && left_ms > SEND_RETRY_MS) {
        return SEND_RETRY_MS;
    }
    return left_ms > 0 ? left_ms : 0;
}

size_t bus_take(struct bus *self, struct bus_input *inputs, size_t max)
{
    if (!bus_session_has_input(self->session)) {
        held_close(self); // else a message is still being given out
    }
    const int64_t now_ms = clock_mono_ms();
    size_t count = 0;
    bool drained = false;
    while (!drained) {
        const size_t given = bus_session_take(self->session, inputs + count, max - count, now_ms);
        count += given;
        // The next message could change the text of a detail that is given out.
        const bool has_detail = given > 0 && inputs[count - 1].detail != NULL;
        if (count == max || has_detail || self->held_count + 2 > HELD_MAX) {
            break;
        }
        drained = bus_session_connection(self->session) != self->connection ||
                  !message_receive(self, now_ms);
    }
    if (drained) {
        // Only now: what has arrived while we did not look is no silence.
        bus_session_tick(self->session, now_ms, clock_wall_us());
        count += bus_session_take(self->session, inputs + count, max - count, now_ms);
    }
    (void)socket_follow(self); // an error leaves no socket; the session begins again
    out_send(self);
    return count;
}

enum err bus_publish(struct bus *self, uint64_t tag, const char *topic, const char *key,
                     const char *id, struct bytes body)
{
    const struct record record = {.topic = bytes_of_text(topic),
                                  .key = bytes_of_text(key),
                                  .id = bytes_of_text(id),
                                  .body = body};
    return bus_session_publish(self->session, tag, &record);
}

void bus_ack(struct bus *self, const struct bus_delivery *delivery)
{
    bus_session_ack(self->session, delivery->offset, delivery->attempt);
}

void bus_nack(struct bus *self, const struct bus_delivery *delivery, int64_t delay_ms,
              const char *error)
{
    bus_session_refuse(
        self->session, WIRE_NACK, delivery->offset, delivery->attempt, delay_ms, error);
}

void bus_reject(struct bus *self, const struct bus_delivery *delivery, const char *error)
{
    bus_session_refuse(self->session, WIRE_REJECT, delivery->offset, delivery->attempt, -1, error);
}

void bus_set_credit(struct bus *self, uint32_t credit)
{
    self->session->credit = credit < WIRE_CREDIT_MAX ? credit : WIRE_CREDIT_MAX;
}

void bus_flush(struct bus *self)
{
    bus_session_flush(self->session);
    const bool speaks = bus_is_connected(self) && self->session->out.first != NULL;
    out_send(self);
    if (speaks && !self->stuck) {
        crash_point("service-bus-flushed");
    }
}

bool bus_is_connected(const struct bus *self)
{
    return self->session->state == SESSION_UP;
}

size_t bus_in_flight(const struct bus *self)
{
    return self->session->in_flight;
}

void bus_bye(struct bus *self, int64_t timeout_ms)
{
    const int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    bus_session_bye(self->session);
    while (self->socket != NULL && !self->session->left) {
        out_send(self);
        held_close(self);
        if (message_receive(self, clock_mono_ms())) {
            continue;
        }
        if (clock_mono_ms() >= deadline_ms) {
            break;
        }
        // Short: the descriptor does not tell when a stuck socket takes more.
        struct pollfd fd = {.fd = self->poll_fd, .events = POLLIN};
        poll(&fd, 1, SEND_RETRY_MS);
    }
    held_close(self);
}
