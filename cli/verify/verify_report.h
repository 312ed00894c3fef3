// verify_report - what `faultline verify` has found, for people and for programs.
#ifndef FAULTLINE_CLI_VERIFY_REPORT_H
#define FAULTLINE_CLI_VERIFY_REPORT_H

#include "cli/verify/verify.h"

// verify_report_print writes the table of checks, what is on its way, what was found of
// the orders over HTTP, and what is broken with its lineages, to standard output. Lineages
// are drawn from the logs of the stack in folder dir when they tell of their subjects;
// NULL: from the databases alone.
void verify_report_print(const struct verify_result *result, const char *dir, int64_t took_us);

// verify_report_json is the same for programs; the caller owns it.
cJSON *verify_report_json(const struct verify_result *result, const char *dir, int64_t took_us);

// verify_report_verdict is the last sentence: "all 21 checks hold"; the caller frees it.
char *verify_report_verdict(const struct verify_result *result);

#endif
