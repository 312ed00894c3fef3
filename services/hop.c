#include "services/hop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "services/contract.h"

bool hop_is_good(const struct call_result *result)
{
    return result->err == ERR_OK && result->status >= 200 && result->status < 300;
}

// The first call with this key is still being made: as good as no answer.
static bool is_in_progress(const struct call_result *result)
{
    return result->err == ERR_OK && result->status == 409 &&
           strcmp(contract_problem_code(result->json, ""), "request-in-progress") == 0;
}

static bool is_refusal(const struct call_result *result)
{
    return result->err == ERR_OK && result->status >= 400 && result->status < 500 &&
           !is_in_progress(result);
}

bool hop_may_have_happened(const struct call_result *result)
{
    return result->err != ERR_UNAVAILABLE && !is_refusal(result);
}

static int status_of(const struct call_result *result)
{
    static const int kept[] = {402, 403, 409, 422, 504};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        if (result->err == ERR_OK && result->status == kept[i]) {
            return kept[i];
        }
    }
    return result->err == ERR_TIMEOUT ? 504 : 503;
}

void hop_explain(const char *service, const struct call_result *result, struct hop_failure *out)
{
    const struct call_result no_answer = {.err = ERR_TIMEOUT};
    if (is_in_progress(result)) {
        result = &no_answer;
    }
    static const char *const words[ERR_COUNT] = {
        [ERR_UNAVAILABLE] = "cannot be reached",
        [ERR_TIMEOUT] = "did not answer in time; what it did is unknown",
        [ERR_IO] = "broke off; what it did is unknown",
    };
    out->status = status_of(result);
    out->may_have_happened = hop_may_have_happened(result);
    char fallback[HOP_REASON_SIZE];
    snprintf(fallback,
             sizeof fallback,
             "%.40s-%s",
             service,
             out->status == 504 ? "timeout" : "unavailable");
    if (result->err != ERR_OK) {
        const char *word = words[result->err];
        snprintf(out->reason, sizeof out->reason, "%s", fallback);
        snprintf(out->detail,
                 sizeof out->detail,
                 "%s %s",
                 service,
                 word == NULL ? err_name(result->err) : word);
        return;
    }
    const char *detail = json_text_of(result->json, "detail");
    snprintf(
        out->reason, sizeof out->reason, "%.63s", contract_problem_code(result->json, fallback));
    snprintf(out->detail,
             sizeof out->detail,
             "%.40s answered %d: %.180s",
             service,
             result->status,
             detail == NULL ? "no detail" : detail);
}

static cJSON *body_of(const struct hop *hop, const cJSON *input)
{
    cJSON *body = cJSON_CreateObject();
    for (size_t i = 0; i < HOP_FIELDS_MAX && hop->fields[i].to != NULL; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(input, hop->fields[i].from);
        cJSON_AddItemToObject(body, hop->fields[i].to, cJSON_Duplicate(item, true));
    }
    return body;
}

bool hop_call(struct caller *caller, const struct hop *hop, const cJSON *input, cJSON **answer,
              struct hop_failure *failure)
{
    const char *order_id = json_text_of(input, "order_id");
    const bool has_body = hop->fields[0].to != NULL;
    char *path = mem_format("%s%s", hop->path, has_body ? "" : order_id);
    char *key = hop->key == NULL ? NULL : mem_format("%s:%s", order_id, hop->key);
    cJSON *body = has_body ? body_of(hop, input) : NULL;
    const struct call_result result =
        caller_call(caller, hop->service, hop->method, path, body, key);
    cJSON_Delete(body);
    free(key);
    free(path);
    *answer = result.json;
    if (hop_is_good(&result)) {
        return true;
    }
    hop_explain(hop->service, &result, failure);
    cJSON_Delete(result.json);
    *answer = NULL;
    return false;
}

cJSON *hop_failure_to_json(const struct hop_failure *failure)
{
    cJSON *json = contract_object("reason", failure->reason, "detail", failure->detail, NULL);
    cJSON_AddNumberToObject(json, "status", failure->status);
    return json;
}

enum err hop_reply_failure(struct request *request, const cJSON *result)
{
    const int status = cJSON_GetObjectItemCaseSensitive(result, "status")->valueint;
    const char *reason = json_text_of(result, "reason");
    const char *detail = json_text_of(result, "detail");
    cJSON *more = cJSON_Duplicate(result, true);
    cJSON_DeleteItemFromObjectCaseSensitive(more, "status");
    cJSON_DeleteItemFromObjectCaseSensitive(more, "reason");
    cJSON_DeleteItemFromObjectCaseSensitive(more, "detail");
    return request_reply_problem_with(request, status, reason, detail, more);
}

enum err hop_run_job(struct service *service, struct request *request,
                     const struct service_job *job, cJSON *input)
{
    const enum err err = request_run_job(service, request, job, input);
    if (err != ERR_OK) {
        (void)request_reply_problem(
            request, 503, "sync-queue-full", NULL, "too many requests wait for a worker");
    }
    return err;
}
