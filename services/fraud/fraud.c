#include "services/fraud/fraud.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/mem.h"

static const char *const blocked_customers[] = {"mallory"};

static bool customer_is_blocked(const char *customer_id)
{
    for (size_t i = 0; i < ARRAY_LEN(blocked_customers); i++) {
        if (strcmp(blocked_customers[i], customer_id) == 0) {
            return true;
        }
    }
    return false;
}

const char *fraud_decide(const struct fraud_limits *limits, const struct fraud_screening *screening)
{
    assert(screening->customer_id != NULL && screening->earlier_count >= 0);
    if (customer_is_blocked(screening->customer_id)) {
        return FRAUD_REASON_BLOCKED;
    }
    if (screening->amount.amount_minor > limits->amount_minor) {
        return FRAUD_REASON_AMOUNT;
    }
    if (screening->earlier_count >= limits->per_minute) {
        return screening->kind == FRAUD_ORDER ? FRAUD_REASON_MANY_ORDERS
                                              : FRAUD_REASON_MANY_TRANSFERS;
    }
    return NULL;
}
