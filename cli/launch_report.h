// launch_report - what to tell a person when a process did not come up.
#ifndef FAULTLINE_CLI_LAUNCH_REPORT_H
#define FAULTLINE_CLI_LAUNCH_REPORT_H

#include "cli/launch.h"

// How long each log was before the start: what is behind that, the start wrote.
struct launch_report {
    int64_t log_starts[STACK_PROCESSES_MAX];
};

// launch_report_begin notes the lengths; call it before launch_start.
void launch_report_begin(struct launch_report *self, const struct stack *stack);

// launch_report_death says on standard error which process died, how, and the last
// lines it wrote.
void launch_report_death(const struct launch_report *self, const struct stack *stack,
                         size_t process);

// launch_report_late says which processes run and are not ready, and what to do.
void launch_report_late(const struct stack *stack, const struct launch_set *late,
                        int64_t timeout_ms);

#endif
