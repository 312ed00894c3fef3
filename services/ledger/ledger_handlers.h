// ledger_handlers - what the ledger does on events and requests; see service.h.
#ifndef FAULTLINE_LEDGER_HANDLERS_H
#define FAULTLINE_LEDGER_HANDLERS_H

#include "common/service.h"
#include "services/ledger/ledger_store.h"

// ledger_origin_of: what is posted now comes from the present input.
struct ledger_origin ledger_origin_of(const struct service *service);

// ledger_start opens the accounts, with what alice, bob and carol start with.
enum err ledger_start(struct service *service);

// payment-completed -> ledger-posted. transfer-created -> funds-held or funds-rejected.
// transfer-completed -> ledger-posted. transfer-cancelled -> funds-released, or the mark.
enum err ledger_on_payment_completed(struct service *service, const struct event *event);
enum err ledger_on_transfer(struct service *service, const struct event *event);

// POST /postings, POST /reversals: the synchronous chain; they emit nothing.
enum err ledger_post_posting(struct service *service, struct request *request);
enum err ledger_post_reversal(struct service *service, struct request *request);

// GET /accounts, /accounts/{id}, /entries?subject=, /trial-balance?currency=.
enum err ledger_get_accounts(struct service *service, struct request *request);
enum err ledger_get_account(struct service *service, struct request *request);
enum err ledger_get_entries(struct service *service, struct request *request);
enum err ledger_get_trial_balance(struct service *service, struct request *request);

#endif
