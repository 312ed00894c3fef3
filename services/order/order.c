#include "services/order/order.h"

#include <assert.h>
#include <string.h>

#include "common/mem.h"

static const bool moves[ORDER_STATUSES][ORDER_STATUSES] = {
    [ORDER_NONE] = {[ORDER_PENDING] = true},
    [ORDER_PENDING] = {[ORDER_CONFIRMED] = true, [ORDER_CANCELLED] = true},
};

bool order_can_move(enum order_status from, enum order_status to)
{
    assert(from < ORDER_STATUSES && to < ORDER_STATUSES);
    return moves[from][to];
}

static const char *const status_names[ORDER_STATUSES] = {
    [ORDER_NONE] = "none",
    [ORDER_PENDING] = "pending",
    [ORDER_CONFIRMED] = "confirmed",
    [ORDER_CANCELLED] = "cancelled",
};

const char *order_status_name(enum order_status status)
{
    assert(status < ORDER_STATUSES);
    return status_names[status];
}

enum order_status order_status_of(const char *name)
{
    return (enum order_status)contract_name_index(status_names, ORDER_STATUSES, name);
}

const char *order_check_name(enum order_check check)
{
    static const char *const names[ORDER_CHECKS] = {
        [ORDER_FRAUD] = "fraud",
        [ORDER_INVENTORY] = "inventory",
        [ORDER_PAYMENT] = "payment",
    };
    assert(check < ORDER_CHECKS);
    return names[check];
}

const struct order_verdict *order_verdict_find(const char *topic)
{
    static const struct order_verdict verdicts[] = {
        {"fraud-cleared", ORDER_FRAUD, ANSWER_GOOD},
        {"fraud-flagged", ORDER_FRAUD, ANSWER_BAD},
        {"inventory-reserved", ORDER_INVENTORY, ANSWER_GOOD},
        {"inventory-rejected", ORDER_INVENTORY, ANSWER_BAD},
        {"payment-authorized", ORDER_PAYMENT, ANSWER_GOOD},
        {"payment-declined", ORDER_PAYMENT, ANSWER_BAD},
    };
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        if (strcmp(verdicts[i].topic, topic) == 0) {
            return &verdicts[i];
        }
    }
    return NULL;
}

bool order_hear(struct order_state *state, enum order_check check, enum order_answer answer)
{
    assert(check < ORDER_CHECKS && answer != ANSWER_NONE);
    if (state->status != ORDER_PENDING || state->answers[check] != ANSWER_NONE) {
        return false;
    }
    state->answers[check] = answer;
    if (answer == ANSWER_BAD) {
        state->status = ORDER_CANCELLED;
        return true;
    }
    bool is_complete = true;
    for (size_t i = 0; i < ORDER_CHECKS; i++) {
        is_complete = is_complete && state->answers[i] == ANSWER_GOOD;
    }
    if (is_complete) {
        state->status = ORDER_CONFIRMED;
    }
    return true;
}
