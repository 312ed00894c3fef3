// What the answer of a call means: who is at fault, and whether it must be undone.
#include <criterion/criterion.h>
#include <string.h>

#include "common/mem.h"
#include "services/hop.h"

#define PROBLEM(code) "{\"type\":\"urn:faultline:problem:" code "\",\"detail\":\"so it is\"}"

static const struct {
    enum err err;
    int status;
    const char *json;
    bool is_good;
    bool may_have_happened; // when it is not good
    int answer;
    const char *reason;
} cases[] = {
    {ERR_OK, 200, "{}", true, false, 0, NULL},
    {ERR_OK, 201, "{}", true, false, 0, NULL},
    {ERR_OK, 402, PROBLEM("card-declined"), false, false, 402, "card-declined"},
    {ERR_OK, 403, PROBLEM("customer-blocked"), false, false, 403, "customer-blocked"},
    {ERR_OK, 409, PROBLEM("out-of-stock"), false, false, 409, "out-of-stock"},
    {ERR_OK, 422, PROBLEM("unknown-sku"), false, false, 422, "unknown-sku"},
    {ERR_OK, 409, PROBLEM("request-in-progress"), false, true, 504, "payment-timeout"},
    {ERR_OK, 404, PROBLEM("not-found"), false, false, 503, "not-found"},
    {ERR_OK, 500, PROBLEM("internal-error"), false, true, 503, "internal-error"},
    {ERR_OK, 503, PROBLEM("fraud-unavailable"), false, true, 503, "fraud-unavailable"},
    {ERR_OK, 504, PROBLEM("ledger-timeout"), false, true, 504, "ledger-timeout"},
    {ERR_OK, 502, NULL, false, true, 503, "payment-unavailable"},
    {ERR_OK, 504, NULL, false, true, 504, "payment-timeout"},
    {ERR_OK, 302, "[]", false, true, 503, "payment-unavailable"},
    {ERR_UNAVAILABLE, 0, NULL, false, false, 503, "payment-unavailable"},
    {ERR_TIMEOUT, 0, NULL, false, true, 504, "payment-timeout"},
    {ERR_IO, 0, NULL, false, true, 503, "payment-unavailable"},
    {ERR_TOO_LARGE, 0, NULL, false, true, 503, "payment-unavailable"},
};

Test(hop, every_answer_is_understood)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct call_result result = {
            .err = cases[i].err,
            .status = cases[i].status,
            .json = cases[i].json == NULL ? NULL : cJSON_Parse(cases[i].json),
        };
        cr_expect_eq(hop_is_good(&result), cases[i].is_good, "case %zu", i);
        if (!cases[i].is_good) {
            struct hop_failure failure;
            hop_explain("payment", &result, &failure);
            cr_expect_eq(hop_may_have_happened(&result), cases[i].may_have_happened, "case %zu", i);
            cr_expect_eq(failure.status, cases[i].answer, "case %zu", i);
            cr_expect_str_eq(failure.reason, cases[i].reason, "case %zu", i);
            cr_expect_eq(strncmp(failure.detail, "payment ", 8), 0, "case %zu", i);
        }
        cJSON_Delete(result.json);
    }
}

Test(hop, the_detail_of_the_other_side_is_passed_on)
{
    const struct call_result result = {
        .err = ERR_OK, .status = 402, .json = cJSON_Parse(PROBLEM("card-declined"))};
    struct hop_failure failure;
    hop_explain("payment", &result, &failure);
    cr_expect_str_eq(failure.detail, "payment answered 402: so it is");
    cJSON_Delete(result.json);
}
