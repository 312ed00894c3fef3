#include "services/order/order_chain.h"

#include "common/crash_point.h"
#include "common/mem.h"
#include "services/contract.h"
#include "services/hop.h"

// A step of the chain: what it does, and what undoes that.
struct step {
    struct hop make;
    struct hop undo;                       // without a method: nothing does
    const char *made_point, *undone_point; // behind it, and behind undoing it
};

static const struct step steps[] = {
    {.make = {.service = "inventory",
              .method = "POST",
              .path = "/reservations",
              .key = "reservation",
              .fields = {{"order_id", "order_id"}, {"items", "items"}}},
     .undo = {.service = "inventory", .method = "DELETE", .path = "/reservations/"},
     .made_point = "order-chain-reserved",
     .undone_point = "order-chain-released"},
    {.make = {.service = "payment",
              .method = "POST",
              .path = "/charges",
              .key = "charge",
              .fields = {{"order_id", "order_id"},
                         {"customer_id", "customer_id"},
                         {"payment_token", "payment_token"},
                         {"amount", "total"}}},
     .undo = {.service = "payment",
              .method = "POST",
              .path = "/refunds",
              .key = "refund",
              .fields = {{"order_id", "order_id"}}},
     .made_point = "order-chain-charged",
     .undone_point = "order-chain-refunded"},
    {.make = {.service = "notification",
              .method = "POST",
              .path = "/messages",
              .key = "message",
              .fields = {{"subject", "order_id"},
                         {"template", "template"},
                         {"recipient", "customer_id"}}},
     .made_point = "order-chain-notified"},
};

// Undoes the first count steps, the last one first.
static cJSON *undo(struct caller *caller, size_t count, const cJSON *input)
{
    cJSON *undone = cJSON_CreateArray();
    for (size_t i = count; i > 0; i--) {
        const struct hop *hop = &steps[i - 1].undo;
        if (hop->method == NULL) {
            continue;
        }
        struct hop_failure failure;
        cJSON *answer = NULL;
        const bool is_done = hop_call(caller, hop, input, &answer, &failure);
        const char *result = is_done ? "done" : "failed";
        cJSON *entry = contract_object("step", hop->service, "result", result, NULL);
        if (!is_done) {
            cJSON_AddStringToObject(entry, "detail", failure.detail);
        }
        cJSON_AddItemToArray(undone, entry);
        cJSON_Delete(answer);
        crash_point(steps[i - 1].undone_point);
    }
    return undone;
}

cJSON *order_chain_run(struct caller *caller, const cJSON *input)
{
    crash_point("order-chain-begun");
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct hop_failure failure;
        cJSON *answer = NULL;
        if (!hop_call(caller, &steps[i].make, input, &answer, &failure)) {
            crash_point("order-chain-failed");
            cJSON *json = hop_failure_to_json(&failure);
            cJSON_AddStringToObject(json, "order_id", json_text_of(input, "order_id"));
            cJSON_AddStringToObject(json, "failed_step", steps[i].make.service);
            const size_t count = failure.may_have_happened ? i + 1 : i;
            cJSON_AddItemToObject(json, "undone", undo(caller, count, input));
            return json;
        }
        cJSON_Delete(answer);
        crash_point(steps[i].made_point);
    }
    return cJSON_CreateObject();
}
