#include "services/ledger/ledger.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

// Completed in NONE: only a bus that keeps less order than ours gets there.
static const enum ledger_deed deeds[LEDGER_STATES][LEDGER_INPUTS] = {
    // what an input does to a payment: paid, taken back
    // and to a transfer:                               created, completed, cancelled
    [LEDGER_NONE] = {LEDGER_POST, LEDGER_MARK, LEDGER_HOLD, LEDGER_WAIT, LEDGER_MARK},
    [LEDGER_POSTED] = {LEDGER_IGNORE, LEDGER_REVERSE, LEDGER_IGNORE, LEDGER_IGNORE, LEDGER_FORBID},
    [LEDGER_REVERSED] = {LEDGER_FORBID, LEDGER_IGNORE},
    [LEDGER_HELD] = {[LEDGER_CREATED] = LEDGER_IGNORE, LEDGER_POST, LEDGER_RELEASE},
    [LEDGER_REJECTED] = {[LEDGER_CREATED] = LEDGER_IGNORE, LEDGER_FORBID, LEDGER_IGNORE},
    [LEDGER_RELEASED] = {[LEDGER_CREATED] = LEDGER_IGNORE, LEDGER_FORBID, LEDGER_IGNORE},
    [LEDGER_STOPPED] = {LEDGER_FORBID, LEDGER_IGNORE, LEDGER_IGNORE, LEDGER_FORBID, LEDGER_IGNORE},
};

enum ledger_deed ledger_deed(enum ledger_state state, enum ledger_input input)
{
    assert(state < LEDGER_STATES && input < LEDGER_INPUTS);
    return deeds[state][input];
}

enum ledger_input ledger_input_of(const char *topic)
{
    static const char *const topics[LEDGER_INPUTS] = {
        "payment-completed", "", "transfer-created", "transfer-completed", "transfer-cancelled"};
    return (enum ledger_input)contract_name_index(topics, LEDGER_INPUTS, topic);
}

struct ledger_entry ledger_move(const char *from, const char *to, struct money amount)
{
    assert(amount.amount_minor > 0 && strcmp(from, to) != 0);
    struct ledger_entry entry = {.lines_count = 2};
    snprintf(entry.lines[0].account_id, sizeof entry.lines[0].account_id, "%s", to);
    snprintf(entry.lines[1].account_id, sizeof entry.lines[1].account_id, "%s", from);
    entry.lines[0].amount = amount;
    entry.lines[1].amount = amount;
    entry.lines[1].amount.amount_minor = -amount.amount_minor;
    return entry;
}

bool ledger_is_balanced(const struct ledger_entry *entry)
{
    for (size_t i = 0; i < entry->lines_count; i++) {
        const char *currency = entry->lines[i].amount.currency;
        int64_t sum_minor = 0; // a few lines of at most 10^15 each: no overflow
        for (size_t j = 0; j < entry->lines_count; j++) {
            if (strcmp(entry->lines[j].amount.currency, currency) == 0) {
                sum_minor += entry->lines[j].amount.amount_minor;
            }
        }
        if (sum_minor != 0) {
            return false;
        }
    }
    return true;
}

static bool is_customer(const struct ledger_account *account)
{
    return strcmp(account->kind, LEDGER_KIND_CUSTOMER) == 0;
}

enum err ledger_account_post(struct ledger_account *account, struct money amount)
{
    struct money balance = account->balance;
    const enum err err = money_add(&balance, amount);
    if (err != ERR_OK) {
        return err;
    }
    if (is_customer(account) && balance.amount_minor < account->held_minor) {
        return ERR_CONFLICT;
    }
    account->balance = balance;
    return ERR_OK;
}

static enum err change_held(struct ledger_account *account, const char *currency, int64_t by_minor)
{
    if (strcmp(account->balance.currency, currency) != 0) {
        return ERR_INVALID;
    }
    // Amounts are within MONEY_AMOUNT_MAX: no sum of two overflows.
    const int64_t held_minor = account->held_minor + by_minor;
    if (held_minor < 0 || (by_minor > 0 && held_minor > account->balance.amount_minor)) {
        return ERR_CONFLICT;
    }
    account->held_minor = held_minor;
    return ERR_OK;
}

enum err ledger_account_hold(struct ledger_account *account, struct money amount)
{
    return change_held(account, amount.currency, amount.amount_minor);
}

enum err ledger_account_release(struct ledger_account *account, struct money amount)
{
    return change_held(account, amount.currency, -amount.amount_minor);
}

const char *ledger_refuse_transfer(const struct ledger_account *from,
                                   const struct ledger_account *to, struct money amount)
{
    if (from == NULL || to == NULL || !is_customer(from) || !is_customer(to)) {
        return "unknown-account";
    }
    if (strcmp(from->id, to->id) == 0) {
        return "same-account";
    }
    if (strcmp(from->balance.currency, amount.currency) != 0 ||
        strcmp(to->balance.currency, amount.currency) != 0) {
        return "currency-mismatch";
    }
    struct ledger_account tried = *from;
    return ledger_account_hold(&tried, amount) == ERR_OK ? NULL : "insufficient-funds";
}
