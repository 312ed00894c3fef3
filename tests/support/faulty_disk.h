// faulty_disk - puts a disk underneath the event log that does what a test wants:
// full, short of breath, interrupted, broken. Beneath it are real files; syncs do
// nothing, so that thousands of openings take a second.
#ifndef FAULTLINE_TESTS_FAULTY_DISK_H
#define FAULTLINE_TESTS_FAULTY_DISK_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/disk.h"

struct faulty_disk {
    struct disk disk; // give this to the log
    bool is_limited;  // writes find bytes_left bytes of room, then ENOSPC
    uint64_t bytes_left;
    size_t call_bytes_max;   // what one read or write moves at most; 0: no limit
    unsigned interrupt_each; // each so many calls fails with EINTR; 0: none
    int write_error;         // errno of every write; 0: none
    int sync_error;          // errno of every sync; 0: none
    int read_error;          // errno of every read; 0: none
    int unlink_error;        // errno of every unlink; 0: none
    unsigned fail_in;        // the so-manieth call from now, of any kind, fails; 0: none
    int fail_error;          // with this errno
    jmp_buf *death;          // borrowed; where die goes; NULL: it ends the process
    char last_words[512];    // the sentence of die
    unsigned calls;          // that read or write
    unsigned open_files;     // folders too
    unsigned writes;         // calls that wrote something
    unsigned syncs;          // of data
    uint32_t random;         // the last number given
};

// faulty_disk_init makes a disk without faults. It must stay where it is.
void faulty_disk_init(struct faulty_disk *self);

#endif
