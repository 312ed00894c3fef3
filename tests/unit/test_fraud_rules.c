// Fraud decides by the screening alone: who, how much, how many in the same minute of event time.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "services/fraud/fraud.h"
#include "services/fraud/fraud_store.h"

static const struct fraud_limits limits = {.amount_minor = 500000, .per_minute = 100};

static struct fraud_screening screening_of(const char *customer_id, int64_t amount_minor,
                                           int64_t earlier_count)
{
    return (struct fraud_screening){
        .kind = FRAUD_ORDER,
        .customer_id = customer_id,
        .amount = {.amount_minor = amount_minor, .currency = "EUR"},
        .earlier_count = earlier_count,
    };
}

Test(fraud_rules, each_rule_flags_just_beyond_its_limit)
{
    static const struct {
        const char *customer_id;
        int64_t amount_minor;
        int64_t earlier_count;
        const char *reason; // NULL: cleared
    } cases[] = {
        {"alice", 1, 0, NULL},
        {"alice", 500000, 0, NULL},
        {"alice", 500001, 0, "amount-over-limit"},
        {"alice", MONEY_AMOUNT_MAX, 0, "amount-over-limit"},
        {"alice", 1, 99, NULL},
        {"alice", 1, 100, "too-many-orders"},
        {"alice", 1, INT64_MAX, "too-many-orders"},
        {"mallory", 1, 0, "customer-blocked"},
        {"Mallory", 1, 0, NULL},
        {"mallory2", 1, 0, NULL},
        // The first rule that objects gives the reason.
        {"mallory", 500001, 100, "customer-blocked"},
        {"alice", 500001, 100, "amount-over-limit"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct fraud_screening screening =
            screening_of(cases[i].customer_id, cases[i].amount_minor, cases[i].earlier_count);

        const char *reason = fraud_decide(&limits, &screening);

        if (cases[i].reason == NULL) {
            cr_expect_null(reason, "case %zu", i);
        } else {
            cr_expect_str_eq(reason, cases[i].reason, "case %zu", i);
        }
    }
}

Test(fraud_rules, a_transfer_that_comes_too_fast_is_called_a_transfer)
{
    struct fraud_screening screening = screening_of("alice", 1, 100);
    screening.kind = FRAUD_TRANSFER;
    cr_expect_str_eq(fraud_decide(&limits, &screening), "too-many-transfers");
}

// --- the window, which the store counts

static struct store *store;

static void open_store(void)
{
    char *problem = NULL;
    cr_assert_eq(store_open(&store, ":memory:", &problem), ERR_OK, "%s", problem);
    cr_assert_eq(store_exec_script(store, fraud_store_schema), ERR_OK);
}

static void close_store(void)
{
    store_destroy(&store);
}

TestSuite(fraud_window, .init = open_store, .fini = close_store);

static void decide_at(const char *subject, const char *customer_id, int64_t time_us)
{
    struct fraud_decision decision = {.time_us = time_us};
    snprintf(decision.customer_id, sizeof decision.customer_id, "%s", customer_id);
    cr_assert_eq(fraud_store_insert(store, subject, &decision), ERR_OK);
}

static int64_t count_at(const char *customer_id, int64_t time_us, int64_t max)
{
    int64_t count = -1;
    cr_assert_eq(
        fraud_store_count(store, customer_id, time_us - FRAUD_WINDOW_US, time_us, max, &count),
        ERR_OK);
    return count;
}

Test(fraud_window, it_is_open_where_it_starts_and_closed_where_it_ends)
{
    const int64_t now = INT64_C(1800000000000000);
    decide_at("exactly-a-minute-ago", "alice", now - FRAUD_WINDOW_US);
    decide_at("just-within", "alice", now - FRAUD_WINDOW_US + 1);
    decide_at("at-the-same-time", "alice", now);
    decide_at("later", "alice", now + 1);
    decide_at("somebody-else", "bob", now);

    cr_expect_eq(count_at("alice", now, 100), 2);
}

Test(fraud_window, counting_stops_at_the_limit)
{
    for (int64_t i = 0; i < 10; i++) {
        char subject[16];
        snprintf(subject, sizeof subject, "s%d", (int)i);
        decide_at(subject, "alice", i);
    }
    cr_expect_eq(count_at("alice", 10, 4), 4);
    cr_expect_eq(count_at("alice", 10, 100), 10);
}

Test(fraud_window, a_subject_is_decided_once)
{
    decide_at("s", "alice", 1);

    struct fraud_decision again = {.time_us = 2};
    cr_expect_eq(fraud_store_insert(store, "s", &again), ERR_EXISTS);
    struct fraud_decision read;
    cr_assert_eq(fraud_store_find(store, "s", &read), ERR_OK);
    cr_expect_str_eq(read.customer_id, "alice");
    cr_expect_eq(read.time_us, 1);
    cr_expect_eq(fraud_store_find(store, "other", &read), ERR_NOT_FOUND);
}
