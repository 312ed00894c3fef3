// The books always sum to zero, no customer goes below zero, and no story takes a forbidden turn.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "services/ledger/ledger.h"
#include "services/ledger/ledger_book.h"

static struct money eur(int64_t amount_minor)
{
    return (struct money){.amount_minor = amount_minor, .currency = "EUR"};
}

static struct ledger_account account_of(const char *id, const char *kind, int64_t balance_minor,
                                        int64_t held_minor)
{
    struct ledger_account account = {.balance = eur(balance_minor), .held_minor = held_minor};
    snprintf(account.id, sizeof account.id, "%s", id);
    snprintf(account.kind, sizeof account.kind, "%s", kind);
    return account;
}

// --- entries

Test(ledger_rules, a_move_takes_from_one_account_what_it_gives_to_the_other)
{
    const struct ledger_entry entry = ledger_move("equity", "alice", eur(100));

    cr_assert_eq(entry.lines_count, 2);
    cr_expect_str_eq(entry.lines[0].account_id, "alice");
    cr_expect_eq(entry.lines[0].amount.amount_minor, 100);
    cr_expect_str_eq(entry.lines[1].account_id, "equity");
    cr_expect_eq(entry.lines[1].amount.amount_minor, -100);
    cr_expect(ledger_is_balanced(&entry));
}

Test(ledger_rules, an_entry_balances_in_each_currency_or_not_at_all)
{
    struct ledger_entry entry = ledger_move("cash", "alice", eur(100));
    entry.lines[1].amount.amount_minor = -99;
    cr_expect_not(ledger_is_balanced(&entry));

    entry = ledger_move("cash", "alice", eur(100));
    memcpy(entry.lines[1].amount.currency, "USD", MONEY_CURRENCY_SIZE);
    cr_expect_not(ledger_is_balanced(&entry), "100 EUR against -100 USD is not zero");

    entry = ledger_move("cash", "alice", eur(MONEY_AMOUNT_MAX));
    cr_expect(ledger_is_balanced(&entry));
}

// --- accounts

Test(ledger_rules, each_change_of_an_account_keeps_to_its_limits)
{
    static const struct {
        enum err (*change)(struct ledger_account *account, struct money amount);
        const char *kind;
        int64_t balance_minor, held_minor, amount_minor;
        enum err err;
        int64_t balance_after, held_after;
    } cases[] = {
        {ledger_account_post, "customer", 100, 0, -100, ERR_OK, 0, 0},
        {ledger_account_post, "customer", 100, 0, -101, ERR_CONFLICT, 100, 0},
        {ledger_account_post, "customer", 100, 40, -60, ERR_OK, 40, 40},
        {ledger_account_post, "customer", 100, 40, -61, ERR_CONFLICT, 100, 40},
        {ledger_account_post, "equity", 0, 0, -100, ERR_OK, -100, 0},
        {ledger_account_post, "asset", MONEY_AMOUNT_MAX - 1, 0, 1, ERR_OK, MONEY_AMOUNT_MAX, 0},
        {ledger_account_post, "asset", MONEY_AMOUNT_MAX, 0, 1, ERR_TOO_LARGE, MONEY_AMOUNT_MAX, 0},
        {ledger_account_hold, "customer", 100, 0, 100, ERR_OK, 100, 100},
        {ledger_account_hold, "customer", 100, 0, 101, ERR_CONFLICT, 100, 0},
        {ledger_account_hold, "customer", 100, 99, 1, ERR_OK, 100, 100},
        {ledger_account_hold, "customer", 100, 99, 2, ERR_CONFLICT, 100, 99},
        {ledger_account_hold, "customer", 100, 99, MONEY_AMOUNT_MAX, ERR_CONFLICT, 100, 99},
        {ledger_account_release, "customer", 100, 99, 99, ERR_OK, 100, 0},
        {ledger_account_release, "customer", 100, 99, 100, ERR_CONFLICT, 100, 99},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ledger_account account =
            account_of("a", cases[i].kind, cases[i].balance_minor, cases[i].held_minor);

        cr_expect_eq(
            cases[i].change(&account, eur(cases[i].amount_minor)), cases[i].err, "case %zu", i);

        cr_expect_eq(account.balance.amount_minor, cases[i].balance_after, "case %zu", i);
        cr_expect_eq(account.held_minor, cases[i].held_after, "case %zu", i);
    }
}

Test(ledger_rules, another_currency_changes_no_account)
{
    struct ledger_account account = account_of("alice", "customer", 100, 50);
    const struct money usd = {.amount_minor = 1, .currency = "USD"};

    cr_expect_eq(ledger_account_post(&account, usd), ERR_INVALID);
    cr_expect_eq(ledger_account_hold(&account, usd), ERR_INVALID);
    cr_expect_eq(ledger_account_release(&account, usd), ERR_INVALID);
    cr_expect_eq(account.balance.amount_minor, 100);
    cr_expect_eq(account.held_minor, 50);
}

Test(ledger_rules, a_transfer_is_refused_for_the_first_reason_that_holds)
{
    const struct ledger_account alice = account_of("alice", "customer", 1000, 400);
    const struct ledger_account bob = account_of("bob", "customer", 0, 0);
    const struct ledger_account equity = account_of("equity", "equity", 1000, 0);
    const struct money usd = {.amount_minor = 1, .currency = "USD"};
    const struct {
        const struct ledger_account *from, *to;
        struct money amount;
        const char *reason;
    } cases[] = {
        {&alice, &bob, eur(600), NULL},
        {&alice, &bob, eur(601), "insufficient-funds"},
        {&bob, &alice, eur(1), "insufficient-funds"},
        {&alice, &bob, eur(MONEY_AMOUNT_MAX), "insufficient-funds"},
        {&alice, &bob, usd, "currency-mismatch"},
        {&alice, &alice, eur(1), "same-account"},
        {NULL, &bob, eur(1), "unknown-account"},
        {&alice, NULL, eur(1), "unknown-account"},
        {NULL, NULL, eur(1), "unknown-account"},
        // The accounts of the house take no part in transfers.
        {&equity, &bob, eur(1), "unknown-account"},
        {&alice, &equity, eur(1), "unknown-account"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *reason = ledger_refuse_transfer(cases[i].from, cases[i].to, cases[i].amount);
        if (cases[i].reason == NULL) {
            cr_expect_null(reason, "case %zu", i);
        } else {
            cr_assert_not_null(reason, "case %zu", i);
            cr_expect_str_eq(reason, cases[i].reason, "case %zu", i);
        }
    }
}

// --- state machines, every input in every state

Test(ledger_rules, a_payment_is_posted_once_and_reversed_once)
{
    static const struct {
        enum ledger_state state;
        enum ledger_deed paid, taken_back;
    } expected[] = {
        {LEDGER_NONE, LEDGER_POST, LEDGER_MARK},
        {LEDGER_POSTED, LEDGER_IGNORE, LEDGER_REVERSE},
        {LEDGER_REVERSED, LEDGER_FORBID, LEDGER_IGNORE},
        {LEDGER_STOPPED, LEDGER_FORBID, LEDGER_IGNORE},
        // no payment gets there
        {LEDGER_HELD, LEDGER_FORBID, LEDGER_FORBID},
        {LEDGER_REJECTED, LEDGER_FORBID, LEDGER_FORBID},
        {LEDGER_RELEASED, LEDGER_FORBID, LEDGER_FORBID},
    };
    cr_assert_eq(ARRAY_LEN(expected), LEDGER_STATES);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const enum ledger_state state = expected[i].state;
        cr_expect_eq(ledger_deed(state, LEDGER_PAID), expected[i].paid, "case %zu", i);
        cr_expect_eq(ledger_deed(state, LEDGER_TAKEN_BACK), expected[i].taken_back, "case %zu", i);
    }
}

Test(ledger_rules, a_transfer_takes_no_turn_that_would_move_money_twice_or_back)
{
    static const struct {
        enum ledger_state state;
        enum ledger_deed created, completed, cancelled;
    } expected[] = {
        {LEDGER_NONE, LEDGER_HOLD, LEDGER_WAIT, LEDGER_MARK},
        {LEDGER_HELD, LEDGER_IGNORE, LEDGER_POST, LEDGER_RELEASE},
        {LEDGER_REJECTED, LEDGER_IGNORE, LEDGER_FORBID, LEDGER_IGNORE},
        {LEDGER_POSTED, LEDGER_IGNORE, LEDGER_IGNORE, LEDGER_FORBID},
        {LEDGER_RELEASED, LEDGER_IGNORE, LEDGER_FORBID, LEDGER_IGNORE},
        {LEDGER_STOPPED, LEDGER_IGNORE, LEDGER_FORBID, LEDGER_IGNORE},
        // no transfer gets there
        {LEDGER_REVERSED, LEDGER_FORBID, LEDGER_FORBID, LEDGER_FORBID},
    };
    cr_assert_eq(ARRAY_LEN(expected), LEDGER_STATES);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const enum ledger_state state = expected[i].state;
        cr_expect_eq(ledger_deed(state, LEDGER_CREATED), expected[i].created, "case %zu", i);
        cr_expect_eq(ledger_deed(state, LEDGER_COMPLETED), expected[i].completed, "case %zu", i);
        cr_expect_eq(ledger_deed(state, LEDGER_CANCELLED), expected[i].cancelled, "case %zu", i);
    }
}

// --- the book, over a real store

static struct store *store;
static const struct ledger_origin origin = {.cause = "event-1", .at = "now"};

static void open_book(void)
{
    char *problem = NULL;
    cr_assert_eq(store_open(&store, ":memory:", &problem), ERR_OK, "%s", problem);
    cr_assert_eq(store_exec_script(store, ledger_store_schema), ERR_OK);
    cr_assert_eq(ledger_book_open(store, origin), ERR_OK);
}

static void close_book(void)
{
    store_destroy(&store);
}

TestSuite(ledger_book, .init = open_book, .fini = close_book);

static struct ledger_account find(const char *id)
{
    struct ledger_account account;
    cr_assert_eq(ledger_store_find_account(store, id, &account), ERR_OK);
    return account;
}

static int64_t query_int(const char *sql)
{
    struct store_row *row = store_query(store, sql);
    cr_assert_eq(store_next(row), ERR_OK);
    const int64_t number = store_int(row, 0);
    store_done(row);
    return number;
}

static const char unbalanced_sql[] =
    "SELECT COUNT(*) FROM (SELECT entry FROM lines GROUP BY entry, currency"
    " HAVING SUM(amount_minor) <> 0)";

static const char astray_sql[] = "SELECT COUNT(*) FROM accounts WHERE balance_minor <>"
                                 " (SELECT COALESCE(SUM(amount_minor), 0) FROM lines"
                                 "  WHERE account_id = accounts.id)";

static const char entries_sql[] = "SELECT COUNT(*) FROM entries";

static void expect_books_to_balance(void)
{
    cJSON *balance = NULL;
    cr_assert_eq(ledger_store_trial_balance(store, "EUR", &balance), ERR_OK);
    cr_expect_eq(cJSON_GetObjectItem(balance, "sum_minor")->valuedouble, 0);
    cJSON_Delete(balance);
    cr_expect_eq(query_int(unbalanced_sql), 0);
    cr_expect_eq(query_int(astray_sql), 0, "a balance is not the sum of its lines");
}

Test(ledger_book, it_opens_with_a_thousand_each_and_sums_to_zero)
{
    cr_expect_eq(find("alice").balance.amount_minor, 100000);
    cr_expect_eq(find("bob").balance.amount_minor, 100000);
    cr_expect_eq(find("carol").balance.amount_minor, 100000);
    cr_expect_eq(find("equity").balance.amount_minor, -300000);
    expect_books_to_balance();
}

Test(ledger_book, opening_it_again_changes_nothing)
{
    cr_expect_eq(ledger_book_open(store, origin), ERR_OK);
    cr_expect_eq(find("alice").balance.amount_minor, 100000);
    cr_expect_eq(query_int(entries_sql), 3);
}

static struct ledger_case transfer_of(const char *from, const char *to, int64_t amount_minor)
{
    struct ledger_case transfer = {.amount = eur(amount_minor)};
    snprintf(transfer.from_account, sizeof transfer.from_account, "%s", from);
    snprintf(transfer.to_account, sizeof transfer.to_account, "%s", to);
    return transfer;
}

Test(ledger_book, two_holds_on_the_same_money_cannot_both_be_had)
{
    const struct ledger_case first = transfer_of("alice", "bob", 60000);
    const struct ledger_case second = transfer_of("alice", "carol", 60000);
    const char *reason = NULL;

    cr_assert_eq(ledger_book_hold(store, &first, &reason), ERR_OK);
    cr_expect_null(reason);
    cr_assert_eq(ledger_book_hold(store, &second, &reason), ERR_OK);
    cr_expect_str_eq(reason, "insufficient-funds");
    cr_assert_eq(ledger_book_release(store, &first), ERR_OK);
    cr_assert_eq(ledger_book_hold(store, &second, &reason), ERR_OK);
    cr_expect_null(reason);
    cr_expect_eq(find("alice").held_minor, 60000);
    cr_expect_eq(find("alice").balance.amount_minor, 100000);
}

Test(ledger_book, a_posting_that_is_refused_writes_nothing)
{
    struct ledger_case transfer = transfer_of("alice", "bob", 100001);
    cr_expect_eq(ledger_book_post(store, "transfer", "t1", origin, &transfer), ERR_CONFLICT);
    transfer = transfer_of("alice", "nobody", 1);
    cr_expect_eq(ledger_book_post(store, "transfer", "t1", origin, &transfer), ERR_NOT_FOUND);
    struct ledger_case payment;
    const struct money usd = {.amount_minor = 1, .currency = "USD"};
    cr_expect_eq(ledger_book_pay(store, "p1", origin, usd, &payment), ERR_INVALID);

    cr_expect_eq(query_int(entries_sql), 3);
    expect_books_to_balance();
}

Test(ledger_book, a_balance_never_passes_the_largest_amount)
{
    struct ledger_case payment;
    cr_assert_eq(ledger_book_pay(store, "p1", origin, eur(MONEY_AMOUNT_MAX), &payment), ERR_OK);
    cr_expect_eq(ledger_book_pay(store, "p2", origin, eur(1), &payment), ERR_TOO_LARGE);
    expect_books_to_balance();
    cr_expect_eq(find("cash").balance.amount_minor, MONEY_AMOUNT_MAX);
}

Test(ledger_book, a_subject_has_one_entry_of_a_kind)
{
    struct ledger_case payment;
    cr_assert_eq(ledger_book_pay(store, "p1", origin, eur(5), &payment), ERR_OK);
    struct ledger_case again;
    cr_expect_eq(ledger_book_pay(store, "p1", origin, eur(5), &again), ERR_EXISTS);
}

Test(ledger_book, a_reversal_brings_cash_and_revenue_back)
{
    struct ledger_case payment;
    cr_assert_eq(ledger_book_pay(store, "p1", origin, eur(2400), &payment), ERR_OK);
    cr_expect_eq(find("cash").balance.amount_minor, 2400);
    cr_expect_eq(find("revenue").balance.amount_minor, -2400);

    cr_assert_eq(ledger_book_unpay(store, "p1", origin, &payment), ERR_OK);

    cr_expect_eq(find("cash").balance.amount_minor, 0);
    cr_expect_eq(find("revenue").balance.amount_minor, 0);
    struct ledger_case read;
    cr_assert_eq(ledger_store_find_case(store, LEDGER_PAYMENT, "p1", &read), ERR_OK);
    cr_expect_eq(read.state, LEDGER_REVERSED);
    expect_books_to_balance();
}

Test(ledger_book, a_payment_and_a_transfer_of_one_subject_are_two_cases)
{
    struct ledger_case payment;
    cr_assert_eq(ledger_book_pay(store, "s", origin, eur(1), &payment), ERR_OK);
    struct ledger_case transfer;
    cr_assert_eq(ledger_store_find_case(store, LEDGER_TRANSFER, "s", &transfer), ERR_OK);
    cr_expect_eq(transfer.state, LEDGER_NONE);
}

// --- random books

static uint64_t next_random(uint64_t *seed)
{
    // splitmix64
    *seed += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *seed;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void random_step(uint64_t *seed, unsigned number)
{
    static const char *const names[] = {"alice", "bob", "carol", "cash", "revenue", "nobody"};
    const char *from = names[next_random(seed) % ARRAY_LEN(names)];
    const char *to = names[next_random(seed) % ARRAY_LEN(names)];
    struct ledger_case transfer = transfer_of(from, to, (int64_t)(next_random(seed) % 70000) + 1);
    char subject[32];
    snprintf(subject, sizeof subject, "s%u", number);
    if (strcmp(from, to) == 0) {
        return;
    }
    const char *reason = NULL;
    switch (next_random(seed) % 4) {
    case 0:
        (void)ledger_book_post(store, "transfer", subject, origin, &transfer);
        break;
    case 1:
        (void)ledger_book_pay(store, subject, origin, transfer.amount, &transfer);
        break;
    case 2:
        (void)ledger_book_hold(store, &transfer, &reason);
        break;
    default:
        (void)ledger_book_release(store, &transfer);
        break;
    }
}

Test(ledger_book, random_postings_holds_and_releases_keep_every_sum_at_zero)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        uint64_t state = seed;
        for (unsigned i = 0; i < 500; i++) {
            random_step(&state, (unsigned)seed * 1000 + i);
            const struct ledger_account alice = find("alice");
            cr_assert_geq(alice.held_minor, 0, "seed %d step %u", (int)seed, i);
            cr_assert_geq(alice.balance.amount_minor, alice.held_minor);
        }
        expect_books_to_balance();
    }
    cr_expect_gt(query_int(entries_sql), 100);
}

// --- lists

static int count_accounts(const char *after, int64_t limit)
{
    cJSON *list = cJSON_CreateArray();
    cr_expect_eq(ledger_store_list_accounts(store, NULL, after, limit, list), ERR_OK);
    const int count = cJSON_GetArraySize(list);
    cJSON_Delete(list);
    return count;
}

static int count_entries(const char *subject, const char *after, int64_t limit)
{
    cJSON *list = cJSON_CreateArray();
    cr_expect_eq(ledger_store_list_entries(store, subject, after, limit, list), ERR_OK);
    const int count = cJSON_GetArraySize(list);
    cJSON_Delete(list);
    return count;
}

Test(ledger_book, a_list_begins_behind_its_cursor_and_ends_at_its_limit)
{
    cr_expect_eq(count_accounts("", 10), 6);
    cr_expect_eq(count_accounts("", 4), 4);
    cr_expect_eq(count_accounts("cash", 4), 2);
    cr_expect_eq(count_accounts("revenue", 4), 0);

    cr_expect_eq(count_entries(NULL, "0", 2), 2);
    cr_expect_eq(count_entries(NULL, "2", 2), 1);
    cr_expect_eq(count_entries("opening-bob", "0", 2), 1);
    cr_expect_eq(count_entries("opening-bob", "2", 2), 0);
    cr_expect_eq(count_entries("nobody", "0", 2), 0);
}

Test(ledger_book, a_trial_balance_has_the_accounts_of_its_currency)
{
    cJSON *balance = NULL;
    cr_assert_eq(ledger_store_trial_balance(store, "EUR", &balance), ERR_OK);
    cr_expect_str_eq(cJSON_GetObjectItem(balance, "currency")->valuestring, "EUR");
    const cJSON *accounts = cJSON_GetObjectItem(balance, "accounts");
    cr_expect_eq(cJSON_GetArraySize(accounts), 6);
    const cJSON *alice = accounts->child;
    cr_expect_str_eq(cJSON_GetObjectItem(alice, "account_id")->valuestring, "alice");
    const cJSON *available = cJSON_GetObjectItem(alice, "available");
    cr_expect_eq(cJSON_GetObjectItem(available, "amount_minor")->valuedouble, 100000);
    cJSON_Delete(balance);

    cr_assert_eq(ledger_store_trial_balance(store, "USD", &balance), ERR_OK);
    cr_expect_eq(cJSON_GetObjectItem(balance, "sum_minor")->valuedouble, 0);
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(balance, "accounts")), 0);
    cJSON_Delete(balance);
}
