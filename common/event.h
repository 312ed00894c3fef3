// event - the envelope: CloudEvents 1.0, JSON, structured mode.
#ifndef FAULTLINE_EVENT_H
#define FAULTLINE_EVENT_H

#include <cjson/cJSON.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/json.h"
#include "common/trace.h"
#include "common/uuid.h"

enum {
    EVENT_TEXT_MAX = 128
};

struct event {
    char id[EVENT_TEXT_MAX];
    char source[EVENT_TEXT_MAX];  // "/services/order"
    char type[EVENT_TEXT_MAX];    // the topic, "order-created"
    char subject[EVENT_TEXT_MAX]; // the order or transfer id: the ordering key
    char time[CLOCK_RFC3339_SIZE];
    char correlation_id[EVENT_TEXT_MAX]; // the subject's whole story
    char causation_id[EVENT_TEXT_MAX];   // the event or request that caused it
    struct trace_context trace;          // zero: none
    int version;                         // of the data, the last part of dataschema
    cJSON *data;                         // owned; an object
};

// event_parse reads an envelope. ERR_INVALID: not JSON, an attribute is missing,
// of another type, too long or malformed, or what CloudEvents allows no attribute to be;
// problem names it. An attribute that is null counts as missing. The caller owns *out.
enum err event_parse(struct event **out, struct bytes json, struct json_problem *problem);

void event_destroy(struct event **self_p);

// event_format returns the envelope as JSON text, which the caller frees.
// partitionkey is the subject, dataschema urn:faultline:TYPE:VERSION.
char *event_format(const struct event *event);

#endif
