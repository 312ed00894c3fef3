#include "services/ledger/ledger_book.h"

#include <stdio.h>

#include "common/mem.h"

static const struct {
    const char *id;
    const char *kind;
    int64_t opening_minor; // out of equity; 0: none
} openings[] = {
    {LEDGER_EQUITY, "equity", 0},
    {LEDGER_CASH, "asset", 0},
    {LEDGER_REVENUE, "income", 0},
    {"alice", LEDGER_KIND_CUSTOMER, 100000},
    {"bob", LEDGER_KIND_CUSTOMER, 100000},
    {"carol", LEDGER_KIND_CUSTOMER, 100000},
};

static enum err post_opening(struct store *store, const char *account, int64_t opening_minor,
                             struct ledger_origin origin)
{
    const struct money amount = {.amount_minor = opening_minor, .currency = LEDGER_CURRENCY};
    const struct ledger_entry entry = ledger_move(LEDGER_EQUITY, account, amount);
    char subject[CONTRACT_ID_MAX + sizeof "opening-"];
    char id[UUID_SIZE];
    snprintf(subject, sizeof subject, "opening-%s", account);
    return ledger_store_post(store, subject, "opening", origin, &entry, id);
}

enum err ledger_book_open(struct store *store, struct ledger_origin origin)
{
    for (size_t i = 0; i < ARRAY_LEN(openings); i++) {
        const char *account = openings[i].id;
        enum err err = ledger_store_open_account(store, account, openings[i].kind, LEDGER_CURRENCY);
        if (err == ERR_EXISTS) {
            continue; // opened by an earlier start, money and all
        }
        if (err == ERR_OK && openings[i].opening_minor > 0) {
            err = post_opening(store, account, openings[i].opening_minor, origin);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

enum err ledger_book_post(struct store *store, const char *kind, const char *subject,
                          struct ledger_origin origin, struct ledger_case *in)
{
    const struct ledger_entry entry = ledger_move(in->from_account, in->to_account, in->amount);
    return ledger_store_post(store, subject, kind, origin, &entry, in->entry_id);
}

enum err ledger_book_pay(struct store *store, const char *subject, struct ledger_origin origin,
                         struct money amount, struct ledger_case *out)
{
    *out = (struct ledger_case){.state = LEDGER_POSTED,
                                .from_account = LEDGER_REVENUE,
                                .to_account = LEDGER_CASH,
                                .amount = amount};
    const enum err err = ledger_book_post(store, LEDGER_PAYMENT, subject, origin, out);
    return err == ERR_OK ? ledger_store_save_case(store, LEDGER_PAYMENT, subject, out) : err;
}

enum err ledger_book_unpay(struct store *store, const char *subject, struct ledger_origin origin,
                           struct ledger_case *payment)
{
    const struct ledger_entry back =
        ledger_move(payment->to_account, payment->from_account, payment->amount);
    const enum err err =
        ledger_store_post(store, subject, "reversal", origin, &back, payment->entry_id);
    payment->state = LEDGER_REVERSED;
    return err == ERR_OK ? ledger_store_save_case(store, LEDGER_PAYMENT, subject, payment) : err;
}

enum err ledger_book_hold(struct store *store, const struct ledger_case *transfer,
                          const char **reason)
{
    // An account that is not there stays all zeros: it is no customer's.
    struct ledger_account from = {0};
    struct ledger_account to = {0};
    enum err err = ledger_store_find_account(store, transfer->from_account, &from);
    if (err == ERR_OK || err == ERR_NOT_FOUND) {
        err = ledger_store_find_account(store, transfer->to_account, &to);
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    *reason = ledger_refuse_transfer(&from, &to, transfer->amount);
    if (*reason != NULL) {
        return ERR_OK;
    }
    err = ledger_account_hold(&from, transfer->amount);
    return err == ERR_OK ? ledger_store_update_account(store, &from) : err;
}

enum err ledger_book_release(struct store *store, const struct ledger_case *transfer)
{
    struct ledger_account account;
    enum err err = ledger_store_find_account(store, transfer->from_account, &account);
    if (err == ERR_OK) {
        err = ledger_account_release(&account, transfer->amount);
    }
    return err == ERR_OK ? ledger_store_update_account(store, &account) : err;
}
