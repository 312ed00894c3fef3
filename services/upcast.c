#include "services/upcast.h"

#include <assert.h>
#include <string.h>

#include "common/mem.h"
#include "common/money.h"

// Replaces version 1's text "amount" by a money object under member.
static cJSON *amount_to_money(const cJSON *data, const char *member, struct json_problem *problem)
{
    struct money money;
    const char *text = json_text_of(data, "amount");
    if (text == NULL || money_from_text(text, &money) != ERR_OK) {
        json_problem_set(problem, "amount", "must be text such as \"24.00 EUR\" in version 1");
        return NULL;
    }
    cJSON *newer = cJSON_Duplicate(data, true);
    cJSON_DeleteItemFromObjectCaseSensitive(newer, "amount");
    cJSON_DeleteItemFromObjectCaseSensitive(newer, member);
    cJSON_AddItemToObject(newer, member, money_to_json(money));
    return newer;
}

static cJSON *order_created_from_1(const cJSON *data, struct json_problem *problem)
{
    return amount_to_money(data, "total", problem);
}

static cJSON *transfer_created_from_1(const cJSON *data, struct json_problem *problem)
{
    return amount_to_money(data, "amount", problem);
}

struct upcast {
    const char *type;
    int newest;
    cJSON *(*from_1)(const cJSON *data, struct json_problem *problem);
};

static const struct upcast upcasts[] = {
    {.type = "order-created", .newest = 2, .from_1 = order_created_from_1},
    {.type = "transfer-created", .newest = 2, .from_1 = transfer_created_from_1},
};

static const struct upcast *find(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(upcasts); i++) {
        if (strcmp(upcasts[i].type, type) == 0) {
            return &upcasts[i];
        }
    }
    return NULL;
}

int upcast_version(const char *type)
{
    const struct upcast *upcast = find(type);
    return upcast == NULL ? 1 : upcast->newest;
}

const cJSON *upcast_data(const struct event *event, cJSON **converted, struct json_problem *problem)
{
    assert(converted != NULL);
    *converted = NULL;
    const struct upcast *upcast = find(event->type);
    const int newest = upcast_version(event->type);
    if (event->version == newest) {
        return event->data;
    }
    if (upcast != NULL && event->version == 1) {
        *converted = upcast->from_1(event->data, problem);
        return *converted;
    }
    json_problem_set(problem,
                     "dataschema",
                     "version %d of %.40s is not known here (up to %d is): update this service, "
                     "then redrive the event",
                     event->version,
                     event->type,
                     newest);
    return NULL;
}
