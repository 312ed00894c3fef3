// bank - the words in which the tests of the bank are written, over a rig with a real
// broker and real services. What does not come true in time fails the test.
#ifndef FAULTLINE_TESTS_BANK_H
#define FAULTLINE_TESTS_BANK_H

#include <stdint.h>

#include "common/event.h"
#include "common/uuid.h"
#include "tests/support/rig.h"

// Everything that the bank and fraud say, for event_tap_open.
extern const char *const bank_topics[];

// bank_start starts a broker, fraud, ledger, notification and transfer.
struct rig *bank_start(const char *const *settings);

// bank_transfer asks for a transfer of euro cents and expects it to be accepted.
void bank_transfer(struct rig *rig, const char *from, const char *to, int64_t amount_minor,
                   char id[UUID_SIZE]);

// bank_wait_status waits until the transfer is "completed" or "cancelled"; bank_has_reason
// expects its reason.
void bank_wait_status(struct rig *rig, const char *id, const char *status);
void bank_expect_reason(struct rig *rig, const char *id, const char *reason);

// bank_expect_account expects an account's balance and what of it is held.
void bank_expect_account(struct rig *rig, const char *account, int64_t balance_minor,
                         int64_t held_minor);

// bank_expect_books expects the trial balance to be zero and no customer below zero.
void bank_expect_books(struct rig *rig);

// bank_get returns the body of GET path, which must be 200; the caller frees it.
char *bank_get(struct rig *rig, const char *service, const char *path);

// bank_get_count: how many rows GET path has in its array member.
int bank_get_count(struct rig *rig, const char *service, const char *path, const char *member);

// bank_wait_idle waits until each group but the tap's has dealt with every event and
// nothing new comes.
void bank_wait_idle(struct rig *rig);

// bank_next_offset: how many records the log has had.
int64_t bank_next_offset(struct rig *rig);

// bank_wait_dead_letter waits until group has a dead letter of the event whose error
// contains error.
void bank_wait_dead_letter(struct rig *rig, const char *group, const char *event_id,
                           const char *error);

// bank_data makes the data of a transfer event: amount_minor 0 leaves the amount out,
// reason NULL the reason. The caller owns it.
cJSON *bank_data(const char *id, const char *from, const char *to, int64_t amount_minor,
                 const char *reason);

#endif
