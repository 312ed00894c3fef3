// log_sources - where the logs of a stack are: files of a native one, `docker logs`
// of containers, or the files that a stack left behind.
#ifndef FAULTLINE_CLI_LOG_SOURCES_H
#define FAULTLINE_CLI_LOG_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/log_merge.h"

struct log_sources {
    const char *const *names; // processes or services to take; NULL: all
    size_t names_count;
    int64_t lines_max; // the last lines of each; negative: all
    bool follow;
};

// log_sources_add adds the logs of the stack that runs, or those that a stack left in
// dir, and returns how many there are.
size_t log_sources_add(struct log_merge *merge, const struct log_sources *sources, const char *dir);

#endif
