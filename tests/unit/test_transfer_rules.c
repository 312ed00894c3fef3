// The transfer's saga allows the moves of its drawing and no other.
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <string.h>

#include "common/mem.h"
#include "services/transfer/transfer.h"

// What the drawing in transfer.h says, written down a second time. A state that is
// not listed for an answer stays.
static const struct {
    enum transfer_state from;
    enum transfer_answer answer;
    enum transfer_state to;
} allowed[] = {
    {TRANSFER_CREATED, TRANSFER_FRAUD_CLEARED, TRANSFER_CLEARED},
    {TRANSFER_CREATED, TRANSFER_FUNDS_HELD, TRANSFER_HELD},
    {TRANSFER_CREATED, TRANSFER_FRAUD_FLAGGED, TRANSFER_CANCELLED},
    {TRANSFER_CREATED, TRANSFER_FUNDS_REJECTED, TRANSFER_CANCELLED},
    {TRANSFER_CLEARED, TRANSFER_FUNDS_HELD, TRANSFER_COMPLETED},
    {TRANSFER_CLEARED, TRANSFER_FUNDS_REJECTED, TRANSFER_CANCELLED},
    {TRANSFER_HELD, TRANSFER_FRAUD_CLEARED, TRANSFER_COMPLETED},
    {TRANSFER_HELD, TRANSFER_FRAUD_FLAGGED, TRANSFER_CANCELLED},
};

static bool is_allowed(enum transfer_state from, enum transfer_answer answer,
                       enum transfer_state *to)
{
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
        if (allowed[i].from == from && allowed[i].answer == answer) {
            *to = allowed[i].to;
            return true;
        }
    }
    *to = from;
    return false;
}

Test(transfer_rules, every_answer_in_every_state_moves_as_drawn_or_changes_nothing)
{
    for (enum transfer_state from = 0; from < TRANSFER_STATES; from++) {
        for (enum transfer_answer answer = 0; answer < TRANSFER_ANSWERS; answer++) {
            enum transfer_state expected;
            const bool moves = is_allowed(from, answer, &expected);
            enum transfer_state state = from;

            cr_expect_eq(transfer_move(&state, answer), moves, "%d with %d", from, answer);
            cr_expect_eq(state, expected, "%d with %d", from, answer);
        }
    }
}

Test(transfer_rules, an_end_stays_an_end)
{
    static const enum transfer_state ends[] = {TRANSFER_COMPLETED, TRANSFER_CANCELLED};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        for (enum transfer_answer answer = 0; answer < TRANSFER_ANSWERS; answer++) {
            enum transfer_state state = ends[i];
            cr_expect_not(transfer_move(&state, answer));
        }
    }
}

// Whatever the order and however often they repeat: two good answers complete, and
// the first bad one cancels. All sequences of six answers are tried.
Test(transfer_rules, any_sequence_of_answers_ends_as_its_first_answers_say)
{
    enum {
        LENGTH = 6,
        SEQUENCES = 4096 // TRANSFER_ANSWERS to the power of LENGTH
    };
    for (unsigned sequence = 0; sequence < SEQUENCES; sequence++) {
        enum transfer_state state = TRANSFER_CREATED;
        enum transfer_answer fraud = TRANSFER_ANSWERS;
        enum transfer_answer ledger = TRANSFER_ANSWERS;
        for (unsigned i = 0; i < LENGTH; i++) {
            const enum transfer_answer answer = (enum transfer_answer)(sequence >> (2 * i) & 3);
            const bool ended = state == TRANSFER_COMPLETED || state == TRANSFER_CANCELLED;
            const bool is_fraud =
                answer == TRANSFER_FRAUD_CLEARED || answer == TRANSFER_FRAUD_FLAGGED;
            if (!ended && is_fraud && fraud == TRANSFER_ANSWERS) {
                fraud = answer;
            }
            if (!ended && !is_fraud && ledger == TRANSFER_ANSWERS) {
                ledger = answer;
            }
            (void)transfer_move(&state, answer);
        }
        const bool bad = fraud == TRANSFER_FRAUD_FLAGGED || ledger == TRANSFER_FUNDS_REJECTED;
        const bool good = fraud == TRANSFER_FRAUD_CLEARED && ledger == TRANSFER_FUNDS_HELD;
        cr_expect_eq(state == TRANSFER_CANCELLED, bad, "sequence %u", sequence);
        cr_expect_eq(state == TRANSFER_COMPLETED, good, "sequence %u", sequence);
    }
}

Test(transfer_rules, a_pending_transfer_waits_for_whom_has_not_answered)
{
    static const struct {
        enum transfer_state state;
        const char *status;
        bool fraud;
        bool ledger;
    } cases[] = {
        {TRANSFER_CREATED, "pending", true, true},
        {TRANSFER_CLEARED, "pending", false, true},
        {TRANSFER_HELD, "pending", true, false},
        {TRANSFER_COMPLETED, "completed", false, false},
        {TRANSFER_CANCELLED, "cancelled", false, false},
    };
    cr_assert_eq(ARRAY_LEN(cases), TRANSFER_STATES);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cr_expect_str_eq(transfer_status(cases[i].state), cases[i].status);
        cr_expect_eq(transfer_waits_for_fraud(cases[i].state), cases[i].fraud);
        cr_expect_eq(transfer_waits_for_ledger(cases[i].state), cases[i].ledger);
    }
}

Test(transfer_rules, a_state_is_read_back_by_its_name)
{
    for (enum transfer_state state = 0; state < TRANSFER_STATES; state++) {
        enum transfer_state read = TRANSFER_STATES;
        cr_expect_eq(transfer_state_parse(transfer_state_name(state), &read), ERR_OK);
        cr_expect_eq(read, state);
    }
    enum transfer_state read = TRANSFER_CREATED;
    cr_expect_eq(transfer_state_parse("", &read), ERR_INVALID);
    cr_expect_eq(transfer_state_parse("lost", &read), ERR_INVALID);
}

#define AMOUNT "\"amount\":{\"amount_minor\":500,\"currency\":\"EUR\"}"

Test(transfer_rules, a_body_that_breaks_a_rule_is_refused_with_its_field)
{
    static const struct {
        const char *body;
        const char *field; // NULL: accepted
    } cases[] = {
        {"{\"from_account\":\"alice\",\"to_account\":\"bob\"," AMOUNT "}", NULL},
        {"{}", "from_account"},
        {"{\"to_account\":\"bob\"," AMOUNT "}", "from_account"},
        {"{\"from_account\":\"alice\"," AMOUNT "}", "to_account"},
        {"{\"from_account\":\"alice\",\"to_account\":\"bob\"}", "amount"},
        {"{\"from_account\":7,\"to_account\":\"bob\"," AMOUNT "}", "from_account"},
        {"{\"from_account\":\"\",\"to_account\":\"bob\"," AMOUNT "}", "from_account"},
        {"{\"from_account\":\"a b\",\"to_account\":\"bob\"," AMOUNT "}", "from_account"},
        {"{\"from_account\":\"alice\",\"to_account\":\"alice\"," AMOUNT "}", "to_account"},
        {"{\"from_account\":\"alice\",\"to_account\":\"bob\"," AMOUNT ",\"note\":1}", "note"},
        {"{\"from_account\":\"alice\",\"to_account\":\"bob\",\"amount\":5}", "amount"},
        {"{\"from_account\":\"alice\",\"to_account\":\"bob\",\"amount\":"
         "{\"amount_minor\":0,\"currency\":\"EUR\"}}",
         "amount"},
        {"{\"from_account\":\"alice\",\"to_account\":\"bob\",\"amount\":"
         "{\"amount_minor\":-1,\"currency\":\"EUR\"}}",
         "amount"},
        {"{\"from_account\":\"alice\",\"to_account\":\"bob\",\"amount\":"
         "{\"amount_minor\":1000000000000001,\"currency\":\"EUR\"}}",
         "amount"},
        {"{\"from_account\":\"alice\",\"to_account\":\"bob\",\"amount\":"
         "{\"amount_minor\":1.5,\"currency\":\"EUR\"}}",
         "amount"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cJSON *body = cJSON_Parse(cases[i].body);
        struct json_problem problem = {0};
        struct transfer_order order;

        const enum err err = transfer_read_order(body, &order, &problem);

        if (cases[i].field == NULL) {
            cr_expect_eq(err, ERR_OK, "case %zu: %s", i, problem.reason);
            cr_expect_str_eq(order.from_account, "alice");
            cr_expect_str_eq(order.to_account, "bob");
            cr_expect_eq(order.amount.amount_minor, 500);
        } else {
            cr_expect_eq(err, ERR_INVALID, "case %zu", i);
            cr_expect_str_eq(problem.field, cases[i].field, "case %zu", i);
        }
        cJSON_Delete(body);
    }
}
