#include "tests/support/free_ports.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PORT_FIRST = 20000,
    PORT_BLOCK = 16, // ports between the starts of two processes
    PORT_BLOCKS = 768,
    PORTS = PORT_BLOCK * PORT_BLOCKS
};

static bool port_is_free(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool is_free =
        fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return is_free;
}

void free_ports(uint16_t *out, size_t count)
{
    const size_t start = (size_t)getpid() % PORT_BLOCKS * PORT_BLOCK;
    size_t found = 0;
    for (size_t i = 0; i < PORTS && found < count; i++) {
        const uint16_t port = (uint16_t)(PORT_FIRST + (start + i) % PORTS);
        if (port_is_free(port)) {
            out[found++] = port;
        }
    }
    if (found < count) {
        fputs("no free port\n", stderr);
        abort();
    }
}
