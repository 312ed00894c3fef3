#include "services/inventory/inventory.h"

#include <assert.h>

#include "common/mem.h"
#include "services/contract.h"

struct stock stock_new(int64_t quantity)
{
    assert(quantity >= 0 && quantity <= STOCK_MAX);
    return (struct stock){.at = {[STOCK_AVAILABLE] = quantity}, .initial = quantity};
}

enum err stock_move(struct stock *stock, enum stock_move move, int64_t quantity)
{
    static const struct {
        enum stock_place from, to;
    } moves[STOCK_MOVES] = {
        [STOCK_STAYS] = {STOCK_AVAILABLE, STOCK_AVAILABLE},
        [STOCK_RESERVE] = {STOCK_AVAILABLE, STOCK_RESERVED},
        [STOCK_RELEASE] = {STOCK_RESERVED, STOCK_AVAILABLE},
        [STOCK_SELL] = {STOCK_RESERVED, STOCK_SOLD},
        [STOCK_TAKE] = {STOCK_AVAILABLE, STOCK_SOLD},
        [STOCK_RETURN] = {STOCK_SOLD, STOCK_AVAILABLE},
    };
    assert(move < STOCK_MOVES);
    assert(quantity > 0);
    if (stock->at[moves[move].from] < quantity) {
        return ERR_CONFLICT;
    }
    stock->at[moves[move].from] -= quantity;
    stock->at[moves[move].to] += quantity;
    return ERR_OK;
}

enum err stock_restock(struct stock *stock, int64_t quantity)
{
    assert(quantity > 0);
    if (quantity > STOCK_MAX - stock->initial - stock->restocked) {
        return ERR_TOO_LARGE;
    }
    stock->restocked += quantity;
    stock->at[STOCK_AVAILABLE] += quantity;
    return ERR_OK;
}

bool stock_is_sound(const struct stock *stock)
{
    int64_t sum = 0;
    for (size_t i = 0; i < STOCK_PLACES; i++) {
        if (stock->at[i] < 0 || stock->at[i] > STOCK_MAX) {
            return false;
        }
        sum += stock->at[i];
    }
    return stock->initial >= 0 && stock->restocked >= 0 && sum == stock->initial + stock->restocked;
}

#define NOTHING                                                                                    \
    {                                                                                              \
        .verdict = RESERVATION_NOTHING                                                             \
    }
#define MOVES(next, goods)                                                                         \
    {                                                                                              \
        RESERVATION_MOVES, next, goods                                                             \
    }

// What is not named here is forbidden.
static const struct reservation_step steps[RESERVATION_STATUSES][RESERVATION_INPUTS] = {
    [RESERVATION_NONE] = {[RESERVATION_RESERVE] = MOVES(RESERVATION_RESERVED, STOCK_RESERVE),
                          [RESERVATION_REJECT] = MOVES(RESERVATION_REJECTED, STOCK_STAYS),
                          [RESERVATION_CANCEL] = MOVES(RESERVATION_RELEASED, STOCK_STAYS),
                          [RESERVATION_TAKE] = MOVES(RESERVATION_SOLD, STOCK_TAKE),
                          [RESERVATION_PUT_BACK] = MOVES(RESERVATION_RELEASED, STOCK_STAYS)},
    [RESERVATION_RESERVED] = {[RESERVATION_RESERVE] = NOTHING,
                              [RESERVATION_REJECT] = NOTHING,
                              [RESERVATION_CONFIRM] = MOVES(RESERVATION_SOLD, STOCK_SELL),
                              [RESERVATION_CANCEL] = MOVES(RESERVATION_RELEASED, STOCK_RELEASE)},
    [RESERVATION_REJECTED] = {[RESERVATION_RESERVE] = NOTHING,
                              [RESERVATION_REJECT] = NOTHING,
                              [RESERVATION_CANCEL] = NOTHING,
                              [RESERVATION_PUT_BACK] = NOTHING},
    [RESERVATION_SOLD] = {[RESERVATION_RESERVE] = NOTHING,
                          [RESERVATION_REJECT] = NOTHING,
                          [RESERVATION_CONFIRM] = NOTHING,
                          [RESERVATION_TAKE] = NOTHING,
                          [RESERVATION_PUT_BACK] = MOVES(RESERVATION_RELEASED, STOCK_RETURN)},
    [RESERVATION_RELEASED] = {[RESERVATION_RESERVE] = NOTHING,
                              [RESERVATION_REJECT] = NOTHING,
                              [RESERVATION_CANCEL] = NOTHING,
                              [RESERVATION_PUT_BACK] = NOTHING},
};

struct reservation_step reservation_step(enum reservation_status status,
                                         enum reservation_input input)
{
    assert(status < RESERVATION_STATUSES && input < RESERVATION_INPUTS);
    return steps[status][input];
}

static const char *const status_names[RESERVATION_STATUSES] = {
    [RESERVATION_NONE] = "none",
    [RESERVATION_RESERVED] = "reserved",
    [RESERVATION_REJECTED] = "rejected",
    [RESERVATION_SOLD] = "sold",
    [RESERVATION_RELEASED] = "released",
};

const char *reservation_status_name(enum reservation_status status)
{
    assert(status < RESERVATION_STATUSES);
    return status_names[status];
}

enum reservation_status reservation_status_of(const char *name)
{
    return (enum reservation_status)contract_name_index(status_names, RESERVATION_STATUSES, name);
}
