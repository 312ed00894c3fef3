// fraud - the rules that clear or flag an order or a transfer. Pure.
//
// A screening is decided by its own data and by how many earlier screenings of the
// same customer have an event time in the FRAUD_WINDOW_US that end with its own:
//
//        (time - 60 s  ............  time]        earlier + this one > per_minute
//              e    e  e       e      ^           -> flagged
//
// The wall clock plays no part, so a replay of the same events in the same order
// decides the same.
#ifndef FAULTLINE_FRAUD_H
#define FAULTLINE_FRAUD_H

#include <stdint.h>

#include "common/money.h"

#define FRAUD_WINDOW_US INT64_C(60000000)

#define FRAUD_REASON_BLOCKED        "customer-blocked"
#define FRAUD_REASON_AMOUNT         "amount-over-limit"
#define FRAUD_REASON_MANY_ORDERS    "too-many-orders"
#define FRAUD_REASON_MANY_TRANSFERS "too-many-transfers"

enum fraud_kind {
    FRAUD_ORDER,
    FRAUD_TRANSFER
};

struct fraud_limits {
    int64_t amount_minor; // more than this is flagged, in any currency
    int64_t per_minute;   // more orders and transfers than this are flagged
};

struct fraud_screening {
    enum fraud_kind kind;
    const char *customer_id; // who pays; borrowed
    struct money amount;
    int64_t earlier_count; // of this customer, within the window
};

// fraud_decide returns why the screening is flagged (a constant), or NULL when it
// is cleared. The first rule that objects gives the reason: a blocked customer,
// then the amount, then the pace.
const char *fraud_decide(const struct fraud_limits *limits,
                         const struct fraud_screening *screening);

#endif
