// http_socket - how the server gets its listening socket, and how it leaves the
// connection of a client that still sends. http_server.c's alone.
#ifndef FAULTLINE_HTTP_SOCKET_H
#define FAULTLINE_HTTP_SOCKET_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

// http_listen listens on address ("127.0.0.1", "::1", "localhost") and port (0: any
// free one). The socket does not block. The caller closes *fd unless it is -1, also on
// ERR_IO: *problem, which the caller frees, says then why and what to do.
enum err http_listen(int *fd, const char *address, uint16_t port, char **problem);

// http_port_of tells the port that fd listens on.
uint16_t http_port_of(int fd);

enum {
    HTTP_LINGER_MAX = 64, // sockets at once; more are not waited for
    HTTP_LINGER_BYTES_MAX = 16 * 1024 * 1024
};

// Sockets whose answer is sent, and whose client still sends. To close such a socket
// resets it, and the client finds a broken connection instead of its answer; so
// what comes is read and thrown away for a while first. Zero is an empty one.
struct http_linger {
    struct {
        int fd; // owned
        size_t bytes;
        int64_t until_ms; // clock_mono_ms
    } sockets[HTTP_LINGER_MAX];
    size_t count;
};

// http_linger_add keeps fd's connection open with a descriptor of its own; the
// caller may close fd.
void http_linger_add(struct http_linger *self, int fd, int64_t until_ms);

// http_linger_drain reads what is there, a megabyte of each at most, and closes what
// has ended, was too much or took too long; at INT64_MAX all.
void http_linger_drain(struct http_linger *self, int64_t now_ms);

// Connections, and since when each owes the head of its next request. libmicrohttpd's
// own timeout counts silence only, so a client that drips a byte now and then would keep
// its connection for ever. Zero is an empty list.
struct http_head {
    int fd;           // borrowed
    int64_t since_ms; // clock_mono_ms; INT64_MAX: its head is there
    struct http_head *next;
    struct http_head **link; // where it hangs in the list
};

struct http_heads {
    struct http_head *first;
    int64_t swept_ms; // when last
};

// http_heads_add puts a new connection into the list; http_heads_remove takes it out and
// frees it.
struct http_head *http_heads_add(struct http_heads *self, int fd, int64_t now_ms);
void http_heads_remove(struct http_head *head);

// http_heads_sweep shuts down, at most once a second, what owes its head for longer
// than limit_ms.
void http_heads_sweep(struct http_heads *self, int64_t now_ms, int64_t limit_ms);

#endif
