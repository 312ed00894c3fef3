#include "common/http_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"

enum {
    BACKLOG = 1024,
    PORT_TEXT_SIZE = 8,
    DRAIN_SIZE = 64 * 1024,
    DRAINS_MAX = 16, // of one socket in one turn: others wait
    SWEEP_MS = 1000,
};

enum err http_listen(int *fd, const char *address, uint16_t port, char **problem)
{
    *fd = -1;
    *problem = NULL;
    char port_text[PORT_TEXT_SIZE];
    snprintf(port_text, sizeof port_text, "%" PRIu16, port);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *to = NULL;
    const int rc = getaddrinfo(address, port_text, &hints, &to);
    bool listens = false;
    if (rc == 0) {
        const int yes = 1;
        *fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
        // Without SO_REUSEADDR a restart would wait for connections long closed.
        listens = *fd >= 0 && setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
                  bind(*fd, to->ai_addr, to->ai_addrlen) == 0 && listen(*fd, BACKLOG) == 0;
    }
    if (!listens && rc == 0 && errno == EADDRINUSE) {
        *problem = mem_format("port %s is in use: another process listens on %s there; stop it, "
                              "or set HTTP_PORT to a free port",
                              port_text,
                              address);
    } else if (!listens) {
        *problem = mem_format("cannot listen on %s port %s: %s; check HTTP_ADDRESS and HTTP_PORT",
                              address,
                              port_text,
                              rc == 0 ? strerror(errno) : gai_strerror(rc));
    }
    if (rc == 0) {
        freeaddrinfo(to);
    }
    return listens ? ERR_OK : ERR_IO;
}

uint16_t http_port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char port[PORT_TEXT_SIZE] = "0";
    if (getsockname(fd, (struct sockaddr *)&address, &size) == 0) {
        getnameinfo((struct sockaddr *)&address, size, NULL, 0, port, sizeof port, NI_NUMERICSERV);
    }
    return (uint16_t)strtoul(port, NULL, 10);
}

void http_linger_add(struct http_linger *self, int fd, int64_t until_ms)
{
    const int own = self->count == HTTP_LINGER_MAX ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own >= 0) {
        self->sockets[self->count].fd = own;
        self->sockets[self->count].bytes = 0;
        self->sockets[self->count++].until_ms = until_ms;
    }
}

// false: nothing more will come, or is wanted.
static bool drain(int fd, size_t *bytes)
{
    char thrown_away[DRAIN_SIZE];
    for (int i = 0; i < DRAINS_MAX; i++) {
        const ssize_t size = recv(fd, thrown_away, sizeof thrown_away, MSG_DONTWAIT);
        if (size < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        *bytes += (size_t)size;
        if (size == 0 || *bytes > HTTP_LINGER_BYTES_MAX) {
            return false;
        }
    }
    return true;
}

void http_linger_drain(struct http_linger *self, int64_t now_ms)
{
    for (size_t i = 0; i < self->count;) {
        const int fd = self->sockets[i].fd;
        if (now_ms < self->sockets[i].until_ms && drain(fd, &self->sockets[i].bytes)) {
            i++;
        } else {
            close(fd);
            self->sockets[i] = self->sockets[--self->count];
        }
    }
}

struct http_head *http_heads_add(struct http_heads *self, int fd, int64_t now_ms)
{
    struct http_head *head = mem_calloc(1, sizeof *head);
    *head =
        (struct http_head){.fd = fd, .since_ms = now_ms, .next = self->first, .link = &self->first};
    if (self->first != NULL) {
        self->first->link = &head->next;
    }
    self->first = head;
    return head;
}

void http_heads_remove(struct http_head *head)
{
    *head->link = head->next;
    if (head->next != NULL) {
        head->next->link = head->link;
    }
    free(head);
}

void http_heads_sweep(struct http_heads *self, int64_t now_ms, int64_t limit_ms)
{
    if (now_ms - self->swept_ms < SWEEP_MS) {
        return;
    }
    self->swept_ms = now_ms;
    for (const struct http_head *head = self->first; head != NULL; head = head->next) {
        if (head->since_ms != INT64_MAX && now_ms - head->since_ms > limit_ms) {
            shutdown(head->fd, SHUT_RDWR); // libmicrohttpd hears of it and closes it
        }
    }
}
