// Money never overflows, never rounds, and never mixes currencies.
#include <criterion/criterion.h>
#include <string.h>

#include "common/mem.h"
#include "common/money.h"

enum {
    ROUNDS = 20000
};

static struct money euro(int64_t amount_minor)
{
    return (struct money){.amount_minor = amount_minor, .currency = "EUR"};
}

// A small generator with a fixed seed: what fails once fails always.
static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 11 ^ *state >> 40;
}

static int64_t random_amount(uint64_t *state)
{
    const int64_t range = next_random(state) % 2 == 0 ? 1000 : MONEY_AMOUNT_MAX;
    return (int64_t)(next_random(state) % (uint64_t)(2 * range + 1)) - range;
}

Test(money, add_refuses_another_currency_and_leaves_the_sum)
{
    struct money sum = euro(100);
    cr_expect_eq(money_add(&sum, (struct money){.amount_minor = 1, .currency = "USD"}),
                 ERR_INVALID);
    cr_expect_eq(sum.amount_minor, 100);
}

Test(money, add_stops_at_the_limit_either_way)
{
    struct money sum = euro(MONEY_AMOUNT_MAX - 1);
    cr_expect_eq(money_add(&sum, euro(1)), ERR_OK);
    cr_expect_eq(sum.amount_minor, MONEY_AMOUNT_MAX);
    cr_expect_eq(money_add(&sum, euro(1)), ERR_TOO_LARGE);
    cr_expect_eq(sum.amount_minor, MONEY_AMOUNT_MAX);
    sum = euro(-MONEY_AMOUNT_MAX);
    cr_expect_eq(money_add(&sum, euro(-1)), ERR_TOO_LARGE);
    cr_expect_eq(money_add(&sum, euro(INT64_MIN)), ERR_TOO_LARGE);
    cr_expect_eq(money_add(&sum, euro(INT64_MAX)), ERR_TOO_LARGE);
    cr_expect_eq(sum.amount_minor, -MONEY_AMOUNT_MAX);
}

Test(money, times_stops_at_the_limit_either_way)
{
    static const struct {
        int64_t amount, factor;
        enum err err;
        int64_t result;
    } cases[] = {
        {1200, 3, ERR_OK, 3600},
        {1200, -3, ERR_OK, -3600},
        {1200, 0, ERR_OK, 0},
        {0, INT64_MIN, ERR_OK, 0},
        {1, MONEY_AMOUNT_MAX, ERR_OK, MONEY_AMOUNT_MAX},
        {-1, MONEY_AMOUNT_MAX, ERR_OK, -MONEY_AMOUNT_MAX},
        {1, MONEY_AMOUNT_MAX + 1, ERR_TOO_LARGE, 1},
        {2, MONEY_AMOUNT_MAX / 2 + 1, ERR_TOO_LARGE, 2},
        {1, INT64_MIN, ERR_TOO_LARGE, 1},
        {-1, INT64_MAX, ERR_TOO_LARGE, -1},
        {MONEY_AMOUNT_MAX, MONEY_AMOUNT_MAX, ERR_TOO_LARGE, MONEY_AMOUNT_MAX},
        {MONEY_AMOUNT_MAX + 1, 1, ERR_TOO_LARGE, MONEY_AMOUNT_MAX + 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct money money = euro(cases[i].amount);
        cr_expect_eq(money_times(&money, cases[i].factor), cases[i].err, "case %zu", i);
        cr_expect_eq(money.amount_minor, cases[i].result, "case %zu", i);
    }
}

Test(money, add_is_exact_and_undone_by_its_negative)
{
    uint64_t seed = 1;
    for (int i = 0; i < ROUNDS; i++) {
        const int64_t a = random_amount(&seed);
        const int64_t b = random_amount(&seed);
        struct money sum = euro(a);
        const enum err err = money_add(&sum, euro(b));
        const bool fits = a + b <= MONEY_AMOUNT_MAX && a + b >= -MONEY_AMOUNT_MAX;
        cr_assert_eq(err, fits ? ERR_OK : ERR_TOO_LARGE);
        cr_assert_eq(sum.amount_minor, fits ? a + b : a);
        if (fits) {
            cr_assert_eq(money_add(&sum, euro(-b)), ERR_OK);
            cr_assert_eq(sum.amount_minor, a);
        }
    }
}

Test(money, times_equals_adding_so_many_times)
{
    uint64_t seed = 2;
    for (int i = 0; i < ROUNDS; i++) {
        const int64_t amount = random_amount(&seed);
        const int64_t factor = (int64_t)(next_random(&seed) % 20);
        struct money product = euro(amount);
        const enum err err = money_times(&product, factor);
        struct money sum = euro(0);
        enum err sum_err = ERR_OK;
        for (int64_t n = 0; n < factor && sum_err == ERR_OK; n++) {
            sum_err = money_add(&sum, euro(amount));
        }
        cr_assert_eq(err, sum_err);
        cr_assert_eq(product.amount_minor, err == ERR_OK ? sum.amount_minor : amount);
    }
}

Test(money, json_and_text_give_back_what_went_in)
{
    uint64_t seed = 3;
    for (int i = 0; i < ROUNDS; i++) {
        const struct money money = euro(random_amount(&seed));
        struct money back = {0};
        cJSON *json = money_to_json(money);
        cr_assert_eq(money_from_json(json, &back), ERR_OK);
        cr_assert_eq(back.amount_minor, money.amount_minor);
        cr_assert_str_eq(back.currency, "EUR");
        cJSON_Delete(json);

        char text[MONEY_TEXT_SIZE];
        money_to_text(money, text);
        back = (struct money){0};
        cr_assert_eq(money_from_text(text, &back), ERR_OK, "%s", text);
        cr_assert_eq(back.amount_minor, money.amount_minor, "%s", text);
        cr_assert_str_eq(back.currency, "EUR");
    }
}

Test(money, text_is_units_two_decimals_and_currency)
{
    char text[MONEY_TEXT_SIZE];
    money_to_text(euro(2400), text);
    cr_expect_str_eq(text, "24.00 EUR");
    money_to_text(euro(-5), text);
    cr_expect_str_eq(text, "-0.05 EUR");
    money_to_text(euro(MONEY_AMOUNT_MAX), text);
    cr_expect_str_eq(text, "10000000000000.00 EUR");
    money_to_text(euro(INT64_MIN), text);
    cr_expect_str_eq(text, "-92233720368547758.08 EUR");
}

Test(money, other_text_is_refused)
{
    static const char *const texts[] = {
        "",
        "24",
        "24 EUR",
        "24.0 EUR",
        "24.000 EUR",
        "24.00",
        "24.00EUR",
        "24.00 eur",
        "24.00 EURO",
        "24.00 EU",
        "24,00 EUR",
        "+24.00 EUR",
        " 24.00 EUR",
        "24.00 EUR ",
        ".00 EUR",
        "024.00 EUR",
        "00.10 EUR",
        "-0.00 EUR",
        "--1.00 EUR",
        "1e3.00 EUR",
        "24.00  EUR",
        "24.-1 EUR",
        "10000000000000.01 EUR",
        "99999999999999999999999999.00 EUR",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct money money = euro(7);
        cr_expect_eq(money_from_text(texts[i], &money), ERR_INVALID, "%s", texts[i]);
        cr_expect_eq(money.amount_minor, 7);
    }
}

Test(money, other_json_is_refused)
{
    static const char *const texts[] = {
        "null",
        "2400",
        "\"24.00 EUR\"",
        "[]",
        "{}",
        "{\"amount_minor\":2400}",
        "{\"currency\":\"EUR\"}",
        "{\"amount_minor\":\"2400\",\"currency\":\"EUR\"}",
        "{\"amount_minor\":24.5,\"currency\":\"EUR\"}",
        "{\"amount_minor\":1000000000000001,\"currency\":\"EUR\"}",
        "{\"amount_minor\":-1000000000000001,\"currency\":\"EUR\"}",
        "{\"amount_minor\":1e300,\"currency\":\"EUR\"}",
        "{\"amount_minor\":null,\"currency\":\"EUR\"}",
        "{\"amount_minor\":1,\"currency\":\"eur\"}",
        "{\"amount_minor\":1,\"currency\":\"EURO\"}",
        "{\"amount_minor\":1,\"currency\":978}",
        "{\"Amount_minor\":1,\"currency\":\"EUR\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        cJSON *json = cJSON_Parse(texts[i]);
        cr_assert_not_null(json, "%s", texts[i]);
        struct money money = euro(7);
        cr_expect_eq(money_from_json(json, &money), ERR_INVALID, "%s", texts[i]);
        cr_expect_eq(money.amount_minor, 7);
        cJSON_Delete(json);
    }
    struct money money;
    cr_expect_eq(money_from_json(NULL, &money), ERR_INVALID);
}
