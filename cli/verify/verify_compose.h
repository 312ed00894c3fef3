// verify_compose - verifies a stack of containers: their data lies in volumes that only a
// container sees, so the same command runs in one of its own, made of the same image.
#ifndef FAULTLINE_CLI_VERIFY_COMPOSE_H
#define FAULTLINE_CLI_VERIFY_COMPOSE_H

#include "cli/command.h"
#include "cli/target.h"

// verify_compose_run runs `docker run` with the volumes of target's containers and the
// network of its broker, if that runs, and hands on the command's options and exit code.
enum cli_exit verify_compose_run(const struct target *target, const struct options *options);

#endif
