#include "services/hop.h"

#include <stdio.h>
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
    if (is_in_progress(result)) {
        return 504;
    }
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        if (result->err == ERR_OK && result->status == kept[i]) {
            return kept[i];
        }
    }
    return result->err == ERR_TIMEOUT ? 504 : 503;
}

void hop_explain(const char *service, const struct call_result *result, struct hop_failure *out)
{
    static const char *const words[ERR_COUNT] = {
        [ERR_UNAVAILABLE] = "cannot be reached",
        [ERR_TIMEOUT] = "did not answer in time; what it did is unknown",
        [ERR_IO] = "broke off; what it did is unknown",
    };
    out->status = status_of(result);
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
