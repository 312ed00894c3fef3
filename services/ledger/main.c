// faultline-ledger: the books, in double entry.
#include "common/mem.h"
#include "services/ledger/ledger_handlers.h"
#include "services/ledger/ledger_store.h"

static const struct service_subscription subscriptions[] = {
    {.topic = "payment-completed", .handle = ledger_on_payment_completed},
    {.topic = "transfer-created", .handle = ledger_on_transfer},
    {.topic = "transfer-completed", .handle = ledger_on_transfer},
    {.topic = "transfer-cancelled", .handle = ledger_on_transfer},
};

static const struct service_route routes[] = {
    {.method = "GET",
     .path = "/accounts",
     .handle = ledger_get_accounts,
     .query = (const char *const[]){"limit", "after", NULL}},
    {.method = "GET", .path = "/accounts/{id}", .handle = ledger_get_account},
    {.method = "GET",
     .path = "/entries",
     .handle = ledger_get_entries,
     .query = (const char *const[]){"subject", "limit", "after", NULL}},
    {.method = "GET",
     .path = "/trial-balance",
     .handle = ledger_get_trial_balance,
     .query = (const char *const[]){"currency", NULL}},
    {.method = "POST", .path = "/postings", .handle = ledger_post_posting},
    {.method = "POST", .path = "/reversals", .handle = ledger_post_reversal},
};

static const struct service_def ledger_service = {
    .name = "ledger",
    .summary = "keeps the books in double entry and holds the money of transfers",
    .port = 8006,
    .schema = ledger_store_schema,
    .subscriptions = subscriptions,
    .subscriptions_count = ARRAY_LEN(subscriptions),
    .routes = routes,
    .routes_count = ARRAY_LEN(routes),
    .start = ledger_start,
};

int main(int argc, char **argv)
{
    return service_run(&ledger_service, argc, argv);
}
