#include "services/payment/payment.h"

#include <assert.h>
#include <string.h>

#include "common/mem.h"
#include "services/contract.h"

enum {
    FLAKY_FAILURES = 2
};

#define NOTHING                                                                                    \
    {                                                                                              \
        .verdict = PAYMENT_NOTHING                                                                 \
    }
#define MOVES(next)                                                                                \
    {                                                                                              \
        PAYMENT_MOVES, next                                                                        \
    }

// What is not named here is forbidden.
static const struct payment_step steps[PAYMENT_STATUSES][PAYMENT_INPUTS] = {
    [PAYMENT_NONE] = {[PAYMENT_AUTHORIZE] = MOVES(PAYMENT_AUTHORIZED),
                      [PAYMENT_DECLINE] = MOVES(PAYMENT_DECLINED),
                      [PAYMENT_VOID] = MOVES(PAYMENT_VOIDED),
                      [PAYMENT_CHARGE] = MOVES(PAYMENT_CAPTURED),
                      [PAYMENT_REFUND] = MOVES(PAYMENT_VOIDED)},
    [PAYMENT_AUTHORIZED] = {[PAYMENT_AUTHORIZE] = NOTHING,
                            [PAYMENT_DECLINE] = NOTHING,
                            [PAYMENT_CAPTURE] = MOVES(PAYMENT_CAPTURED),
                            [PAYMENT_VOID] = MOVES(PAYMENT_VOIDED)},
    [PAYMENT_DECLINED] = {[PAYMENT_AUTHORIZE] = NOTHING,
                          [PAYMENT_DECLINE] = NOTHING,
                          [PAYMENT_VOID] = NOTHING,
                          [PAYMENT_REFUND] = NOTHING},
    [PAYMENT_CAPTURED] = {[PAYMENT_AUTHORIZE] = NOTHING,
                          [PAYMENT_DECLINE] = NOTHING,
                          [PAYMENT_CAPTURE] = NOTHING,
                          [PAYMENT_CHARGE] = NOTHING,
                          [PAYMENT_REFUND] = MOVES(PAYMENT_REFUNDED)},
    [PAYMENT_VOIDED] = {[PAYMENT_AUTHORIZE] = NOTHING,
                        [PAYMENT_DECLINE] = NOTHING,
                        [PAYMENT_VOID] = NOTHING,
                        [PAYMENT_REFUND] = NOTHING},
    [PAYMENT_REFUNDED] = {[PAYMENT_AUTHORIZE] = NOTHING,
                          [PAYMENT_DECLINE] = NOTHING,
                          [PAYMENT_CAPTURE] = NOTHING,
                          [PAYMENT_REFUND] = NOTHING},
};

struct payment_step payment_step(enum payment_status status, enum payment_input input)
{
    assert(status < PAYMENT_STATUSES && input < PAYMENT_INPUTS);
    return steps[status][input];
}

static const char *const status_names[PAYMENT_STATUSES] = {
    [PAYMENT_NONE] = "none",
    [PAYMENT_AUTHORIZED] = "authorized",
    [PAYMENT_DECLINED] = "declined",
    [PAYMENT_CAPTURED] = "captured",
    [PAYMENT_VOIDED] = "voided",
    [PAYMENT_REFUNDED] = "refunded",
};

const char *payment_status_name(enum payment_status status)
{
    assert(status < PAYMENT_STATUSES);
    return status_names[status];
}

enum payment_status payment_status_of(const char *name)
{
    return (enum payment_status)contract_name_index(status_names, PAYMENT_STATUSES, name);
}

struct card_result card_ask(const char *token, int64_t attempt)
{
    static const struct {
        const char *token;
        int64_t failures; // before it gives its answer
        struct card_result result;
    } cards[] = {
        {"tok_visa", 0, {CARD_PAYS, NULL}},
        {"tok_declined", 0, {CARD_DECLINES, "card-declined"}},
        {"tok_flaky", FLAKY_FAILURES, {CARD_PAYS, NULL}},
        {"tok_poison", INT64_MAX, {CARD_PAYS, NULL}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cards); i++) {
        if (strcmp(cards[i].token, token) == 0) {
            return attempt > cards[i].failures
                       ? cards[i].result
                       : (struct card_result){CARD_FAILS, "card-network-error"};
        }
    }
    return (struct card_result){CARD_DECLINES, "unknown-token"};
}
