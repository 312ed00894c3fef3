#include "services/order/order_chain.h"

#include <stdio.h>

#include "common/mem.h"
#include "services/hop.h"

enum {
    TEXT_SIZE = 2 * EVENT_TEXT_MAX
};

// --- what each step says

static void copy(cJSON *to, const char *to_name, const cJSON *from, const char *from_name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(from, from_name);
    cJSON_AddItemToObject(to, to_name, cJSON_Duplicate(item, true));
}

static void say_reservation(cJSON *body, const cJSON *input)
{
    copy(body, "order_id", input, "order_id");
    copy(body, "items", input, "items");
}

static void say_charge(cJSON *body, const cJSON *input)
{
    copy(body, "order_id", input, "order_id");
    copy(body, "customer_id", input, "customer_id");
    copy(body, "payment_token", input, "payment_token");
    copy(body, "amount", input, "total");
}

static void say_message(cJSON *body, const cJSON *input)
{
    copy(body, "subject", input, "order_id");
    cJSON_AddStringToObject(body, "template", "order-confirmed");
    copy(body, "recipient", input, "customer_id");
}

static void say_refund(cJSON *body, const cJSON *input)
{
    copy(body, "order_id", input, "order_id");
}

// One call. Without something to say, the order's id ends the path.
struct hop {
    const char *method; // NULL: there is none
    const char *path;
    const char *key; // what follows the order's id in the Idempotency-Key
    void (*say)(cJSON *body, const cJSON *input);
};

// A step of the chain: what it does, and what undoes that.
struct step {
    const char *service; // its name, and the step's
    struct hop make, undo;
};

static const struct step steps[] = {
    {.service = "inventory",
     .make = {"POST", "/reservations", "reservation", say_reservation},
     .undo = {"DELETE", "/reservations/", NULL, NULL}},
    {.service = "payment",
     .make = {"POST", "/charges", "charge", say_charge},
     .undo = {"POST", "/refunds", "refund", say_refund}},
    {.service = "notification", .make = {"POST", "/messages", "message", say_message}},
};

// --- the calls

static struct call_result call(struct caller *caller, const char *service, const struct hop *hop,
                               const cJSON *input)
{
    const char *order_id = json_text_of(input, "order_id");
    if (hop->say == NULL) {
        char path[TEXT_SIZE];
        snprintf(path, sizeof path, "%s%s", hop->path, order_id);
        return caller_call(caller, service, hop->method, path, NULL, NULL);
    }
    char key[TEXT_SIZE];
    snprintf(key, sizeof key, "%s:%s", order_id, hop->key);
    cJSON *body = cJSON_CreateObject();
    hop->say(body, input);
    const struct call_result result =
        caller_call(caller, service, hop->method, hop->path, body, key);
    cJSON_Delete(body);
    return result;
}

// Undoes the first count steps, the last one first.
static cJSON *undo(struct caller *caller, size_t count, const cJSON *input)
{
    cJSON *undone = cJSON_CreateArray();
    for (size_t i = count; i > 0; i--) {
        const struct step *step = &steps[i - 1];
        if (step->undo.method == NULL) {
            continue;
        }
        struct call_result result = call(caller, step->service, &step->undo, input);
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "step", step->service);
        cJSON_AddStringToObject(entry, "result", hop_is_good(&result) ? "done" : "failed");
        if (!hop_is_good(&result)) {
            struct hop_failure failure;
            hop_explain(step->service, &result, &failure);
            cJSON_AddStringToObject(entry, "detail", failure.detail);
        }
        cJSON_AddItemToArray(undone, entry);
        cJSON_Delete(result.json);
    }
    return undone;
}

static cJSON *failed(const struct step *step, const struct hop_failure *failure, cJSON *undone)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "status", failure->status);
    cJSON_AddStringToObject(json, "reason", failure->reason);
    cJSON_AddStringToObject(json, "detail", failure->detail);
    cJSON_AddStringToObject(json, "failed_step", step->service);
    cJSON_AddItemToObject(json, "undone", undone);
    return json;
}

cJSON *order_chain_run(struct caller *caller, const cJSON *input)
{
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct call_result result = call(caller, steps[i].service, &steps[i].make, input);
        if (!hop_is_good(&result)) {
            const size_t count = hop_may_have_happened(&result) ? i + 1 : i;
            struct hop_failure failure;
            hop_explain(steps[i].service, &result, &failure);
            cJSON_Delete(result.json);
            return failed(&steps[i], &failure, undo(caller, count, input));
        }
        cJSON_Delete(result.json);
    }
    return cJSON_CreateObject();
}
