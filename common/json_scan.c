#include "common/json_scan.h"

#include <stdbool.h>
#include <string.h>

#include "common/json.h"
#include "common/utf8.h"

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
            const size_t size = utf8_size(scan->at, (size_t)(scan->end - scan->at));
            if (size == 0) {
                return fail(scan, "is not UTF-8");
            }
            scan->at += size;
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

const char *json_scan(struct bytes text, size_t *at)
{
    struct scan scan = {.at = text.data, .end = text.data + text.size};
    if (scan_value(&scan)) {
        skip_space(&scan);
        if (scan.at != scan.end) {
            fail(&scan, "is not JSON: there is text behind the value");
        }
    }
    *at = (size_t)(scan.at - text.data);
    return scan.problem;
}
