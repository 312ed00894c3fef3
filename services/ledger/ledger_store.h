// ledger_store - accounts, entries and their lines, payments and transfers.
#ifndef FAULTLINE_LEDGER_STORE_H
#define FAULTLINE_LEDGER_STORE_H

#include <cjson/cJSON.h>

#include "common/store.h"
#include "common/uuid.h"
#include "services/ledger/ledger.h"

extern const char ledger_store_schema[];

// ledger_store_open_account adds an account of balance 0. ERR_EXISTS: it is there.
enum err ledger_store_open_account(struct store *store, const char *id, const char *kind,
                                   const char *currency);

// ledger_store_find_account reads an account. ERR_NOT_FOUND: there is none.
enum err ledger_store_find_account(struct store *store, const char *id, struct ledger_account *out);

// ledger_store_update_account writes balance and held amount.
enum err ledger_store_update_account(struct store *store, const struct ledger_account *account);

// What an entry comes from: its id follows from that, so that the same event handled
// again makes the same entry.
struct ledger_origin {
    const char *cause; // service_cause
    const char *at;    // service_now
};

// ledger_store_post writes an entry, its lines and the balances of their accounts, and
// gives the entry's id. An entry that does not balance is a programmer's error.
// ERR_NOT_FOUND: an account is missing; ERR_INVALID, ERR_TOO_LARGE, ERR_CONFLICT: as
// ledger_account_post; nothing is written then. ERR_EXISTS: subject has an entry of
// that kind.
enum err ledger_store_post(struct store *store, const char *subject, const char *kind,
                           struct ledger_origin origin, const struct ledger_entry *entry,
                           char id[UUID_SIZE]);

#define LEDGER_PAYMENT  "payment"
#define LEDGER_TRANSFER "transfer"

// What the ledger knows of a payment or a transfer, by kind and subject.
struct ledger_case {
    enum ledger_state state;
    char from_account[CONTRACT_ID_MAX + 1]; // empty, as the rest, on a mark
    char to_account[CONTRACT_ID_MAX + 1];
    struct money amount;
    char entry_id[UUID_SIZE]; // the last entry posted for it; "" when there is none
};

// ledger_store_find_case reads what happened to subject; nothing is all zeros.
// ledger_store_save_case writes it, new or not.
enum err ledger_store_find_case(struct store *store, const char *kind, const char *subject,
                                struct ledger_case *out);
enum err ledger_store_save_case(struct store *store, const char *kind, const char *subject,
                                const struct ledger_case *in);

// ledger_store_show_account gives what the interface shows of an account; the caller
// owns it. ERR_NOT_FOUND: there is none; *out is then NULL.
enum err ledger_store_show_account(struct store *store, const char *id, cJSON **out);

// ledger_store_list_accounts adds to list up to limit accounts behind id after ("": from
// the first). There is no filter: it is NULL.
enum err ledger_store_list_accounts(struct store *store, const char *filter, const char *after,
                                    int64_t limit, cJSON *list);

// ledger_store_trial_balance gives {"currency", "sum_minor", "accounts"} of all accounts
// of a currency, which the caller owns: their balances sum to zero, always.
enum err ledger_store_trial_balance(struct store *store, const char *currency, cJSON **out);

// ledger_store_list_entries adds up to limit entries with their lines, in the order of
// posting, of one subject (NULL: of all), behind the one with number after ("0": from the first).
enum err ledger_store_list_entries(struct store *store, const char *subject, const char *after,
                                   int64_t limit, cJSON *list);

#endif
