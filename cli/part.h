// part - one process of a running stack, native or in a container, as commands see it.
#ifndef FAULTLINE_CLI_PART_H
#define FAULTLINE_CLI_PART_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/house.h"
#include "cli/process.h"
#include "common/http_client.h"

enum {
    PART_CONTAINER_SIZE = 80
};

struct part {
    char name[HOUSE_NAME_SIZE]; // "payment-2"
    size_t service;             // index of house_service
    int replica;                // from 1
    enum process_state state;
    struct process_id id;                // of a container: its first process, where we can see it
    int port;                            // HTTP on 127.0.0.1; 0: not published
    char container[PART_CONTAINER_SIZE]; // its id; empty when native
};

// part_state_name is "running", "paused" or "dead".
const char *part_state_name(enum process_state state);

// part_is_ready asks its /readyz, at most timeout_ms.
bool part_is_ready(const struct part *part, struct http_client *client, int64_t timeout_ms);

#endif
