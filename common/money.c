#include "common/money.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

static bool is_in_range(int64_t amount_minor)
{
    return amount_minor >= -MONEY_AMOUNT_MAX && amount_minor <= MONEY_AMOUNT_MAX;
}

static bool currency_is_valid(const char *text)
{
    return strlen(text) == 3 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
}

enum err money_add(struct money *sum, struct money other)
{
    if (strcmp(sum->currency, other.currency) != 0) {
        return ERR_INVALID;
    }
    if (!is_in_range(sum->amount_minor) || !is_in_range(other.amount_minor) ||
        !is_in_range(sum->amount_minor + other.amount_minor)) {
        return ERR_TOO_LARGE;
    }
    sum->amount_minor += other.amount_minor;
    return ERR_OK;
}

enum err money_times(struct money *money, int64_t factor)
{
    const int64_t amount = money->amount_minor;
    // Within these bounds the quotient tells before the product could overflow.
    if (amount != 0 && (!is_in_range(amount) || !is_in_range(factor) ||
                        llabs(factor) > MONEY_AMOUNT_MAX / llabs(amount))) {
        return ERR_TOO_LARGE;
    }
    money->amount_minor = amount == 0 ? 0 : amount * factor;
    return ERR_OK;
}

enum err money_from_json(const cJSON *json, struct money *out)
{
    struct json_problem problem;
    int64_t amount_minor = 0;
    const char *currency = NULL;
    const int64_t max = MONEY_AMOUNT_MAX;
    if (json_get_int(json, "", "amount_minor", -max, max, &amount_minor, &problem) != ERR_OK ||
        json_get_text(json, "", "currency", 3, 3, &currency, &problem) != ERR_OK ||
        !currency_is_valid(currency)) {
        return ERR_INVALID;
    }
    out->amount_minor = amount_minor;
    memcpy(out->currency, currency, MONEY_CURRENCY_SIZE);
    return ERR_OK;
}

cJSON *money_to_json(struct money money)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "amount_minor", (double)money.amount_minor);
    cJSON_AddStringToObject(json, "currency", money.currency);
    return json;
}

enum err money_from_text(const char *text, struct money *out)
{
    char *end = NULL;
    const int64_t units = strtoll(text, &end, 10);
    if (*end != '.' || !is_in_range(units)) {
        return ERR_INVALID;
    }
    const int64_t cents = strtoll(end + 1, &end, 10);
    if (*end != ' ' || cents < 0 || cents > 99 || !currency_is_valid(end + 1)) {
        return ERR_INVALID;
    }
    struct money money = {.amount_minor = units * 100 + (text[0] == '-' ? -cents : cents)};
    memcpy(money.currency, end + 1, MONEY_CURRENCY_SIZE);
    // There is one way to write each amount.
    char canonical[MONEY_TEXT_SIZE];
    money_to_text(money, canonical);
    if (!is_in_range(money.amount_minor) || strcmp(text, canonical) != 0) {
        return ERR_INVALID;
    }
    *out = money;
    return ERR_OK;
}

void money_to_text(struct money money, char out[MONEY_TEXT_SIZE])
{
    const bool is_negative = money.amount_minor < 0;
    const uint64_t amount =
        is_negative ? -(uint64_t)money.amount_minor : (uint64_t)money.amount_minor;
    const char *sign = is_negative ? "-" : "";
    const unsigned cents = (unsigned)(amount % 100);
    snprintf(
        out, MONEY_TEXT_SIZE, "%s%" PRIu64 ".%02u %.3s", sign, amount / 100, cents, money.currency);
}
