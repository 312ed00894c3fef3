// ledger_book - what the deeds of ledger.h do to the store: both paths end here.
#ifndef FAULTLINE_LEDGER_BOOK_H
#define FAULTLINE_LEDGER_BOOK_H

#include "services/ledger/ledger_store.h"

// ledger_book_open opens the accounts of the house and of alice, bob and carol, with
// what they start with; those that are there it leaves alone.
enum err ledger_book_open(struct store *store, struct ledger_origin origin);

// ledger_book_post writes the entry of a case (kind: what kind of entry) and notes its
// id there. Errors as ledger_store_post: nothing is written then.
enum err ledger_book_post(struct store *store, const char *kind, const char *subject,
                          struct ledger_origin origin, struct ledger_case *in);

// ledger_book_pay posts amount from revenue to cash and saves the case, out. Errors as
// ledger_book_post.
enum err ledger_book_pay(struct store *store, const char *subject, struct ledger_origin origin,
                         struct money amount, struct ledger_case *out);

// ledger_book_unpay posts the same back, as a reversal, and saves the case.
enum err ledger_book_unpay(struct store *store, const char *subject, struct ledger_origin origin,
                           struct ledger_case *payment);

// ledger_book_hold holds the transfer's money and leaves *reason NULL, or changes
// nothing and says there why not. ledger_book_release undoes it.
enum err ledger_book_hold(struct store *store, const struct ledger_case *transfer,
                          const char **reason);
enum err ledger_book_release(struct store *store, const struct ledger_case *transfer);

#endif
