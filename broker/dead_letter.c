#include "broker/dead_letter.h"

#include <stdio.h>
#include <string.h>

#include "broker/topic.h"
#include "common/clock.h"
#include "common/json.h"

#define OWN_HEADERS ",\"headers\":"
#define OFFSET_MAX  (INT64_C(1) << 53) // what JSON says exactly

enum {
    REDRIVE_SIZE = 48, // what dead_letter_redrive_format adds, at most
};

// The event's own headers. Those of a copy are in its last member; no text before it can
// look like that, its quotes would be escaped.
static struct bytes own_headers(const struct record *event, bool is_copy)
{
    static const size_t skip = sizeof OWN_HEADERS - 1;
    struct bytes rest = event->headers;
    if (!is_copy) {
        cJSON *json = NULL;
        struct json_problem problem;
        const bool is_json = rest.size > 0 && json_parse(rest, &json, &problem) == ERR_OK;
        cJSON_Delete(json);
        return is_json ? rest : (struct bytes){0};
    }
    for (; rest.size > skip; rest.data++, rest.size--) {
        if (memcmp(rest.data, OWN_HEADERS, skip) == 0) {
            return (struct bytes){.data = rest.data + skip, .size = rest.size - skip - 1};
        }
    }
    return (struct bytes){0};
}

void dead_letter_format(const char *group, const struct group_entry_info *info,
                        const struct record *event, int64_t dead_us, struct buf *out)
{
    char first_failed_at[CLOCK_RFC3339_SIZE];
    char dead_at[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(first_failed_at, info->first_failed_us);
    clock_format_rfc3339(dead_at, dead_us);
    struct dead_letter before;
    const bool is_copy = topic_begins(event->topic, TOPIC_REDRIVE) &&
                         dead_letter_parse(event->headers, &before) == ERR_OK;
    buf_printf(out, "{\"group\":\"%s\",\"topic\":", group);
    json_append_bytes(out, is_copy ? bytes_of_text(before.topic) : event->topic);
    buf_printf(out,
               ",\"offset\":%llu,\"first_offset\":%llu,\"attempts\":%u",
               (unsigned long long)info->offset,
               (unsigned long long)(is_copy ? before.first_offset : info->offset),
               info->attempts);
    buf_printf(out, ",\"failures\":%u,\"error\":", info->failures);
    json_append_text(out, info->error);
    buf_printf(out, ",\"first_failed_at\":\"%s\",\"dead_at\":\"%s\"", first_failed_at, dead_at);
    const struct bytes own = own_headers(event, is_copy);
    const size_t room = RECORD_HEADERS_MAX - REDRIVE_SIZE - sizeof OWN_HEADERS "}";
    if (own.size > 0 && out->size + own.size <= room) {
        buf_put_text(out, OWN_HEADERS);
        buf_put(out, own.data, own.size);
    }
    buf_put_u8(out, '}');
}

void dead_letter_redrive_format(uint64_t offset, struct bytes headers, struct buf *out)
{
    buf_printf(out, "{\"dead_letter\":%llu,", (unsigned long long)offset);
    buf_put(out, headers.data + 1, headers.size - 1); // behind its brace
}

// A member that may be missing.
static uint64_t number_or(const cJSON *json, const char *name, uint64_t otherwise)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(json, name);
    const bool fits =
        cJSON_IsNumber(number) && number->valuedouble >= 0 && number->valuedouble <= OFFSET_MAX;
    return fits ? (uint64_t)number->valuedouble : otherwise;
}

enum err dead_letter_parse(struct bytes headers, struct dead_letter *out)
{
    cJSON *json = NULL;
    struct json_problem problem;
    const char *group = NULL;
    const char *topic = NULL;
    int64_t offset = 0;
    *out = (struct dead_letter){0};
    const bool is_good =
        json_parse(headers, &json, &problem) == ERR_OK &&
        json_get_text(json, "", "group", 1, WIRE_NAME_MAX, &group, &problem) == ERR_OK &&
        json_get_text(json, "", "topic", 1, RECORD_TOPIC_MAX, &topic, &problem) == ERR_OK &&
        json_get_int(json, "", "offset", 0, OFFSET_MAX, &offset, &problem) == ERR_OK;
    if (is_good) {
        snprintf(out->group, sizeof out->group, "%s", group);
        snprintf(out->topic, sizeof out->topic, "%s", topic);
        out->offset = (uint64_t)offset;
        out->first_offset = number_or(json, "first_offset", out->offset);
        out->dead_letter = number_or(json, "dead_letter", 0);
        out->attempts = number_or(json, "attempts", 0);
        const char *error = json_text_of(json, "error");
        snprintf(out->error, sizeof out->error, "%s", error == NULL ? "" : error);
    }
    cJSON_Delete(json);
    return is_good ? ERR_OK : ERR_INVALID;
}

void dead_letter_restore(struct record *record, struct buf *scratch)
{
    struct dead_letter letter;
    if (topic_begins(record->topic, TOPIC_REDRIVE) &&
        dead_letter_parse(record->headers, &letter) == ERR_OK) {
        record->topic = bytes_of_text(letter.topic);
        buf_clear(scratch);
        if (record_append(scratch, record) == ERR_OK) {
            struct bytes rest = buf_view(scratch);
            (void)record_take(&rest, record); // it was written just now
        }
    }
}
