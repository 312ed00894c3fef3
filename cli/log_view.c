#include "cli/log_view.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "cli/term.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    NAME_WIDTH = 12,
    MESSAGE_WIDTH = 19,
};

#define TS_PREFIX "{\"ts\":\""

// Shown at the start of a line, or made for programs.
static const char *const first_fields[] = {"ts", "level", "service", "msg"};
static const char *const hidden_fields[] = {
    "trace_id",
    "span_id",
    "parent_span_id",
    "event_id",
    "causation_id",
    "request_id",
};

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

void log_view_ts(struct bytes line, char out[LOG_TS_SIZE])
{
    const size_t prefix_size = strlen(TS_PREFIX);
    out[0] = '\0';
    if (line.size < prefix_size + LOG_TS_SIZE || memcmp(line.data, TS_PREFIX, prefix_size) != 0) {
        return;
    }
    memcpy(out, line.data + prefix_size, LOG_TS_SIZE - 1);
    out[LOG_TS_SIZE - 1] = '\0';
}

static enum colour level_colour(const char *level)
{
    if (strcmp(level, "error") == 0) {
        return COLOUR_RED;
    }
    return strcmp(level, "warn") == 0 ? COLOUR_YELLOW : COLOUR_NONE;
}

static void print_field(const struct log_view *self, const cJSON *field, FILE *out)
{
    char duration[TERM_NUMBER_SIZE];
    const char *start = term_start(COLOUR_DIM, self->colours);
    const char *end = term_end(COLOUR_DIM, self->colours);
    if (strcmp(field->string, "duration_us") == 0 && cJSON_IsNumber(field)) {
        term_format_duration(duration, (int64_t)field->valuedouble);
        fprintf(out, "  %stook=%s%s", start, end, duration);
    } else if (cJSON_IsString(field)) {
        fprintf(out, "  %s%s=%s%s", start, field->string, end, field->valuestring);
    } else {
        char *text = json_to_text(field);
        fprintf(out, "  %s%s=%s%s", start, field->string, end, text == NULL ? "" : text);
        free(text);
    }
}

// In the short view what is as ever is left out, and an HTTP exchange is one word.
static bool is_shown(const struct log_view *self, const cJSON *field, bool is_exchange)
{
    static const char *const exchange_fields[] = {"method", "path", "status"};
    const char *name = field->string;
    if (is_one_of(name, first_fields, ARRAY_LEN(first_fields)) ||
        strcmp(name, "correlation_id") == 0) {
        return false;
    }
    if (self->full) {
        return true;
    }
    if (strcmp(name, "attempt") == 0 && cJSON_IsNumber(field) && field->valuedouble <= 1) {
        return false;
    }
    if (strcmp(name, "result") == 0 && cJSON_IsString(field) &&
        strcmp(field->valuestring, "done") == 0) {
        return false;
    }
    return !is_one_of(name, hidden_fields, ARRAY_LEN(hidden_fields)) &&
           !(is_exchange && is_one_of(name, exchange_fields, ARRAY_LEN(exchange_fields)));
}

// "POST /orders 202", or that it failed.
static void print_exchange(const struct log_view *self, const cJSON *line, size_t padding,
                           FILE *out)
{
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(line, "status");
    const char *path = json_text_of(line, "path");
    const int number = cJSON_IsNumber(status) ? status->valueint : 0;
    const enum colour colour = number == 0 || number >= 500 ? COLOUR_RED : COLOUR_NONE;
    char text[16] = "failed";
    if (number != 0) {
        snprintf(text, sizeof text, "%d", number);
    }
    fprintf(out,
            "%*s  %s %s %s%s%s",
            (int)padding,
            "",
            json_text_of(line, "method"),
            path == NULL ? "" : path,
            term_start(colour, self->colours),
            text,
            term_end(colour, self->colours));
}

// The entity's id goes last: all ids are equally long, so that the rest stays aligned.
// padding spaces are owed before the first one.
static void print_fields(const struct log_view *self, const cJSON *line, size_t padding, FILE *out)
{
    const bool is_exchange = !self->full && json_text_of(line, "method") != NULL;
    if (is_exchange) {
        print_exchange(self, line, padding, out);
        padding = 0;
    }
    const cJSON *field = NULL;
    cJSON_ArrayForEach(field, line)
    {
        if (is_shown(self, field, is_exchange)) {
            fprintf(out, "%*s", (int)padding, "");
            print_field(self, field, out);
            padding = 0;
        }
    }
    const char *id = json_text_of(line, "correlation_id");
    if (id != NULL) {
        fprintf(out,
                "%*s  %s%s%s",
                (int)padding,
                "",
                term_start(COLOUR_DIM, self->colours),
                id,
                term_end(COLOUR_DIM, self->colours));
    }
}

// "2026-11-23T20:51:03.123456Z" is shown as "20:51:03.123".
static void print_time(const struct log_view *self, const char *ts, FILE *out)
{
    const bool known = ts != NULL && strlen(ts) >= LOG_TS_SIZE - 1;
    fprintf(out,
            "%s%-12.12s%s",
            term_start(COLOUR_DIM, self->colours),
            known ? ts + strlen("2026-11-23T") : "",
            term_end(COLOUR_DIM, self->colours));
}

void log_view_print(const struct log_view *self, const char *name, struct bytes line, FILE *out)
{
    cJSON *json = cJSON_ParseWithLength((const char *)line.data, line.size);
    const bool is_ours = cJSON_IsObject(json) && json_text_of(json, "msg") != NULL;
    const enum colour colour = term_service_colour(name);
    print_time(self, is_ours ? json_text_of(json, "ts") : NULL, out);
    fprintf(out,
            "  %s%-*s%s  ",
            term_start(colour, self->colours),
            NAME_WIDTH,
            name,
            term_end(colour, self->colours));
    if (is_ours) {
        const char *level = json_text_of(json, "level");
        const char *message = json_text_of(json, "msg");
        const enum colour loud = level_colour(level == NULL ? "" : level);
        const size_t size = strlen(message);
        fprintf(
            out, "%s%s%s", term_start(loud, self->colours), message, term_end(loud, self->colours));
        print_fields(self, json, size < MESSAGE_WIDTH ? MESSAGE_WIDTH - size : 0, out);
    } else {
        fprintf(out, "%.*s", (int)line.size, line.data == NULL ? "" : (const char *)line.data);
    }
    fputc('\n', out);
    cJSON_Delete(json);
}
