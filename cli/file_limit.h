// file_limit - makes the disk of one running process full: its soft limit for the size of
// files (RLIMIT_FSIZE) goes down, writes beyond it fail with EFBIG, and it can go up
// again. Needs no privilege for processes of the same user.
#ifndef FAULTLINE_CLI_FILE_LIMIT_H
#define FAULTLINE_CLI_FILE_LIMIT_H

#include <stdint.h>

#include "cli/process.h"

// file_limit_set lets no write go beyond bytes from the beginning of any file.
// file_limit_lift ends that. ERR_NOT_FOUND: the process is dead; ERR_IO: we may not.
enum err file_limit_set(struct process_id id, uint64_t bytes);
enum err file_limit_lift(struct process_id id);

// file_limit_largest is the size of the largest file that the process has open, what it
// writes on standard output left out; 0 when it cannot be told.
uint64_t file_limit_largest(struct process_id id);

#endif
