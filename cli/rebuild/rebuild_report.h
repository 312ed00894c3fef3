// rebuild_report - what `faultline rebuild` found, for people.
#ifndef FAULTLINE_CLI_REBUILD_REPORT_H
#define FAULTLINE_CLI_REBUILD_REPORT_H

#include <cjson/cJSON.h>

#include "cli/rebuild/rebuild_tables.h"

// rebuild_report_notes adds to report what may differ and what came over HTTP: "may_differ",
// an array of {"column","why"}, and "from_http", one of {"table","what","rows"}.
void rebuild_report_notes(cJSON *report, const struct rebuild_service *service);

// rebuild_report_print writes a report to standard output:
//
//   {"service","dry_run","log_end","events","given_up","under_way","left","odd",
//    "first_left":[…],"first_odd":[…],"tables":[…],"may_differ":[…],"from_http":[…],
//    "living":bool,"problem"?}
//
// (rebuild_compare.h tells of tables, first_left and first_odd).
void rebuild_report_print(const cJSON *report);

#endif
