// crash_point - named places in the code where a process can be made to die at once, as
// by kill -9, only exactly there: no clean-up, no flush, nothing is told to anybody.
//
//   FAULTLINE_CRASH_AT=service-after-commit:3      at the third passing of that place
//   FAULTLINE_CRASH_AT=service-after-commit:3+10   10 ms late: the thread that came there
//                                                  stands still meanwhile, the others go on
//
// At once, what was handed to a socket is hardly ever sent; late, it has been. A word that
// is given too early is found only when it is heard.
//
// They are in every build. `faultline crash-points` lists them; tests/crash kills each in
// each process where it exists and looks what is left.
//
// A passing of an unset point is a load and a branch that is never taken. That takes one
// of the few variables at file scope: the places lie in code that shares no struct, from
// a segment's file to a worker's thread, and to carry a pointer there would change every
// signature between them and main. It is written once, before there are threads.
#ifndef FAULTLINE_CRASH_POINT_H
#define FAULTLINE_CRASH_POINT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

enum {
    CRASH_POINT_EXIT = 86, // how a process ends that died at one
    CRASH_POINT_PASSINGS_MAX = 1000000000,
    CRASH_POINT_LATE_MS_MAX = 1000
};

#define CRASH_POINT_SETTING "FAULTLINE_CRASH_AT"

struct crash_point_def {
    const char *name;
    const char *process;  // "broker"; "service": each of the seven; "order", "payment"; or
                          // "rebuild": the command, which no stack starts
    const char *sentence; // what has happened there, and what has not
};

// All of them, ended by one without a name.
extern const struct crash_point_def crash_points[];

// crash_point_is_of tells whether a process ("broker", "rebuild", or a service's name)
// passes it.
bool crash_point_is_of(const struct crash_point_def *point, const char *process);

// crash_point_check reads "name", "name:n" or "name:n+ms", n from 1. ERR_INVALID: there is
// no such point, or process never passes it, or n or ms is no number; *problem, which the
// caller frees, is a sentence. "" is fine and means none.
enum err crash_point_check(const char *setting, const char *process, char **problem);

// crash_point_arm does what setting says, to this process; errors as crash_point_check.
// Call it before there are threads.
enum err crash_point_arm(const char *setting, const char *process, char **problem);

extern bool crash_point_is_armed; // only crash_point_arm writes it

// crash_point_pass counts a passing of the armed point, and ends the process at the one
// that was asked for, after a line on standard error. Any thread.
__attribute__((cold)) void crash_point_pass(const char *name);

// crash_point marks a place. Each name is in the table, and stands at one place.
static inline void crash_point(const char *name)
{
    if (crash_point_is_armed) {
        crash_point_pass(name);
    }
}

#endif
