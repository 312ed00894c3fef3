#include "cli/plan.h"

#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/port.h"
#include "common/mem.h"

enum {
    // No service ever listens 8 above the broker: there the bus goes when it may choose.
    FREE_BUS_OFFSET = HOUSE_SERVICES_COUNT,
    PORT_MAX = 65535,
};

// Reads "payment=3". False: it has been said what is wrong.
static bool parse_scale(const char *text, int replicas[HOUSE_SERVICES_COUNT])
{
    char *service = mem_strndup(text, strcspn(text, "="));
    const size_t index = house_index(service);
    const char *number = strchr(text, '=');
    char *end = NULL;
    const long count = number == NULL ? 0 : strtol(number + 1, &end, 10);
    bool ok = false;
    if (index == HOUSE_SERVICES_COUNT) {
        cli_problem("--scale: there is no service '%s'. There are: %s", service, house_names());
    } else if (number == NULL || *end != '\0' || count < 1 || count > HOUSE_REPLICAS_MAX) {
        cli_problem("--scale %s: write SERVICE=N with N from 1 to %d", text, HOUSE_REPLICAS_MAX);
    } else if (index == 0 && count > 1) {
        cli_problem("--scale %s: there can be only one broker", text);
    } else {
        replicas[index] = (int)count;
        ok = true;
    }
    free(service);
    return ok;
}

static bool read_scale(const struct options *options, int replicas[HOUSE_SERVICES_COUNT])
{
    for (size_t i = 0; i < HOUSE_SERVICES_COUNT; i++) {
        replicas[i] = 1;
    }
    for (size_t i = 0; i < options_list_count(options, "scale"); i++) {
        if (!parse_scale(options_list(options, "scale", i), replicas)) {
            return false;
        }
    }
    return true;
}

// Sets the ports, free ones where the option is 0.
static bool choose_ports(struct stack *stack, const struct options *options,
                         const int replicas[HOUSE_SERVICES_COUNT])
{
    int offsets[STACK_PROCESSES_MAX + 1] = {FREE_BUS_OFFSET};
    size_t offsets_count = 1;
    for (size_t i = 0; i < HOUSE_SERVICES_COUNT; i++) {
        for (int replica = 1; replica <= replicas[i]; replica++) {
            offsets[offsets_count++] = house_port(0, i, replica);
        }
    }
    stack->http_port = (int)options_int(options, "http-port");
    stack->bus_port = (int)options_int(options, "bus-port");
    const bool free_http = stack->http_port == 0;
    if (free_http) {
        stack->http_port = port_find_free(offsets, offsets_count);
    }
    if (stack->bus_port == 0 && stack->http_port != 0) {
        stack->bus_port = free_http ? stack->http_port + FREE_BUS_OFFSET : port_find_free(NULL, 0);
    }
    if (stack->http_port == 0 || stack->bus_port == 0) {
        cli_problem("found no free ports; name them with --http-port and --bus-port");
        return false;
    }
    return true;
}

bool plan_fill(struct stack *stack, const struct options *options)
{
    int replicas[HOUSE_SERVICES_COUNT];
    if (!read_scale(options, replicas) || !choose_ports(stack, options, replicas)) {
        return false;
    }
    for (size_t i = 0; i < HOUSE_SERVICES_COUNT; i++) {
        for (int replica = 1; replica <= replicas[i]; replica++) {
            const int port = house_port(stack->http_port, i, replica);
            if (port > PORT_MAX || port == stack->bus_port) {
                cli_problem("--http-port %d with --bus-port %d leaves no port for %s",
                            stack->http_port,
                            stack->bus_port,
                            house_service(i));
                return false;
            }
            stack_add_process(stack, i, replica);
        }
    }
    return true;
}
