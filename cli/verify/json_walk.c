#include "cli/verify/json_walk.h"

#include <string.h>

static void skip(struct bytes *rest, size_t count)
{
    rest->data += count;
    rest->size -= count;
}

static void skip_space(struct bytes *rest)
{
    while (rest->size > 0 && (rest->data[0] == ' ' || rest->data[0] == '\n' ||
                              rest->data[0] == '\r' || rest->data[0] == '\t')) {
        skip(rest, 1);
    }
}

static bool take(struct bytes *rest, char what)
{
    skip_space(rest);
    if (rest->size == 0 || rest->data[0] != (uint8_t)what) {
        return false;
    }
    skip(rest, 1);
    return true;
}

// The size of a string with its quotes; 0: it does not end.
static size_t string_size(struct bytes text)
{
    size_t at = 1;
    while (at < text.size) {
        const uint8_t *quote = memchr(text.data + at, '"', text.size - at);
        if (quote == NULL) {
            return 0;
        }
        size_t escapes = 0;
        while (quote[-1 - (ptrdiff_t)escapes] == '\\') {
            escapes++;
        }
        at = (size_t)(quote - text.data) + 1;
        if (escapes % 2 == 0) {
            return at;
        }
    }
    return 0;
}

// The size of an object or array; 0: it does not end.
static size_t nested_size(struct bytes text)
{
    size_t depth = 0;
    for (size_t at = 0; at < text.size; at++) {
        const uint8_t byte = text.data[at];
        if (byte == '"') {
            const size_t size = string_size((struct bytes){text.data + at, text.size - at});
            if (size == 0) {
                return 0;
            }
            at += size - 1;
        } else if (byte == '{' || byte == '[') {
            depth++;
        } else if ((byte == '}' || byte == ']') && --depth == 0) {
            return at + 1;
        }
    }
    return 0;
}

static size_t value_size(struct bytes text)
{
    if (text.size == 0) {
        return 0;
    }
    if (text.data[0] == '"') {
        return string_size(text);
    }
    if (text.data[0] == '{' || text.data[0] == '[') {
        return nested_size(text);
    }
    size_t size = 0;
    while (size < text.size && strchr(",} \n\r\t", text.data[size]) == NULL) {
        size++;
    }
    return size;
}

bool json_walk_begin(struct bytes object, struct bytes *rest)
{
    *rest = object;
    return take(rest, '{');
}

bool json_walk_next(struct bytes *rest, struct bytes *name, struct bytes *value)
{
    skip_space(rest);
    const size_t name_size = rest->size > 0 && rest->data[0] == '"' ? string_size(*rest) : 0;
    if (name_size == 0) {
        return false;
    }
    *name = (struct bytes){rest->data + 1, name_size - 2};
    skip(rest, name_size);
    if (!take(rest, ':')) {
        return false;
    }
    skip_space(rest);
    const size_t size = value_size(*rest);
    *value = (struct bytes){rest->data, size};
    skip(rest, size);
    if (size == 0) {
        return false;
    }
    return take(rest, ',') || (rest->size > 0 && rest->data[0] == '}');
}

bool json_walk_has_ended(struct bytes rest)
{
    const bool has_brace = take(&rest, '}');
    skip_space(&rest);
    return has_brace && rest.size == 0;
}

struct bytes json_walk_text(struct bytes value)
{
    if (value.size < 2 || value.data[0] != '"' || memchr(value.data, '\\', value.size) != NULL) {
        return (struct bytes){0};
    }
    return (struct bytes){value.data + 1, value.size - 2};
}
