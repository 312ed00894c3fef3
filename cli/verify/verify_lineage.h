// verify_lineage - the story of one order or transfer as the log and the databases tell it,
// in lines such as the services' logs have, so that story.h makes the same tree of them.
// A log can be lost or far away; these facts are at hand wherever verify is.
#ifndef FAULTLINE_CLI_VERIFY_LINEAGE_H
#define FAULTLINE_CLI_VERIFY_LINEAGE_H

#include "cli/verify/verify_log.h"
#include "common/bytes.h"

// A group that has not handled an event of the story.
struct verify_gap {
    char *event_id; // owned, as the others
    char *group;
    char *reason;
};

struct verify_lineage {
    char *subject;           // owned
    struct buf lines;        // owned; each with its end
    struct verify_gap *gaps; // owned
    size_t gaps_count;
};

// verify_lineage_read gathers them. What cannot be read is left out: a lineage says more
// about something that is known to be broken. Release it in any case.
void verify_lineage_read(struct verify_lineage *out, const char *subject, struct verify_db *db,
                         const struct verify_log *log, const char *bus_url);
void verify_lineage_release(struct verify_lineage *lineage);

#endif
