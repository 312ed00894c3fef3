// house - who lives in a stack: the broker and the seven services, their ports and
// how their processes are called.
//
// The first process of a service has the service's name, the second of payment is
// "payment-2". "payment-1" names the first one as well.
#ifndef FAULTLINE_CLI_HOUSE_H
#define FAULTLINE_CLI_HOUSE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    HOUSE_SERVICES_COUNT = 8, // the broker among them
    HOUSE_REPLICAS_MAX = 16,
    HOUSE_NAME_SIZE = 24, // of a process: "notification-16" and its NUL
    HOUSE_HTTP_PORT = 8000,
    HOUSE_BUS_PORT = 5550,
};

// house_service is the name of service index, the broker being 0, then in the
// order of their ports. index < HOUSE_SERVICES_COUNT.
const char *house_service(size_t index);

// house_index finds a service by its name; HOUSE_SERVICES_COUNT: there is none.
size_t house_index(const char *service);

// house_port is the HTTP port of a replica (from 1) when the broker's is http_port.
int house_port(int http_port, size_t service_index, int replica);

// house_process_name writes "payment" or "payment-2".
void house_process_name(char out[HOUSE_NAME_SIZE], const char *service, int replica);

// house_parse_process reads "payment" (*replica is 0: none was named), "payment-1",
// "payment-2" … It says no when there is no such service or number.
bool house_parse_process(const char *name, size_t *service_index, int *replica);

// house_names is "broker, order, payment, …", for sentences.
const char *house_names(void);

#endif
