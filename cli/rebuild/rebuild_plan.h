// rebuild_plan - which events a service handled, in which order, and what came of each, as
// the log tells it: the plan of common/rebuild.h.
//
//   log --READ--> deliveries   records of its topics, and copies that were redriven to it
//                 letters      what its group gave up: dead-letter.GROUP
//                 outputs      events that it made itself
//
// Of each event the first delivery that was not given up counts; what was given up each
// time was not handled, unless something came of it all the same (the group has read the
// log again). Handled when? Its output says so: that entered the log right behind the
// commit. What came to nothing was handled in its own place, and nothing before what
// precedes it in its key.
#ifndef FAULTLINE_CLI_REBUILD_PLAN_H
#define FAULTLINE_CLI_REBUILD_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/wire.h"

struct rebuild_plan; // opaque; one thread's

// rebuild_plan_open makes an empty plan in the file at path, for a service, whose group has
// its name, and which subscribes to topics (ended by NULL; borrowed). The caller owns *out.
// ERR_IO: *problem, which the caller frees, is a sentence.
enum err rebuild_plan_open(struct rebuild_plan **out, const char *path, const char *service,
                           const char *const *topics, char **problem);
void rebuild_plan_destroy(struct rebuild_plan **self_p);

// rebuild_plan_read takes the log of the broker at url, up to its end. ERR_INVALID: the log
// does not reach back to its beginning any more; ERR_UNAVAILABLE: the broker does not
// answer; ERR_IO. *problem is then a sentence.
enum err rebuild_plan_read(struct rebuild_plan *self, const char *url, char **problem);

// rebuild_plan_add takes one record of the log; they come in its order. ERR_IO.
enum err rebuild_plan_add(struct rebuild_plan *self, const struct wire_delivered *entry);

// What rebuild_plan_schedule chooses from.
struct rebuild_choice {
    const char *database; // the living one (a copy of it): what it has handled was handled;
                          // NULL: none
    bool only_handled;    // leave out what the database has not handled; then
    uint64_t floor;       // below this offset the group has handled all
};

// What it chose.
struct rebuild_counts {
    int64_t log_end;
    int64_t inputs;    // events to be handled
    int64_t given_up;  // dead letters that were not handled since
    int64_t under_way; // left out: not handled yet
};

// rebuild_plan_schedule writes the inputs. ERR_IO, ERR_CORRUPT: *problem is a sentence.
enum err rebuild_plan_schedule(struct rebuild_plan *self, const struct rebuild_choice *choice,
                               struct rebuild_counts *out, char **problem);

#endif
