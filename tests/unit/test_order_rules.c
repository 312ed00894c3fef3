// An order's status, its three answers and its price, with every forbidden move tried.
#include <criterion/criterion.h>
#include <string.h>

#include "common/mem.h"
#include "services/catalogue.h"
#include "services/order/order.h"

static const enum order_check checks[ORDER_CHECKS] = {ORDER_FRAUD, ORDER_INVENTORY, ORDER_PAYMENT};

static struct order_state pending(void)
{
    return (struct order_state){.status = ORDER_PENDING};
}

Test(order_rules, only_three_moves_are_allowed)
{
    int allowed = 0;
    for (int from = 0; from < ORDER_STATUSES; from++) {
        for (int to = 0; to < ORDER_STATUSES; to++) {
            const bool expected = (from == ORDER_NONE && to == ORDER_PENDING) ||
                                  (from == ORDER_PENDING && to == ORDER_CONFIRMED) ||
                                  (from == ORDER_PENDING && to == ORDER_CANCELLED);
            const bool actual = order_can_move((enum order_status)from, (enum order_status)to);
            cr_expect_eq(actual, expected, "%d -> %d", from, to);
            allowed += actual;
        }
    }
    cr_expect_eq(allowed, 3);
}

Test(order_rules, each_status_has_a_name_and_is_found_by_it)
{
    for (int i = 0; i < ORDER_STATUSES; i++) {
        const enum order_status status = (enum order_status)i;
        cr_expect_eq(order_status_of(order_status_name(status)), status);
    }
    cr_expect_eq(order_status_of("Pending"), ORDER_NONE);
    cr_expect_eq(order_status_of(""), ORDER_NONE);
}

Test(order_rules, three_good_answers_confirm_in_any_order)
{
    static const int orders[6][3] = {
        {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        struct order_state state = pending();
        for (int n = 0; n < 3; n++) {
            cr_expect_eq(state.status, ORDER_PENDING);
            cr_expect(order_hear(&state, checks[orders[i][n]], ANSWER_GOOD));
        }
        cr_expect_eq(state.status, ORDER_CONFIRMED);
    }
}

// Every sequence of six answers, 6^6: what an order becomes depends on the first
// answer of each check alone, and nothing moves it out of its end.
Test(order_rules, whatever_comes_the_first_answers_decide)
{
    for (int code = 0; code < 46656; code++) {
        struct order_state state = pending();
        enum order_answer first[ORDER_CHECKS] = {ANSWER_NONE};
        enum order_status expected = ORDER_PENDING;
        int good = 0;
        for (int rest = code, n = 0; n < 6; n++, rest /= 6) {
            const enum order_check check = checks[rest % 6 / 2];
            const enum order_answer answer = rest % 2 == 0 ? ANSWER_GOOD : ANSWER_BAD;
            const bool counts = expected == ORDER_PENDING && first[check] == ANSWER_NONE;
            if (counts) {
                first[check] = answer;
                good += answer == ANSWER_GOOD;
                expected = answer == ANSWER_BAD   ? ORDER_CANCELLED
                           : good == ORDER_CHECKS ? ORDER_CONFIRMED
                                                  : ORDER_PENDING;
            }
            cr_assert_eq(
                order_hear(&state, check, answer), counts, "sequence %d, step %d", code, n);
            cr_assert_eq(state.status, expected, "sequence %d, step %d", code, n);
        }
        cr_assert_arr_eq(state.answers, first, sizeof first);
    }
}

Test(order_rules, an_order_that_ended_hears_nothing)
{
    static const enum order_status ended[] = {ORDER_NONE, ORDER_CONFIRMED, ORDER_CANCELLED};
    for (size_t i = 0; i < ARRAY_LEN(ended); i++) {
        for (int check = 0; check < ORDER_CHECKS; check++) {
            struct order_state state = {.status = ended[i]};
            cr_expect_not(order_hear(&state, checks[check], ANSWER_GOOD));
            cr_expect_not(order_hear(&state, checks[check], ANSWER_BAD));
            cr_expect_eq(state.status, ended[i]);
            cr_expect_eq(state.answers[check], ANSWER_NONE);
        }
    }
}

Test(order_rules, each_answer_has_its_topic)
{
    static const struct order_verdict expected[] = {
        {"fraud-cleared", ORDER_FRAUD, ANSWER_GOOD},
        {"fraud-flagged", ORDER_FRAUD, ANSWER_BAD},
        {"inventory-reserved", ORDER_INVENTORY, ANSWER_GOOD},
        {"inventory-rejected", ORDER_INVENTORY, ANSWER_BAD},
        {"payment-authorized", ORDER_PAYMENT, ANSWER_GOOD},
        {"payment-declined", ORDER_PAYMENT, ANSWER_BAD},
    };
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const struct order_verdict *verdict = order_verdict_find(expected[i].topic);
        cr_assert_not_null(verdict);
        cr_expect_eq(verdict->check, expected[i].check);
        cr_expect_eq(verdict->answer, expected[i].answer);
        cr_expect_eq(strncmp(expected[i].topic,
                             order_check_name(verdict->check),
                             strlen(order_check_name(verdict->check))),
                     0);
    }
    cr_expect_null(order_verdict_find("payment-completed"));
    cr_expect_null(order_verdict_find(""));
}

static struct items items_of(size_t count, const char *const *skus, const int64_t *quantities)
{
    struct items items = {.count = count};
    for (size_t i = 0; i < count; i++) {
        strncpy(items.list[i].sku, skus[i], CONTRACT_ID_MAX);
        items.list[i].quantity = quantities[i];
    }
    return items;
}

Test(order_rules, the_price_is_the_sum_of_the_lines)
{
    struct items items = items_of(
        3, (const char *[]){"espresso-cup", "grinder", "coffee-beans"}, (int64_t[]){2, 1, 3});
    struct money total;
    size_t line = 99;
    cr_assert_eq(catalogue_price(&catalogue_of_shop, &items, &total, &line), ERR_OK);
    cr_expect_eq(total.amount_minor, 2 * 1200 + 14900 + 3 * 1850);
    cr_expect_str_eq(total.currency, "EUR");
}

Test(order_rules, an_unknown_product_is_named_by_its_line)
{
    struct items items = items_of(2, (const char *[]){"grinder", "Grinder"}, (int64_t[]){1, 1});
    struct money total;
    size_t line = 99;
    cr_expect_eq(catalogue_price(&catalogue_of_shop, &items, &total, &line), ERR_NOT_FOUND);
    cr_expect_eq(line, 1);
}

Test(order_rules, a_total_that_overflows_is_refused_at_its_line)
{
    static const struct product products[] = {
        {"yacht", "", {MONEY_AMOUNT_MAX / 2, "EUR"}, 0},
        {"cent", "", {1, "EUR"}, 0},
        {"dollar", "", {100, "USD"}, 0},
    };
    const struct catalogue catalogue = {.products = products, .count = ARRAY_LEN(products)};
    struct money total;
    size_t line = 99;

    struct items items = items_of(1, (const char *[]){"yacht"}, (int64_t[]){2});
    cr_expect_eq(catalogue_price(&catalogue, &items, &total, &line), ERR_OK);
    cr_expect_eq(total.amount_minor, MONEY_AMOUNT_MAX);

    items = items_of(1, (const char *[]){"yacht"}, (int64_t[]){3});
    cr_expect_eq(catalogue_price(&catalogue, &items, &total, &line), ERR_TOO_LARGE);
    cr_expect_eq(line, 0);

    items = items_of(2, (const char *[]){"yacht", "cent"}, (int64_t[]){2, 1});
    cr_expect_eq(catalogue_price(&catalogue, &items, &total, &line), ERR_TOO_LARGE);
    cr_expect_eq(line, 1);

    items = items_of(2, (const char *[]){"cent", "dollar"}, (int64_t[]){1, 1});
    cr_expect_eq(catalogue_price(&catalogue, &items, &total, &line), ERR_INVALID);
    cr_expect_eq(line, 1);
}

Test(order_rules, the_dearest_order_within_the_limits_fits)
{
    struct items items = {0};
    for (size_t i = 0; i < catalogue_of_shop.count; i++) {
        strncpy(items.list[i].sku, catalogue_of_shop.products[i].sku, CONTRACT_ID_MAX);
        items.list[i].quantity = CONTRACT_QUANTITY_MAX;
        items.count++;
    }
    struct money total;
    size_t line = 0;
    cr_expect_eq(catalogue_price(&catalogue_of_shop, &items, &total, &line), ERR_OK);
}
