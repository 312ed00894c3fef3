// rebuild_compare - a rebuilt database beside the living one: what came over HTTP is taken
// over, then each table of rebuild_tables is compared, row by row.
#ifndef FAULTLINE_CLI_REBUILD_COMPARE_H
#define FAULTLINE_CLI_REBUILD_COMPARE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/rebuild/rebuild_tables.h"
#include "common/err.h"

// Files: the rebuilt database, which is changed, the plan, and a copy of the living
// database, or NULL when there is none that can be read.
struct rebuild_files {
    const char *rebuilt, *plan, *living;
};

// rebuild_compare takes over and compares. *out, which the caller owns, is an array of
// {"table","living","rebuilt","carried","differing","first":[{"key","living":{…}|null,
// "rebuilt":{…}|null}]}, whose first are at most five differing rows; without a living
// database there are "table" and "rebuilt" alone. *differing counts all. ERR_CONFLICT: the
// living one is not made as the rebuilt one is, or damaged; ERR_IO. *problem, which the
// caller frees, is then a sentence.
enum err rebuild_compare(const struct rebuild_service *service, const struct rebuild_files *files,
                         cJSON **out, int64_t *differing, char **problem);

// rebuild_undone gives the plan's events that were not handled, at most ten, as an array
// of {"offset","topic","key","why"}, which the caller owns, and their number: those that
// are odd, or the others. ERR_IO as above.
enum err rebuild_undone(const char *plan, bool is_odd, cJSON **out, int64_t *count, int64_t *first,
                        char **problem);

#endif
