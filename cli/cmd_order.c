// order - places an order in the shop.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/subject.h"
#include "common/mem.h"

static const struct option_def order_options[] = {
    {.name = "mode",
     .letter = 'm',
     .kind = OPTION_CHOICE,
     .value = "MODE",
     .fallback = "async",
     .choices = "async|sync",
     .help = "by events, or by the chain of HTTP calls"},
    {.name = "customer",
     .letter = 'c',
     .kind = OPTION_TEXT,
     .value = "NAME",
     .fallback = "alice",
     .help = "who buys (mallory is known to the fraud service)"},
    {.name = "token",
     .letter = 't',
     .kind = OPTION_TEXT,
     .value = "TOKEN",
     .fallback = "tok_visa",
     .help = "tok_visa pays, tok_declined does not, tok_flaky fails twice, tok_poison always"},
    {.name = "item",
     .letter = 'i',
     .kind = OPTION_LIST,
     .value = "SKU=QTY",
     .help = "what to buy (default espresso-cup=2)"},
    SUBJECT_OPTIONS,
    {0},
};

static const struct subject_kind order_kind = {
    .noun = "order",
    .service = "order",
    .path = "/orders",
    .id_member = "order_id",
    .good_end = "confirmed",
    .bad_end = "cancelled",
};

// Adds "espresso-cup=2" to items; without a quantity it is one. What is allowed, the
// service says: a person may want to see that.
static bool add_item(cJSON *items, const char *text)
{
    const size_t sku_size = strcspn(text, "=");
    char *end = NULL;
    errno = 0;
    const long long quantity = text[sku_size] == '=' ? strtoll(text + sku_size + 1, &end, 10) : 1;
    if (sku_size == 0 || errno != 0 ||
        (end != NULL && (*end != '\0' || end == text + sku_size + 1))) {
        cli_problem("--item %s: write SKU=QUANTITY, as in espresso-cup=2", text);
        return false;
    }
    char *sku = mem_strndup(text, sku_size);
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "sku", sku);
    cJSON_AddNumberToObject(item, "quantity", (double)quantity);
    cJSON_AddItemToArray(items, item);
    free(sku);
    return true;
}

static enum cli_exit order_run(const struct options *options)
{
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "customer_id", options_text(options, "customer"));
    cJSON_AddStringToObject(body, "payment_token", options_text(options, "token"));
    cJSON *items = cJSON_AddArrayToObject(body, "items");
    enum cli_exit result = CLI_UNKNOWN;
    const size_t count = options_list_count(options, "item");
    for (size_t i = 0; i < count; i++) {
        if (!add_item(items, options_list(options, "item", i))) {
            goto out;
        }
    }
    if (count == 0 && !add_item(items, "espresso-cup=2")) {
        goto out;
    }
    const struct subject_wish wish = {
        .body = body,
        .mode = options_text(options, "mode"),
        .idempotency_key = options_text(options, "key"),
        .wait = options_flag(options, "wait"),
        .timeout_ms = options_int(options, "timeout") * 1000,
        .json = options_flag(options, "json"),
    };
    result = subject_place(&order_kind, &wish, cli_dir(options));

out:
    cJSON_Delete(body);
    return result;
}

const struct command cmd_order = {
    .name = "order",
    .topic = COMMAND_WORK,
    .arguments = "",
    .summary = "place an order, by events or by HTTP calls; --wait for its end",
    .details = "Exit code 0: taken (with --wait: confirmed); 1: refused or cancelled; 2: nobody "
               "answered,\n"
               "or it had no end in time. To buy: espresso-cup, coffee-beans, moka-pot, milk-jug,\n"
               "grinder, rare-print.\n",
    .options = order_options,
    .run = order_run,
};
