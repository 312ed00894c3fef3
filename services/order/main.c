// order - takes orders, joins the three answers, confirms or cancels; or runs the
// whole chain by HTTP.
#include "common/mem.h"
#include "common/service.h"
#include "services/order/order_handlers.h"
#include "services/order/order_store.h"

static const struct service_subscription subscriptions[] = {
    {.topic = "fraud-cleared", .handle = order_on_answer},
    {.topic = "fraud-flagged", .handle = order_on_answer},
    {.topic = "inventory-reserved", .handle = order_on_answer},
    {.topic = "inventory-rejected", .handle = order_on_answer},
    {.topic = "payment-authorized", .handle = order_on_answer},
    {.topic = "payment-declined", .handle = order_on_answer},
};

static const struct service_route routes[] = {
    {.method = "POST",
     .path = "/orders",
     .handle = order_create,
     .is_cut_final = true,
     .query = (const char *const[]){"mode", NULL}},
    {.method = "GET",
     .path = "/orders",
     .handle = order_list,
     .query = (const char *const[]){"status", "limit", "after", NULL}},
    {.method = "GET", .path = "/orders/{id}", .handle = order_show},
    {.method = "GET", .path = "/products", .handle = order_list_products},
};

static const struct setting settings[] = {
    {.name = ORDER_SETTING_EVENT_VERSION,
     .fallback = "2",
     .kind = SETTING_INT,
     .min = 1,
     .max = 2,
     .help = "version of order-created that it emits; 1 plays an older release"},
    {0},
};

int main(int argc, char **argv)
{
    const struct service_def order_service = {
        .name = "order",
        .summary = "takes orders, joins the three answers, confirms or cancels",
        .port = 8001,
        .schema = order_schema,
        .subscriptions = subscriptions,
        .subscriptions_count = ARRAY_LEN(subscriptions),
        .routes = routes,
        .routes_count = ARRAY_LEN(routes),
        .settings = settings,
        .start = order_start,
    };
    return service_run(&order_service, argc, argv);
}
