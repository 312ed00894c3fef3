// memory_disk - one folder of files in memory behind struct disk, without any fault but
// one: it can be full. What is written is durable at once.
//
// Paths are told apart by what stands behind their last slash. A file that was removed
// can still be read through what has it open.
#ifndef FAULTLINE_TESTS_MEMORY_DISK_H
#define FAULTLINE_TESTS_MEMORY_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/disk.h"
#include "common/bytes.h"

struct memory_file {
    char *name; // owned; NULL: removed
    struct buf bytes;
};

struct memory_disk {
    struct disk disk;          // give this to the broker
    struct memory_file *files; // owned; by file descriptor
    size_t files_count;
    uint64_t room; // bytes that writes may still add; memory_disk_init sets UINT64_MAX
    uint32_t random;
};

// memory_disk_init makes an empty disk; it must stay where it is.
void memory_disk_init(struct memory_disk *self);
void memory_disk_release(struct memory_disk *self);

// memory_disk_put makes a file, or makes it anew, with these bytes; memory_disk_find
// gives the bytes of one, borrowed until any file is made. NULL: there is none.
void memory_disk_put(struct memory_disk *self, const char *name, struct bytes bytes);
struct buf *memory_disk_find(struct memory_disk *self, const char *name);

// memory_disk_checksum covers the names and bytes of all files, whose order does not
// matter.
uint64_t memory_disk_checksum(const struct memory_disk *self);

#endif
