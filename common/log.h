// log - one line for each thing that happened, on standard output: a JSON object,
// or aligned and coloured text for people (LOG_FORMAT=text).
//
//   log_info("event handled", LOG_STR("topic", topic), LOG_INT("offset", offset));
//
// Lines gather in a buffer; log_flush writes them with one write(2). A process's
// core thread flushes once a batch; lines of level warn and above flush at once,
// and so do 64 KiB of lines, and exit().
// The one deliberate piece of process-wide state in common. Any thread.
#ifndef FAULTLINE_LOG_H
#define FAULTLINE_LOG_H

#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR
};

enum log_field_kind {
    LOG_FIELD_END,
    LOG_FIELD_STR,
    LOG_FIELD_INT,
    LOG_FIELD_BYTES
};

struct log_field {
    enum log_field_kind kind;
    const char *name;
    const char *text;   // LOG_FIELD_STR; NULL leaves the field out
    int64_t number;     // LOG_FIELD_INT
    struct bytes bytes; // LOG_FIELD_BYTES: text without a NUL
};

#define LOG_STR(field, value)                                                                      \
    ((struct log_field){.kind = LOG_FIELD_STR, .name = (field), .text = (value)})
#define LOG_INT(field, value)                                                                      \
    ((struct log_field){.kind = LOG_FIELD_INT, .name = (field), .number = (int64_t)(value)})
#define LOG_BYTES(field, value)                                                                    \
    ((struct log_field){.kind = LOG_FIELD_BYTES, .name = (field), .bytes = (value)})
#define LOG_END ((struct log_field){.kind = LOG_FIELD_END})

// log_open names the process (copied) and sets what is written. format is "json"
// or "text", level "debug", "info", "warn" or "error". ERR_INVALID: neither. Text is
// coloured when standard output is a terminal and NO_COLOR is not set.
// Before it, lines carry the name "faultline" and go out as JSON from info on.
enum err log_open(const char *service, const char *format, const char *level);

// log_write adds a line: ts, level, service, msg, then the fields up to LOG_END.
// Text is escaped, bytes that are not UTF-8 become U+FFFD. Names of fields are
// written as they are: constants without quotes. errno is kept.
void log_write(enum log_level level, const char *msg, const struct log_field *fields);

// log_flush writes what has gathered. A reader that went away loses lines, never
// blocks or ends the process for good (SIGPIPE is ignored by service and broker).
void log_flush(void);

// The fields, ended: at least one, LOG_END for none.
#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__, LOG_END})

#define log_debug(msg, ...) log_write(LOG_DEBUG, (msg), LOG_FIELDS(__VA_ARGS__))
#define log_info(msg, ...)  log_write(LOG_INFO, (msg), LOG_FIELDS(__VA_ARGS__))
#define log_warn(msg, ...)  log_write(LOG_WARN, (msg), LOG_FIELDS(__VA_ARGS__))
#define log_error(msg, ...) log_write(LOG_ERROR, (msg), LOG_FIELDS(__VA_ARGS__))

// The sentences of a story: `faultline trace` finds them by these messages, so
// they and their fields are an interface. All carry correlation_id (the order or
// transfer id) where there is one.
//
// clang-format off
//   request answered     method path status duration_us request_id trace_id span_id parent_span_id
//   call answered        target method path status duration_us attempt error trace_id span_id
//                        parent_span_id
//   event stored         event_id topic causation_id trace_id
//   event published      event_id topic offset
//   event refused        event_id topic error   (by the broker; it stays in the outbox)
//   event handled        event_id topic offset attempt duration_us result (done | duplicate)
//   event failed         event_id topic offset attempt duration_us error
//   event dead-lettered  event_id topic offset attempt group error   (the broker's)
//   event redriven       event_id topic offset attempt group error   (the same; its dead letter's)
//   status changed       event_id (its cause) status reason
// clang-format on
#define LOG_REQUEST_ANSWERED    "request answered"
#define LOG_CALL_ANSWERED       "call answered"
#define LOG_EVENT_STORED        "event stored"
#define LOG_EVENT_PUBLISHED     "event published"
#define LOG_EVENT_REFUSED       "event refused"
#define LOG_EVENT_HANDLED       "event handled"
#define LOG_EVENT_FAILED        "event failed"
#define LOG_EVENT_DEAD_LETTERED "event dead-lettered"
#define LOG_EVENT_REDRIVEN      "event redriven"
#define LOG_STATUS_CHANGED      "status changed"

#endif
