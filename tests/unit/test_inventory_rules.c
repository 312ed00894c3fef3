// Goods never appear or vanish, and a reservation moves only as its table allows.
#include <criterion/criterion.h>
#include <string.h>

#include "common/mem.h"
#include "services/catalogue.h"
#include "services/inventory/inventory.h"

// The moves, as a person would list them; then what is forbidden. Everything else
// is a repetition, or comes too late to matter.
static const struct {
    enum reservation_status from;
    enum reservation_input input;
    enum reservation_status to;
    enum stock_move goods;
} moves[] = {
    {RESERVATION_NONE, RESERVATION_RESERVE, RESERVATION_RESERVED, STOCK_RESERVE},
    {RESERVATION_NONE, RESERVATION_REJECT, RESERVATION_REJECTED, STOCK_STAYS},
    {RESERVATION_NONE, RESERVATION_CANCEL, RESERVATION_RELEASED, STOCK_STAYS},
    {RESERVATION_NONE, RESERVATION_TAKE, RESERVATION_SOLD, STOCK_TAKE},
    {RESERVATION_NONE, RESERVATION_PUT_BACK, RESERVATION_RELEASED, STOCK_STAYS},
    {RESERVATION_RESERVED, RESERVATION_CONFIRM, RESERVATION_SOLD, STOCK_SELL},
    {RESERVATION_RESERVED, RESERVATION_CANCEL, RESERVATION_RELEASED, STOCK_RELEASE},
    {RESERVATION_SOLD, RESERVATION_PUT_BACK, RESERVATION_RELEASED, STOCK_RETURN},
};

static const struct {
    enum reservation_status status;
    enum reservation_input input;
} forbidden[] = {
    {RESERVATION_NONE, RESERVATION_CONFIRM},
    {RESERVATION_RESERVED, RESERVATION_TAKE},
    {RESERVATION_RESERVED, RESERVATION_PUT_BACK},
    {RESERVATION_REJECTED, RESERVATION_CONFIRM},
    {RESERVATION_REJECTED, RESERVATION_TAKE},
    {RESERVATION_SOLD, RESERVATION_CANCEL},
    {RESERVATION_RELEASED, RESERVATION_CONFIRM},
    {RESERVATION_RELEASED, RESERVATION_TAKE},
};

static struct reservation_step expected_step(int status, int input)
{
    for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
        if ((int)moves[i].from == status && (int)moves[i].input == input) {
            return (struct reservation_step){RESERVATION_MOVES, moves[i].to, moves[i].goods};
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
        if ((int)forbidden[i].status == status && (int)forbidden[i].input == input) {
            return (struct reservation_step){.verdict = RESERVATION_FORBIDDEN};
        }
    }
    return (struct reservation_step){.verdict = RESERVATION_NOTHING};
}

Test(inventory_rules, every_cell_of_the_table_is_as_listed)
{
    for (int status = 0; status < RESERVATION_STATUSES; status++) {
        for (int input = 0; input < RESERVATION_INPUTS; input++) {
            const struct reservation_step step =
                reservation_step((enum reservation_status)status, (enum reservation_input)input);
            const struct reservation_step expected = expected_step(status, input);
            cr_expect_eq(step.verdict, expected.verdict, "status %d, input %d", status, input);
            cr_expect_eq(step.next, expected.next, "status %d, input %d", status, input);
            cr_expect_eq(step.goods, expected.goods, "status %d, input %d", status, input);
        }
    }
}

Test(inventory_rules, each_status_has_a_name_and_is_found_by_it)
{
    for (int i = 0; i < RESERVATION_STATUSES; i++) {
        const enum reservation_status status = (enum reservation_status)i;
        cr_expect_eq(reservation_status_of(reservation_status_name(status)), status);
    }
    cr_expect_eq(reservation_status_of("held"), RESERVATION_NONE);
}

Test(inventory_rules, goods_move_from_place_to_place)
{
    struct stock stock = stock_new(10);
    cr_expect_eq(stock_move(&stock, STOCK_RESERVE, 4), ERR_OK);
    cr_expect_eq(stock_move(&stock, STOCK_SELL, 3), ERR_OK);
    cr_expect_eq(stock_move(&stock, STOCK_RELEASE, 1), ERR_OK);
    cr_expect_eq(stock_move(&stock, STOCK_TAKE, 2), ERR_OK);
    cr_expect_eq(stock_move(&stock, STOCK_RETURN, 5), ERR_OK);
    cr_expect_eq(stock_move(&stock, STOCK_STAYS, 10), ERR_OK);
    cr_expect_eq(stock.at[STOCK_AVAILABLE], 10);
    cr_expect_eq(stock.at[STOCK_RESERVED], 0);
    cr_expect_eq(stock.at[STOCK_SOLD], 0);
}

Test(inventory_rules, goods_that_are_not_there_cannot_move)
{
    for (int move = STOCK_RESERVE; move < STOCK_MOVES; move++) {
        struct stock stock = {.at = {5, 5, 5}, .initial = 15};
        const struct stock before = stock;
        cr_expect_eq(stock_move(&stock, (enum stock_move)move, 6), ERR_CONFLICT, "move %d", move);
        cr_expect_arr_eq(&stock, &before, sizeof stock);
        cr_expect_eq(stock_move(&stock, (enum stock_move)move, 5), ERR_OK);
        cr_expect(stock_is_sound(&stock));
    }
}

Test(inventory_rules, restocking_stops_where_it_would_overflow)
{
    struct stock stock = stock_new(STOCK_MAX - 5);
    cr_expect_eq(stock_restock(&stock, 6), ERR_TOO_LARGE);
    cr_expect_eq(stock_restock(&stock, INT64_MAX), ERR_TOO_LARGE);
    cr_expect_eq(stock_restock(&stock, 5), ERR_OK);
    cr_expect_eq(stock_restock(&stock, 1), ERR_TOO_LARGE);
    cr_expect_eq(stock.at[STOCK_AVAILABLE], STOCK_MAX);
    cr_expect(stock_is_sound(&stock));
    // What is sold still counts: nothing makes room but forgetting.
    cr_expect_eq(stock_move(&stock, STOCK_TAKE, STOCK_MAX), ERR_OK);
    cr_expect_eq(stock_restock(&stock, 1), ERR_TOO_LARGE);
}

// A fixed seed: what fails once fails always.
static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

Test(inventory_rules, random_moves_keep_the_identity)
{
    uint64_t seed = 7;
    for (int round = 0; round < 200; round++) {
        struct stock stock = stock_new((int64_t)(next_random(&seed) % 1000));
        for (int n = 0; n < 500; n++) {
            const int64_t quantity = 1 + (int64_t)(next_random(&seed) % 50);
            if (next_random(&seed) % 10 == 0) {
                cr_assert_eq(stock_restock(&stock, quantity), ERR_OK);
            } else {
                (void)stock_move(
                    &stock, (enum stock_move)(next_random(&seed) % STOCK_MOVES), quantity);
            }
            cr_assert(stock_is_sound(&stock), "round %d, move %d", round, n);
        }
    }
}

// Many orders on one product, their inputs in any order: at the end of each, what
// the reservations say is reserved and sold is what the stock says.
Test(inventory_rules, random_reservations_agree_with_the_stock)
{
    enum {
        ORDERS = 40,
        STEPS = 4000
    };
    uint64_t seed = 11;
    struct stock stock = stock_new(60);
    enum reservation_status statuses[ORDERS] = {RESERVATION_NONE};
    int64_t quantities[ORDERS];
    for (int i = 0; i < ORDERS; i++) {
        quantities[i] = 1 + (int64_t)(next_random(&seed) % 5);
    }
    for (int n = 0; n < STEPS; n++) {
        const size_t order = next_random(&seed) % ORDERS;
        const struct reservation_step step = reservation_step(
            statuses[order], (enum reservation_input)(next_random(&seed) % RESERVATION_INPUTS));
        if (step.verdict == RESERVATION_MOVES &&
            stock_move(&stock, step.goods, quantities[order]) == ERR_OK) {
            statuses[order] = step.next;
        }
        int64_t reserved = 0;
        int64_t sold = 0;
        for (size_t i = 0; i < ORDERS; i++) {
            reserved += statuses[i] == RESERVATION_RESERVED ? quantities[i] : 0;
            sold += statuses[i] == RESERVATION_SOLD ? quantities[i] : 0;
        }
        cr_assert(stock_is_sound(&stock));
        cr_assert_eq(stock.at[STOCK_RESERVED], reserved, "step %d", n);
        cr_assert_eq(stock.at[STOCK_SOLD], sold, "step %d", n);
    }
}

Test(inventory_rules, the_shop_opens_with_sound_stock)
{
    bool has_cup = false;
    bool has_print = false;
    for (size_t i = 0; i < catalogue_of_shop.count; i++) {
        const struct stock stock = stock_new(catalogue_of_shop.products[i].opening_stock);
        cr_expect(stock_is_sound(&stock));
        has_cup = has_cup || (strcmp(catalogue_of_shop.products[i].sku, "espresso-cup") == 0 &&
                              catalogue_of_shop.products[i].opening_stock == 1000000000);
        has_print = has_print || (strcmp(catalogue_of_shop.products[i].sku, "rare-print") == 0 &&
                                  catalogue_of_shop.products[i].opening_stock == 3);
    }
    cr_expect(has_cup && has_print);
}
