#include "services/upcast.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/money.h"

enum {
    KNOWN_SIZE = 64 // of "1, 2"
};

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

// The other way round, in place.
static void money_to_amount(cJSON *data, const char *member)
{
    struct money money;
    const enum err err = money_from_json(cJSON_GetObjectItemCaseSensitive(data, member), &money);
    assert(err == ERR_OK); // data is ours, of the newest version
    (void)err;
    char text[MONEY_TEXT_SIZE];
    money_to_text(money, text);
    cJSON_DeleteItemFromObjectCaseSensitive(data, member);
    cJSON_AddStringToObject(data, "amount", text);
}

static cJSON *order_created_from_1(const cJSON *data, struct json_problem *problem)
{
    return amount_to_money(data, "total", problem);
}

static void order_created_to_1(cJSON *data)
{
    cJSON *item = NULL;
    money_to_amount(data, "total");
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(data, "items"))
    {
        cJSON_DeleteItemFromObjectCaseSensitive(item, "unit_price");
    }
}

static cJSON *transfer_created_from_1(const cJSON *data, struct json_problem *problem)
{
    return amount_to_money(data, "amount", problem);
}

static void transfer_created_to_1(cJSON *data)
{
    money_to_amount(data, "amount");
}

static const struct cast {
    const char *type;
    int newest;
    cJSON *(*from_1)(const cJSON *data, struct json_problem *problem);
    void (*to_1)(cJSON *data);
} casts[] = {
    {"order-created", 2, order_created_from_1, order_created_to_1},
    {"transfer-created", 2, transfer_created_from_1, transfer_created_to_1},
};

static const struct cast *find(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(casts); i++) {
        if (strcmp(casts[i].type, type) == 0) {
            return &casts[i];
        }
    }
    return NULL;
}

int upcast_version(const char *type)
{
    const struct cast *cast = find(type);
    return cast == NULL ? 1 : cast->newest;
}

// Says which versions the reader knows, and what would help.
static void refuse(const struct event *event, const char *service, int known_max,
                   struct json_problem *problem)
{
    char known[KNOWN_SIZE] = "1";
    for (int version = 2; version <= known_max; version++) {
        const size_t size = strlen(known);
        snprintf(known + size, sizeof known - size, ", %d", version);
    }
    json_problem_set(problem,
                     "dataschema",
                     "%.40s version %d is newer than this %.20s knows (%s): upgrade it, "
                     "then redrive",
                     event->type,
                     event->version,
                     service,
                     known);
}

const cJSON *upcast_data(const struct event *event, const struct upcast_reader *reader,
                         cJSON **converted, struct json_problem *problem)
{
    assert(converted != NULL);
    assert(event->version >= 1); // event_parse takes no other
    *converted = NULL;
    const struct cast *cast = find(event->type);
    const int newest = upcast_version(event->type);
    const bool is_older = reader->version_max != 0 && reader->version_max < newest;
    const int known_max = is_older ? reader->version_max : newest;
    if (event->version > known_max) {
        refuse(event, reader->service, known_max, problem);
        return NULL;
    }
    if (event->version == newest) {
        return event->data;
    }
    *converted = cast->from_1(event->data, problem);
    return *converted;
}

cJSON *downcast_data(const char *type, int version, cJSON *data)
{
    assert(version >= 1 && version <= upcast_version(type));
    if (version < upcast_version(type)) {
        find(type)->to_1(data);
    }
    return data;
}
