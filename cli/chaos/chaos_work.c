#include "cli/chaos/chaos_work.h"

#include <stdio.h>

#include "cli/seed.h"
#include "common/mem.h"

enum {
    CUSTOMERS = 997,     // so many that fraud's limit per customer is never near
    QUANTITY_MAX = 4,    // rare-print has 3 in stock
    TRANSFER_MIN = 1,    // cents
    TRANSFER_MAX = 2000, // of 1,000.00 that each account has: now and then one has too little
};

// A choice and how often it is made among the others.
struct choice {
    const char *text;
    unsigned weight;
};

static const struct choice tokens[] = {
    {"tok_visa", 80}, {"tok_declined", 10}, {"tok_flaky", 9}, {"tok_poison", 1}};
static const struct choice skus[] = {
    {"espresso-cup", 60}, {"coffee-beans", 25}, {"moka-pot", 8}, {"rare-print", 7}};
static const struct choice accounts[] = {{"alice", 1}, {"bob", 1}, {"carol", 1}};
static const unsigned ways[CHAOS_WAYS] = {
    [CHAOS_ASYNC] = 60, [CHAOS_SYNC] = 20, [CHAOS_TRANSFER] = 20};

enum {
    MALLORY_ONE_IN = 40,
    CHOICES_MAX = 8
};

const char *chaos_way_name(enum chaos_way way)
{
    static const char *const names[CHAOS_WAYS] = {
        [CHAOS_ASYNC] = "async", [CHAOS_SYNC] = "sync", [CHAOS_TRANSFER] = "transfer"};
    return names[way];
}

static unsigned choose(struct seed *seed, const struct choice *choices, unsigned count)
{
    unsigned weights[CHOICES_MAX];
    for (unsigned i = 0; i < count; i++) {
        weights[i] = choices[i].weight;
    }
    return seed_weighted(seed, weights, count);
}

static void make_order(struct seed *seed, struct chaos_work *out)
{
    const char *token = tokens[choose(seed, tokens, ARRAY_LEN(tokens))].text;
    const char *sku = skus[choose(seed, skus, ARRAY_LEN(skus))].text;
    const int quantity = (int)seed_between(seed, 1, QUANTITY_MAX);
    char customer[16] = "mallory";
    if (seed_between(seed, 1, MALLORY_ONE_IN) != 1) {
        snprintf(customer, sizeof customer, "chaos-%03d", (int)seed_between(seed, 1, CUSTOMERS));
    }
    snprintf(out->body,
             sizeof out->body,
             "{\"customer_id\":\"%s\",\"payment_token\":\"%s\","
             "\"items\":[{\"sku\":\"%s\",\"quantity\":%d}]}",
             customer,
             token,
             sku,
             quantity);
}

static void make_transfer(struct seed *seed, struct chaos_work *out)
{
    const unsigned count = ARRAY_LEN(accounts);
    const unsigned from = choose(seed, accounts, count);
    const unsigned to = (from + (unsigned)seed_between(seed, 1, (int64_t)count - 1)) % count;
    snprintf(out->body,
             sizeof out->body,
             "{\"from_account\":\"%s\",\"to_account\":\"%s\","
             "\"amount\":{\"amount_minor\":%d,\"currency\":\"EUR\"}}",
             accounts[from].text,
             accounts[to].text,
             (int)seed_between(seed, TRANSFER_MIN, TRANSFER_MAX));
}

void chaos_work_of(uint64_t seed, uint64_t index, struct chaos_work *out)
{
    struct seed stream = seed_of(seed, index);
    *out = (struct chaos_work){.way = (enum chaos_way)seed_weighted(&stream, ways, CHAOS_WAYS)};
    if (out->way == CHAOS_TRANSFER) {
        make_transfer(&stream, out);
    } else {
        make_order(&stream, out);
    }
}
