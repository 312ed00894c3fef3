// disk - every call that the broker makes on its files, as a table: a test can put a
// disk underneath that is full or lies, a simulator a whole file system in memory.
#ifndef FAULTLINE_DISK_H
#define FAULTLINE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/bytes.h"
#include "common/err.h"

// Each function has the contract of the call of its name: -1 and errno on an error,
// fewer bytes than asked for at will. To put something else in the place of some calls,
// copy disk_os, which does not look at context.
struct disk {
    void *context; // borrowed; handed to each function

    // open takes the flags of open(2); what it makes is the owner's and the group's
    // alone. It opens folders as well, to be locked or synced.
    int (*open)(void *context, const char *path, int flags);
    int (*close)(void *context, int fd);
    int64_t (*size)(void *context, int fd);
    ssize_t (*pread)(void *context, int fd, void *data, size_t size, uint64_t at);
    ssize_t (*pwrite)(void *context, int fd, const void *data, size_t size, uint64_t at);
    int (*ftruncate)(void *context, int fd, uint64_t size);
    int (*fdatasync)(void *context, int fd);
    int (*fsync)(void *context, int fd); // new files and their folder
    int (*lock)(void *context, int fd);  // until close; EWOULDBLOCK: another process has it
    int (*rename)(void *context, const char *from, const char *to);
    int (*unlink)(void *context, const char *path);
    int (*mkdir)(void *context, const char *path); // with its parents, durably; 0: it is there
    // list appends the name of each file in the folder, each with its NUL, in any order.
    int (*list)(void *context, const char *path, struct buf *names);
    uint32_t (*random)(void *context);
    // die is told that nobody knows any more what the disk holds, and does not return.
    void (*die)(void *context, const char *sentence);
};

// The operating system's. Its die writes the sentence on stderr and aborts.
extern const struct disk disk_os;

// A file, or a folder.
struct disk_file {
    const struct disk *disk; // borrowed
    char *path;              // owned, freed by disk_file_release
    int fd;                  // -1: not open
};

// Each of these is true, or false and errno tells why not. disk_file_write goes on over
// interruptions and short writes. A failed sync is not tried again.
bool disk_file_open(struct disk_file *self, int flags);
bool disk_file_write(const struct disk_file *self, const uint8_t *data, size_t size, uint64_t at);
bool disk_file_truncate(const struct disk_file *self, uint64_t size);
bool disk_file_datasync(const struct disk_file *self);
bool disk_file_sync(const struct disk_file *self);

// disk_file_read gives how many bytes it read, less than size only at the end of the
// file; -1: errno tells why.
ssize_t disk_file_read(const struct disk_file *self, uint8_t *data, size_t size, uint64_t at);

// disk_file_close closes the file; disk_file_release also frees the path. errno stays.
void disk_file_close(struct disk_file *self);
void disk_file_release(struct disk_file *self);

// disk_is_full tells whether error means that there is no room: the disk, a quota, the
// largest file size, or as many open files as there may be. All else is a broken disk.
bool disk_is_full(int error);

// disk_file_problem writes what errno tells as a sentence, cut at size. It returns
// ERR_FULL or ERR_IO.
enum err disk_file_problem(const struct disk_file *self, const char *action, char *problem,
                           size_t size);

// disk_file_must does nothing when the action is done. Else it tells die what errno
// tells: after a failed write or sync nobody knows what the disk holds; the next
// start reads it.
void disk_file_must(const struct disk_file *self, bool done, const char *action);

#endif
