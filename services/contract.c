#include "services/contract.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/uuid.h"

#define ID_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static enum err refuse(struct json_problem *problem, const char *path, const char *name,
                       const char *reason)
{
    char *field = mem_format("%s%s%s", path, path[0] == '\0' ? "" : ".", name);
    json_problem_set(problem, field, "%s", reason);
    free(field);
    return ERR_INVALID;
}

enum err contract_get_id(const cJSON *object, const char *path, const char *name, const char **out,
                         struct json_problem *problem)
{
    const enum err err = json_get_text(object, path, name, 1, CONTRACT_ID_MAX, out, problem);
    if (err == ERR_OK && strspn(*out, ID_CHARACTERS) != strlen(*out)) {
        return refuse(problem, path, name, "must be of letters, digits, '.', '_' and '-'");
    }
    return err;
}

enum err contract_get_uuid(const cJSON *object, const char *path, const char *name,
                           const char **out, struct json_problem *problem)
{
    const enum err err = json_get_text(object, path, name, 1, EVENT_TEXT_MAX - 1, out, problem);
    if (err == ERR_OK && !uuid_is_valid(*out)) {
        return refuse(problem, path, name, "must be a UUID in lower case");
    }
    return err;
}

enum err contract_get_amount(const cJSON *object, const char *path, const char *name,
                             struct money *out, struct json_problem *problem)
{
    static const char *const members[] = {"amount_minor", "currency", NULL};
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    struct money money;
    if (item == NULL) {
        return refuse(problem, path, name, "is missing");
    }
    if (money_from_json(item, &money) != ERR_OK || money.amount_minor <= 0) {
        return refuse(problem,
                      path,
                      name,
                      "must be {\"amount_minor\": whole number from 1 to 10^15, "
                      "\"currency\": \"EUR\"}");
    }
    char item_path[JSON_PATH_SIZE];
    snprintf(item_path, sizeof item_path, "%s%s%s", path, path[0] == '\0' ? "" : ".", name);
    if (json_only_members(item, item_path, members, problem) != ERR_OK) {
        return ERR_INVALID;
    }
    *out = money;
    return ERR_OK;
}

bool contract_subject_is(const struct event *event, const cJSON *data, const char *name)
{
    const char *id = json_text_of(data, name);
    return id != NULL && strcmp(id, event->subject) == 0;
}

const char *contract_problem_code(const cJSON *json, const char *fallback)
{
    const char *type = json_text_of(json, "type");
    const char *colon = type == NULL ? NULL : strrchr(type, ':');
    return colon == NULL || colon[1] == '\0' ? fallback : colon + 1;
}

cJSON *contract_object(const char *name, ...)
{
    cJSON *json = cJSON_CreateObject();
    va_list more;
    va_start(more, name);
    for (; name != NULL; name = va_arg(more, const char *)) {
        const char *text = va_arg(more, const char *);
        cJSON_AddItemToObject(
            json, name, text == NULL ? cJSON_CreateNull() : cJSON_CreateString(text));
    }
    va_end(more);
    return json;
}

size_t contract_name_index(const char *const *names, size_t count, const char *text)
{
    size_t index = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], text) == 0) {
            index = i;
        }
    }
    return index;
}

static bool has_sku(const struct items *items, const char *sku)
{
    for (size_t i = 0; i < items->count; i++) {
        if (strcmp(items->list[i].sku, sku) == 0) {
            return true;
        }
    }
    return false;
}

static enum err read_item(const cJSON *json, const char *path, bool strict, struct items *out,
                          struct json_problem *problem)
{
    static const char *const members[] = {"sku", "quantity", NULL};
    const char *sku = NULL;
    int64_t quantity = 0;
    if (!cJSON_IsObject(json)) {
        json_problem_set(problem, path, "must be an object");
        return ERR_INVALID;
    }
    if ((strict && json_only_members(json, path, members, problem) != ERR_OK) ||
        contract_get_id(json, path, "sku", &sku, problem) != ERR_OK ||
        json_get_int(json, path, "quantity", 1, CONTRACT_QUANTITY_MAX, &quantity, problem) !=
            ERR_OK) {
        return ERR_INVALID;
    }
    if (has_sku(out, sku)) {
        return refuse(problem, path, "sku", "is in an earlier line already");
    }
    struct item *item = &out->list[out->count++];
    memcpy(item->sku, sku, strlen(sku) + 1);
    item->quantity = quantity;
    return ERR_OK;
}

enum err contract_get_items(const cJSON *object, const char *path, const char *name, bool strict,
                            struct items *out, struct json_problem *problem)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, name);
    if (array == NULL) {
        return refuse(problem, path, name, "is missing");
    }
    if (!cJSON_IsArray(array) || array->child == NULL) {
        return refuse(problem, path, name, "must be an array of 1 to 50 lines");
    }
    out->count = 0;
    for (const cJSON *item = array->child; item != NULL; item = item->next) {
        if (out->count == CONTRACT_ITEMS_MAX) {
            return refuse(problem, path, name, "must be an array of 1 to 50 lines");
        }
        char item_path[JSON_PATH_SIZE];
        snprintf(item_path,
                 sizeof item_path,
                 "%s%s%s[%zu]",
                 path,
                 path[0] == '\0' ? "" : ".",
                 name,
                 out->count);
        if (read_item(item, item_path, strict, out, problem) != ERR_OK) {
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

cJSON *contract_items_to_json(const struct items *items)
{
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 0; i < items->count; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "sku", items->list[i].sku);
        cJSON_AddNumberToObject(item, "quantity", (double)items->list[i].quantity);
        cJSON_AddItemToArray(array, item);
    }
    return array;
}

char *contract_items_to_text(const struct items *items)
{
    cJSON *json = contract_items_to_json(items);
    char *text = json_to_text(json);
    cJSON_Delete(json);
    return text;
}

enum err contract_items_from_text(const char *text, struct items *out)
{
    out->count = 0;
    cJSON *array = cJSON_Parse(text);
    bool is_good = cJSON_IsArray(array);
    for (const cJSON *item = is_good ? array->child : NULL; item != NULL; item = item->next) {
        struct json_problem problem;
        is_good = is_good && out->count < CONTRACT_ITEMS_MAX &&
                  read_item(item, "items", true, out, &problem) == ERR_OK;
    }
    cJSON_Delete(array);
    return is_good ? ERR_OK : ERR_CORRUPT;
}
