// faultline-fraud: screens orders and transfers.
#include "common/mem.h"
#include "services/fraud/fraud_handlers.h"
#include "services/fraud/fraud_store.h"

static const struct service_subscription subscriptions[] = {
    {.topic = "order-created", .handle = fraud_on_order_created},
    {.topic = "transfer-created", .handle = fraud_on_transfer_created},
};

static const struct service_route routes[] = {
    {.method = "POST", .path = "/screenings", .handle = fraud_post_screening},
    {.method = "GET", .path = "/decisions/{subject}", .handle = fraud_get_decision},
};

static const struct setting settings[] = {
    {.name = FRAUD_SETTING_LIMIT,
     .fallback = "500000",
     .kind = SETTING_INT,
     .min = 1,
     .max = MONEY_AMOUNT_MAX,
     .unit = "minor units",
     .help = "a larger amount is flagged"},
    {.name = FRAUD_SETTING_PER_MINUTE,
     .fallback = "100",
     .kind = SETTING_INT,
     .min = 1,
     .max = 1000000,
     .unit = "",
     .help = "more orders and transfers of one customer within a minute are flagged"},
    {0},
};

static const struct service_def fraud_service = {
    .name = "fraud",
    .summary = "screens orders and transfers",
    .port = 8005,
    .schema = fraud_store_schema,
    .subscriptions = subscriptions,
    .subscriptions_count = ARRAY_LEN(subscriptions),
    .routes = routes,
    .routes_count = ARRAY_LEN(routes),
    .settings = settings,
};

int main(int argc, char **argv)
{
    return service_run(&fraud_service, argc, argv);
}
