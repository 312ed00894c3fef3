#include "tests/crash/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"

static const char *const services[] = {
    "order", "payment", "inventory", "notification", "fraud", "ledger", "transfer"};

// What is on its way; -1: unknown.
struct unrest {
    int64_t lag;     // events that groups have not dealt with
    int64_t outbox;  // rows that wait to be published
    int64_t pending; // orders
    int64_t next;    // offset of the log
};

static int64_t number_of(const cJSON *json, const char *name)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsNumber(number) ? (int64_t)number->valuedouble : -1;
}

static void look_at_broker(struct rig *rig, struct unrest *out)
{
    cJSON *status = rig_get(rig, "broker", "/status");
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(status, "groups");
    const cJSON *group = NULL;
    out->next = number_of(cJSON_GetObjectItemCaseSensitive(status, "log"), "next_offset");
    out->lag = cJSON_GetArraySize(groups) == ARRAY_LEN(services) ? 0 : -1;
    cJSON_ArrayForEach(group, groups)
    {
        out->lag += number_of(group, "lag_events");
    }
    cJSON_Delete(status);
}

static int64_t outbox_of(struct rig *rig, const char *service)
{
    static const char name[] = "\nfaultline_outbox_events ";
    const char *metrics = rig_get_text(rig, service, "/metrics");
    const char *line = metrics == NULL ? NULL : strstr(metrics, name);
    return line == NULL ? -1 : strtoll(line + strlen(name), NULL, 10);
}

static struct unrest look(struct rig *rig)
{
    struct unrest unrest = {.pending = -1};
    look_at_broker(rig, &unrest);
    for (size_t i = 0; i < ARRAY_LEN(services) && unrest.outbox >= 0; i++) {
        const int64_t rows = outbox_of(rig, services[i]);
        unrest.outbox = rows < 0 ? -1 : unrest.outbox + rows;
    }
    cJSON *orders = rig_get(rig, "order", "/orders?status=pending&limit=500");
    if (orders != NULL) {
        unrest.pending = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(orders, "orders"));
    }
    cJSON_Delete(orders);
    return unrest;
}

// An event that is nowhere else is in an outbox, in the log, or with a handler that holds
// it. These are not looked at in one moment: a log that did not grow tells that no event
// went from the one that was still to be looked at to the one that had been.
bool check_is_settled(struct rig *rig, int poisons)
{
    struct unrest again = {0};
    const struct unrest unrest = look(rig);
    if (unrest.lag != 0 || unrest.outbox != 0 || unrest.pending != poisons) {
        return false;
    }
    look_at_broker(rig, &again);
    return again.lag == 0 && again.next == unrest.next;
}

void check_unsettled(struct rig *rig, int poisons, char out[CELL_TEXT_SIZE])
{
    const struct unrest unrest = look(rig);
    (void)snprintf(
        out,
        CELL_TEXT_SIZE,
        "never at rest: lag %lld, outboxes %lld, orders pending %lld of them poisoned %d",
        (long long)unrest.lag,
        (long long)unrest.outbox,
        (long long)unrest.pending,
        poisons);
}

bool check_verify(struct rig *rig, struct cell_result *out)
{
    bool good = true;
    cJSON *stock = rig_get(rig, "inventory", "/stock?limit=500");
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(stock, "stock"))
    {
        good = good && number_of(item, "initial") + number_of(item, "restocked") ==
                           number_of(item, "available") + number_of(item, "reserved") +
                               number_of(item, "sold");
    }
    good = good && stock != NULL;
    cJSON_Delete(stock);
    cJSON *trial = rig_get(rig, "ledger", "/trial-balance");
    good = good && number_of(trial, "sum_minor") == 0;
    cJSON_Delete(trial);
    (void)snprintf(out->said, sizeof out->said, good ? "books add up" : "books do not add up");
    return good;
}
