#include "common/http_linger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DRAIN_SIZE = 64 * 1024,
    DRAINS_MAX = 16, // of one socket in one turn: others wait
};

void http_linger_add(struct http_linger *self, int fd, int64_t until_ms)
{
    if (self->count == HTTP_LINGER_MAX) {
        return;
    }
    const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own >= 0) {
        self->sockets[self->count++] = (struct http_lingering){.fd = own, .until_ms = until_ms};
    }
}

size_t http_linger_poll(const struct http_linger *self, struct pollfd *out)
{
    for (size_t i = 0; i < self->count; i++) {
        out[i] = (struct pollfd){.fd = self->sockets[i].fd, .events = POLLIN};
    }
    return self->count;
}

// false: nothing more will come, or is wanted.
static bool drain(struct http_lingering *socket)
{
    char thrown_away[DRAIN_SIZE];
    for (int i = 0; i < DRAINS_MAX; i++) {
        const ssize_t size = recv(socket->fd, thrown_away, sizeof thrown_away, MSG_DONTWAIT);
        if (size < 0) {
            return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
        }
        socket->bytes += (size_t)size;
        if (size == 0 || socket->bytes > HTTP_LINGER_BYTES_MAX) {
            return false;
        }
    }
    return true;
}

void http_linger_drain(struct http_linger *self, int64_t now_ms)
{
    for (size_t i = 0; i < self->count;) {
        struct http_lingering *socket = &self->sockets[i];
        if (now_ms < socket->until_ms && drain(socket)) {
            i++;
        } else {
            close(socket->fd);
            *socket = self->sockets[--self->count];
        }
    }
}

void http_linger_release(struct http_linger *self)
{
    while (self->count > 0) {
        close(self->sockets[--self->count].fd);
    }
}
