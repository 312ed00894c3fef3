// log_file - a file of the event log, and the few system calls that are made on it:
// a table, so that a test can put a disk underneath that is full, slow, or lies.
#ifndef FAULTLINE_LOG_FILE_H
#define FAULTLINE_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

// Each function has the contract of the call of its name: -1 and errno on an error,
// fewer bytes than asked for at will.
struct event_log_io {
    void *context; // borrowed; handed to each function
    ssize_t (*pread)(void *context, int fd, void *data, size_t size, off_t at);
    ssize_t (*pwrite)(void *context, int fd, const void *data, size_t size, off_t at);
    int (*ftruncate)(void *context, int fd, off_t size);
    int (*fdatasync)(void *context, int fd);
    int (*fsync)(void *context, int fd); // new files and their directory
    uint32_t (*random)(void *context);
};

// A file, or the folder they lie in.
struct log_file {
    const struct event_log_io *io; // borrowed; NULL: the operating system
    char *path;                    // owned, freed by log_file_release
    int fd;                        // -1: not open
};

// Each of these is true, or false and errno tells why not. log_file_open takes the
// flags of open(2); what it makes is the owner's and the group's alone.
// log_file_write goes on over interruptions and short writes. A failed sync is not
// tried again.
bool log_file_open(struct log_file *self, int flags);
bool log_file_write(const struct log_file *self, const uint8_t *data, size_t size, uint64_t at);
bool log_file_truncate(const struct log_file *self, uint64_t size);
bool log_file_datasync(const struct log_file *self);
bool log_file_sync(const struct log_file *self);

// log_file_read gives how many bytes it read, less than size only at the end of the
// file; -1: errno tells why.
ssize_t log_file_read(const struct log_file *self, uint8_t *data, size_t size, uint64_t at);

// log_file_random gives any number.
uint32_t log_file_random(const struct log_file *self);

// log_file_close closes the file; log_file_release also frees the path.
void log_file_close(struct log_file *self);
void log_file_release(struct log_file *self);

// log_file_is_full tells whether error means that there is no room: the disk, a quota
// or the largest file size. All else is a broken disk.
bool log_file_is_full(int error);

// log_file_must does nothing when the action is done. Else it says what errno tells
// on stderr and aborts: after a failed write or sync nobody knows what the disk
// holds; the next start reads it.
void log_file_must(const struct log_file *self, bool done, const char *action);

// log_file_problem writes what errno tells as a sentence, cut at size, and returns
// ERR_IO.
enum err log_file_problem(const struct log_file *self, const char *action, char *problem,
                          size_t size);

#endif
