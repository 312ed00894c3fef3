// port - TCP ports of this machine: free or not, and who has one.
#ifndef FAULTLINE_CLI_PORT_H
#define FAULTLINE_CLI_PORT_H

#include <stdbool.h>
#include <stddef.h>

// port_is_free: 127.0.0.1:port could be listened on now.
bool port_is_free(int port);

// port_find_free picks a port from 10000 on, below those that the kernel gives to
// outgoing connections, such that it and every port base + offsets[i] is free now.
// 0: found none in PORT_TRIES_MAX tries.
enum {
    PORT_TRIES_MAX = 200
};
int port_find_free(const int *offsets, size_t offsets_count);

// port_owner says who listens on port: "pid 123 (nginx)", which the caller frees;
// NULL when it cannot be told (another user's process, another namespace).
char *port_owner(int port);

#endif
