#include "common/trace.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

// version "-" trace id "-" span id "-" flags: where each part starts.
enum {
    TRACE_ID_AT = 3,
    SPAN_ID_AT = 36,
    FLAGS_AT = 53,
    PARENT_SIZE = 55,
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_hex(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (hex_digit(text[i]) < 0) {
            return false;
        }
    }
    return true;
}

static bool is_zero(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '0') {
            return false;
        }
    }
    return true;
}

static bool is_well_formed(const char *text)
{
    if (strnlen(text, PARENT_SIZE) < PARENT_SIZE) {
        return false;
    }
    if (!is_hex(text, 2) || strncmp(text, "ff", 2) == 0) {
        return false;
    }
    // Version 00 ends here; a later one may go on with a dash.
    const char next = text[PARENT_SIZE];
    if (next != '\0' && (next != '-' || strncmp(text, "00", 2) == 0)) {
        return false;
    }
    return text[TRACE_ID_AT - 1] == '-' && text[SPAN_ID_AT - 1] == '-' &&
           text[FLAGS_AT - 1] == '-' && is_hex(text + TRACE_ID_AT, TRACE_ID_SIZE - 1) &&
           is_hex(text + SPAN_ID_AT, TRACE_SPAN_SIZE - 1) && is_hex(text + FLAGS_AT, 2) &&
           !is_zero(text + TRACE_ID_AT, TRACE_ID_SIZE - 1) &&
           !is_zero(text + SPAN_ID_AT, TRACE_SPAN_SIZE - 1);
}

enum err trace_parse(struct trace_context *out, const char *traceparent)
{
    *out = (struct trace_context){0};
    if (traceparent == NULL || !is_well_formed(traceparent)) {
        return ERR_INVALID;
    }
    memcpy(out->trace_id, traceparent + TRACE_ID_AT, TRACE_ID_SIZE - 1);
    memcpy(out->span_id, traceparent + SPAN_ID_AT, TRACE_SPAN_SIZE - 1);
    // Only "sampled" is defined; other bits must not be passed on.
    out->flags = (unsigned)hex_digit(traceparent[FLAGS_AT + 1]) & 1u;
    return ERR_OK;
}

static void random_hex(char *out, size_t digits)
{
    uint8_t bytes[(TRACE_ID_SIZE - 1) / 2];
    const size_t size = digits / 2;
    do {
        if (getrandom(bytes, size, 0) != (ssize_t)size) {
            abort();
        }
        for (size_t i = 0; i < size; i++) {
            out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
            out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 0x0f];
        }
    } while (is_zero(out, digits)); // zeros mean "none"
    out[digits] = '\0';
}

void trace_child(struct trace_context *out, const struct trace_context *parent)
{
    struct trace_context child = *parent;
    if (child.trace_id[0] == '\0') {
        random_hex(child.trace_id, TRACE_ID_SIZE - 1);
        child.flags = 1;
    }
    random_hex(child.span_id, TRACE_SPAN_SIZE - 1);
    *out = child;
}

void trace_format(char out[TRACE_PARENT_SIZE], const struct trace_context *trace)
{
    snprintf(out,
             TRACE_PARENT_SIZE,
             "00-%.32s-%.16s-%02x",
             trace->trace_id,
             trace->span_id,
             trace->flags & 0xffu);
}
