// chaos_verify - the end of a run: the verify command, over the stack that was harmed and
// over what clients were answered meanwhile.
#ifndef FAULTLINE_CLI_CHAOS_VERIFY_H
#define FAULTLINE_CLI_CHAOS_VERIFY_H

#include "cli/command.h"

// chaos_verify runs it and returns its answer. It prints what it has found, or, json not
// being NULL, adds that to json as "verify".
enum cli_exit chaos_verify(const char *dir, const char *record, cJSON *json);

#endif
