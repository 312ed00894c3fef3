// transfer - the saga of one transfer: joins what fraud and the ledger answer. Pure.
//
//                    fraud-cleared              funds-held
//       CREATED ---------------------> CLEARED ------------> COMPLETED
//          |  \      funds-held                 fraud-cleared   ^
//          |   \---------------------> HELD --------------------/
//          |
//          |   fraud-flagged, funds-rejected (from CREATED, CLEARED or HELD)
//          \---------------------------------------------------> CANCELLED
//
// The first refusal cancels at once. Everything else, an answer that repeats or comes
// late, changes nothing: the ledger releases its hold when it sees the cancellation.
#ifndef FAULTLINE_TRANSFER_H
#define FAULTLINE_TRANSFER_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/money.h"
#include "services/contract.h"

enum transfer_state {
    TRANSFER_CREATED,
    TRANSFER_CLEARED, // fraud is content, the ledger has not answered
    TRANSFER_HELD,    // the money is held, fraud has not answered
    TRANSFER_COMPLETED,
    TRANSFER_CANCELLED,
    TRANSFER_STATES
};

enum transfer_answer {
    TRANSFER_FRAUD_CLEARED,
    TRANSFER_FRAUD_FLAGGED,
    TRANSFER_FUNDS_HELD,
    TRANSFER_FUNDS_REJECTED,
    TRANSFER_ANSWERS
};

// transfer_answer_of: the answer that an event of this topic, one of four, gives.
enum transfer_answer transfer_answer_of(const char *topic);

// transfer_move gives the state after answer. false: answer changes nothing, *state
// stays.
bool transfer_move(enum transfer_state *state, enum transfer_answer answer);

// transfer_status is the word of the interface: "pending", "completed", "cancelled".
const char *transfer_status(enum transfer_state state);

// transfer_state_name and transfer_state_parse: as the store keeps it. ERR_INVALID: no
// such state.
const char *transfer_state_name(enum transfer_state state);
enum err transfer_state_parse(const char *name, enum transfer_state *out);

// transfer_waits_for_fraud, transfer_waits_for_ledger: whose answer is outstanding.
bool transfer_waits_for_fraud(enum transfer_state state);
bool transfer_waits_for_ledger(enum transfer_state state);

struct transfer_order {
    const char *from_account; // borrowed from the request's body
    const char *to_account;
    struct money amount;
};

// transfer_read_order reads the body of POST /transfers. ERR_INVALID: problem says
// which field and why; the two accounts must differ.
enum err transfer_read_order(const cJSON *body, struct transfer_order *out,
                             struct json_problem *problem);

#endif
