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
    for (int i = 0; i < MONEY_CURRENCY_SIZE - 1; i++) {
        if (text[i] < 'A' || text[i] > 'Z') {
            return false;
        }
    }
    return text[MONEY_CURRENCY_SIZE - 1] == '\0';
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
    const bool is_negative = *text == '-';
    const char *at = text + (is_negative ? 1 : 0);
    // One way to write each amount: no leading zeros.
    if (at[0] == '0' && at[1] != '.') {
        return ERR_INVALID;
    }
    const char *const units = at;
    int64_t amount_minor = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        amount_minor = amount_minor * 10 + (*at - '0');
        if (amount_minor > MONEY_AMOUNT_MAX / 100) {
            return ERR_INVALID;
        }
    }
    if (at == units || at[0] != '.' || at[1] < '0' || at[1] > '9' || at[2] < '0' || at[2] > '9' ||
        at[3] != ' ' || !currency_is_valid(at + 4)) {
        return ERR_INVALID;
    }
    amount_minor = amount_minor * 100 + (at[1] - '0') * 10 + (at[2] - '0');
    if (!is_in_range(amount_minor) || (is_negative && amount_minor == 0)) {
        return ERR_INVALID;
    }
    out->amount_minor = is_negative ? -amount_minor : amount_minor;
    memcpy(out->currency, at + 4, MONEY_CURRENCY_SIZE);
    return ERR_OK;
}

void money_to_text(struct money money, char out[MONEY_TEXT_SIZE])
{
    const bool is_negative = money.amount_minor < 0;
    const uint64_t amount =
        is_negative ? -(uint64_t)money.amount_minor : (uint64_t)money.amount_minor;
    snprintf(out,
             MONEY_TEXT_SIZE,
             "%s%" PRIu64 ".%02u %.3s",
             is_negative ? "-" : "",
             amount / 100,
             (unsigned)(amount % 100),
             money.currency);
}
