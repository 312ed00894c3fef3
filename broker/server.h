// server - the broker as a process: a ROUTER socket, the HTTP interface, signals and
// timers around struct broker, in one thread and one loop.
//
//   wait (socket, HTTP, signal, deadline)
//     -> take what waits, within SERVER_DRAIN_MAX, _BYTES and _MS -> broker_receive
//     -> broker_turn: one sync, answers, deliveries, heartbeats
//     -> HTTP requests, log lines
#ifndef FAULTLINE_SERVER_H
#define FAULTLINE_SERVER_H

#include <stdint.h>

#include "broker/broker.h"
#include "common/err.h"

enum {
    SERVER_DRAIN_MAX = 256,                     // messages taken before a round goes on
    SERVER_DRAIN_BYTES = 1024 * 1024,           // or once so much came: caches hold no more
    SERVER_DRAIN_MS = 100,                      // or once it took so long
    SERVER_MESSAGE_BYTES_MAX = 2 * 1024 * 1024, // ZeroMQ cuts the connection above
    SERVER_LINGER_MS = 500,                     // for answers under way at the end
};

struct server; // opaque

struct server_options {
    const char *bind; // endpoints, separated by commas
    const char *http_address;
    uint16_t http_port;      // 0: any free one
    const char *http_record; // see http_server.h; "": nothing is recorded
    // Its directory is made when missing; the log lies in a folder "log" there. The log's disk
    // and directory, and the world, are the server's own.
    struct broker_options broker;
};

// server_open makes SIGTERM and SIGINT wait for server_run, recovers the log and the groups,
// then listens. Call it before any thread exists. Not ERR_OK: *problem,
// which the caller frees, is a sentence for the operator. The caller owns *out.
enum err server_open(struct server **out, const struct server_options *options, char **problem);

// server_run works until SIGTERM or SIGINT, then says BYE to all and saves. ERR_OK:
// everything is on disk. ERR_FULL, ERR_IO: the groups' state could not be saved
// (some events will be delivered again).
enum err server_run(struct server *self);

void server_destroy(struct server **self_p);

#endif
