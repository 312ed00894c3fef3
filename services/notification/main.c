// faultline-notification: tells people what happened to their orders and transfers.
#include "common/mem.h"
#include "services/notification/notification_handlers.h"
#include "services/notification/notification_store.h"

static const struct service_subscription subscriptions[] = {
    {.topic = "order-created", .handle = notification_on_event},
    {.topic = "order-confirmed", .handle = notification_on_event},
    {.topic = "order-cancelled", .handle = notification_on_event},
    {.topic = "transfer-created", .handle = notification_on_event},
    {.topic = "transfer-completed", .handle = notification_on_event},
    {.topic = "transfer-cancelled", .handle = notification_on_event},
};

static const struct service_route routes[] = {
    {.method = "GET",
     .path = "/notifications",
     .handle = notification_get_list,
     .query = (const char *const[]){"subject", "limit", "after", NULL}},
    {.method = "POST", .path = "/messages", .handle = notification_post_message},
};

static const struct service_def notification_service = {
    .name = "notification",
    .summary = "tells people what happened to their orders and transfers",
    .port = 8004,
    .schema = notification_store_schema,
    .subscriptions = subscriptions,
    .subscriptions_count = ARRAY_LEN(subscriptions),
    .routes = routes,
    .routes_count = ARRAY_LEN(routes),
};

int main(int argc, char **argv)
{
    return service_run(&notification_service, argc, argv);
}
