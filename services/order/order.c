#include "services/order/order.h"

#include <assert.h>
#include <string.h>

#include "common/mem.h"

static const bool moves[ORDER_STATUSES][ORDER_STATUSES] = {
    [ORDER_NONE] = {[ORDER_PENDING] = true},
    [ORDER_PENDING] = {[ORDER_CONFIRMED] = true, [ORDER_CANCELLED] = true},
};

bool order_can_move(enum order_status from, enum order_status to)
{
    assert(from < ORDER_STATUSES && to < ORDER_STATUSES);
    return moves[from][to];
}

static const char *const status_names[ORDER_STATUSES] = {
    [ORDER_NONE] = "none",
    [ORDER_PENDING] = "pending",
    [ORDER_CONFIRMED] = "confirmed",
    [ORDER_CANCELLED] = "cancelled",
};

const char *order_status_name(enum order_status status)
{
    assert(status < ORDER_STATUSES);
    return status_names[status];
}

enum order_status order_status_of(const char *name)
{
    return (enum order_status)contract_name_index(status_names, ORDER_STATUSES, name);
}

const char *order_check_name(enum order_check check)
{
    static const char *const names[ORDER_CHECKS] = {
        [ORDER_FRAUD] = "fraud",
        [ORDER_INVENTORY] = "inventory",
        [ORDER_PAYMENT] = "payment",
    };
    assert(check < ORDER_CHECKS);
    return names[check];
}

const struct order_verdict *order_verdict_find(const char *topic)
{
    static const struct order_verdict verdicts[] = {
        {"fraud-cleared", ORDER_FRAUD, ANSWER_GOOD},
        {"fraud-flagged", ORDER_FRAUD, ANSWER_BAD},
        {"inventory-reserved", ORDER_INVENTORY, ANSWER_GOOD},
        {"inventory-rejected", ORDER_INVENTORY, ANSWER_BAD},
        {"payment-authorized", ORDER_PAYMENT, ANSWER_GOOD},
        {"payment-declined", ORDER_PAYMENT, ANSWER_BAD},
    };
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        if (strcmp(verdicts[i].topic, topic) == 0) {
            return &verdicts[i];
        }
    }
    return NULL;
}

bool order_hear(struct order_state *state, enum order_check check, enum order_answer answer)
{
    assert(check < ORDER_CHECKS && answer != ANSWER_NONE);
    if (state->status != ORDER_PENDING || state->answers[check] != ANSWER_NONE) {
        return false;
    }
    state->answers[check] = answer;
    if (answer == ANSWER_BAD) {
        state->status = ORDER_CANCELLED;
        return true;
    }
    bool is_complete = true;
    for (size_t i = 0; i < ORDER_CHECKS; i++) {
        is_complete = is_complete && state->answers[i] == ANSWER_GOOD;
    }
    if (is_complete) {
        state->status = ORDER_CONFIRMED;
    }
    return true;
}

static const struct product products[] = {
    {"espresso-cup", "Espresso cup, porcelain", {1200, "EUR"}},
    {"coffee-beans", "Coffee beans, 1 kg", {1850, "EUR"}},
    {"moka-pot", "Moka pot for four", {3900, "EUR"}},
    {"milk-jug", "Milk jug, steel", {2200, "EUR"}},
    {"grinder", "Burr grinder", {14900, "EUR"}},
    {"rare-print", "Rare print, numbered", {25000, "EUR"}},
};

const struct catalogue order_catalogue = {.products = products, .count = ARRAY_LEN(products)};

const struct product *catalogue_find(const struct catalogue *catalogue, const char *sku)
{
    for (size_t i = 0; i < catalogue->count; i++) {
        if (strcmp(catalogue->products[i].sku, sku) == 0) {
            return &catalogue->products[i];
        }
    }
    return NULL;
}

enum err order_price(const struct catalogue *catalogue, const struct items *items,
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
