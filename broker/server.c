#include "broker/server.h"

#include <assert.h>
#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/status.h"
#include "common/clock.h"
#include "common/crash_point.h"
#include "common/daemon.h"
#include "common/http_server.h"

// czmq brings <syslog.h>, whose levels are ours by name only.
#undef LOG_DEBUG
#undef LOG_INFO
#include "common/log.h"
#include "common/mem.h"

enum {
    FRAMES_MAX = 4, // routing id, control, batch, and one too much
    RECEIVE_HWM = 256,
    SEND_HWM = 2048,
    KEEPALIVE_S = 60,
    FILES_MAX = 8192, // connections, segments, and some; a socket that cannot accept spins
    STOP_ROUNDS_MAX = 64,
};

struct server {
    struct broker *broker;    // owned
    struct http_server *http; // owned
    zsock_t *router;          // owned
    void *socket;             // borrowed; the router's own ZeroMQ handle
    int signal_fd;            // readable: stop
};

// --- the world

static enum err world_send(void *context, struct bytes peer, struct bytes control,
                           struct bytes batch)
{
    const struct server *self = context;
    const bool has_batch = batch.data != NULL;
    // Mandatory routing: the first frame finds out whether the peer is there and
    // has room; the others go the same way.
    if (zmq_send(self->socket, peer.data, peer.size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(self->socket,
                 control.data,
                 control.size,
                 (has_batch ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT) < 0 ||
        (has_batch && zmq_send(self->socket, batch.data, batch.size, ZMQ_DONTWAIT) < 0)) {
        return errno == EAGAIN ? ERR_FULL : ERR_UNAVAILABLE;
    }
    return ERR_OK;
}

static int64_t world_mono_us(void *context)
{
    (void)context;
    return clock_mono_us();
}

static int64_t world_wall_us(void *context)
{
    (void)context;
    return clock_wall_us();
}

static uint64_t world_random(void *context)
{
    (void)context;
    uint64_t value = 0;
    const ssize_t got = getrandom(&value, sizeof value, 0);
    assert(got == (ssize_t)sizeof value); // so few bytes always come
    return value;
}

// --- opening

static enum err open_broker(struct server *self, const struct server_options *options,
                            char **problem)
{
    struct broker_options broker = options->broker;
    char *directory = mem_format("%s/log", broker.directory);
    broker.log.disk = &disk_os;
    broker.log.directory = directory;
    broker.world =
        (struct broker_world){self, world_send, world_mono_us, world_wall_us, world_random};
    const enum err err = broker_open(&self->broker, &broker, problem);
    free(directory);
    return err;
}

static enum err bind_endpoint(struct server *self, const char *endpoint, char **problem)
{
    if (zmq_bind(self->socket, endpoint) == 0) {
        char bound[256] = "";
        size_t size = sizeof bound;
        zmq_getsockopt(self->socket, ZMQ_LAST_ENDPOINT, bound, &size);
        log_info("listening", LOG_STR("endpoint", bound));
        return ERR_OK;
    }
    if (errno == EADDRINUSE) {
        *problem = mem_format("%s is in use: another broker runs there; stop it, or set "
                              "BROKER_BIND to another endpoint",
                              endpoint);
    } else {
        *problem = mem_format("cannot listen on %s (%s): BROKER_BIND must be like "
                              "tcp://127.0.0.1:5550 or ipc:///run/faultline.sock",
                              endpoint,
                              zmq_strerror(errno));
    }
    return ERR_IO;
}

static enum err open_router(struct server *self, const struct server_options *options,
                            char **problem)
{
    self->router = zsock_new(ZMQ_ROUTER);
    assert(self->router != NULL);
    zsock_set_router_mandatory(self->router, 1);
    zsock_set_sndtimeo(self->router, 0);
    zsock_set_rcvtimeo(self->router, 0);
    zsock_set_rcvhwm(self->router, RECEIVE_HWM);
    zsock_set_sndhwm(self->router, SEND_HWM);
    zsock_set_maxmsgsize(self->router, SERVER_MESSAGE_BYTES_MAX);
    zsock_set_linger(self->router, SERVER_LINGER_MS);
    // A machine that lost its power says no farewell: let the kernel find out, or
    // the connection stays for ever.
    zsock_set_tcp_keepalive(self->router, 1);
    zsock_set_tcp_keepalive_idle(self->router, KEEPALIVE_S);
    self->socket = zsock_resolve(self->router);

    char *endpoints = mem_strdup(options->bind);
    char *rest = NULL;
    enum err err = ERR_OK;
    if (strspn(endpoints, ", ") == strlen(endpoints)) {
        *problem = mem_strdup("BROKER_BIND names no endpoint");
        err = ERR_INVALID;
    }
    for (char *endpoint = strtok_r(endpoints, ", ", &rest); endpoint != NULL && err == ERR_OK;
         endpoint = strtok_r(NULL, ", ", &rest)) {
        err = bind_endpoint(self, endpoint, problem);
    }
    free(endpoints);
    return err;
}

enum err server_open(struct server **out, const struct server_options *options, char **problem)
{
    *out = NULL;
    struct server *self = mem_calloc(1, sizeof *self);
    self->signal_fd = daemon_take_signals();
    daemon_allow_files(FILES_MAX);
    zsys_handler_set(NULL); // czmq would take the signals for itself and stop every loop
    const struct http_server_options http = {.address = options->http_address,
                                             .port = options->http_port,
                                             .name = "broker",
                                             .record = options->http_record};
    enum err err = open_broker(self, options, problem);
    if (err == ERR_OK) {
        crash_point("broker-recovered");
        err = open_router(self, options, problem);
    }
    if (err == ERR_OK) {
        err = http_server_open(&self->http, &http, problem);
    }
    if (err == ERR_OK) {
        log_info("started", LOG_INT("http_port", http_server_port(self->http)));
        log_flush();
        *out = self;
        self = NULL;
    }
    server_destroy(&self);
    return err;
}

void server_destroy(struct server **self_p)
{
    struct server *self = *self_p;
    if (self == NULL) {
        return;
    }
    close(self->signal_fd);
    http_server_destroy(&self->http);
    zsock_destroy(&self->router);
    broker_destroy(&self->broker);
    free(self);
    zsys_shutdown(); // waits SERVER_LINGER_MS at most for what is under way
    *self_p = NULL;
}

// --- the loop

// Takes one message and gives its size; 0: none waits.
static size_t take(struct server *self)
{
    zmq_msg_t parts[FRAMES_MAX];
    struct bytes frames[FRAMES_MAX];
    size_t count = 0;
    size_t bytes = 0;
    bool more = true;
    while (more) {
        zmq_msg_t *part = &parts[count];
        zmq_msg_init(part);
        if (zmq_msg_recv(part, self->socket, ZMQ_DONTWAIT) < 0) {
            assert(count == 0); // the parts of a message come all at once
            return 0;
        }
        more = zmq_msg_more(part) != 0;
        frames[count] = (struct bytes){.data = zmq_msg_data(part), .size = zmq_msg_size(part)};
        bytes += frames[count].size;
        if (count == FRAMES_MAX - 1 && more) {
            zmq_msg_close(part); // it has too many already: only that they came matters
        } else {
            count++;
        }
    }
    broker_receive(self->broker, frames[0], frames + 1, count - 1);
    for (size_t i = 0; i < count; i++) {
        zmq_msg_close(&parts[i]);
    }
    return bytes;
}

// Takes what waits, as much as a round may hold. true: all of it.
static bool drain(struct server *self)
{
    const int64_t until_us = clock_mono_us() + SERVER_DRAIN_MS * 1000;
    size_t bytes = 0;
    for (int i = 0;
         i < SERVER_DRAIN_MAX && bytes < SERVER_DRAIN_BYTES && clock_mono_us() < until_us;
         i++) {
        const size_t size = take(self);
        if (size == 0) {
            return true;
        }
        bytes += size;
    }
    return false;
}

static enum err stop(struct server *self)
{
    crash_point("broker-stop-begun");
    log_info("stopping", LOG_END);
    // What has arrived is still stored and answered; a flood must not keep us.
    for (int rounds = 0; rounds < STOP_ROUNDS_MAX && !drain(self); rounds++) {
        (void)broker_turn(self->broker, false);
    }
    const enum err err = broker_stop(self->broker);
    crash_point("broker-stop-saved");
    log_info("stopped", LOG_END);
    log_flush();
    return err;
}

enum err server_run(struct server *self)
{
    zmq_pollitem_t items[] = {
        {.socket = self->socket, .events = ZMQ_POLLIN},
        {.fd = http_server_fd(self->http), .events = ZMQ_POLLIN},
        {.fd = self->signal_fd, .events = ZMQ_POLLIN},
    };
    long timeout_ms = 0;
    for (;;) {
        if (zmq_poll(items, ARRAY_LEN(items), timeout_ms) < 0 && errno != EINTR) {
            return ERR_IO;
        }
        if ((items[2].revents & ZMQ_POLLIN) != 0) {
            return stop(self);
        }
        const bool all_read = drain(self);
        const bool more = broker_turn(self->broker, all_read);
        if ((items[1].revents & ZMQ_POLLIN) != 0) {
            status_serve(self->broker, self->http);
        }
        log_flush();
        timeout_ms = more || !all_read ? 0 : (long)broker_deadline_ms(self->broker);
    }
}
