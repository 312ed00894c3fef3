// faultline-transfer: takes transfers and brings them to their end.
#include "common/mem.h"
#include "services/transfer/transfer_handlers.h"
#include "services/transfer/transfer_store.h"

static const struct service_subscription subscriptions[] = {
    {.topic = "fraud-cleared", .handle = transfer_on_answer},
    {.topic = "fraud-flagged", .handle = transfer_on_answer},
    {.topic = "funds-held", .handle = transfer_on_answer},
    {.topic = "funds-rejected", .handle = transfer_on_answer},
};

static const struct service_route routes[] = {
    {.method = "POST",
     .path = "/transfers",
     .handle = transfer_post,
     .query = (const char *const[]){"mode", NULL}},
    {.method = "GET", .path = "/transfers/{id}", .handle = transfer_get},
};

static const struct setting settings[] = {
    {.name = TRANSFER_SETTING_EVENT_VERSION,
     .fallback = "2",
     .kind = SETTING_INT,
     .min = 1,
     .max = 2,
     .help = "version of transfer-created that it emits; 1 plays an older release"},
    {0},
};

static const struct service_def transfer_service = {
    .name = "transfer",
    .summary = "takes transfers and brings them to their end",
    .port = 8007,
    .schema = transfer_store_schema,
    .subscriptions = subscriptions,
    .subscriptions_count = ARRAY_LEN(subscriptions),
    .routes = routes,
    .routes_count = ARRAY_LEN(routes),
    .settings = settings,
};

int main(int argc, char **argv)
{
    return service_run(&transfer_service, argc, argv);
}
