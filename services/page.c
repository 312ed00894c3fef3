#include "services/page.h"

#include "common/json.h"

enum err page_reply(struct request *request, const char *name, cJSON *list, int64_t limit,
                    const char *member)
{
    const int count = cJSON_GetArraySize(list);
    const char *cursor = NULL;
    if (count > limit) {
        cJSON_DeleteItemFromArray(list, count - 1);
        cursor = json_text_of(cJSON_GetArrayItem(list, count - 2), member);
    }
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, name, list);
    cJSON_AddItemToObject(
        json, "next", cursor == NULL ? cJSON_CreateNull() : cJSON_CreateString(cursor));
    return request_reply(request, 200, json);
}
