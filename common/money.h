// money - integer minor units and a currency; checked arithmetic.
#ifndef FAULTLINE_MONEY_H
#define FAULTLINE_MONEY_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

enum {
    MONEY_CURRENCY_SIZE = 4
}; // ISO 4217 and a NUL

struct money {
    int64_t amount_minor;
    char currency[MONEY_CURRENCY_SIZE];
};

// The largest amount accepted anywhere: 10^15 minor units, which a JSON number
// (a double) still carries exactly.
#define MONEY_AMOUNT_MAX INT64_C(1000000000000000)

// money_add adds other to *sum. ERR_INVALID: other currency. ERR_TOO_LARGE: the
// result passes MONEY_AMOUNT_MAX either way. On an error *sum is unchanged.
enum err money_add(struct money *sum, struct money other);

// money_times multiplies *money by factor; errors as money_add.
enum err money_times(struct money *money, int64_t factor);

// money_from_json reads {"amount_minor": integer, "currency": "EUR"}. ERR_INVALID:
// a member is missing, of another type, not whole, or out of range.
enum err money_from_json(const cJSON *json, struct money *out);

// money_to_json returns such an object; the caller owns it.
cJSON *money_to_json(struct money money);

// money_from_text reads version 1's "24.00 EUR" (two decimals). ERR_INVALID: other.
enum err money_from_text(const char *text, struct money *out);

enum {
    MONEY_TEXT_SIZE = 32
};

// money_to_text writes "24.00 EUR".
void money_to_text(struct money money, char out[MONEY_TEXT_SIZE]);

#endif
