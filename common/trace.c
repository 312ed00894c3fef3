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
};

// Whether exactly size characters at text are lower-case hexadecimal, then next.
static bool is_hex(const char *text, size_t size, char next)
{
    return strspn(text, "0123456789abcdef") == size && text[size] == next;
}

static bool is_zero(const char *text)
{
    return strspn(text, "0") >= strspn(text, "0123456789abcdef");
}

static bool is_well_formed(const char *text)
{
    // Version 00 ends after the flags; a later one may go on with a dash.
    return is_hex(text, 2, '-') && strncmp(text, "ff", 2) != 0 &&
           is_hex(text + TRACE_ID_AT, TRACE_ID_SIZE - 1, '-') && !is_zero(text + TRACE_ID_AT) &&
           is_hex(text + SPAN_ID_AT, TRACE_SPAN_SIZE - 1, '-') && !is_zero(text + SPAN_ID_AT) &&
           (is_hex(text + FLAGS_AT, 2, '\0') ||
            (is_hex(text + FLAGS_AT, 2, '-') && strncmp(text, "00", 2) != 0));
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
    out->flags = strchr("13579bdf", traceparent[FLAGS_AT + 1]) != NULL ? 1 : 0;
    return ERR_OK;
}

// size is that of the text with its NUL.
static void random_hex(char *out, size_t size)
{
    do {
        uint8_t bytes[TRACE_ID_SIZE];
        if (getrandom(bytes, size, 0) != (ssize_t)size) {
            abort();
        }
        for (size_t i = 0; i < size - 1; i++) {
            out[i] = "0123456789abcdef"[bytes[i] & 15];
        }
        out[size - 1] = '\0';
    } while (is_zero(out)); // zeros mean "none"
}

void trace_child(struct trace_context *out, const struct trace_context *parent)
{
    struct trace_context child = *parent;
    if (child.trace_id[0] == '\0') {
        random_hex(child.trace_id, sizeof child.trace_id);
        child.flags = 1;
    }
    random_hex(child.span_id, sizeof child.span_id);
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
