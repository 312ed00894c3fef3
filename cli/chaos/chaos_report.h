// chaos_report - what a run of chaos did and found, for people and for programs.
#ifndef FAULTLINE_CLI_CHAOS_REPORT_H
#define FAULTLINE_CLI_CHAOS_REPORT_H

#include <cjson/cJSON.h>

#include "cli/chaos/chaos.h"

// chaos_report_print writes the tables on standard output. Sorts the times in *result.
void chaos_report_print(const struct chaos_options *options, struct chaos_result *result);

// chaos_report_to_json gives the same; the caller owns it.
cJSON *chaos_report_to_json(const struct chaos_options *options, struct chaos_result *result);

#endif
