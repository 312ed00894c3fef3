#include "cli/part.h"

#include <stdio.h>

const char *part_state_name(enum process_state state)
{
    static const char *const names[] = {
        [PROCESS_DEAD] = "dead",
        [PROCESS_RUNNING] = "running",
        [PROCESS_PAUSED] = "paused",
    };
    return names[state];
}

bool part_is_ready(const struct part *part, struct http_client *client, int64_t timeout_ms)
{
    char url[64];
    struct http_response response;
    // A container that is not running tells no port: it will have the standard one.
    const int port = part->port != 0 ? part->port : house_port(HOUSE_HTTP_PORT, part->service, 1);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/readyz", port);
    return http_client_call(client, "GET", url, NULL, NULL, timeout_ms, &response) == ERR_OK &&
           response.status == 200;
}
