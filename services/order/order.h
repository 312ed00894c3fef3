// order - the pure rules of an order: what it costs, whose answers it waits for,
// and what may become of it.
//
//              all three answers are good
//   pending ------------------------------> confirmed
//      '----------------------------------> cancelled
//              one is bad, or the chain broke
//
// Nothing leads out of confirmed and cancelled.
#ifndef FAULTLINE_ORDER_H
#define FAULTLINE_ORDER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/money.h"
#include "services/contract.h"

enum order_status {
    ORDER_NONE,
    ORDER_PENDING,
    ORDER_CONFIRMED,
    ORDER_CANCELLED,
    ORDER_STATUSES
};

// order_can_move tells whether an order may go from one status to another.
bool order_can_move(enum order_status from, enum order_status to);

// order_status_name: "pending"; order_status_of is its inverse, and ORDER_NONE for
// any other text.
const char *order_status_name(enum order_status status);
enum order_status order_status_of(const char *name);

// Who checks an order, each on its own; named after their services.
enum order_check {
    ORDER_FRAUD,
    ORDER_INVENTORY,
    ORDER_PAYMENT,
    ORDER_CHECKS
};

enum order_answer {
    ANSWER_NONE,
    ANSWER_GOOD,
    ANSWER_BAD
};

const char *order_check_name(enum order_check check);

// What an event says about an order.
struct order_verdict {
    const char *topic;
    enum order_check check;
    enum order_answer answer;
};

// order_verdict_find returns what topic says. NULL: it is no answer.
const struct order_verdict *order_verdict_find(const char *topic);

struct order_state {
    enum order_status status;
    enum order_answer answers[ORDER_CHECKS];
};

// order_hear takes an answer into account. The first answer of a check stands, and
// what comes after the end changes nothing. It tells whether *state changed.
bool order_hear(struct order_state *state, enum order_check check, enum order_answer answer);

#endif
