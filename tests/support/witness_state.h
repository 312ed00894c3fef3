// witness_state - a witness's inside, shared by its two files: witness.c is the test's
// side and what events are, witness_client.c the process that is forked off.
#ifndef FAULTLINE_TESTS_WITNESS_STATE_H
#define FAULTLINE_TESTS_WITNESS_STATE_H

#include <sys/types.h>

#include "tests/support/witness.h"

struct witness {
    struct witness_role role;
    char *path; // owned
    int fd;     // of the notes, appended to
    pid_t pid;  // 0: not there
    uint64_t starts;
};

// witness_run is the process: it ends with it.
_Noreturn void witness_run(const struct witness *witness);

_Noreturn void witness_die(const char *what);

// witness_mix is splitmix64.
uint64_t witness_mix(uint64_t value);

#endif
