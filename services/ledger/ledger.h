// ledger - double entry, and what may happen to a payment and to a transfer. Pure.
//
// A line with a positive amount says where value lies now, a negative one where it
// came from: the lines of an entry sum to zero in each currency, and so do all
// accounts. Cash and customers have positive balances, equity and revenue negative.
//
// A customer's money can be held: available = balance - held, never below zero.
//
//   payment    NONE --post--> POSTED --reverse--> REVERSED
//                \--reverse--> STOPPED (a mark: a later post is refused)
//
//   transfer   NONE --created--> HELD ------completed--> POSTED
//                |  \                \------cancelled--> RELEASED
//                |   \---(refused)--> REJECTED
//                \--cancelled--> STOPPED (a mark: a later created does nothing)
#ifndef FAULTLINE_LEDGER_H
#define FAULTLINE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/money.h"
#include "services/contract.h"

#define LEDGER_KIND_CUSTOMER "customer" // the only kind that transfers, never overdrawn

#define LEDGER_CASH     "cash"
#define LEDGER_REVENUE  "revenue"
#define LEDGER_EQUITY   "equity"
#define LEDGER_CURRENCY "EUR"

enum {
    LEDGER_KIND_SIZE = 16,
    LEDGER_LINES_MAX = 2
};

// --- entries and accounts

struct ledger_line {
    char account_id[CONTRACT_ID_MAX + 1];
    struct money amount; // signed
};

struct ledger_entry {
    size_t lines_count;
    struct ledger_line lines[LEDGER_LINES_MAX];
};

// ledger_move is the entry that moves amount (above zero) between two accounts.
struct ledger_entry ledger_move(const char *from, const char *to, struct money amount);

// ledger_is_balanced: the entry's lines sum to zero in each currency.
bool ledger_is_balanced(const struct ledger_entry *entry);

struct ledger_account {
    char id[CONTRACT_ID_MAX + 1];
    char kind[LEDGER_KIND_SIZE];
    struct money balance;
    int64_t held_minor; // 0 .. balance; customers only
};

// The three changes of an account; on an error it is unchanged. ERR_INVALID: another
// currency. ERR_TOO_LARGE: past MONEY_AMOUNT_MAX. ERR_CONFLICT: a customer would have
// less than nothing available, or less than nothing held.
enum err ledger_account_post(struct ledger_account *account, struct money amount);
enum err ledger_account_hold(struct ledger_account *account, struct money amount);
enum err ledger_account_release(struct ledger_account *account, struct money amount);

// ledger_refuse_transfer says why the money cannot be held ("insufficient-funds"), or
// NULL when it can. An account that is not there is NULL.
const char *ledger_refuse_transfer(const struct ledger_account *from,
                                   const struct ledger_account *to, struct money amount);

// --- payments and transfers

// A payment is never held, a transfer never reversed.
enum ledger_state {
    LEDGER_NONE,
    LEDGER_POSTED,
    LEDGER_REVERSED,
    LEDGER_HELD,
    LEDGER_REJECTED,
    LEDGER_RELEASED,
    LEDGER_STOPPED,
    LEDGER_STATES
};

enum ledger_input {
    LEDGER_PAID,       // payment-completed, POST /postings
    LEDGER_TAKEN_BACK, // POST /reversals
    LEDGER_CREATED,    // transfer-created
    LEDGER_COMPLETED,  // transfer-completed
    LEDGER_CANCELLED,  // transfer-cancelled
    LEDGER_INPUTS
};

// What an input asks for in a state.
enum ledger_deed {
    LEDGER_FORBID, // it contradicts what happened: refuse it
    LEDGER_IGNORE, // it was done before, or it was stopped
    LEDGER_WAIT,   // what must come before has not: try again later
    LEDGER_MARK,   // leave the mark
    LEDGER_POST,
    LEDGER_REVERSE,
    LEDGER_HOLD, // or reject: ledger_refuse_transfer decides
    LEDGER_RELEASE,
};

enum ledger_deed ledger_deed(enum ledger_state state, enum ledger_input input);

// ledger_input_of: what an event of this topic, one that the ledger hears, is.
enum ledger_input ledger_input_of(const char *topic);

#endif
