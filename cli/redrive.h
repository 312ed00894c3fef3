// redrive - `dead-letters redrive`: gives dead letters back to the groups that gave
// them up.
#ifndef FAULTLINE_CLI_REDRIVE_H
#define FAULTLINE_CLI_REDRIVE_H

#include "cli/command.h"

// redrive_run takes the options and arguments of dead-letters, the verb being the first.
enum cli_exit redrive_run(const struct options *options);

#endif
