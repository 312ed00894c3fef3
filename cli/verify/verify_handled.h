// verify_handled - what the services' inboxes and outboxes say of the events of the log.
//
// Each inbox is read once, in the order of handling, and compared on the way. What does not
// fit becomes rows of tables in the verify_db:
//
//   missing    an event that a group should handle and that its inbox does not have; its
//              class is 'lost', 'dead' (a dead letter, at the offset letter, has it) or
//              'waiting'
//   stray      an inbox row of an event that the log does not have, or has of another topic
//   repeated   a second row of the same event
//   disorder   an event that a group handled after a later one of the same key
//   waiting    a row of an outbox
//   grp        each service's group: its floor, and how many dead letters the broker lists
#ifndef FAULTLINE_CLI_VERIFY_HANDLED_H
#define FAULTLINE_CLI_VERIFY_HANDLED_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "cli/verify/verify_log.h"

// verify_handled_compare fills the tables, notes in subjects what each service has heard,
// and counts the inbox rows of events in *handled. status is the broker's, as for
// verify_log_new. ERR_IO: verify_db_problem says why.
enum err verify_handled_compare(struct verify_db *db, struct verify_log *log,
                                struct verify_subjects *subjects, const cJSON *status,
                                uint64_t *handled, verify_progress *progress, void *context);

#endif
