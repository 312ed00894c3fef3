// log_view - one line of a log, made for people: time, process, what happened, and
// the fields that tell it apart.
#ifndef FAULTLINE_CLI_LOG_VIEW_H
#define FAULTLINE_CLI_LOG_VIEW_H

#include <stdbool.h>
#include <stdio.h>

#include "common/bytes.h"

struct log_view {
    bool colours;
    bool full; // every field, also the ids that only `trace` needs
};

// log_view_print writes a line of the process called name. A line that is no JSON
// object (a crash, a library) is written as it is, behind the name.
void log_view_print(const struct log_view *self, const char *name, struct bytes line, FILE *out);

enum {
    LOG_TS_SIZE = 28
};

// log_view_ts copies the time of a line ("" when it has none), which sorts as text;
// it looks only at where our logs write it.
void log_view_ts(struct bytes line, char out[LOG_TS_SIZE]);

#endif
