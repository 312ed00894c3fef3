// inventory - has the goods: reserves them for orders, sells them, takes them back.
#include "common/mem.h"
#include "common/service.h"
#include "services/inventory/inventory_handlers.h"
#include "services/inventory/inventory_store.h"

static const struct service_subscription subscriptions[] = {
    {.topic = "order-created", .handle = inventory_on_order_created},
    {.topic = "order-confirmed", .handle = inventory_on_order_ended},
    {.topic = "order-cancelled", .handle = inventory_on_order_ended},
};

static const struct service_route routes[] = {
    {.method = "GET",
     .path = "/stock",
     .handle = inventory_list,
     .query = (const char *const[]){"limit", "after", NULL}},
    {.method = "GET", .path = "/stock/{sku}", .handle = inventory_show},
    {.method = "POST", .path = "/stock/{sku}/restock", .handle = inventory_restock},
    {.method = "POST", .path = "/reservations", .handle = inventory_take},
    {.method = "DELETE", .path = "/reservations/{order_id}", .handle = inventory_put_back},
};

int main(int argc, char **argv)
{
    const struct service_def inventory_service = {
        .name = "inventory",
        .summary = "has the goods: reserves them for orders, sells them, takes them back",
        .port = 8003,
        .schema = inventory_schema,
        .subscriptions = subscriptions,
        .subscriptions_count = ARRAY_LEN(subscriptions),
        .routes = routes,
        .routes_count = ARRAY_LEN(routes),
        .start = inventory_start,
    };
    return service_run(&inventory_service, argc, argv);
}
