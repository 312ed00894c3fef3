// port - TCP ports of this machine: free or not, and who has one.
#ifndef FAULTLINE_CLI_PORT_H
#define FAULTLINE_CLI_PORT_H

#include <stdbool.h>

// port_is_free: 127.0.0.1:port could be listened on now.
bool port_is_free(int port);

// port_owner says who listens on port: "pid 123 (nginx)", which the caller frees;
// NULL when it cannot be told (another user's process, another namespace).
char *port_owner(int port);

#endif
