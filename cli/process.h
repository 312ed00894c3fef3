// process - what /proc tells of a process that we started, perhaps long ago.
//
// A pid alone is no identity: the kernel gives it to the next process. With its
// start time (in clock ticks since boot) it is one, so both are always asked for.
#ifndef FAULTLINE_CLI_PROCESS_H
#define FAULTLINE_CLI_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/uuid.h"

struct process_id {
    pid_t pid; // 0: none
    uint64_t started_ticks;
};

// What a line of /proc/PID/stat says.
struct process_stat {
    char state; // 'R', 'S', 'T', 'Z', …
    uint64_t cpu_ticks;
    uint64_t started_ticks;
};

// process_stat_parse reads such a line; the command's name in it may hold spaces
// and brackets. ERR_INVALID: it is none.
enum err process_stat_parse(const char *line, struct process_stat *out);

enum process_state {
    PROCESS_DEAD, // a zombie is dead as well: its sockets and files are closed
    PROCESS_RUNNING,
    PROCESS_PAUSED, // stopped by SIGSTOP
};

enum process_state process_state(struct process_id id);

// process_identify gives the identity of a living process; ERR_NOT_FOUND: it died.
enum err process_identify(pid_t pid, struct process_id *out);

// process_signal sends a signal, only when the process still is the one meant.
// ERR_NOT_FOUND: it is dead. ERR_IO: we may not.
enum err process_signal(struct process_id id, int signal_number);

// process_wait_state polls until the process is in state, at most timeout_ms, and
// tells whether it came to that.
bool process_wait_state(struct process_id id, enum process_state state, int64_t timeout_ms);

// process_pss_kb is its proportional share of memory (what it shares with others
// counted in parts), -1 when it cannot be told.
int64_t process_pss_kb(pid_t pid);

// process_times: how much processor time it used and how old it is, in ms; -1 when
// it cannot be told.
void process_times(struct process_id id, int64_t *cpu_ms, int64_t *age_ms);

// process_boot_id names this run of the kernel; empty when it cannot be told.
void process_boot_id(char out[UUID_SIZE]);

#endif
