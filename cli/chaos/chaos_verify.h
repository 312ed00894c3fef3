// chaos_verify - the verify command, before a run and at its end: over the stack that was
// harmed and over what clients were answered meanwhile.
#ifndef FAULTLINE_CLI_CHAOS_VERIFY_H
#define FAULTLINE_CLI_CHAOS_VERIFY_H

#include "cli/command.h"

// chaos_verify_before tells whether the books are right before any harm was done. If not, or
// if it cannot be told, it has said so: what is wrong already would be taken for the run's.
bool chaos_verify_before(const char *dir);

// chaos_verify runs it at the end and returns its answer. It prints what it has found, or, json not
// being NULL, adds that to json as "verify".
enum cli_exit chaos_verify(const char *dir, const char *record, cJSON *json);

#endif
