#include "services/catalogue.h"

#include <string.h>

#include "common/mem.h"

static const struct product products[] = {
    {"espresso-cup", "Espresso cup, porcelain", {1200, "EUR"}, 1000000000}, // for load tests
    {"coffee-beans", "Coffee beans, 1 kg", {1850, "EUR"}, 1000000},
    {"moka-pot", "Moka pot for four", {3900, "EUR"}, 1000},
    {"milk-jug", "Milk jug, steel", {2200, "EUR"}, 1000},
    {"grinder", "Burr grinder", {14900, "EUR"}, 50},
    {"rare-print", "Rare print, numbered", {25000, "EUR"}, 3},
};

const struct catalogue catalogue_of_shop = {.products = products, .count = ARRAY_LEN(products)};

const struct product *catalogue_find(const struct catalogue *catalogue, const char *sku)
{
    for (size_t i = 0; i < catalogue->count; i++) {
        if (strcmp(catalogue->products[i].sku, sku) == 0) {
            return &catalogue->products[i];
        }
    }
    return NULL;
}

enum err catalogue_price(const struct catalogue *catalogue, const struct items *items,
                         struct money *total, size_t *line)
{
    for (size_t i = 0; i < items->count; i++) {
        *line = i;
        const struct product *product = catalogue_find(catalogue, items->list[i].sku);
        if (product == NULL) {
            return ERR_NOT_FOUND;
        }
        struct money price = product->unit_price;
        enum err err = money_times(&price, items->list[i].quantity);
        if (i == 0) {
            *total = (struct money){0};
            memcpy(total->currency, price.currency, sizeof total->currency);
        }
        if (err == ERR_OK) {
            err = money_add(total, price);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}
