// http_listener - a listening TCP socket that says in words why it could not be had.
#ifndef FAULTLINE_HTTP_LISTENER_H
#define FAULTLINE_HTTP_LISTENER_H

#include <stdint.h>

#include "common/err.h"

// http_listener_open listens on address ("127.0.0.1", "::1", "localhost") and port (0:
// any free one, which *bound_port tells). The socket does not block; the caller
// owns *fd. ERR_IO: *problem, which the caller frees, says why and what to do.
enum err http_listener_open(int *fd, uint16_t *bound_port, const char *address, uint16_t port,
                            char **problem);

#endif
