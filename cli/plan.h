// plan - which processes a new stack gets, and on which ports.
#ifndef FAULTLINE_CLI_PLAN_H
#define FAULTLINE_CLI_PLAN_H

#include "cli/options.h"
#include "cli/stack.h"

// plan_fill sets the ports of an empty stack and adds its processes, as the options
// scale, http-port and bus-port wish. False: that cannot be, and it has been said.
bool plan_fill(struct stack *stack, const struct options *options);

#endif
