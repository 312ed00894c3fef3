// rebuild - a service's database made anew from the events of the log: by its own
// handlers, without bus, HTTP and workers. `faultline rebuild` starts the service's
// executable for it, over an empty folder, with a plan: a SQLite file that says which
// events the service handled, in which order, and what came of each.
//
//   log --> `faultline rebuild` --> plan --> handlers --> database
//                                     ^-- what did not come out
//
//   deliveries  offset, time_us, topic, key, id, body: what the group got
//   inputs      number, offset: those that the service handled, in that order
//   outputs     cause, offset, id, topic, at, body: its own events, as the log has them
//   undone      number, offset, key, topic, id, is_odd, why: filled here
//
// An event that failed in those days and was tried again is tried again here, at once. Its
// outputs must be those that the log has, by id. If not, the order was another one
// (replicas commit beside each other): it waits, and with it its key, and is tried again
// behind the next events, then with what it came to in mind (service_recalled). What even
// so comes out otherwise is left, and is odd. Left and not odd is what the log tells no
// outcome of and what fails here: the group has it under way.
//
// Outputs that the log has leave the outbox; the others stay there, since they were never
// published. The time of handling is that of the output, or else when the broker stored
// the event.
#ifndef FAULTLINE_REBUILD_H
#define FAULTLINE_REBUILD_H

#include "common/err.h"

struct service;

// rebuild_run makes the database in the folder DATA_DIR. ERR_EXISTS: one is there;
// ERR_NOT_FOUND, ERR_INVALID: plan_path is no file, or no plan; others as of the store. They
// are in the log.
enum err rebuild_run(struct service *service, const char *plan_path);

// rebuild_plan_schema: the SQL of the plan's tables, for whoever makes one.
extern const char rebuild_plan_schema[];

#endif
