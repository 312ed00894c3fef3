// What may become of a payment, every cell of the table, and the card network's tokens.
#include <criterion/criterion.h>
#include <string.h>

#include "common/mem.h"
#include "services/payment/payment.h"

// The moves, as a person would list them. Everything else is one of the
// repetitions below, or forbidden.
static const struct {
    enum payment_status from;
    enum payment_input input;
    enum payment_status to;
} moves[] = {
    {PAYMENT_NONE, PAYMENT_AUTHORIZE, PAYMENT_AUTHORIZED},
    {PAYMENT_NONE, PAYMENT_DECLINE, PAYMENT_DECLINED},
    {PAYMENT_NONE, PAYMENT_CHARGE, PAYMENT_CAPTURED},
    {PAYMENT_NONE, PAYMENT_VOID, PAYMENT_VOIDED},
    {PAYMENT_NONE, PAYMENT_REFUND, PAYMENT_VOIDED},
    {PAYMENT_AUTHORIZED, PAYMENT_CAPTURE, PAYMENT_CAPTURED},
    {PAYMENT_AUTHORIZED, PAYMENT_VOID, PAYMENT_VOIDED},
    {PAYMENT_CAPTURED, PAYMENT_REFUND, PAYMENT_REFUNDED},
};

static const struct {
    enum payment_status status;
    enum payment_input input;
} forbidden[] = {
    {PAYMENT_NONE, PAYMENT_CAPTURE},
    {PAYMENT_AUTHORIZED, PAYMENT_CHARGE},
    {PAYMENT_AUTHORIZED, PAYMENT_REFUND},
    {PAYMENT_DECLINED, PAYMENT_CAPTURE},
    {PAYMENT_DECLINED, PAYMENT_CHARGE},
    {PAYMENT_CAPTURED, PAYMENT_VOID},
    {PAYMENT_VOIDED, PAYMENT_CAPTURE},
    {PAYMENT_VOIDED, PAYMENT_CHARGE},
    {PAYMENT_REFUNDED, PAYMENT_VOID},
    {PAYMENT_REFUNDED, PAYMENT_CHARGE},
};

static struct payment_step expected_step(int status, int input)
{
    for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
        if ((int)moves[i].from == status && (int)moves[i].input == input) {
            return (struct payment_step){.verdict = PAYMENT_MOVES, .next = moves[i].to};
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
        if ((int)forbidden[i].status == status && (int)forbidden[i].input == input) {
            return (struct payment_step){.verdict = PAYMENT_FORBIDDEN};
        }
    }
    return (struct payment_step){.verdict = PAYMENT_NOTHING};
}

Test(payment_rules, every_cell_of_the_table_is_as_listed)
{
    for (int status = 0; status < PAYMENT_STATUSES; status++) {
        for (int input = 0; input < PAYMENT_INPUTS; input++) {
            const struct payment_step step =
                payment_step((enum payment_status)status, (enum payment_input)input);
            const struct payment_step expected = expected_step(status, input);
            cr_expect_eq(step.verdict, expected.verdict, "status %d, input %d", status, input);
            cr_expect_eq(step.next, expected.next, "status %d, input %d", status, input);
        }
    }
}

// Money that was taken and not given back, and money that is held: neither may
// appear after a cancellation, in whatever order things come.
Test(payment_rules, after_a_void_or_refund_nothing_is_held_or_taken)
{
    int sequences = 1;
    for (int i = 0; i < 6; i++) {
        sequences *= PAYMENT_INPUTS;
    }
    for (int code = 0; code < sequences; code++) {
        enum payment_status status = PAYMENT_NONE;
        bool is_cancelled = false;
        for (int rest = code, n = 0; n < 6; n++, rest /= PAYMENT_INPUTS) {
            const enum payment_input input = (enum payment_input)(rest % PAYMENT_INPUTS);
            const struct payment_step step = payment_step(status, input);
            if (step.verdict == PAYMENT_MOVES) {
                status = step.next;
            }
            is_cancelled = is_cancelled || ((input == PAYMENT_VOID || input == PAYMENT_REFUND) &&
                                            step.verdict != PAYMENT_FORBIDDEN);
            cr_assert(!is_cancelled || (status != PAYMENT_AUTHORIZED && status != PAYMENT_CAPTURED),
                      "sequence %d, step %d",
                      code,
                      n);
        }
    }
}

Test(payment_rules, each_status_has_a_name_and_is_found_by_it)
{
    for (int i = 0; i < PAYMENT_STATUSES; i++) {
        const enum payment_status status = (enum payment_status)i;
        cr_expect_eq(payment_status_of(payment_status_name(status)), status);
    }
    cr_expect_eq(payment_status_of("paid"), PAYMENT_NONE);
}

static void expect_card(const char *token, int64_t attempt, enum card_answer answer,
                        const char *reason)
{
    const struct card_result result = card_ask(token, attempt);
    cr_expect_eq(result.answer, answer, "%s, attempt %d", token, (int)attempt);
    if (reason == NULL) {
        cr_expect_null(result.reason);
    } else {
        cr_expect_str_eq(result.reason, reason);
    }
}

Test(payment_rules, each_token_answers_as_it_is_known_for)
{
    expect_card("tok_visa", 1, CARD_PAYS, NULL);
    expect_card("tok_declined", 1, CARD_DECLINES, "card-declined");
    expect_card("tok_declined", 9, CARD_DECLINES, "card-declined");
    expect_card("tok_flaky", 1, CARD_FAILS, "card-network-error");
    expect_card("tok_flaky", 2, CARD_FAILS, "card-network-error");
    expect_card("tok_flaky", 3, CARD_PAYS, NULL);
    expect_card("tok_poison", 1, CARD_FAILS, "card-network-error");
    expect_card("tok_poison", 1000000, CARD_FAILS, "card-network-error");
    expect_card("tok_unheard_of", 1, CARD_DECLINES, "unknown-token");
    expect_card("", 1, CARD_DECLINES, "unknown-token");
    expect_card("TOK_VISA", 1, CARD_DECLINES, "unknown-token");
}
