// event_log_io - the few system calls that the event log makes on its files, as a
// table, so that a test can put a disk underneath that is full, slow, or lies.
//
// Each function has the contract of the call of its name: -1 and errno on an error,
// fewer bytes than asked for at will.
#ifndef FAULTLINE_EVENT_LOG_IO_H
#define FAULTLINE_EVENT_LOG_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct event_log_io {
    void *context; // borrowed; handed to each function
    ssize_t (*pread)(void *context, int fd, void *data, size_t size, off_t at);
    ssize_t (*pwrite)(void *context, int fd, const void *data, size_t size, off_t at);
    int (*ftruncate)(void *context, int fd, off_t size);
    int (*fdatasync)(void *context, int fd);
    int (*fsync)(void *context, int fd); // new files and their directory
    uint32_t (*random)(void *context);   // any number; cannot fail
};

// event_log_io_system is the operating system itself.
extern const struct event_log_io event_log_io_system;

// event_log_io_read reads size bytes at at, over interruptions and short reads.
// 0 or an errno; *got is less than size only at the end of the file.
int event_log_io_read(const struct event_log_io *io, int fd, void *data, size_t size, uint64_t at,
                      size_t *got);

// event_log_io_write writes size bytes at at, over interruptions and short
// writes. 0 or an errno; *written counts the bytes written before it.
int event_log_io_write(const struct event_log_io *io, int fd, const void *data, size_t size,
                       uint64_t at, size_t *written);

// event_log_io_truncate, event_log_io_datasync and event_log_io_sync: 0 or an errno.
int event_log_io_truncate(const struct event_log_io *io, int fd, uint64_t size);
int event_log_io_datasync(const struct event_log_io *io, int fd);
int event_log_io_sync(const struct event_log_io *io, int fd);

// event_log_io_is_full tells whether error means that there is no room: the disk,
// a quota or the largest file size. All else is a broken disk.
bool event_log_io_is_full(int error);

// event_log_io_die says on stderr what could not be done with which file, and
// aborts. After a failed write or sync nobody knows what the disk holds; the next
// start reads it.
_Noreturn void event_log_io_die(const char *action, const char *directory, const char *name,
                                int error);

#endif
