// chaos_log - what happens in a run, a line each with the seconds since its start: in a
// file, and for who wants to see it on standard error.
#ifndef FAULTLINE_CLI_CHAOS_LOG_H
#define FAULTLINE_CLI_CHAOS_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct chaos_log {
    FILE *file;       // owned by who has the log; NULL: none
    bool verbose;     // on standard error as well
    int64_t start_ms; // by the clock that never goes back
};

__attribute__((format(printf, 2, 3))) void chaos_log_write(const struct chaos_log *self,
                                                           const char *format, ...);

#endif
