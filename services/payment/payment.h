// payment - the pure rules of payments: what may become of one, and what the card
// network says to which token.
//
//   none --authorize--> authorized --capture--> captured --refund--> refunded
//     |                      '-------void-----> voided
//     |--decline--> declined
//     |--charge--> captured               (the synchronous path: at once)
//     '--void, refund--> voided           (the mark of a cancellation that came first)
#ifndef FAULTLINE_PAYMENT_H
#define FAULTLINE_PAYMENT_H

#include <stdint.h>

enum payment_status {
    PAYMENT_NONE,
    PAYMENT_AUTHORIZED,
    PAYMENT_DECLINED,
    PAYMENT_CAPTURED,
    PAYMENT_VOIDED,
    PAYMENT_REFUNDED,
    PAYMENT_STATUSES
};

enum payment_input {
    PAYMENT_AUTHORIZE, // order-created, and the card is good
    PAYMENT_DECLINE,   // order-created or POST /charges, and it is not
    PAYMENT_CAPTURE,   // order-confirmed
    PAYMENT_VOID,      // order-cancelled
    PAYMENT_CHARGE,    // POST /charges
    PAYMENT_REFUND,    // POST /refunds
    PAYMENT_INPUTS
};

enum payment_verdict {
    PAYMENT_FORBIDDEN, // it contradicts what was before
    PAYMENT_NOTHING,   // a repetition, or too late to matter: change nothing
    PAYMENT_MOVES,     // to the next status
};

struct payment_step {
    enum payment_verdict verdict;
    enum payment_status next;
};

// payment_step looks up what input does to a payment.
struct payment_step payment_step(enum payment_status status, enum payment_input input);

// payment_status_name: "authorized"; payment_status_of is its inverse, and
// PAYMENT_NONE for any other text.
const char *payment_status_name(enum payment_status status);
enum payment_status payment_status_of(const char *name);

enum card_answer {
    CARD_PAYS,
    CARD_DECLINES,
    CARD_FAILS // the network gives no answer; perhaps the next time
};

struct card_result {
    enum card_answer answer;
    const char *reason; // of a refusal or failure; static text
};

// card_ask plays the card network: tok_visa pays, tok_declined is refused,
// tok_flaky fails twice before it pays, tok_poison fails every time, and what it does
// not know it refuses. attempt counts from 1.
struct card_result card_ask(const char *token, int64_t attempt);

#endif
