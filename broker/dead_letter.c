#include "broker/dead_letter.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/utf8.h"

void dead_letter_set_error(struct dead_letter *self, const char *error)
{
    size_t out = 0;
    const size_t error_size = strlen(error);
    for (size_t i = 0; i < error_size;) {
        const size_t size = utf8_size((const uint8_t *)error + i, error_size - i);
        const size_t needed = size == 0 ? 1 : size;
        if (out + needed >= sizeof self->error) {
            break;
        }
        if (size == 0) {
            self->error[out] = '?';
        } else {
            memcpy(self->error + out, error + i, size);
        }
        out += needed;
        i += needed;
    }
    self->error[out] = '\0';
}

static cJSON *headers_of(const struct dead_letter *self)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "group", self->group);
    cJSON_AddStringToObject(json, "topic", self->topic);
    cJSON_AddNumberToObject(json, "offset", (double)self->offset);
    cJSON_AddNumberToObject(json, "attempts", self->attempts);
    cJSON_AddNumberToObject(json, "failures", self->failures);
    cJSON_AddStringToObject(json, "error", self->error);
    cJSON_AddStringToObject(json, "first_failed_at", self->first_failed_at);
    cJSON_AddStringToObject(json, "dead_at", self->dead_at);
    return json;
}

void dead_letter_format(const struct dead_letter *self, struct bytes original, struct buf *out)
{
    cJSON *json = headers_of(self);
    cJSON *headers = NULL;
    struct json_problem problem;
    // The error alone may take six bytes for each of its own: leave it that room.
    if (original.size > 0 && original.size <= RECORD_HEADERS_MAX - 6 * GROUP_ERROR_MAX - 1024 &&
        json_parse(original, &headers, &problem) == ERR_OK) {
        cJSON_AddItemToObject(json, "headers", headers);
    }
    char *text = cJSON_PrintUnformatted(json);
    if (strlen(text) > RECORD_HEADERS_MAX) { // numbers may print longer than they were
        cJSON_DeleteItemFromObject(json, "headers");
        free(text);
        text = cJSON_PrintUnformatted(json);
    }
    buf_put_text(out, text);
    free(text);
    cJSON_Delete(json);
}

static enum err text_get(const cJSON *json, const char *name, char *out, size_t size)
{
    const char *text = json_text_of(json, name);
    if (text == NULL || strlen(text) >= size) {
        return ERR_INVALID;
    }
    memcpy(out, text, strlen(text) + 1);
    return ERR_OK;
}

static enum err number_get(const cJSON *json, const char *name, int64_t max, int64_t *out)
{
    struct json_problem problem;
    return json_get_int(json, "", name, 0, max, out, &problem);
}

enum err dead_letter_parse(struct bytes headers, struct dead_letter *out)
{
    cJSON *json = NULL;
    struct json_problem problem;
    int64_t offset = 0;
    int64_t attempts = 0;
    int64_t failures = 0;
    *out = (struct dead_letter){0};
    enum err err = json_parse(headers, &json, &problem);
    if (err != ERR_OK) {
        return ERR_INVALID;
    }
    if (text_get(json, "group", out->group, sizeof out->group) != ERR_OK ||
        text_get(json, "topic", out->topic, sizeof out->topic) != ERR_OK ||
        text_get(json, "error", out->error, sizeof out->error) != ERR_OK ||
        text_get(json, "first_failed_at", out->first_failed_at, sizeof out->first_failed_at) !=
            ERR_OK ||
        text_get(json, "dead_at", out->dead_at, sizeof out->dead_at) != ERR_OK ||
        number_get(json, "offset", INT64_C(1) << 53, &offset) != ERR_OK ||
        number_get(json, "attempts", UINT32_MAX, &attempts) != ERR_OK ||
        number_get(json, "failures", UINT32_MAX, &failures) != ERR_OK) {
        err = ERR_INVALID;
    }
    out->offset = (uint64_t)offset;
    out->attempts = (uint32_t)attempts;
    out->failures = (uint32_t)failures;
    cJSON_Delete(json);
    return err;
}
