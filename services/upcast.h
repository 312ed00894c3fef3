// upcast - the one place that knows older versions of event data.
//
// A handler asks for the data of an event and always gets the newest version. Pure.
//
//   order-created     1 -> 2   "amount": "24.00 EUR" becomes "total": {...}; items of
//                              version 1 have no unit_price, and get none
//   transfer-created  1 -> 2   "amount": "5.00 EUR" becomes "amount": {...}
//
// Every other type has version 1 only.
#ifndef FAULTLINE_UPCAST_H
#define FAULTLINE_UPCAST_H

#include <cjson/cJSON.h>

#include "common/event.h"
#include "common/json.h"

// upcast_version returns the newest version of type's data: what to emit.
int upcast_version(const char *type);

// upcast_data returns event's data in its newest version: event->data itself
// (*converted is then NULL) or a new object, which *converted owns and the caller
// deletes. NULL: the version is unknown, or data breaks its version; problem says
// what and what to do, and the event belongs to the dead letters (ERR_INVALID).
const cJSON *upcast_data(const struct event *event, cJSON **converted,
                         struct json_problem *problem);

#endif
