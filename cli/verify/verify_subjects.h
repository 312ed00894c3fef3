// verify_subjects - the orders and transfers that the log or a database names, each with a
// number and a few counts of what is said of it.
//
// A set of topics is a sum of 1 << verify_topic's index; one of services likewise. One
// thread.
#ifndef FAULTLINE_CLI_VERIFY_SUBJECTS_H
#define FAULTLINE_CLI_VERIFY_SUBJECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/verify/verify_db.h"
#include "cli/verify/verify_house.h"
#include "common/bytes.h"
#include "common/money.h"
#include "common/uuid.h"

struct verify_subjects; // opaque

// Messages and entries of one order or transfer, by what verify_story counts of them.
enum verify_told {
    VERIFY_TOLD_RECEIVED,
    VERIFY_TOLD_GOOD,
    VERIFY_TOLD_BAD,
    VERIFY_TOLD_COUNT
};
enum verify_posted {
    VERIFY_POSTED_PAYMENT,
    VERIFY_POSTED_REVERSAL,
    VERIFY_POSTED_TRANSFER,
    VERIFY_POSTED_COUNT
};

// What is known of an order or a transfer from events, messages and entries. Counts stop
// at 255.
struct verify_about {
    uint32_t said;                       // topics, in the log or in an outbox
    uint32_t before;                     // topics in the log before the databases were looked at
    uint32_t heard[VERIFY_SERVICES];     // topics, by service
    uint32_t last[VERIFY_SERVICES];      // index + 1 of the last event in the order of handling
    uint8_t sent, sent_before;           // of notification-sent, of which there are several
    uint8_t given_up;                    // groups
    uint8_t told[VERIFY_TOLD_COUNT];     // messages, by what they tell
    uint8_t posted[VERIFY_POSTED_COUNT]; // entries of the ledger, by kind
    bool is_early;                       // something of it is older than the first snapshot
    int64_t posted_minor;                // what the payment's put on the account cash
    struct money amount;                 // that its events tell; no currency: none does
};

struct verify_subjects *verify_subjects_new(void);
void verify_subjects_destroy(struct verify_subjects **self_p);

// verify_subjects_add gives the number of the subject with this key, a new one when it is
// not there yet; ID_NONE for an empty key. verify_subjects_find never makes one.
uint32_t verify_subjects_add(struct verify_subjects *self, struct bytes key);
uint32_t verify_subjects_find(const struct verify_subjects *self, const char *subject);

// verify_subjects_about: what is known of a number; borrowed until the next is added.
struct verify_about *verify_subjects_about(struct verify_subjects *self, uint32_t number);

// verify_subjects_text writes the id of a number; nothing for ID_NONE, and for a key that
// is no UUID, which is somebody else's.
void verify_subjects_text(const struct verify_subjects *self, uint32_t number, char out[UUID_SIZE]);

// verify_subjects_count_one counts on, up to 255.
void verify_subjects_count_one(uint8_t *count);

// verify_subjects_read adds those that the services' databases name, with the messages and
// the entries about them. looked_at is the time before the first snapshot. ERR_IO.
enum err verify_subjects_read(struct verify_subjects *self, struct verify_db *db,
                              const char *looked_at);

// verify_subjects_each runs row, a statement, once for each. Its parameters: the subject;
// the sets of topics said and said before; how many notification-sent and how many before;
// the groups that gave something up; how many payments the ledger posted, how much cash
// that is, how many reversals, how many transfers; how many messages told of a beginning,
// of a good end, of a bad one; whether something of it is early; the amount that its
// events tell and the currency, NULL for none; and the sets of topics heard, in the order of
// verify_service. ERR_IO.
enum err verify_subjects_each(const struct verify_subjects *self, struct verify_row *row);

#endif
