// commands - every command there is. main.c lists them in the order of the overview.
#ifndef FAULTLINE_CLI_COMMANDS_H
#define FAULTLINE_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command cmd_up;           // cmd_up.c
extern const struct command cmd_down;         // cmd_down.c
extern const struct command cmd_ps;           // cmd_ps.c
extern const struct command cmd_kill;         // cmd_signal.c
extern const struct command cmd_crash_points; // cmd_crash_points.c
extern const struct command cmd_pause;        // cmd_signal.c
extern const struct command cmd_resume;       // cmd_signal.c
extern const struct command cmd_start;        // cmd_start.c
extern const struct command cmd_chaos;        // cmd_chaos.c
extern const struct command cmd_order;        // cmd_order.c
extern const struct command cmd_transfer;     // cmd_transfer.c
extern const struct command cmd_load;         // cmd_load.c
extern const struct command cmd_replay;       // cmd_replay.c
extern const struct command cmd_rebuild;      // cmd_rebuild.c
extern const struct command cmd_trace;        // cmd_trace.c
extern const struct command cmd_tail;         // cmd_tail.c
extern const struct command cmd_logs;         // cmd_logs.c
extern const struct command cmd_groups;       // cmd_groups.c
extern const struct command cmd_dead_letters; // cmd_dead_letters.c
extern const struct command cmd_verify;       // cmd_verify.c

#endif
