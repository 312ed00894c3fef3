// verify_checks - what must hold, as tables: each check is SQL that gives what breaks it.
//
// The tables it asks are the services' own, which all have different names (orders,
// transfers, reservations, payments, …), those of verify_log.h, verify_handled.h and
// verify_story.h, accepted (id, kind, mode, status, at: what --record says) and look (one row:
// first_offset and next_offset of the log then, is_running, looked_at: when, before the first
// snapshot; beginnings: the set of topics that an order or a transfer begins with; bank: the one
// that a transfer does).
#ifndef FAULTLINE_CLI_VERIFY_CHECKS_H
#define FAULTLINE_CLI_VERIFY_CHECKS_H

#include <stdbool.h>
#include <stddef.h>

// What a check looks at; verify.c counts each once.
enum verify_noun {
    VERIFY_ACCEPTED,
    VERIFY_SUBJECTS, // orders by events, and transfers
    VERIFY_ORDERS,   // by events
    VERIFY_CHAIN,    // orders over HTTP
    VERIFY_GOODS,    // orders, both ways
    VERIFY_BANK,     // transfers
    VERIFY_EVENTS,
    VERIFY_HANDLED,
    VERIFY_PRODUCTS,
    VERIFY_ENTRIES,
    VERIFY_ACCOUNTS,
    VERIFY_MESSAGES,
    VERIFY_NOUNS
};

struct verify_check {
    const char *name;     // kebab-case; an interface
    const char *sentence; // what holds when nothing is found
    enum verify_noun noun;
    const char *sql; // subject (may be NULL), what is wrong
};

extern const struct verify_check verify_checks_delivery[];
extern const struct verify_check verify_checks_ends[];
extern const struct verify_check verify_checks_stock[];
extern const struct verify_check verify_checks_money[];
extern const struct verify_check verify_checks_chain[]; // what is found is no violation

extern const size_t verify_checks_delivery_count;
extern const size_t verify_checks_ends_count;
extern const size_t verify_checks_stock_count;
extern const size_t verify_checks_money_count;
extern const size_t verify_checks_chain_count;

#endif
