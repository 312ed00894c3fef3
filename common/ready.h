// ready - a process asks its own /readyz: what a container's health check runs, so
// that the image needs no HTTP tool.
#ifndef FAULTLINE_READY_H
#define FAULTLINE_READY_H

#include <stdint.h>

// ready_ask calls /readyz on port of this host and prints what it says. Returns 0
// when it answers 200, else 1.
int ready_ask(uint16_t port);

#endif
