// trace - W3C trace context: traceparent in, through every event, and out.
#ifndef FAULTLINE_TRACE_H
#define FAULTLINE_TRACE_H

#include "common/err.h"

enum {
    TRACE_PARENT_SIZE = 56,
    TRACE_ID_SIZE = 33,
    TRACE_SPAN_SIZE = 17
};

// Lower-case hexadecimal text; empty: none.
struct trace_context {
    char trace_id[TRACE_ID_SIZE];
    char span_id[TRACE_SPAN_SIZE];
    unsigned flags; // 1: sampled
};

// trace_parse reads a traceparent. ERR_INVALID: NULL, malformed, version ff, or an id
// of zeros; *out is then empty. Versions above 00 are read by their first 55 characters.
enum err trace_parse(struct trace_context *out, const char *traceparent);

// trace_child makes a new span in parent's trace; an empty parent starts a trace.
void trace_child(struct trace_context *out, const struct trace_context *parent);

// trace_format writes "00-…-…-01".
void trace_format(char out[TRACE_PARENT_SIZE], const struct trace_context *trace);

#endif
