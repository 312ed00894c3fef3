#include "common/event.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define SCHEMA_PREFIX "urn:faultline:"

enum {
    VERSION_MAX = 999999,
    VERSION_DIGITS = 6,
    SCHEMA_SIZE = sizeof SCHEMA_PREFIX + EVENT_TEXT_MAX + VERSION_DIGITS + 1,
};

// No attribute may hold a control character, of ASCII or of Latin-1 (U+0080 to U+009F).
static bool has_control(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f)) {
            return true;
        }
    }
    return false;
}

// CloudEvents 1.0, 3.1: attribute names are lower-case letters and digits; values are
// of a simple type, numbers whole and of 32 bits. data is no attribute. One that is null
// is not set (JSON format, 2.2), and is removed.
static enum err check_attributes(cJSON *json, struct json_problem *problem)
{
    cJSON *next = NULL;
    for (cJSON *item = json->child; item != NULL; item = next) {
        next = item->next;
        if (strcmp(item->string, "data") == 0) {
            continue;
        }
        if (item->string[0] == '\0' ||
            strspn(item->string, "abcdefghijklmnopqrstuvwxyz0123456789") != strlen(item->string)) {
            return json_problem_set(
                problem, item->string, "is no CloudEvents attribute name ([a-z0-9])");
        }
        if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
            return json_problem_set(problem, item->string, "must be a simple value");
        }
        if (cJSON_IsNumber(item) && item->valuedouble != (double)item->valueint) {
            return json_problem_set(problem, item->string, "must be a whole number of 32 bits");
        }
        if (cJSON_IsString(item) && has_control(item->valuestring)) {
            return json_problem_set(problem, item->string, "has a control character");
        }
        if (cJSON_IsNull(item)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(json, item));
        }
    }
    return ERR_OK;
}

static enum err read_text(const cJSON *json, const char *name, char *out, size_t out_size,
                          struct json_problem *problem)
{
    const char *text = NULL;
    if (json_get_text(json, "", name, 1, out_size - 1, &text, problem) != ERR_OK) {
        return ERR_INVALID;
    }
    memcpy(out, text, strlen(text) + 1);
    return ERR_OK;
}

static enum err check_fixed(const cJSON *json, const char *name, const char *expected,
                            bool is_optional, struct json_problem *problem)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    if (item == NULL && is_optional) {
        return ERR_OK;
    }
    const char *text = cJSON_GetStringValue(item);
    if (text == NULL || strcmp(text, expected) != 0) {
        return json_problem_set(problem, name, "must be \"%s\"", expected);
    }
    return ERR_OK;
}

static enum err read_schema(struct event *event, const cJSON *json, struct json_problem *problem)
{
    char schema[SCHEMA_SIZE];
    if (read_text(json, "dataschema", schema, sizeof schema, problem) != ERR_OK) {
        return ERR_INVALID;
    }
    char *prefix = mem_format(SCHEMA_PREFIX "%s:", event->type);
    const char *version = schema + strlen(prefix);
    const bool is_good = strncmp(schema, prefix, strlen(prefix)) == 0 && version[0] != '0' &&
                         strspn(version, "0123456789") == strlen(version) && version[0] != '\0' &&
                         strlen(version) <= VERSION_DIGITS;
    free(prefix);
    if (!is_good) {
        return json_problem_set(
            problem, "dataschema", "must be \"" SCHEMA_PREFIX "%s:VERSION\"", event->type);
    }
    event->version = (int)strtol(version, NULL, 10);
    return ERR_OK;
}

static enum err read_attributes(struct event *event, const cJSON *json,
                                struct json_problem *problem)
{
    const struct {
        const char *name;
        char *out;
        size_t size;
    } texts[] = {
        {"id", event->id, EVENT_TEXT_MAX},
        {"source", event->source, EVENT_TEXT_MAX},
        {"type", event->type, EVENT_TEXT_MAX},
        {"subject", event->subject, EVENT_TEXT_MAX},
        {"correlationid", event->correlation_id, EVENT_TEXT_MAX},
        {"causationid", event->causation_id, EVENT_TEXT_MAX},
        {"time", event->time, sizeof event->time},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (read_text(json, texts[i].name, texts[i].out, texts[i].size, problem) != ERR_OK) {
            return ERR_INVALID;
        }
    }
    if (strspn(event->type, "abcdefghijklmnopqrstuvwxyz0123456789.-") != strlen(event->type)) {
        return json_problem_set(problem, "type", "must be a topic ([a-z0-9.-])");
    }
    if (strchr(event->source, ' ') != NULL) {
        return json_problem_set(problem, "source", "must be a URI reference");
    }
    if (clock_parse_rfc3339(event->time) < 0) {
        return json_problem_set(problem, "time", "must be RFC 3339 in UTC, at most microseconds");
    }
    const cJSON *trace = cJSON_GetObjectItemCaseSensitive(json, "traceparent");
    if (trace != NULL && trace_parse(&event->trace, cJSON_GetStringValue(trace)) != ERR_OK) {
        return json_problem_set(problem, "traceparent", "must be a W3C traceparent");
    }
    return ERR_OK;
}

static enum err read_envelope(struct event *event, cJSON *envelope, struct json_problem *problem)
{
    if (!cJSON_IsObject(envelope)) {
        return json_problem_set(problem, "", "must be an object");
    }
    if (check_attributes(envelope, problem) != ERR_OK ||
        check_fixed(envelope, "specversion", "1.0", false, problem) != ERR_OK ||
        check_fixed(envelope, "datacontenttype", "application/json", true, problem) != ERR_OK ||
        read_attributes(event, envelope, problem) != ERR_OK ||
        read_schema(event, envelope, problem) != ERR_OK ||
        check_fixed(envelope, "partitionkey", event->subject, true, problem) != ERR_OK) {
        return ERR_INVALID;
    }
    cJSON *data = cJSON_GetObjectItemCaseSensitive(envelope, "data");
    if (!cJSON_IsObject(data)) {
        return json_problem_set(problem, "data", "must be an object");
    }
    event->data = cJSON_DetachItemViaPointer(envelope, data);
    return ERR_OK;
}

enum err event_parse(struct event **out, struct bytes json, struct json_problem *problem)
{
    *out = mem_calloc(1, sizeof **out);
    cJSON *envelope = NULL;
    enum err err = json_parse(json, &envelope, problem);
    if (err == ERR_OK) {
        err = read_envelope(*out, envelope, problem);
    }
    if (err != ERR_OK) {
        event_destroy(out);
    }
    cJSON_Delete(envelope);
    return err;
}

void event_destroy(struct event **self_p)
{
    struct event *self = *self_p;
    if (self == NULL) {
        return;
    }
    cJSON_Delete(self->data);
    free(self);
    *self_p = NULL;
}

char *event_format(const struct event *event)
{
    assert(event->version >= 1 && event->version <= VERSION_MAX);
    assert(cJSON_IsObject(event->data));
    char schema[SCHEMA_SIZE];
    snprintf(schema, sizeof schema, SCHEMA_PREFIX "%.127s:%d", event->type, event->version);
    char traceparent[TRACE_PARENT_SIZE];
    trace_format(traceparent, &event->trace);
    const char *const attributes[][2] = {
        {"{\"specversion\":", "1.0"},
        {",\"id\":", event->id},
        {",\"source\":", event->source},
        {",\"type\":", event->type},
        {",\"subject\":", event->subject},
        {",\"partitionkey\":", event->subject},
        {",\"time\":", event->time},
        {",\"datacontenttype\":", "application/json"},
        {",\"dataschema\":", schema},
        {",\"correlationid\":", event->correlation_id},
        {",\"causationid\":", event->causation_id},
        {",\"traceparent\":", event->trace.trace_id[0] != '\0' ? traceparent : NULL},
    };
    struct buf out = {0};
    buf_reserve(&out, 1024); // most events, in one piece
    for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
        if (attributes[i][1] != NULL) {
            buf_put_text(&out, attributes[i][0]);
            json_append_text(&out, attributes[i][1]);
        }
    }
    buf_put_text(&out, ",\"data\":");
    json_append(&out, event->data);
    buf_put(&out, "}", 2);   // and the NUL
    return (char *)out.data; // the buffer's memory is the caller's now
}
