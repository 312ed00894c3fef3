// chaos_findings - what makes the answer of a run "no", whatever the books say: who died,
// did not come back, was not finished, or gave up what it should have dealt with.
#ifndef FAULTLINE_CLI_CHAOS_FINDINGS_H
#define FAULTLINE_CLI_CHAOS_FINDINGS_H

#include <cjson/cJSON.h>

#include "cli/chaos/chaos.h"

// chaos_findings gives an array that the caller owns, empty when all went well:
//
//   [{"finding":"died","who":"payment","count":2,"text":"payment died without …"}]
//
// "finding" is died, bad-end, not-done, not-ready, unfinished or dead-letters; "who" a
// process or, from unfinished on, a service, and "" when it is nobody's.
cJSON *chaos_findings(const struct chaos_result *result);

#endif
