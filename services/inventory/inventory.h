// inventory - the pure rules of stock and reservations.
//
// Goods are in one of three places and never appear or vanish on the way:
//
//                 restock
//                    v        reserve             sell
//              +-----------+ ---------> +----------+ ------> +------+
//              | available |            | reserved |         | sold |
//              +-----------+ <--------- +----------+         +------+
//                 |     ^      release                         ^  |
//                 |     '------------------- return -----------|--'
//                 '-------------------------- take ------------'
//
//   initial + restocked = available + reserved + sold, always.
//
// A reservation is what one order has of them:
//
//   none --reserve--> reserved --confirm--> sold --put back--> released
//     |                   '----cancel---> released
//     |--reject--> rejected
//     |--take--> sold                        (the synchronous path: no confirm)
//     '--cancel, put back--> released        (the mark of a cancellation that came first)
#ifndef FAULTLINE_INVENTORY_H
#define FAULTLINE_INVENTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum stock_place {
    STOCK_AVAILABLE,
    STOCK_RESERVED,
    STOCK_SOLD,
    STOCK_PLACES
};

enum stock_move {
    STOCK_STAYS,
    STOCK_RESERVE,
    STOCK_RELEASE,
    STOCK_SELL,
    STOCK_TAKE,
    STOCK_RETURN,
    STOCK_MOVES
};

// The most there may ever be of one product: what a JSON number still carries.
#define STOCK_MAX INT64_C(1000000000000000)

enum {
    RESTOCK_MAX = 1000000000 // of one request
};

struct stock {
    int64_t at[STOCK_PLACES];
    int64_t initial;
    int64_t restocked;
};

// stock_new puts quantity goods where they are available.
struct stock stock_new(int64_t quantity);

// stock_move moves quantity (above zero) goods. ERR_CONFLICT: there are not so many
// where they should come from; *stock is then unchanged.
enum err stock_move(struct stock *stock, enum stock_move move, int64_t quantity);

// stock_restock adds quantity (above zero) new goods. ERR_TOO_LARGE: initial and
// restocked would pass STOCK_MAX; *stock is then unchanged.
enum err stock_restock(struct stock *stock, int64_t quantity);

// stock_is_sound: nothing is negative and the identity above holds.
bool stock_is_sound(const struct stock *stock);

enum reservation_status {
    RESERVATION_NONE,
    RESERVATION_RESERVED,
    RESERVATION_REJECTED,
    RESERVATION_SOLD,
    RESERVATION_RELEASED,
    RESERVATION_STATUSES
};

enum reservation_input {
    RESERVATION_RESERVE,  // order-created, and there is enough
    RESERVATION_REJECT,   // order-created, and there is not
    RESERVATION_CONFIRM,  // order-confirmed
    RESERVATION_CANCEL,   // order-cancelled
    RESERVATION_TAKE,     // POST /reservations
    RESERVATION_PUT_BACK, // DELETE /reservations/{order_id}
    RESERVATION_INPUTS
};

enum reservation_verdict {
    RESERVATION_FORBIDDEN, // it contradicts what was before
    RESERVATION_NOTHING,   // a repetition, or too late to matter: change nothing
    RESERVATION_MOVES,     // to the next status, with the goods
};

struct reservation_step {
    enum reservation_verdict verdict;
    enum reservation_status next;
    enum stock_move goods;
};

// reservation_step looks up what input does to a reservation.
struct reservation_step reservation_step(enum reservation_status status,
                                         enum reservation_input input);

// reservation_status_name: "reserved"; reservation_status_of is its inverse, and
// RESERVATION_NONE for any other text.
const char *reservation_status_name(enum reservation_status status);
enum reservation_status reservation_status_of(const char *name);

#endif
