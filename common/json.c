#include "common/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/utf8.h"

enum {
    INT_TEXT_SIZE = 20, // "-9223372036854775808"
};

// cJSON is generous: it takes "01", raw control characters, bytes that are not
// UTF-8, and cuts a string at \u0000. So the tokens are checked first; how they are
// put together is left to cJSON.
struct scan {
    const uint8_t *at;
    const uint8_t *end;
};

static int peek(const struct scan *scan, ptrdiff_t ahead)
{
    return scan->end - scan->at > ahead ? scan->at[ahead] : -1;
}

static bool is_space(int c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool digit_is_at(const struct scan *scan, ptrdiff_t ahead)
{
    return peek(scan, ahead) >= '0' && peek(scan, ahead) <= '9';
}

// Each scan_... moves past what it found good and returns NULL, or what is wrong.

static const char *scan_escape(struct scan *scan)
{
    scan->at++; // the backslash
    if (peek(scan, 0) == 'u') {
        char digits[5] = "";
        for (int i = 0; i < 4 && peek(scan, 1 + i) > 0; i++) {
            digits[i] = (char)scan->at[1 + i];
        }
        if (strspn(digits, "0123456789abcdefABCDEF") != 4) {
            return "is not JSON: a string has a malformed \\u escape";
        }
        if (strcmp(digits, "0000") == 0) {
            return "has a string with U+0000 in it";
        }
    }
    if (scan->at < scan->end) {
        scan->at++;
    }
    return NULL;
}

static const char *scan_string(struct scan *scan)
{
    scan->at++; // the quote
    while (scan->at < scan->end) {
        const uint8_t c = *scan->at;
        const size_t size = c < 0x80 ? 1 : utf8_size(scan->at, (size_t)(scan->end - scan->at));
        if (size == 0) {
            return "is not UTF-8";
        }
        if (c < 0x20) {
            return "is not JSON: a string has a control character";
        }
        if (c == '\\') {
            const char *problem = scan_escape(scan);
            if (problem != NULL) {
                return problem;
            }
            continue;
        }
        scan->at += size;
        if (c == '"') {
            return NULL;
        }
    }
    return "is not JSON: a string does not end";
}

// What strtod takes beyond JSON: a leading zero, and a point without digits around it.
static const char *scan_number(struct scan *scan)
{
    const uint8_t *const start = scan->at;
    if (*scan->at == '-') {
        scan->at++;
    }
    bool is_good = digit_is_at(scan, 0) && !(*scan->at == '0' && digit_is_at(scan, 1));
    while (scan->at < scan->end && memchr("0123456789+-.eE", *scan->at, 15) != NULL) {
        is_good = is_good && (*scan->at != '.' || digit_is_at(scan, 1));
        scan->at++;
    }
    return !is_good                             ? "is not JSON: a number is malformed"
           : scan->at - start > JSON_NUMBER_MAX ? "has a number that is too long"
                                                : NULL;
}

static const char *scan_tokens(struct scan *scan)
{
    const char *problem = NULL;
    int depth = 0;
    while (problem == NULL && scan->at < scan->end) {
        const uint8_t c = *scan->at;
        if (c == '"') {
            problem = scan_string(scan);
        } else if (c == '-' || digit_is_at(scan, 0)) {
            problem = scan_number(scan);
        } else if ((c < 0x20 && !is_space(c)) || c >= 0x7f) {
            problem = "is not JSON: a value was expected";
        } else {
            depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
            problem = depth > JSON_DEPTH_MAX ? "is nested too deeply" : NULL;
            scan->at++;
        }
    }
    return problem;
}

static int compare_names(const void *left, const void *right)
{
    const cJSON *const *a = left;
    const cJSON *const *b = right;
    return strcmp((*a)->string, (*b)->string);
}

// Returns a member whose name another member has, or NULL.
static const cJSON *find_twin(const cJSON *object)
{
    const size_t count = (size_t)cJSON_GetArraySize(object);
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

// Puts where item stands in its parent before the field that is at fault.
static void path_extend(struct json_problem *problem, const cJSON *item, size_t index)
{
    const char *rest = problem->field;
    const char *dot = rest[0] == '\0' || rest[0] == '[' ? "" : ".";
    char *path = item->string != NULL ? mem_format("%s%s%s", item->string, dot, rest)
                                      : mem_format("[%zu]%s%s", index, dot, rest);
    json_problem_set(problem, path, "%s", problem->reason);
    free(path);
}

// Depth is bounded by JSON_DEPTH_MAX, which the scan has checked.
static enum err check_tree(const cJSON *value, struct json_problem *problem)
{
    if (cJSON_IsNumber(value) && !isfinite(value->valuedouble)) {
        return json_problem_set(problem, "", "is a number that is too large");
    }
    const cJSON *twin = cJSON_IsObject(value) ? find_twin(value) : NULL;
    if (twin != NULL) {
        return json_problem_set(problem, twin->string, "is there twice");
    }
    size_t index = 0;
    for (const cJSON *item = value->child; item != NULL; item = item->next) {
        if (check_tree(item, problem) != ERR_OK) {
            path_extend(problem, item, index);
            return ERR_INVALID;
        }
        index++;
    }
    return ERR_OK;
}

enum err json_parse(struct bytes text, cJSON **out, struct json_problem *problem)
{
    assert(out != NULL);
    assert(problem != NULL);
    *out = NULL;
    if (text.size == 0) {
        return json_problem_set(problem, "", "is empty");
    }
    struct scan scan = {.at = text.data, .end = text.data + text.size};
    const char *wrong = scan_tokens(&scan);
    if (wrong == NULL) {
        const char *end = NULL;
        *out = cJSON_ParseWithLengthOpts((const char *)text.data, text.size, &end, false);
        scan.at = (const uint8_t *)end;
        while (is_space(peek(&scan, 0))) {
            scan.at++;
        }
        wrong = *out == NULL         ? "is not JSON"
                : scan.at < scan.end ? "is not JSON: there is text behind the value"
                                     : NULL;
    }
    enum err err = ERR_OK;
    if (wrong != NULL) {
        err = json_problem_set(problem, "", "%s (byte %td)", wrong, scan.at - text.data);
    } else {
        err = check_tree(*out, problem);
    }
    if (err != ERR_OK) {
        cJSON_Delete(*out);
        *out = NULL;
    }
    return err;
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

enum err json_problem_set(struct json_problem *problem, const char *field, const char *reason, ...)
{
    char line[JSON_REASON_SIZE * 2];
    va_list args;
    va_start(args, reason);
    vsnprintf(line, sizeof line, reason, args);
    va_end(args);
    copy_text(problem->field, sizeof problem->field, field);
    copy_text(problem->reason, sizeof problem->reason, line);
    return ERR_INVALID;
}

// As json_problem_set, for member name of the object at path.
__attribute__((format(printf, 4, 5))) static enum err
refuse(struct json_problem *problem, const char *path, const char *name, const char *format, ...)
{
    char reason[JSON_REASON_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    char *field = mem_format("%s%s%s", path, path[0] == '\0' ? "" : ".", name);
    const enum err err = json_problem_set(problem, field, "%s", reason);
    free(field);
    return err;
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
        return refuse(problem, path, name, "must have %zu to %zu bytes", min_size, max_size);
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
        return refuse(
            problem, path, name, "must be a whole number from %" PRId64 " to %" PRId64, min, max);
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

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

static void append_escape(struct buf *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    char escape[] = {'\\', (char)byte, '0', '0', digits[byte >> 4], digits[byte & 15]};
    const char *name = memchr("\nn\rr\tt", byte, 6); // each followed by its letter
    if (name != NULL) {
        escape[1] = name[1];
    } else if (byte != '"' && byte != '\\') {
        escape[1] = 'u';
    }
    buf_put(out, escape, escape[1] == 'u' ? sizeof escape : 2);
}

void json_append_escaped(struct buf *out, struct bytes text)
{
    size_t start = 0; // of the run that goes out as it is
    for (size_t at = 0; at < text.size;) {
        const uint8_t byte = text.data[at];
        const size_t size = is_plain(byte) ? 1 : utf8_size(text.data + at, text.size - at);
        if (size > 1 || is_plain(byte)) {
            at += size;
            continue;
        }
        buf_put(out, text.data + start, at - start);
        if (size == 1) {
            append_escape(out, byte);
        } else {
            buf_put_text(out, "\xef\xbf\xbd"); // U+FFFD
        }
        start = ++at;
    }
    buf_put(out, text.data + start, text.size - start);
}

void json_append_bytes(struct buf *out, struct bytes text)
{
    buf_put_u8(out, '"');
    json_append_escaped(out, text);
    buf_put_u8(out, '"');
}

void json_append_text(struct buf *out, const char *text)
{
    json_append_bytes(out, bytes_of_text(text));
}

void json_append_int(struct buf *out, int64_t number)
{
    char text[INT_TEXT_SIZE];
    size_t at = sizeof text;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) {
        text[--at] = '-';
    }
    buf_put(out, text + at, sizeof text - at);
}

static void append_number(struct buf *out, double number)
{
    static const double exact_max = 9007199254740992.0; // 2^53
    if (number >= -exact_max && number <= exact_max && number == (double)(int64_t)number) {
        json_append_int(out, (int64_t)number);
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

char *json_to_text(const cJSON *value)
{
    if (value == NULL) {
        return NULL;
    }
    struct buf text = {0};
    json_append(&text, value);
    buf_put_u8(&text, 0);
    return (char *)text.data;
}

void json_add_bytes(cJSON *object, const char *name, struct bytes text)
{
    char *copy = mem_strndup((const char *)text.data, text.size);
    cJSON_AddStringToObject(object, name, copy);
    free(copy);
}
