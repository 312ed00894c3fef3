#include "common/http_listener.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"

enum {
    BACKLOG = 1024,
    PORT_TEXT_SIZE = 8,
};

static char *problem_new(const char *address, uint16_t port, int error, const char *reason)
{
    if (error == EADDRINUSE) {
        return mem_format("port %" PRIu16 " is in use: another process listens on %s there; stop "
                          "it, or set HTTP_PORT to a free port",
                          port,
                          address);
    }
    return mem_format("cannot listen on %s port %" PRIu16 ": %s; check HTTP_ADDRESS and HTTP_PORT",
                      address,
                      port,
                      reason);
}

// The socket, or -1 and errno.
static int listen_on(const struct addrinfo *address)
{
    const int fd =
        socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    const int yes = 1;
    // Without SO_REUSEADDR a restart would wait for connections long closed.
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        return fd;
    }
    const int saved = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = saved;
    return -1;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char port[PORT_TEXT_SIZE] = "0";
    if (getsockname(fd, (struct sockaddr *)&address, &size) == 0) {
        getnameinfo((struct sockaddr *)&address, size, NULL, 0, port, sizeof port, NI_NUMERICSERV);
    }
    return (uint16_t)strtoul(port, NULL, 10);
}

enum err http_listener_open(int *fd, uint16_t *bound_port, const char *address, uint16_t port,
                            char **problem)
{
    *fd = -1;
    *bound_port = 0;
    *problem = NULL;
    char port_text[PORT_TEXT_SIZE];
    snprintf(port_text, sizeof port_text, "%" PRIu16, port);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *addresses = NULL;
    const int rc = getaddrinfo(address, port_text, &hints, &addresses);
    if (rc != 0) {
        *problem = problem_new(address, port, 0, gai_strerror(rc));
        return ERR_IO;
    }
    *fd = listen_on(addresses);
    if (*fd < 0) {
        *problem = problem_new(address, port, errno, strerror(errno));
    } else {
        *bound_port = port_of(*fd);
    }
    freeaddrinfo(addresses);
    return *fd < 0 ? ERR_IO : ERR_OK;
}
