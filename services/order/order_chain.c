#include "services/order/order_chain.h"

#include <stdio.h>

#include "common/mem.h"
#include "services/hop.h"

enum {
    KEY_SIZE = 2 * EVENT_TEXT_MAX
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
    cJSON_AddNumberToObject(body, "attempt", 1); // counted up by retries
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

// One call, and the one that undoes it.
struct step {
    const char *service; // its name, and the step's
    const char *path;
    const char *key; // what follows the order's id in the Idempotency-Key
    void (*say)(cJSON *body, const cJSON *input);
    const char *undo_method; // NULL: it cannot be undone
    const char *undo_path;   // DELETE adds the order's id
    const char *undo_key;
    void (*say_undo)(cJSON *body, const cJSON *input);
};

static const struct step steps[] = {
    {.service = "inventory",
     .path = "/reservations",
     .key = "reservation",
     .say = say_reservation,
     .undo_method = "DELETE",
     .undo_path = "/reservations"},
    {.service = "payment",
     .path = "/charges",
     .key = "charge",
     .say = say_charge,
     .undo_method = "POST",
     .undo_path = "/refunds",
     .undo_key = "refund",
     .say_undo = say_refund},
    {.service = "notification", .path = "/messages", .key = "message", .say = say_message},
};

// --- the calls

static struct call_result call(struct caller *caller, const struct step *step, const cJSON *input)
{
    char key[KEY_SIZE];
    snprintf(key, sizeof key, "%s:%s", json_text_of(input, "order_id"), step->key);
    cJSON *body = cJSON_CreateObject();
    step->say(body, input);
    const struct call_result result =
        caller_call(caller, step->service, "POST", step->path, body, key);
    cJSON_Delete(body);
    return result;
}

static struct call_result call_undo(struct caller *caller, const struct step *step,
                                    const cJSON *input)
{
    const char *order_id = json_text_of(input, "order_id");
    if (step->say_undo == NULL) {
        char path[KEY_SIZE];
        snprintf(path, sizeof path, "%s/%s", step->undo_path, order_id);
        return caller_call(caller, step->service, step->undo_method, path, NULL, NULL);
    }
    char key[KEY_SIZE];
    snprintf(key, sizeof key, "%s:%s", order_id, step->undo_key);
    cJSON *body = cJSON_CreateObject();
    step->say_undo(body, input);
    const struct call_result result =
        caller_call(caller, step->service, step->undo_method, step->undo_path, body, key);
    cJSON_Delete(body);
    return result;
}

// Undoes the first count steps, the last one first.
static cJSON *undo(struct caller *caller, size_t count, const cJSON *input)
{
    cJSON *undone = cJSON_CreateArray();
    for (size_t i = count; i > 0; i--) {
        const struct step *step = &steps[i - 1];
        if (step->undo_method == NULL) {
            continue;
        }
        struct call_result result = call_undo(caller, step, input);
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
        struct call_result result = call(caller, &steps[i], input);
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
