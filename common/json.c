#include "common/json.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"
#include "common/mem.h"

// Where the tree's check is: a list on the stack, written out only on an error.
struct step {
    const struct step *up;
    const cJSON *item;
};

static void put_path(struct buf *path, const struct step *step)
{
    if (step == NULL || step->up == NULL) {
        return; // the root has no name
    }
    put_path(path, step->up);
    const cJSON *parent = step->up->item;
    if (cJSON_IsArray(parent)) {
        size_t index = 0;
        for (const cJSON *item = parent->child; item != step->item; item = item->next) {
            index++;
        }
        buf_printf(path, "[%zu]", index);
        return;
    }
    if (path->size > 0) {
        buf_put_u8(path, '.');
    }
    buf_put_text(path, step->item->string);
}

static bool report(struct json_problem *problem, const struct step *step, const char *reason)
{
    struct buf path = {0};
    put_path(&path, step);
    buf_put_u8(&path, '\0');
    json_problem_set(problem, (const char *)path.data, "%s", reason);
    buf_release(&path);
    return false;
}

static int compare_names(const void *left, const void *right)
{
    const cJSON *const *a = left;
    const cJSON *const *b = right;
    return strcmp((*a)->string, (*b)->string);
}

enum {
    PAIRWISE_MAX = 16 // members up to which comparing all pairs beats sorting
};

// Returns a member whose name another member has, or NULL.
static const cJSON *find_twin(const cJSON *object)
{
    size_t count = 0;
    for (const cJSON *item = object->child; item != NULL; item = item->next) {
        count++;
    }
    if (count <= PAIRWISE_MAX) {
        for (const cJSON *item = object->child; item != NULL; item = item->next) {
            for (const cJSON *other = item->next; other != NULL; other = other->next) {
                if (strcmp(item->string, other->string) == 0) {
                    return other;
                }
            }
        }
        return NULL;
    }
    const cJSON **members = mem_calloc(count, sizeof *members);
    size_t filled = 0;
    for (const cJSON *item = object->child; item != NULL; item = item->next) {
        members[filled++] = item;
    }
    qsort(members, count, sizeof *members, compare_names);
    const cJSON *twin = NULL;
    for (size_t i = 1; i < count && twin == NULL; i++) {
        if (strcmp(members[i - 1]->string, members[i]->string) == 0) {
            twin = members[i];
        }
    }
    free(members);
    return twin;
}

// Depth is bounded by JSON_DEPTH_MAX, which the scan has checked.
static bool check_tree(const struct step *step, struct json_problem *problem)
{
    const cJSON *value = step->item;
    if (cJSON_IsNumber(value) && !isfinite(value->valuedouble)) {
        return report(problem, step, "is a number that is too large");
    }
    if (cJSON_IsObject(value)) {
        const cJSON *twin = find_twin(value);
        if (twin != NULL) {
            return report(problem, &(struct step){.up = step, .item = twin}, "is there twice");
        }
    }
    for (const cJSON *item = value->child; item != NULL; item = item->next) {
        if (!check_tree(&(struct step){.up = step, .item = item}, problem)) {
            return false;
        }
    }
    return true;
}

enum err json_parse(struct bytes text, cJSON **out, struct json_problem *problem)
{
    assert(out != NULL);
    assert(problem != NULL);
    *out = NULL;
    if (text.size == 0) {
        json_problem_set(problem, "", "is empty");
        return ERR_INVALID;
    }
    size_t at = 0;
    const char *wrong = json_scan(text, &at);
    if (wrong != NULL) {
        json_problem_set(problem, "", "%s (byte %zu)", wrong, at);
        return ERR_INVALID;
    }
    cJSON *value = cJSON_ParseWithLength((const char *)text.data, text.size);
    if (value == NULL) {
        json_problem_set(problem, "", "is not JSON");
        return ERR_INVALID;
    }
    if (!check_tree(&(struct step){.item = value}, problem)) {
        cJSON_Delete(value);
        return ERR_INVALID;
    }
    *out = value;
    return ERR_OK;
}

// Copies what fits; a character that would be cut in half is left out.
static void copy_text(char *to, size_t to_size, const char *from)
{
    size_t size = strlen(from);
    if (size >= to_size) {
        size = to_size - 1;
        while (size > 0 && ((uint8_t)from[size] & 0xc0) == 0x80) {
            size--;
        }
    }
    memcpy(to, from, size);
    to[size] = '\0';
}

void json_problem_set(struct json_problem *problem, const char *field, const char *reason, ...)
{
    char line[JSON_REASON_SIZE * 2];
    va_list args;
    va_start(args, reason);
    vsnprintf(line, sizeof line, reason, args);
    va_end(args);
    copy_text(problem->field, sizeof problem->field, field);
    copy_text(problem->reason, sizeof problem->reason, line);
}

static enum err refuse(struct json_problem *problem, const char *path, const char *name,
                       const char *reason)
{
    char *field = mem_format("%s%s%s", path, path[0] == '\0' ? "" : ".", name);
    json_problem_set(problem, field, "%s", reason);
    free(field);
    return ERR_INVALID;
}

// Control characters: C0, DEL, and C1 (which UTF-8 writes as c2 80 .. c2 9f).
static bool has_control(const char *text)
{
    for (const uint8_t *at = (const uint8_t *)text; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f)) {
            return true;
        }
    }
    return false;
}

enum err json_get_text(const cJSON *object, const char *path, const char *name, size_t min_size,
                       size_t max_size, const char **out, struct json_problem *problem)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (item == NULL) {
        return refuse(problem, path, name, "is missing");
    }
    if (!cJSON_IsString(item)) {
        return refuse(problem, path, name, "must be a string");
    }
    const size_t size = strlen(item->valuestring);
    if (size < min_size || size > max_size) {
        char reason[JSON_REASON_SIZE];
        snprintf(reason, sizeof reason, "must have %zu to %zu bytes", min_size, max_size);
        return refuse(problem, path, name, reason);
    }
    if (has_control(item->valuestring)) {
        return refuse(problem, path, name, "must not have control characters");
    }
    *out = item->valuestring;
    return ERR_OK;
}

enum err json_get_int(const cJSON *object, const char *path, const char *name, int64_t min,
                      int64_t max, int64_t *out, struct json_problem *problem)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (item == NULL) {
        return refuse(problem, path, name, "is missing");
    }
    const double number = item->valuedouble;
    if (!cJSON_IsNumber(item) || !(number >= (double)min && number <= (double)max) ||
        number != (double)(int64_t)number) {
        char reason[JSON_REASON_SIZE];
        snprintf(reason,
                 sizeof reason,
                 "must be a whole number from %lld to %lld",
                 (long long)min,
                 (long long)max);
        return refuse(problem, path, name, reason);
    }
    *out = (int64_t)number;
    return ERR_OK;
}

enum err json_only_members(const cJSON *object, const char *path, const char *const *names,
                           struct json_problem *problem)
{
    for (const cJSON *item = object->child; item != NULL; item = item->next) {
        const char *const *name = names;
        while (*name != NULL && strcmp(*name, item->string) != 0) {
            name++;
        }
        if (*name == NULL) {
            return refuse(problem, path, item->string, "is not a known member");
        }
    }
    return ERR_OK;
}

const char *json_text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

void json_append_text(struct buf *out, const char *text)
{
    buf_put_u8(out, '"');
    const char *plain = text; // start of what can go out as it is
    const char *at = text;
    for (; *at != '\0'; at++) {
        const uint8_t c = (uint8_t)*at;
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        buf_put(out, plain, (size_t)(at - plain));
        plain = at + 1;
        if (c >= 0x20) {
            buf_put_u8(out, '\\');
            buf_put_u8(out, c);
        } else {
            buf_printf(out, "\\u%04x", (unsigned)c);
        }
    }
    buf_put(out, plain, (size_t)(at - plain));
    buf_put_u8(out, '"');
}

static void append_number(struct buf *out, double number)
{
    static const double exact_max = 9007199254740992.0; // 2^53
    if (number >= -exact_max && number <= exact_max && number == (double)(int64_t)number) {
        buf_printf(out, "%lld", (long long)number);
    } else if (isfinite(number)) {
        buf_printf(out, "%.17g", number);
    } else {
        buf_put_text(out, "null");
    }
}

void json_append(struct buf *out, const cJSON *value)
{
    if (cJSON_IsString(value)) {
        json_append_text(out, value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        append_number(out, value->valuedouble);
    } else if (cJSON_IsObject(value) || cJSON_IsArray(value)) {
        const bool is_object = cJSON_IsObject(value);
        buf_put_u8(out, is_object ? '{' : '[');
        for (const cJSON *item = value->child; item != NULL; item = item->next) {
            if (is_object) {
                json_append_text(out, item->string);
                buf_put_u8(out, ':');
            }
            json_append(out, item);
            if (item->next != NULL) {
                buf_put_u8(out, ',');
            }
        }
        buf_put_u8(out, is_object ? '}' : ']');
    } else if (cJSON_IsBool(value)) {
        buf_put_text(out, cJSON_IsTrue(value) ? "true" : "false");
    } else {
        buf_put_text(out, "null");
    }
}
