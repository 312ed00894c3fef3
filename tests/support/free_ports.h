// free_ports - TCP ports of 127.0.0.1 for the processes of a test.
//
// They lie below the range from which the kernel serves clients (from 32768 on): a
// port of that range may become an outgoing connection's between the look and the
// bind, or while a killed server is down. A port is claimed with a lock that lasts as
// long as the process, so that tests that run at the same time never meet; the search
// starts at a place that depends on the process id, to be short.
#ifndef FAULTLINE_TESTS_FREE_PORTS_H
#define FAULTLINE_TESTS_FREE_PORTS_H

#include <stddef.h>
#include <stdint.h>

// free_ports fills out with count different ports that nobody uses now, and that no
// other call, of this process or another, gets while this process lives. It aborts
// the test when there are not as many.
void free_ports(uint16_t *out, size_t count);

// free_ports_in_a_row gives the first of count ports that follow each other, with the same
// promise, and aborts likewise.
uint16_t free_ports_in_a_row(size_t count);

#endif
