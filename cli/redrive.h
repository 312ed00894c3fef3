// redrive - `dead-letters redrive`: gives dead letters back to the groups that gave
// them up.
#ifndef FAULTLINE_CLI_REDRIVE_H
#define FAULTLINE_CLI_REDRIVE_H

#include "cli/bus_guest.h"
#include "cli/command.h"

// redrive_run takes the options and arguments of dead-letters, the verb being the first.
enum cli_exit redrive_run(const struct options *options);

// redrive_letter gives the one at offset back to group and adds to *count what went back:
// nothing when it is not listed any more. CLI_NO, CLI_UNKNOWN: the broker refused or did
// not answer, which has been said.
enum cli_exit redrive_letter(struct bus_guest *guest, const char *group, uint64_t offset,
                             uint64_t *count);

#endif
