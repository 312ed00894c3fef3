#include "broker/dead_letter.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/utf8.h"

void dead_letter_append_text(struct buf *out, struct bytes text)
{
    struct buf shown = {0};
    for (size_t i = 0; i < text.size;) {
        const size_t size = text.data[i] == 0 ? 0 : utf8_size(text.data + i, text.size - i);
        buf_put(&shown, size == 0 ? (const uint8_t *)"?" : text.data + i, size == 0 ? 1 : size);
        i += size == 0 ? 1 : size;
    }
    buf_put_u8(&shown, 0);
    json_append_text(out, (const char *)shown.data);
    buf_release(&shown);
}

void dead_letter_format(const char *group, const struct group_entry_info *info,
                        const struct record *event, int64_t dead_us, struct buf *out)
{
    char first_failed_at[CLOCK_RFC3339_SIZE];
    char dead_at[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(first_failed_at, info->first_failed_us);
    clock_format_rfc3339(dead_at, dead_us);
    buf_printf(out, "{\"group\":\"%s\",\"topic\":", group);
    dead_letter_append_text(out, event->topic);
    buf_printf(
        out, ",\"offset\":%llu,\"attempts\":%u", (unsigned long long)info->offset, info->attempts);
    buf_printf(out, ",\"failures\":%u,\"error\":", info->failures);
    dead_letter_append_text(out, bytes_of_text(info->error));
    buf_printf(out, ",\"first_failed_at\":\"%s\",\"dead_at\":\"%s\"", first_failed_at, dead_at);
    cJSON *headers = NULL;
    struct json_problem problem;
    const size_t room = RECORD_HEADERS_MAX - sizeof ",\"headers\":}";
    if (event->headers.size > 0 && out->size + event->headers.size <= room &&
        json_parse(event->headers, &headers, &problem) == ERR_OK) {
        buf_put_text(out, ",\"headers\":");
        buf_put(out, event->headers.data, event->headers.size);
        cJSON_Delete(headers);
    }
    buf_put_u8(out, '}');
}

enum err dead_letter_parse(struct bytes headers, struct dead_letter *out)
{
    cJSON *json = NULL;
    struct json_problem problem;
    const char *group = NULL;
    int64_t offset = 0;
    enum err err = json_parse(headers, &json, &problem);
    if (err == ERR_OK) {
        err = json_get_text(json, "", "group", 1, WIRE_NAME_MAX, &group, &problem);
    }
    if (err == ERR_OK) {
        err = json_get_int(json, "", "offset", 0, INT64_C(1) << 53, &offset, &problem);
    }
    *out = (struct dead_letter){.offset = (uint64_t)offset};
    if (err == ERR_OK) {
        snprintf(out->group, sizeof out->group, "%s", group);
    }
    cJSON_Delete(json);
    return err == ERR_OK ? ERR_OK : ERR_INVALID;
}
