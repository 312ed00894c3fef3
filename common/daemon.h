// daemon - what a process that runs until it is told to stop has, broker or service.
#ifndef FAULTLINE_DAEMON_H
#define FAULTLINE_DAEMON_H

#include <stddef.h>

#include "common/config.h"

// The settings of each: HTTP_ADDRESS, HTTP_RECORD, LOG_FORMAT, LOG_LEVEL, FAULTLINE_CRASH_AT.
extern const struct setting daemon_settings[];

// daemon_take_signals makes SIGTERM and SIGINT wait, and gives a file descriptor that is
// readable when one came; the caller closes it. A write to what is gone or full is an error
// of that write alone. Call it before any thread exists: each inherits this.
int daemon_take_signals(void);

// daemon_allow_files raises the soft limit of open files to count, as far as it goes.
void daemon_allow_files(size_t count);

#endif
