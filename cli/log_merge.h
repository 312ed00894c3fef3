// log_merge - the lines of several logs in the order of their times, as they are or
// as they grow. It keeps one piece of each log in memory, however long they are.
#ifndef FAULTLINE_CLI_LOG_MERGE_H
#define FAULTLINE_CLI_LOG_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"

struct log_merge; // opaque

enum {
    LOG_MERGE_SOURCES_MAX = 256,
    LOG_MERGE_LINE_BYTES_MAX = 1024 * 1024, // a longer line is cut in pieces
};

// log_merge_new makes an empty one. follow: a log that ends may go on later.
struct log_merge *log_merge_new(bool follow);
void log_merge_destroy(struct log_merge **self_p);

// log_merge_add_file adds a file under a name (copied), from its last lines_max
// lines on, or from byte start on when lines_max is negative. ERR_NOT_FOUND,
// ERR_FULL: there is no such file, there are too many logs.
enum err log_merge_add_file(struct log_merge *self, const char *name, const char *path,
                            int64_t lines_max, int64_t start);

// log_merge_add_command adds what argv (ended by NULL) prints; it is ended with the
// merge. ERR_NOT_FOUND, ERR_IO: it could not be started.
enum err log_merge_add_command(struct log_merge *self, const char *name, const char *const *argv);

struct log_line {
    const char *name;  // borrowed
    struct bytes text; // without its end; borrowed until the next call
};

// log_merge_next gives the earliest line at hand. False: there is none now; without
// follow: there will be none. A line without a time stays behind the one before it.
bool log_merge_next(struct log_merge *self, struct log_line *out);

#endif
