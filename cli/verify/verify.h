// verify - compares the broker's log and the services' databases, and says what does not
// fit. What each check means is docs/verify.md; the checks are verify_checks.h's tables.
//
// The stack may run. Then it is looked at in an order in which nothing that is under way
// seems broken, and nothing that is broken seems to be under way:
//
//   --record's lines      what was accepted by now is in the databases
//   the broker's STATUS   what a group has dealt with by now is in its inbox, and the
//                         cause of each event in the log by now is in its service's tables
//   the databases         one snapshot each, pinned one after the other
//   the log, to its end   what a snapshot has committed is in it, or in that outbox
#ifndef FAULTLINE_CLI_VERIFY_H
#define FAULTLINE_CLI_VERIFY_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/verify/verify_checks.h"
#include "cli/verify/verify_lineage.h"
#include "cli/verify/verify_log.h"
#include "cli/verify/verify_waits.h"
#include "common/err.h"

struct verify_options {
    const char *data;           // the folder with the services' folders
    const char *bus_url;        // where a broker serves its log
    bool is_running;            // the order service lives, so chains may be running
    bool is_broker_ours;        // the stack's own is dead
    const char *const *records; // files of load --record
    size_t records_count;
    size_t shown_max; // violations of each check that are kept, and lineages in all
    verify_progress *progress;
    void *context;
};

struct verify_violation {
    char *subject; // owned; NULL: it is about no single order or transfer
    char *detail;  // owned; what is wrong
};

// What one check has found.
struct verify_found {
    const struct verify_check *check; // borrowed
    uint64_t looked_at;               // things of the check's noun
    uint64_t count;
    struct verify_violation *shown; // owned; shown_max of them at most
    size_t shown_count;
};

struct verify_result {
    struct verify_found *checks; // owned
    size_t checks_count;
    struct verify_found *findings; // owned; about the path over HTTP
    size_t findings_count;
    struct verify_wait *waits; // owned; the most important first
    size_t waits_count;
    uint64_t pending;                // orders and transfers without an end
    uint64_t chain_runs;             // orders over HTTP whose chain is running
    struct verify_lineage *lineages; // owned; of what breaks a check
    size_t lineages_count;
    struct verify_log_counts log;
    char *untold; // owned; what could not be told, sentences; NULL: nothing
};

// verify_noun_name is "orders" for one of them.
const char *verify_noun_name(enum verify_noun noun);

// verify_run does it. Anything but ERR_OK: nothing can be told, and *problem, which the
// caller frees, says why. Release the result in any case.
enum err verify_run(const struct verify_options *options, struct verify_result *out,
                    char **problem);
void verify_result_release(struct verify_result *result);

// verify_violations counts the checks that found something.
size_t verify_violations(const struct verify_result *result);

#endif
