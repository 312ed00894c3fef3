#include "cli/chaos/chaos_settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/bus_guest.h"
#include "cli/house.h"
#include "cli/redrive.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    CALL_TIMEOUT_MS = 2000,
    HELLO_TIMEOUT_MS = 2000,
    LETTERS_PAGE = 500,
};

struct chaos_settle {
    struct api *api;            // owned
    struct http_client *client; // owned
    uint64_t quiet_at;          // where the log ended when nothing was left; else UINT64_MAX
    bool gave_back;             // the dead letters
};

#define POISON       "tok_poison"
#define OUTBOX_GAUGE "\nfaultline_outbox_events "

static uint64_t number_of(const cJSON *object, const char *name)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(number) ? (uint64_t)number->valuedouble : 0;
}

static bool ask(struct api *api, const char *path, struct api_answer *out)
{
    const struct api_request request = {.service = "broker",
                                        .method = "GET",
                                        .path = path,
                                        .timeout_ms = CALL_TIMEOUT_MS,
                                        .quiet = true};
    return api_call(api, &request, out) == ERR_OK && out->status == 200 && out->json != NULL;
}

// --- is anything on its way?

// What the groups have left, and where the log ends. false: the broker does not say.
static bool look_at_broker(struct api *api, struct chaos_settled *out, uint64_t *next_offset)
{
    struct api_answer answer = {0};
    const bool told = ask(api, "/status", &answer);
    const cJSON *group = NULL;
    out->lag_events = 0;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(answer.json, "groups"))
    {
        out->lag_events += number_of(group, "lag_events") + number_of(group, "dying");
    }
    *next_offset = number_of(cJSON_GetObjectItemCaseSensitive(answer.json, "log"), "next_offset");
    api_answer_release(&answer);
    return told;
}

// What the outboxes have left. Replicas share theirs, so the first process tells for all.
static bool look_at_outboxes(struct api *api, struct http_client *client, struct chaos_settled *out)
{
    out->outbox_events = 0;
    for (size_t i = 1; i < HOUSE_SERVICES_COUNT; i++) {
        char url[64];
        struct http_response response = {0};
        snprintf(url, sizeof url, "http://127.0.0.1:%d/metrics", api_port(api, house_service(i)));
        if (http_client_call(client, "GET", url, NULL, NULL, CALL_TIMEOUT_MS, &response) !=
                ERR_OK ||
            response.status != 200) {
            return false;
        }
        const char *gauge = strstr((const char *)response.body.data, OUTBOX_GAUGE);
        out->outbox_events +=
            gauge == NULL ? 0 : strtoull(gauge + sizeof OUTBOX_GAUGE - 1, NULL, 10);
    }
    return true;
}

// --- dead letters

static bool is_poison(struct api *api, uint64_t offset)
{
    char path[48];
    struct api_answer answer = {0};
    snprintf(path, sizeof path, "/dead-letters/%llu", (unsigned long long)offset);
    const bool told = ask(api, path, &answer);
    const cJSON *event = cJSON_GetObjectItemCaseSensitive(answer.json, "event");
    const char *token =
        json_text_of(cJSON_GetObjectItemCaseSensitive(event, "data"), "payment_token");
    const bool poison = told && token != NULL && strcmp(token, POISON) == 0;
    api_answer_release(&answer);
    return poison;
}

// Goes through all dead letters, at most a page at a time, and gives back what is no
// poison. What dies again meanwhile lies behind the last page.
static void sort_letters(struct api *api, struct bus_guest *guest, bool redrive,
                         struct chaos_settled *out)
{
    uint64_t after = 0;
    bool more = true;
    out->poison = 0;
    for (bool first = true; more; first = false) {
        struct api_answer answer = {0};
        char path[80];
        snprintf(path, sizeof path, "/dead-letters?limit=%d", LETTERS_PAGE);
        if (!first) {
            const size_t size = strlen(path);
            snprintf(path + size, sizeof path - size, "&after=%llu", (unsigned long long)after);
        }
        more = ask(api, path, &answer);
        const cJSON *letter = NULL;
        cJSON_ArrayForEach(letter, cJSON_GetObjectItemCaseSensitive(answer.json, "dead_letters"))
        {
            const uint64_t offset = number_of(letter, "offset");
            const char *group = json_text_of(letter, "group");
            if (is_poison(api, offset)) {
                out->poison++;
            } else if (redrive && group != NULL) {
                uint64_t count = 0;
                (void)redrive_letter(guest, group, offset, &count);
                out->redriven += count;
            }
        }
        const cJSON *next = cJSON_GetObjectItemCaseSensitive(answer.json, "next");
        more = more && cJSON_IsNumber(next);
        after = more ? (uint64_t)next->valuedouble : 0;
        api_answer_release(&answer);
    }
}

static void give_back_letters(struct api *api, struct chaos_settled *out)
{
    struct bus_guest *guest = NULL;
    if (bus_guest_open(&guest, api_bus_url(api), HELLO_TIMEOUT_MS) == ERR_OK) {
        sort_letters(api, guest, true, out);
    }
    bus_guest_destroy(&guest);
}

// --- the look

struct chaos_settle *chaos_settle_new(const char *dir)
{
    struct chaos_settle *self = mem_calloc(1, sizeof *self);
    *self = (struct chaos_settle){
        .api = api_open(dir), .client = http_client_new(), .quiet_at = UINT64_MAX};
    return self;
}

void chaos_settle_destroy(struct chaos_settle **self_p)
{
    struct chaos_settle *self = *self_p;
    if (self == NULL) {
        return;
    }
    http_client_destroy(&self->client);
    api_destroy(&self->api);
    free(self);
    *self_p = NULL;
}

bool chaos_settle_look(struct chaos_settle *self, struct chaos_settled *out)
{
    uint64_t next_offset = 0;
    const bool quiet = look_at_broker(self->api, out, &next_offset) &&
                       look_at_outboxes(self->api, self->client, out) &&
                       out->lag_events + out->outbox_events == 0;
    // Twice the same: what the last group did with its last event is out as well.
    const bool still = quiet && next_offset == self->quiet_at;
    self->quiet_at = quiet ? next_offset : UINT64_MAX;
    if (still && !self->gave_back) {
        give_back_letters(self->api, out);
        self->gave_back = true;
        self->quiet_at = UINT64_MAX;
    } else {
        out->finished = still;
    }
    return out->finished;
}
