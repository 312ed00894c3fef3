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

static bool is_row_number(const char *text)
{
    char *end = NULL;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' && number >= 0;
}

enum err page_list(struct service *service, struct request *request, const struct page_list *self,
                   const char *filter)
{
    int64_t limit = 0;
    const char *after = NULL;
    if (request_page(request, &limit, &after) != ERR_OK) {
        return ERR_OK; // it has answered
    }
    if (self->is_number && !is_row_number(after)) {
        return request_reply_problem(
            request, 400, "invalid-parameter", "after", "must be the \"next\" of an earlier page");
    }
    after = self->is_number && after[0] == '\0' ? "0" : after;
    cJSON *list = cJSON_CreateArray();
    const enum err err = self->read(service_store(service), filter, after, limit + 1, list);
    if (err != ERR_OK) {
        cJSON_Delete(list);
        return err;
    }
    return page_reply(request, self->name, list, limit, self->cursor);
}
