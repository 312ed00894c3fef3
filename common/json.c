#include "common/json.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

// cJSON is generous: it takes "01", raw control characters, bytes that are not
// UTF-8, and cuts a string at \u0000. So the text is checked against the grammar
// first, and only what passed is given to it.
struct scan {
    const uint8_t *at;
    const uint8_t *end;
    int depth;
    const char *problem; // static text, NULL while all is well
};

static bool scan_value(struct scan *scan);

static bool fail(struct scan *scan, const char *problem)
{
    if (scan->problem == NULL) {
        scan->problem = problem;
    }
    return false;
}

static int peek(const struct scan *scan)
{
    return scan->at < scan->end ? *scan->at : -1;
}

static bool take(struct scan *scan, int byte)
{
    if (peek(scan) != byte) {
        return false;
    }
    scan->at++;
    return true;
}

static void skip_space(struct scan *scan)
{
    int c = peek(scan);
    while (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
        scan->at++;
        c = peek(scan);
    }
}

// Takes one character of more than a byte. RFC 3629: no overlong form, no
// surrogate, nothing above U+10FFFF; these bounds on the second byte say that.
static bool scan_utf8(struct scan *scan)
{
    const uint8_t first = *scan->at;
    size_t more = 0;
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    if (first >= 0xc2 && first <= 0xdf) {
        more = 1;
    } else if (first >= 0xe0 && first <= 0xef) {
        more = 2;
        low = first == 0xe0 ? 0xa0 : 0x80;
        high = first == 0xed ? 0x9f : 0xbf;
    } else if (first >= 0xf0 && first <= 0xf4) {
        more = 3;
        low = first == 0xf0 ? 0x90 : 0x80;
        high = first == 0xf4 ? 0x8f : 0xbf;
    } else {
        return fail(scan, "is not UTF-8");
    }
    scan->at++;
    for (; more > 0; more--) {
        const int c = peek(scan);
        if (c < low || c > high) {
            return fail(scan, "is not UTF-8");
        }
        scan->at++;
        low = 0x80;
        high = 0xbf;
    }
    return true;
}

static int scan_hex4(struct scan *scan)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        const int c = peek(scan);
        if (c >= '0' && c <= '9') {
            value = value * 16 + c - '0';
        } else if (c >= 'a' && c <= 'f') {
            value = value * 16 + c - 'a' + 10;
        } else if (c >= 'A' && c <= 'F') {
            value = value * 16 + c - 'A' + 10;
        } else {
            return -1;
        }
        scan->at++;
    }
    return value;
}

static bool scan_escape(struct scan *scan)
{
    const int c = peek(scan);
    if (c < 0 || strchr("\"\\/bfnrtu", c) == NULL) {
        return fail(scan, "is not JSON: a string has an unknown escape");
    }
    scan->at++;
    if (c != 'u') {
        return true;
    }
    const int unit = scan_hex4(scan);
    if (unit == 0) {
        return fail(scan, "has a string with U+0000 in it");
    }
    const bool is_high = unit >= 0xd800 && unit <= 0xdbff;
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff)) {
        return fail(scan, "is not JSON: a string has a malformed \\u escape");
    }
    if (is_high) {
        const int low = take(scan, '\\') && take(scan, 'u') ? scan_hex4(scan) : -1;
        if (low < 0xdc00 || low > 0xdfff) {
            return fail(scan, "is not JSON: a string has half a surrogate pair");
        }
    }
    return true;
}

static bool scan_string(struct scan *scan)
{
    if (!take(scan, '"')) {
        return fail(scan, "is not JSON: a member's name is not a string");
    }
    for (;;) {
        const int c = peek(scan);
        if (c < 0) {
            return fail(scan, "is not JSON: a string does not end");
        }
        if (c < 0x20) {
            return fail(scan, "is not JSON: a string has a control character");
        }
        if (c >= 0x80) {
            if (!scan_utf8(scan)) {
                return false;
            }
            continue;
        }
        scan->at++;
        if (c == '"') {
            return true;
        }
        if (c == '\\' && !scan_escape(scan)) {
            return false;
        }
    }
}

static bool scan_digits(struct scan *scan)
{
    const uint8_t *start = scan->at;
    while (peek(scan) >= '0' && peek(scan) <= '9') {
        scan->at++;
    }
    return scan->at > start;
}

static bool scan_number(struct scan *scan)
{
    const uint8_t *start = scan->at;
    take(scan, '-');
    bool is_good = take(scan, '0') || scan_digits(scan);
    if (is_good && take(scan, '.')) {
        is_good = scan_digits(scan);
    }
    if (is_good && (take(scan, 'e') || take(scan, 'E'))) {
        if (!take(scan, '+')) {
            take(scan, '-');
        }
        is_good = scan_digits(scan);
    }
    if (!is_good) {
        return fail(scan, "is not JSON: a number is malformed");
    }
    if (scan->at - start > JSON_NUMBER_MAX) {
        return fail(scan, "has a number that is too long");
    }
    return true;
}

static bool scan_word(struct scan *scan, const char *word)
{
    for (; *word != '\0'; word++) {
        if (!take(scan, *word)) {
            return fail(scan, "is not JSON: a value was expected");
        }
    }
    return true;
}

// Takes the members of an object or the items of an array, after its bracket.
static bool scan_many(struct scan *scan, int close)
{
    if (++scan->depth > JSON_DEPTH_MAX) {
        return fail(scan, "is nested too deeply");
    }
    skip_space(scan);
    bool is_closed = take(scan, close);
    while (!is_closed) {
        skip_space(scan);
        if (close == '}') {
            if (!scan_string(scan)) {
                return false;
            }
            skip_space(scan);
            if (!take(scan, ':')) {
                return fail(scan, "is not JSON: a member has no colon");
            }
        }
        if (!scan_value(scan)) {
            return false;
        }
        skip_space(scan);
        is_closed = take(scan, close);
        if (!is_closed && !take(scan, ',')) {
            return fail(scan, "is not JSON: an object or array does not end");
        }
    }
    scan->depth--;
    return true;
}

static bool scan_value(struct scan *scan)
{
    skip_space(scan);
    switch (peek(scan)) {
    case '{':
        scan->at++;
        return scan_many(scan, '}');
    case '[':
        scan->at++;
        return scan_many(scan, ']');
    case '"':
        return scan_string(scan);
    case 't':
        return scan_word(scan, "true");
    case 'f':
        return scan_word(scan, "false");
    case 'n':
        return scan_word(scan, "null");
    case -1:
        return fail(scan, "is not JSON: it ends too early");
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return scan_number(scan);
    default:
        return fail(scan, "is not JSON: a value was expected");
    }
}

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
    struct scan scan = {.at = text.data, .end = text.data + text.size};
    if (scan_value(&scan)) {
        skip_space(&scan);
        if (scan.at != scan.end) {
            fail(&scan, "is not JSON: there is text behind the value");
        }
    }
    if (scan.problem != NULL) {
        const size_t at = (size_t)(scan.at - text.data);
        json_problem_set(problem, "", "%s (byte %zu)", scan.problem, at);
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
