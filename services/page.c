#include "services/page.h"

#include <errno.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/mem.h"

// The member of a row as a cursor; the caller owns it.
static cJSON *cursor_of(const cJSON *row, const char *member)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, member);
    if (!cJSON_IsNumber(value)) {
        return cJSON_Duplicate(value, false);
    }
    char *text = mem_format("%lld", (long long)value->valuedouble);
    cJSON *cursor = cJSON_CreateString(text);
    free(text);
    return cursor;
}

enum err page_reply(struct request *request, const char *name, cJSON *list, int64_t limit,
                    const char *member)
{
    const int count = cJSON_GetArraySize(list);
    cJSON *cursor = NULL;
    if (count > limit) {
        cJSON_DeleteItemFromArray(list, count - 1);
        cursor = cursor_of(cJSON_GetArrayItem(list, count - 2), member);
    }
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, name, list);
    cJSON_AddItemToObject(json, "next", cursor == NULL ? cJSON_CreateNull() : cursor);
    return request_reply(request, 200, json);
}

enum err page_number(struct request *request, const char *after, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtoll(after, &end, 10);
    if (errno == 0 && *end == '\0' && *out >= 0) {
        return ERR_OK;
    }
    (void)request_reply_problem(
        request, 400, "invalid-parameter", "after", "must be the \"next\" of an earlier page");
    return ERR_INVALID;
}
