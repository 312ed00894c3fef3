// fragile_disk - a disk that loses what was not synced. Underneath are real files,
// which play the page cache; beside each, this keeps what the platter holds and
// which writes are on their way to it.
//
// A crash is taken at the call that fragile_disk_arm names: the state of the disk is
// put aside at that instant, and the log goes on as if nothing had been. When it has
// returned, the test closes the log and asks for the disk as the crash left it.
#ifndef FAULTLINE_TESTS_FRAGILE_DISK_H
#define FAULTLINE_TESTS_FRAGILE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/disk.h"
#include "common/bytes.h"

enum crash_kind {
    CRASH_POWER,     // of the writes on their way, any pieces of any arrive
    CRASH_KILL,      // the process dies; the page cache lives
    CRASH_SYNC_LOST, // as CRASH_KILL, of a sync that failed: what it should have written
                     // stays in the page cache, marked clean, and is never written
    CRASH_KINDS,
};

enum {
    FRAGILE_FILES_MAX = 64,
    FRAGILE_NAME_SIZE = 32,
};

struct fragile_file {
    char name[FRAGILE_NAME_SIZE];
    ino_t inode;
    bool is_listed;     // the folder's sync has made the name durable
    bool is_unlinked;   // and this one has not been synced yet
    struct buf platter; // what is durable
    struct buf
        pending;      // writes on their way: u64 at, u64 size, bytes; at UINT64_MAX: a cut to size
    struct buf cache; // what readers see; of a crash only, else it is the real file
};

struct fragile_disk {
    struct disk disk;      // give this to the log
    const char *directory; // borrowed
    uint64_t random;
    size_t grain;    // bytes that are written whole or not at all
    bool is_limited; // writes find bytes_left bytes of room, then ENOSPC
    uint64_t bytes_left;
    struct fragile_file files[FRAGILE_FILES_MAX];
    size_t files_count;
    uint64_t crash_in; // calls until the crash; 0: none is armed
    enum crash_kind crash_kind;
    bool has_crashed;
    struct fragile_file crash[FRAGILE_FILES_MAX];
    size_t crash_count;
};

// fragile_disk_init makes an empty disk for directory; it must stay where it is.
// seed, not 0, decides what each crash leaves.
void fragile_disk_init(struct fragile_disk *self, const char *directory, uint64_t seed);
void fragile_disk_release(struct fragile_disk *self);

// fragile_disk_draw gives a random number below below.
uint64_t fragile_disk_draw(struct fragile_disk *self, uint64_t below);

// fragile_disk_arm lets the disk crash at the calls-th change from now, from 1.
void fragile_disk_arm(struct fragile_disk *self, enum crash_kind kind, uint64_t calls);

// fragile_disk_crash crashes now.
void fragile_disk_crash(struct fragile_disk *self, enum crash_kind kind);

// fragile_disk_restore makes the files as the crash left them and disarms the disk.
// The log must be closed.
void fragile_disk_restore(struct fragile_disk *self);

#endif
