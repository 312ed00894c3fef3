#include "services/transfer/transfer.h"

#include <assert.h>
#include <string.h>

// What is not listed changes nothing.
static const struct move {
    bool allowed;
    enum transfer_state next;
} moves[TRANSFER_STATES][TRANSFER_ANSWERS] = {
    [TRANSFER_CREATED] =
        {
            [TRANSFER_FRAUD_CLEARED] = {true, TRANSFER_CLEARED},
            [TRANSFER_FRAUD_FLAGGED] = {true, TRANSFER_CANCELLED},
            [TRANSFER_FUNDS_HELD] = {true, TRANSFER_HELD},
            [TRANSFER_FUNDS_REJECTED] = {true, TRANSFER_CANCELLED},
        },
    [TRANSFER_CLEARED] =
        {
            [TRANSFER_FUNDS_HELD] = {true, TRANSFER_COMPLETED},
            [TRANSFER_FUNDS_REJECTED] = {true, TRANSFER_CANCELLED},
        },
    [TRANSFER_HELD] =
        {
            [TRANSFER_FRAUD_CLEARED] = {true, TRANSFER_COMPLETED},
            [TRANSFER_FRAUD_FLAGGED] = {true, TRANSFER_CANCELLED},
        },
};

static const struct {
    const char *name;
    const char *status;
    bool waits_for_fraud;
    bool waits_for_ledger;
} states[TRANSFER_STATES] = {
    [TRANSFER_CREATED] = {"created", "pending", true, true},
    [TRANSFER_CLEARED] = {"cleared", "pending", false, true},
    [TRANSFER_HELD] = {"held", "pending", true, false},
    [TRANSFER_COMPLETED] = {"completed", "completed", false, false},
    [TRANSFER_CANCELLED] = {"cancelled", "cancelled", false, false},
};

enum transfer_answer transfer_answer_of(const char *topic)
{
    static const char *const topics[TRANSFER_ANSWERS] = {
        [TRANSFER_FRAUD_CLEARED] = "fraud-cleared",
        [TRANSFER_FRAUD_FLAGGED] = "fraud-flagged",
        [TRANSFER_FUNDS_HELD] = "funds-held",
        [TRANSFER_FUNDS_REJECTED] = "funds-rejected",
    };
    return (enum transfer_answer)contract_name_index(topics, TRANSFER_ANSWERS, topic);
}

bool transfer_move(enum transfer_state *state, enum transfer_answer answer)
{
    assert(*state < TRANSFER_STATES && answer < TRANSFER_ANSWERS);
    const struct move *move = &moves[*state][answer];
    if (move->allowed) {
        *state = move->next;
    }
    return move->allowed;
}

const char *transfer_status(enum transfer_state state)
{
    assert(state < TRANSFER_STATES);
    return states[state].status;
}

const char *transfer_state_name(enum transfer_state state)
{
    assert(state < TRANSFER_STATES);
    return states[state].name;
}

enum err transfer_state_parse(const char *name, enum transfer_state *out)
{
    for (enum transfer_state state = 0; state < TRANSFER_STATES; state++) {
        if (strcmp(states[state].name, name) == 0) {
            *out = state;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

bool transfer_waits_for_fraud(enum transfer_state state)
{
    assert(state < TRANSFER_STATES);
    return states[state].waits_for_fraud;
}

bool transfer_waits_for_ledger(enum transfer_state state)
{
    assert(state < TRANSFER_STATES);
    return states[state].waits_for_ledger;
}

enum err transfer_read_order(const cJSON *body, struct transfer_order *out,
                             struct json_problem *problem)
{
    static const char *const members[] = {"from_account", "to_account", "amount", NULL};
    if (json_only_members(body, "", members, problem) != ERR_OK ||
        contract_get_id(body, "", "from_account", &out->from_account, problem) != ERR_OK ||
        contract_get_id(body, "", "to_account", &out->to_account, problem) != ERR_OK ||
        contract_get_amount(body, "", "amount", &out->amount, problem) != ERR_OK) {
        return ERR_INVALID;
    }
    if (strcmp(out->from_account, out->to_account) == 0) {
        json_problem_set(problem, "to_account", "must be another account than from_account");
        return ERR_INVALID;
    }
    return ERR_OK;
}
