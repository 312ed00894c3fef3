#include "cli/house.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Replicas stand ten ports apart, so that they never meet another service.
enum {
    REPLICA_PORT_STEP = 10
};

static const char *const services[HOUSE_SERVICES_COUNT] = {
    "broker",
    "order",
    "payment",
    "inventory",
    "notification",
    "fraud",
    "ledger",
    "transfer",
};

const char *house_service(size_t index)
{
    assert(index < HOUSE_SERVICES_COUNT);
    return services[index];
}

size_t house_index(const char *service)
{
    size_t i = 0;
    while (i < HOUSE_SERVICES_COUNT && strcmp(services[i], service) != 0) {
        i++;
    }
    return i;
}

int house_port(int http_port, size_t service_index, int replica)
{
    return http_port + (int)service_index + REPLICA_PORT_STEP * (replica - 1);
}

void house_process_name(char out[HOUSE_NAME_SIZE], const char *service, int replica)
{
    if (replica <= 1) {
        snprintf(out, HOUSE_NAME_SIZE, "%.16s", service);
    } else {
        snprintf(out, HOUSE_NAME_SIZE, "%.16s-%d", service, replica % 1000);
    }
}

bool house_parse_process(const char *name, size_t *service_index, int *replica)
{
    for (size_t i = 0; i < HOUSE_SERVICES_COUNT; i++) {
        const size_t size = strlen(services[i]);
        if (strncmp(services[i], name, size) != 0) {
            continue;
        }
        *service_index = i;
        *replica = 0;
        if (name[size] == '\0') {
            return true;
        }
        char *end = NULL;
        const long number = strtol(name + size + (name[size] == '-' ? 1 : 0), &end, 10);
        if (name[size] == '-' && name[size + 1] >= '1' && name[size + 1] <= '9' && *end == '\0' &&
            number <= HOUSE_REPLICAS_MAX) {
            *replica = (int)number;
            return true;
        }
        return false;
    }
    return false;
}

const char *house_names(void)
{
    return "broker, order, payment, inventory, notification, fraud, ledger, transfer";
}
