// rebuild_replay - a service goes through the events of the log again.
#ifndef FAULTLINE_CLI_REBUILD_REPLAY_H
#define FAULTLINE_CLI_REBUILD_REPLAY_H

#include "cli/rebuild/rebuild_files.h"
#include "cli/rebuild/rebuild_plan.h"
#include "cli/rebuild/rebuild_site.h"

// rebuild_replay reads the log of site into the plan of work, counts in *counts what it
// has, and lets the service's own executable handle it over an empty database, with the
// settings that the stack has for it. living is a copy of the living database, or NULL.
// Anything but CLI_YES: it has said why on standard error.
enum cli_exit rebuild_replay(struct rebuild_site *site, const struct rebuild_work *work,
                             const char *living, struct rebuild_counts *counts);

#endif
