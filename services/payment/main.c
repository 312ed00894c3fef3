// payment - authorizes, captures, voids and refunds, and plays the card network.
#include "common/mem.h"
#include "common/service.h"
#include "services/payment/payment_handlers.h"
#include "services/payment/payment_store.h"

static const struct service_subscription subscriptions[] = {
    {.topic = "order-created", .handle = payment_on_order_created},
    {.topic = "order-confirmed", .handle = payment_on_order_ended},
    {.topic = "order-cancelled", .handle = payment_on_order_ended},
};

static const struct service_route routes[] = {
    {.method = "GET", .path = "/payments/{order_id}", .handle = payment_show},
    {.method = "POST", .path = "/charges", .handle = payment_charge},
    {.method = "POST", .path = "/refunds", .handle = payment_refund},
};

int main(int argc, char **argv)
{
    const struct service_def payment_service = {
        .name = "payment",
        .summary = "authorizes, captures, voids and refunds, and plays the card network",
        .port = 8002,
        .schema = payment_schema,
        .subscriptions = subscriptions,
        .subscriptions_count = ARRAY_LEN(subscriptions),
        .routes = routes,
        .routes_count = ARRAY_LEN(routes),
    };
    return service_run(&payment_service, argc, argv);
}
