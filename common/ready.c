#include "common/ready.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/http_client.h"
#include "common/mem.h"

enum {
    READY_TIMEOUT_MS = 1500
};

int ready_ask(uint16_t port)
{
    struct http_client *client = http_client_new();
    char *url = mem_format("http://127.0.0.1:%u/readyz", (unsigned)port);
    struct http_response response = {0};
    const enum err err =
        http_client_call(client, "GET", url, NULL, NULL, READY_TIMEOUT_MS, &response);
    if (err == ERR_OK) {
        printf("%.*s\n", (int)response.body.size, (const char *)response.body.data);
    } else {
        printf("%s: %s\n", url, http_client_error(client));
    }
    free(url);
    http_client_destroy(&client);
    return err == ERR_OK && response.status == 200 ? 0 : 1;
}
