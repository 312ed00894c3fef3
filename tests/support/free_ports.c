#include "tests/support/free_ports.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
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

// Makes port ours until this process ends: the lock goes with the descriptor, which
// is never closed. A file that another user made cannot be opened: his port, then.
static bool port_claim(uint16_t port)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/faultline-test-port-%u", (unsigned)port);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return false;
    }
    return true;
}

// The ports in the order in which this process looks at them.
static uint16_t port_at(size_t i)
{
    const size_t start = (size_t)getpid() % PORT_BLOCKS * PORT_BLOCK;
    return (uint16_t)(PORT_FIRST + (start + i) % PORTS);
}

static void give_up(void)
{
    fputs("no free port\n", stderr);
    abort();
}

void free_ports(uint16_t *out, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < PORTS && found < count; i++) {
        const uint16_t port = port_at(i);
        if (port_claim(port) && port_is_free(port)) {
            out[found++] = port;
        }
    }
    if (found < count) {
        give_up();
    }
}

// What is claimed on the way and not used stays claimed: there are enough.
uint16_t free_ports_in_a_row(size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < PORTS; i++) {
        const uint16_t port = port_at(i);
        const bool is_ours = port_claim(port) && port_is_free(port);
        found = !is_ours ? 0 : port == PORT_FIRST ? 1 : found + 1;
        if (found == count) {
            return (uint16_t)(port + 1 - count);
        }
    }
    give_up();
    return 0;
}
