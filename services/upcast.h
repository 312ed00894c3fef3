// upcast - the one place that knows older versions of event data, both ways.
//
// A handler asks for the data of an event and always gets the newest version; a producer
// that plays an older release gives the newest version and gets the older one. Pure.
//
//   order-created     1 <-> 2   "amount": "24.00 EUR" is "total": {...}; items of
//                               version 1 have no unit_price, and get none
//   transfer-created  1 <-> 2   "amount": "5.00 EUR" is "amount": {...}
//
// Every other type has version 1 only. What each version looks like: contracts/events.
#ifndef FAULTLINE_UPCAST_H
#define FAULTLINE_UPCAST_H

#include <cjson/cJSON.h>

#include "common/event.h"
#include "common/json.h"

// upcast_version returns the newest version of type's data: what to emit.
int upcast_version(const char *type);

// Who reads an event.
struct upcast_reader {
    const char *service; // named in what is refused
    int version_max;     // knows no newer version, as an older release; 0: knows all
};

// upcast_data returns event's data in its newest version: event->data itself
// (*converted is then NULL) or a new object, which *converted owns and the caller
// deletes. NULL: the reader does not know the version, or data breaks its version; problem
// says what and what to do, and the event belongs to the dead letters (ERR_INVALID).
const cJSON *upcast_data(const struct event *event, const struct upcast_reader *reader,
                         cJSON **converted, struct json_problem *problem);

// downcast_data returns data, which is in the newest version of type and becomes the
// function's, in a version from 1 to that; the caller owns the result. What the older
// version has no place for is gone.
cJSON *downcast_data(const char *type, int version, cJSON *data);

#endif
