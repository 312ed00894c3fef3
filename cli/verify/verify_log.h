// verify_log - the broker's log and what the services' inboxes and outboxes say of it.
//
// The log is read once and kept as a few bytes for each event; each inbox is read once, in
// the order of handling, and compared on the way. What does not fit becomes rows of
// tables in the verify_db (verify_log.c has their columns), and what is known of each
// order and transfer a row of the table seen.
#ifndef FAULTLINE_CLI_VERIFY_LOG_H
#define FAULTLINE_CLI_VERIFY_LOG_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "cli/bus_guest.h"
#include "cli/verify/verify_db.h"

struct verify_log; // opaque

// verify_log_new makes an empty one. status is the broker's REPORT from before the
// databases were opened: what a group had dealt with by then is in its service's snapshot,
// and so is the cause of each event that was in the log by then.
struct verify_log *verify_log_new(struct verify_db *db, const cJSON *status);
void verify_log_destroy(struct verify_log **self_p);

// verify_log_read reads all of the log that is there. ERR_UNAVAILABLE: the broker went
// away; ERR_IO: the temporary file; verify_db_problem says why. progress is called now and
// then with how many events there are and how many were read.
typedef void verify_progress(void *context, const char *what, uint64_t done, uint64_t all);
enum err verify_log_read(struct verify_log *self, const char *bus_url, verify_progress *progress,
                         void *context);

// verify_log_compare reads the outboxes and the inboxes and fills the tables. ERR_IO.
enum err verify_log_compare(struct verify_log *self, verify_progress *progress, void *context);

// How much was looked at.
struct verify_log_counts {
    uint64_t first_offset; // below it retention has dropped everything
    uint64_t end;          // the log's, when it was read
    uint64_t events;       // of the shop and the bank; dead letters and copies are none
    uint64_t handled;      // inbox rows of events
    uint64_t strangers;    // events of other topics, or about no order or transfer
};
struct verify_log_counts verify_log_counts(const struct verify_log *self);

// verify_log_each_subject runs row, a statement, once for each order and transfer that the
// log or a database names. Its parameters: the subject; the sets of topics said and said
// before; how many notification-sent and how many before; the groups that gave something
// up; how many payments the ledger posted, how much cash that is, how many reversals, how
// many transfers; how many messages told of a beginning, of a good end, of a bad one; and
// the sets of topics heard, in the order of verify_service. ERR_IO.
enum err verify_log_each_subject(const struct verify_log *self, struct verify_row *row);

// verify_log_offsets finds the events of a subject, dead letters and copies among them, in
// their order; at most max are written to out. Returns how many.
size_t verify_log_offsets(const struct verify_log *self, const char *subject, uint64_t *out,
                          size_t max);

#endif
