// catalogue - what the shop sells: order has the prices, inventory the goods. Pure.
#ifndef FAULTLINE_CATALOGUE_H
#define FAULTLINE_CATALOGUE_H

#include "common/money.h"
#include "services/contract.h"

struct product {
    const char *sku;
    const char *name;
    struct money unit_price;
    int64_t opening_stock; // what the shop has of it when it opens
};

struct catalogue {
    const struct product *products;
    size_t count;
};

extern const struct catalogue catalogue_of_shop;

// catalogue_find returns the product. NULL: there is none.
const struct product *catalogue_find(const struct catalogue *catalogue, const char *sku);

// catalogue_price adds up what items cost. On an error *line is the line at fault:
// ERR_NOT_FOUND (no such product), ERR_TOO_LARGE (the total passes
// MONEY_AMOUNT_MAX), ERR_INVALID (another currency than the lines before).
enum err catalogue_price(const struct catalogue *catalogue, const struct items *items,
                         struct money *total, size_t *line);

#endif
