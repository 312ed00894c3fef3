// http_linger - sockets whose answer is sent, and whose client still sends. To close
// such a socket resets it, and the client finds a broken connection instead of its
// answer; so what comes is read and thrown away for a while first. http_server.c's
// alone, on its thread.
#ifndef FAULTLINE_HTTP_LINGER_H
#define FAULTLINE_HTTP_LINGER_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_LINGER_MAX = 64, // sockets at once; more are not waited for
    HTTP_LINGER_BYTES_MAX = 16 * 1024 * 1024,
    HTTP_LINGER_TURN_MS = 500 // call http_linger_drain at least so often
};

struct http_lingering {
    int fd; // owned
    size_t bytes;
    int64_t until_ms; // clock_mono_ms
};

// Zero is an empty one; release it with http_linger_release.
struct http_linger {
    struct http_lingering sockets[HTTP_LINGER_MAX];
    size_t count;
};

// http_linger_add keeps fd's connection open with a descriptor of its own; the
// caller may close fd.
void http_linger_add(struct http_linger *self, int fd, int64_t until_ms);

// http_linger_poll writes what to wait for to out, which has room for
// HTTP_LINGER_MAX, and returns how many.
size_t http_linger_poll(const struct http_linger *self, struct pollfd *out);

// http_linger_drain reads what is there and closes what has ended, was too much or
// took too long.
void http_linger_drain(struct http_linger *self, int64_t now_ms);

void http_linger_release(struct http_linger *self);

#endif
