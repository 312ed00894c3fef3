// log_directory - the folder of the event log: made, locked for one process, and
// listed. A segment's file name is its first offset: 00000000000000004711.log.
#ifndef FAULTLINE_LOG_DIRECTORY_H
#define FAULTLINE_LOG_DIRECTORY_H

#include <stddef.h>
#include <stdint.h>

#include "broker/event_log_io.h"
#include "common/err.h"

struct log_directory {
    char *path; // owned
    int fd;     // -1 until open
    int lock_fd;
    const struct event_log_io *io; // borrowed
};

enum {
    LOG_DIRECTORY_PROBLEM_SIZE = 512,
    LOG_DIRECTORY_NAME_SIZE = 32,
};

// log_directory_open makes path with its parents when it is missing, and locks the
// file "lock" in it until log_directory_close. ERR_CONFLICT: another process holds
// the lock. ERR_IO: the system said no. problem then is a sentence. Whatever
// comes back, *self can be closed.
enum err log_directory_open(struct log_directory *self, const char *path,
                            const struct event_log_io *io,
                            char problem[LOG_DIRECTORY_PROBLEM_SIZE]);
void log_directory_close(struct log_directory *self);

// log_directory_sync makes it durable which files there are. 0 or an errno.
int log_directory_sync(const struct log_directory *self);

// log_directory_list gives the first offsets of the segments that are there,
// ascending; other files are left alone. The caller frees *bases. 0 or an errno.
int log_directory_list(const struct log_directory *self, uint64_t **bases, size_t *count);

// log_directory_name writes the file name of the segment that begins at base.
void log_directory_name(char name[LOG_DIRECTORY_NAME_SIZE], uint64_t base);

// log_directory_open_file opens the segment's file; flags as open(2), new files
// are the owner's and the group's alone. A descriptor, or -1 and errno.
int log_directory_open_file(const struct log_directory *self, uint64_t base, int flags);

// log_directory_remove_file removes it. 0 or an errno.
int log_directory_remove_file(const struct log_directory *self, uint64_t base);

#endif
