#include "common/event.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define SCHEMA_PREFIX "urn:faultline:"

enum {
    VERSION_MAX = 999999
};

static enum err refuse(struct json_problem *problem, const char *attribute, const char *reason)
{
    json_problem_set(problem, attribute, "%s", reason);
    return ERR_INVALID;
}

// CloudEvents 1.0, 3.1: attribute names are lower-case letters and digits; values
// are of a simple type. data is no attribute.
static enum err check_attributes(const cJSON *json, struct json_problem *problem)
{
    for (const cJSON *item = json->child; item != NULL; item = item->next) {
        if (strcmp(item->string, "data") == 0) {
            continue;
        }
        if (item->string[0] == '\0' ||
            strspn(item->string, "abcdefghijklmnopqrstuvwxyz0123456789") != strlen(item->string)) {
            return refuse(problem, item->string, "is no CloudEvents attribute name ([a-z0-9])");
        }
        if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
            return refuse(problem, item->string, "must be a simple value");
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
        json_problem_set(problem, name, "must be \"%s\"", expected);
        return ERR_INVALID;
    }
    return ERR_OK;
}

static enum err read_schema(struct event *event, const cJSON *json, struct json_problem *problem)
{
    char schema[sizeof SCHEMA_PREFIX + EVENT_TEXT_MAX + 8];
    if (read_text(json, "dataschema", schema, sizeof schema, problem) != ERR_OK) {
        return ERR_INVALID;
    }
    const size_t prefix_size = sizeof SCHEMA_PREFIX - 1;
    const size_t type_size = strlen(event->type);
    const char *version = schema + prefix_size + type_size + 1;
    if (strncmp(schema, SCHEMA_PREFIX, prefix_size) != 0 ||
        strncmp(schema + prefix_size, event->type, type_size) != 0 ||
        schema[prefix_size + type_size] != ':' || version[0] < '1' || version[0] > '9' ||
        strspn(version, "0123456789") != strlen(version) || strlen(version) > 6) {
        json_problem_set(
            problem, "dataschema", "must be \"%s%s:VERSION\"", SCHEMA_PREFIX, event->type);
        return ERR_INVALID;
    }
    event->version = (int)strtol(version, NULL, 10);
    return ERR_OK;
}

static enum err read_time_and_trace(struct event *event, const cJSON *json,
                                    struct json_problem *problem)
{
    if (read_text(json, "time", event->time, sizeof event->time, problem) != ERR_OK) {
        return ERR_INVALID;
    }
    if (clock_parse_rfc3339(event->time) < 0) {
        return refuse(problem, "time", "must be RFC 3339 in UTC, at most microseconds");
    }
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, "traceparent");
    if (item != NULL && trace_parse(&event->trace, cJSON_GetStringValue(item)) != ERR_OK) {
        return refuse(problem, "traceparent", "must be a W3C traceparent");
    }
    return ERR_OK;
}

static enum err read_attributes(struct event *event, const cJSON *json,
                                struct json_problem *problem)
{
    const struct {
        const char *name;
        char *out;
    } texts[] = {
        {"id", event->id},
        {"source", event->source},
        {"type", event->type},
        {"subject", event->subject},
        {"correlationid", event->correlation_id},
        {"causationid", event->causation_id},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (read_text(json, texts[i].name, texts[i].out, EVENT_TEXT_MAX, problem) != ERR_OK) {
            return ERR_INVALID;
        }
    }
    if (strspn(event->type, "abcdefghijklmnopqrstuvwxyz0123456789.-") != strlen(event->type)) {
        return refuse(problem, "type", "must be a topic ([a-z0-9.-])");
    }
    if (strchr(event->source, ' ') != NULL) {
        return refuse(problem, "source", "must be a URI reference");
    }
    if (read_schema(event, json, problem) != ERR_OK ||
        check_fixed(json, "partitionkey", event->subject, true, problem) != ERR_OK) {
        return ERR_INVALID;
    }
    return read_time_and_trace(event, json, problem);
}

enum err event_parse(struct event **out, struct bytes json, struct json_problem *problem)
{
    assert(out != NULL);
    *out = NULL;
    struct event *event = mem_calloc(1, sizeof *event);
    cJSON *envelope = NULL;

    enum err err = json_parse(json, &envelope, problem);
    if (err != ERR_OK) {
        goto out;
    }
    err = ERR_INVALID;
    if (!cJSON_IsObject(envelope)) {
        refuse(problem, "", "must be an object");
        goto out;
    }
    if (check_attributes(envelope, problem) != ERR_OK ||
        check_fixed(envelope, "specversion", "1.0", false, problem) != ERR_OK ||
        check_fixed(envelope, "datacontenttype", "application/json", true, problem) != ERR_OK ||
        read_attributes(event, envelope, problem) != ERR_OK) {
        goto out;
    }
    cJSON *data = cJSON_GetObjectItemCaseSensitive(envelope, "data");
    if (!cJSON_IsObject(data)) {
        refuse(problem, "data", data == NULL ? "is missing" : "must be an object");
        goto out;
    }
    event->data = cJSON_DetachItemViaPointer(envelope, data);
    *out = event;
    event = NULL; // handed to the caller
    err = ERR_OK;

out:
    cJSON_Delete(envelope);
    event_destroy(&event);
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

static void put_attribute(struct buf *out, const char *name, const char *value)
{
    buf_put_text(out, ",\"");
    buf_put_text(out, name);
    buf_put_text(out, "\":");
    json_append_text(out, value);
}

char *event_format(const struct event *event)
{
    assert(event->version >= 1 && event->version <= VERSION_MAX);
    assert(cJSON_IsObject(event->data));
    struct buf out = {0};
    buf_reserve(&out, 1024); // most events, in one piece
    buf_put_text(&out, "{\"specversion\":\"1.0\"");
    put_attribute(&out, "id", event->id);
    put_attribute(&out, "source", event->source);
    put_attribute(&out, "type", event->type);
    put_attribute(&out, "subject", event->subject);
    put_attribute(&out, "partitionkey", event->subject);
    put_attribute(&out, "time", event->time);
    put_attribute(&out, "datacontenttype", "application/json");
    char schema[sizeof SCHEMA_PREFIX + EVENT_TEXT_MAX + 8];
    snprintf(schema, sizeof schema, SCHEMA_PREFIX "%.127s:%d", event->type, event->version);
    put_attribute(&out, "dataschema", schema);
    put_attribute(&out, "correlationid", event->correlation_id);
    put_attribute(&out, "causationid", event->causation_id);
    if (event->trace.trace_id[0] != '\0') {
        char traceparent[TRACE_PARENT_SIZE];
        trace_format(traceparent, &event->trace);
        put_attribute(&out, "traceparent", traceparent);
    }
    buf_put_text(&out, ",\"data\":");
    json_append(&out, event->data);
    buf_put_text(&out, "}");
    buf_put_u8(&out, '\0');
    return (char *)out.data; // the buffer's memory is the caller's now
}
