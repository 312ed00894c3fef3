#include "cli/api.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/stack.h"
#include "common/json.h"
#include "common/mem.h"

struct api {
    struct http_client *client; // owned
    struct stack *stack;        // owned; NULL: the standard ports
    char *dir;                  // owned
    char *bus_url;              // owned
};

struct api *api_open(const char *dir)
{
    struct stack *stack = NULL;
    char *problem = NULL;
    stack_load(&stack, dir, &problem);
    free(problem);
    if (stack != NULL && stack_living_count(stack) == 0) {
        stack_destroy(&stack);
    }
    struct api *self = mem_calloc(1, sizeof *self);
    *self = (struct api){
        .client = http_client_new(),
        .dir = mem_strdup(dir),
        .bus_url =
            mem_format("tcp://127.0.0.1:%d", stack == NULL ? HOUSE_BUS_PORT : stack->bus_port),
        .stack = stack,
    };
    return self;
}

void api_destroy(struct api **self_p)
{
    struct api *self = *self_p;
    if (self == NULL) {
        return;
    }
    free(self->bus_url);
    free(self->dir);
    stack_destroy(&self->stack);
    http_client_destroy(&self->client);
    free(self);
    *self_p = NULL;
}

const char *api_bus_url(const struct api *self)
{
    return self->bus_url;
}

int api_port(const struct api *self, const char *service)
{
    const size_t index = house_index(service);
    assert(index < HOUSE_SERVICES_COUNT);
    if (self->stack == NULL) {
        return house_port(HOUSE_HTTP_PORT, index, 1);
    }
    const struct stack_process *living = stack_find_living(self->stack, index);
    return living != NULL ? living->port : house_port(self->stack->http_port, index, 1);
}

static void say_no_answer(const struct api *self, const struct api_request *request, int port,
                          enum err err)
{
    const char *service = request->service;
    const struct stack_process *living =
        self->stack == NULL ? NULL : stack_find_living(self->stack, house_index(service));
    if (err == ERR_TIMEOUT && living != NULL && process_state(living->id) == PROCESS_PAUSED) {
        cli_problem("%s is paused and did not answer within %.1f s. Go on with: %s resume %s",
                    service,
                    (double)request->timeout_ms / 1000.0,
                    cli_name(),
                    service);
    } else if (err == ERR_TIMEOUT) {
        cli_problem("%s did not answer within %.1f s (http://127.0.0.1:%d)",
                    service,
                    (double)request->timeout_ms / 1000.0,
                    port);
    } else if (self->stack == NULL) {
        cli_problem("%s does not answer at http://127.0.0.1:%d, and no stack runs in %s. "
                    "Start one: %s up, or: docker compose up -d",
                    service,
                    port,
                    self->dir,
                    cli_name());
    } else if (living == NULL) {
        cli_problem("%s is dead. Bring it back: %s start %s", service, cli_name(), service);
    } else {
        cli_problem("%s does not answer at http://127.0.0.1:%d: %s",
                    service,
                    port,
                    http_client_error(self->client));
    }
}

enum err api_call(struct api *self, const struct api_request *request, struct api_answer *out)
{
    *out = (struct api_answer){0};
    const int port = api_port(self, request->service);
    char *url = mem_format("http://127.0.0.1:%d%s", port, request->path);
    char *body = json_to_text(request->body);
    struct http_response response = {0};
    const int64_t started_us = clock_mono_us();
    const enum err err = http_client_call(
        self->client, request->method, url, request->headers, body, request->timeout_ms, &response);
    out->took_us = clock_mono_us() - started_us;
    if (err == ERR_OK) {
        struct json_problem problem;
        out->status = response.status;
        if (json_parse(response.body, &out->json, &problem) != ERR_OK) {
            out->json = NULL;
        }
    } else if (!request->quiet) {
        say_no_answer(self, request, port, err);
    }
    free(body);
    free(url);
    return err;
}

void api_answer_release(struct api_answer *answer)
{
    cJSON_Delete(answer->json);
    *answer = (struct api_answer){0};
}

void api_say_problem(const char *what, const struct api_answer *answer)
{
    const char *title = json_text_of(answer->json, "title");
    const char *detail = json_text_of(answer->json, "detail");
    const char *field = json_text_of(answer->json, "field");
    cli_problem("%s: %d%s%s%s%s%s%s%s",
                what,
                answer->status,
                title == NULL ? "" : " ",
                title == NULL ? "" : title,
                detail == NULL ? "" : ": ",
                detail == NULL ? "" : detail,
                field == NULL ? "" : " (field ",
                field == NULL ? "" : field,
                field == NULL ? "" : ")");
}
