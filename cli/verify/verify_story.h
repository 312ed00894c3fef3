// verify_story - the table story: one row for each order and transfer with all that is
// known of it, so that a check is a condition on one row.
//
//   subject      its id
//   kind         'order' (by events), 'chain' (an order over HTTP), 'transfer'; NULL: its
//                service does not know it
//   is_whole     the log reaches back to its beginning
//   end_is_dropped   it has an end whose event the log had, and retention has dropped; all
//                had handled it by then, or have given it up
//   is_early     something of it is older than the first snapshot
//   said_minor, said_currency   the amount that its events tell; currency NULL: none does
//   status, state, reason, amount, currency, created_event, ended_event, ended_at,
//   fraud_says, inventory_says, payment_says               of the order or transfer
//   goods, payment, paid, paid_currency, decision, books (of the ledger's case, a number of
//   enum ledger_state), booked, booked_currency, posted, posted_minor, reversed, moved, told,
//   told_received, told_good, told_bad                     of the other services
//   said_TOPIC   1: the event is in the log or in an outbox; TOPIC with _ for -
//   was_TOPIC    1: it was in the log before the databases were looked at
//   SERVICE_heard_TOPIC   1: the service's inbox has it
//   sent, sent_before     how many notification-sent there are
//   given_up_SERVICE      1: its group has or had a dead letter of the subject
#ifndef FAULTLINE_CLI_VERIFY_STORY_H
#define FAULTLINE_CLI_VERIFY_STORY_H

#include "cli/verify/verify_db.h"
#include "cli/verify/verify_subjects.h"

// verify_story_build makes the table, once the log, the inboxes and the subjects were read. ERR_IO.
enum err verify_story_build(struct verify_db *db, const struct verify_subjects *subjects);

#endif
