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

// The service whose group it is. HOUSE_SERVICES_COUNT: it is no group of the house.
static size_t service_of(const char *group)
{
    const size_t service = group == NULL ? 0 : house_index(group);
    return service == 0 ? HOUSE_SERVICES_COUNT : service;
}

// What the groups have left, and where the log ends. false: the broker does not say.
static bool look_at_broker(struct api *api, struct chaos_settled *out, uint64_t *next_offset)
{
    struct api_answer answer = {0};
    const bool told = ask(api, "/status", &answer);
    const cJSON *group = NULL;
    for (size_t i = 0; i < HOUSE_SERVICES_COUNT; i++) {
        out->left[i].group_events = 0;
    }
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(answer.json, "groups"))
    {
        const size_t service = service_of(json_text_of(group, "name"));
        if (service < HOUSE_SERVICES_COUNT) {
            out->left[service].group_events =
                number_of(group, "lag_events") + number_of(group, "dying");
        }
    }
    *next_offset = number_of(cJSON_GetObjectItemCaseSensitive(answer.json, "log"), "next_offset");
    api_answer_release(&answer);
    return told;
}

// What the outboxes have left. Replicas share theirs, so the first process tells for all.
static bool look_at_outboxes(struct api *api, struct http_client *client, struct chaos_settled *out)
{
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
        out->left[i].outbox_events =
            gauge == NULL ? 0 : strtoull(gauge + sizeof OUTBOX_GAUGE - 1, NULL, 10);
    }
    return true;
}

// --- dead letters

// false: the broker does not say.
static bool ask_poison(struct api *api, uint64_t offset, bool *poison)
{
    char path[48];
    struct api_answer answer = {0};
    snprintf(path, sizeof path, "/dead-letters/%llu", (unsigned long long)offset);
    const bool told = ask(api, path, &answer);
    const cJSON *event = cJSON_GetObjectItemCaseSensitive(answer.json, "event");
    const char *token =
        json_text_of(cJSON_GetObjectItemCaseSensitive(event, "data"), "payment_token");
    *poison = token != NULL && strcmp(token, POISON) == 0;
    api_answer_release(&answer);
    return told;
}

// Counts a dead letter of the house or, guest not being NULL, gives it back if it is no
// poison. false: the broker does not say, or does not take it back, which has been said.
static bool sort_letter(struct api *api, struct bus_guest *guest, const cJSON *letter,
                        struct chaos_settled *out)
{
    const uint64_t offset = number_of(letter, "offset");
    const char *group = json_text_of(letter, "group");
    const char *error = json_text_of(letter, "error");
    const size_t service = service_of(group);
    bool poison = false;
    if (service == HOUSE_SERVICES_COUNT) {
        return true;
    }
    // That payment gives poison up is meant to be; nobody else has a reason to.
    if (strcmp(group, "payment") == 0 && !ask_poison(api, offset, &poison)) {
        return false;
    }
    if (guest != NULL) {
        uint64_t count = 0;
        const bool taken = poison || redrive_letter(guest, group, offset, &count) == CLI_YES;
        out->redriven += count;
        return taken;
    }
    if (poison) {
        out->poison++;
    } else {
        struct chaos_left *left = &out->left[service];
        left->letters++;
        snprintf(left->error, sizeof left->error, "%s", error == NULL ? "?" : error);
    }
    return true;
}

// Goes through all dead letters, at most a page at a time. What dies again meanwhile lies
// behind the last page.
static bool sort_letters(struct api *api, struct bus_guest *guest, struct chaos_settled *out)
{
    char path[80];
    bool more = true;
    bool good = true;
    snprintf(path, sizeof path, "/dead-letters?limit=%d", LETTERS_PAGE);
    while (good && more) {
        struct api_answer answer = {0};
        good = ask(api, path, &answer);
        const cJSON *letter = NULL;
        cJSON_ArrayForEach(letter, cJSON_GetObjectItemCaseSensitive(answer.json, "dead_letters"))
        {
            good = good && sort_letter(api, guest, letter, out);
        }
        const cJSON *next = cJSON_GetObjectItemCaseSensitive(answer.json, "next");
        more = cJSON_IsNumber(next);
        snprintf(path,
                 sizeof path,
                 "/dead-letters?limit=%d&after=%llu",
                 LETTERS_PAGE,
                 (unsigned long long)number_of(answer.json, "next"));
        api_answer_release(&answer);
    }
    return good;
}

// What does not go back stays a dead letter, and is counted as one in the end.
static void give_back_letters(struct api *api, struct chaos_settled *out)
{
    struct bus_guest *guest = NULL;
    if (bus_guest_open(&guest, api_bus_url(api), HELLO_TIMEOUT_MS) == ERR_OK) {
        (void)sort_letters(api, guest, out);
    }
    bus_guest_destroy(&guest);
}

bool chaos_settle_count(struct chaos_settle *self, struct chaos_settled *out)
{
    return sort_letters(self->api, NULL, out);
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

static bool has_left(const struct chaos_settled *settled)
{
    bool any = false;
    for (size_t i = 0; i < HOUSE_SERVICES_COUNT; i++) {
        any = any || settled->left[i].group_events + settled->left[i].outbox_events > 0;
    }
    return any;
}

bool chaos_settle_look(struct chaos_settle *self, struct chaos_settled *out)
{
    uint64_t next_offset = 0;
    const bool quiet = look_at_broker(self->api, out, &next_offset) &&
                       look_at_outboxes(self->api, self->client, out) && !has_left(out);
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
