// The bank with a real broker and real services: each transfer comes to one end, and the books
// balance.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/bank.h"
#include "tests/support/event_tap.h"

static struct rig *rig;
static struct event_tap *tap;

static void start_with(const char *const *settings)
{
    rig = bank_start(settings);
    tap = event_tap_open(rig_bus_url(rig), bank_topics);
}

static void start(void)
{
    start_with(NULL);
}

static void stop(void)
{
    event_tap_close(&tap);
    rig_destroy(&rig);
}

TestSuite(bank, .init = start, .fini = stop);
TestSuite(bank_settings, .fini = stop);

Test(bank, a_transfer_completes_and_moves_the_money_once)
{
    char id[UUID_SIZE];
    bank_transfer(rig, "alice", "bob", 500, id);
    bank_wait_status(rig, id, "completed");
    (void)event_tap_wait(tap, "ledger-posted", id);
    bank_wait_idle(rig);

    bank_expect_account(rig, "alice", 99500, 0);
    bank_expect_account(rig, "bob", 100500, 0);
    bank_expect_books(rig);
    bank_expect_reason(rig, id, "");

    static const char *const once[] = {
        "transfer-created", "fraud-cleared", "funds-held", "transfer-completed", "ledger-posted"};
    for (size_t i = 0; i < ARRAY_LEN(once); i++) {
        (void)event_tap_wait(tap, once[i], id);
        cr_expect_eq(event_tap_count(tap, once[i], id), 1, "%s", once[i]);
    }
    char *entries = mem_format("/entries?subject=%s", id);
    char *notifications = mem_format("/notifications?subject=%s", id);
    char *transfer = mem_format("/transfers/%s", id);
    cr_expect_eq(bank_get_count(rig, "ledger", entries, "entries"), 1);
    cr_expect_eq(bank_get_count(rig, "notification", notifications, "notifications"), 2);
    cr_expect_eq(bank_get_count(rig, "transfer", transfer, "history"), 2);
    cr_expect_eq(bank_get_count(rig, "transfer", transfer, "waiting_for"), 0);
    free(entries);
    free(notifications);
    free(transfer);
}

Test(bank_settings, version_1_of_transfer_created_is_emitted_when_asked_for)
{
    start_with((const char *const[]){"transfer:TRANSFER_EVENT_VERSION=1", NULL});
    char id[UUID_SIZE];
    bank_transfer(rig, "alice", "bob", 500, id);
    bank_wait_status(rig, id, "completed");
    const struct event *created = event_tap_wait(tap, "transfer-created", id);
    cr_expect_eq(created->version, 1);
    cr_expect_str_eq(json_text_of(created->data, "amount"), "5.00 EUR");
    const struct event *completed = event_tap_wait(tap, "transfer-completed", id);
    cr_expect_eq(completed->version, 1);
    cr_expect_not_null(
        cJSON_GetObjectItem(cJSON_GetObjectItem(completed->data, "amount"), "amount_minor"));
}

Test(bank, the_history_names_the_events_that_told_it)
{
    char id[UUID_SIZE];
    bank_transfer(rig, "alice", "bob", 500, id);
    bank_wait_status(rig, id, "completed");
    char *path = mem_format("/transfers/%s", id);
    char *body = bank_get(rig, "transfer", path);
    cJSON *json = cJSON_Parse(body);
    const cJSON *history = cJSON_GetObjectItemCaseSensitive(json, "history");

    cr_expect_str_eq(json_text_of(cJSON_GetArrayItem(history, 0), "event_id"),
                     event_tap_wait(tap, "transfer-created", id)->id);
    cr_expect_str_eq(json_text_of(cJSON_GetArrayItem(history, 1), "event_id"),
                     event_tap_wait(tap, "transfer-completed", id)->id);
    cJSON_Delete(json);
    free(body);
    free(path);
}

Test(bank, a_transfer_that_the_ledger_refuses_is_cancelled_with_its_reason)
{
    static const struct {
        const char *from, *to;
        int64_t amount_minor;
        const char *reason;
    } cases[] = {
        {"alice", "bob", 100001, "insufficient-funds"},
        {"alice", "nobody", 1, "unknown-account"},
        {"nobody", "alice", 1, "unknown-account"},
        {"equity", "alice", 1, "unknown-account"},
        {"alice", "cash", 1, "unknown-account"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char id[UUID_SIZE];
        bank_transfer(rig, cases[i].from, cases[i].to, cases[i].amount_minor, id);
        bank_wait_status(rig, id, "cancelled");
        bank_expect_reason(rig, id, cases[i].reason);
        (void)event_tap_wait(tap, "transfer-cancelled", id);
    }
    bank_wait_idle(rig);
    bank_expect_account(rig, "alice", 100000, 0);
    bank_expect_account(rig, "bob", 100000, 0);
    bank_expect_books(rig);
    cr_expect_eq(bank_get_count(rig, "ledger", "/entries", "entries"), 3, "only the openings");
}

Test(bank, a_transfer_in_another_currency_is_cancelled)
{
    struct rig_reply reply = rig_call(rig,
                                      "transfer",
                                      "POST",
                                      "/transfers",
                                      "{\"from_account\":\"alice\",\"to_account\":\"bob\","
                                      "\"amount\":{\"amount_minor\":1,\"currency\":\"USD\"}}",
                                      NULL);
    cr_assert_eq(reply.status, 202);
    const char *id = json_text_of(reply.json, "transfer_id");
    bank_wait_status(rig, id, "cancelled");
    bank_expect_reason(rig, id, "currency-mismatch");
    rig_reply_release(&reply);
}

Test(bank_settings, a_transfer_that_fraud_stops_gives_its_hold_back)
{
    start_with((const char *const[]){"fraud:FRAUD_LIMIT_MINOR=1000", NULL});
    char id[UUID_SIZE];
    bank_transfer(rig, "alice", "bob", 5000, id);
    bank_wait_status(rig, id, "cancelled");
    bank_expect_reason(rig, id, "amount-over-limit");
    (void)event_tap_wait(tap, "funds-held", id);
    (void)event_tap_wait(tap, "funds-released", id);
    bank_wait_idle(rig);

    bank_expect_account(rig, "alice", 100000, 0);
    bank_expect_account(rig, "bob", 100000, 0);
    cr_expect_eq(event_tap_count(tap, "ledger-posted", id), 0);
    char *path = mem_format("/decisions/%s", id);
    rig_wait_member(rig, "fraud", path, "decision", "flagged");
    free(path);
}

Test(bank, of_transfers_that_race_for_the_same_money_exactly_those_it_suffices_for_win)
{
    enum {
        RACERS = 10,
        WINNERS = 3 // 30,000 each out of 100,000
    };
    char ids[RACERS][UUID_SIZE];
    for (size_t i = 0; i < RACERS; i++) {
        bank_transfer(rig, "alice", i % 2 == 0 ? "bob" : "carol", 30000, ids[i]);
    }
    int completed = 0;
    bank_wait_idle(rig);
    for (size_t i = 0; i < RACERS; i++) {
        char *path = mem_format("/transfers/%s", ids[i]);
        char *body = bank_get(rig, "transfer", path);
        cJSON *json = cJSON_Parse(body);
        const bool won = strcmp(json_text_of(json, "status"), "completed") == 0;
        completed += won;
        if (!won) {
            cr_expect_str_eq(json_text_of(json, "status"), "cancelled");
            cr_expect_str_eq(json_text_of(json, "reason"), "insufficient-funds");
        }
        cJSON_Delete(json);
        free(body);
        free(path);
    }
    cr_expect_eq(completed, WINNERS);
    bank_expect_account(rig, "alice", 10000, 0);
    bank_expect_books(rig);
}

Test(bank, two_transfers_of_the_same_money_end_with_one_winner)
{
    char first[UUID_SIZE];
    char second[UUID_SIZE];
    bank_transfer(rig, "alice", "bob", 60000, first);
    bank_transfer(rig, "alice", "carol", 60000, second);
    bank_wait_idle(rig);

    bank_expect_account(rig, "alice", 40000, 0);
    bank_expect_books(rig);
}

Test(bank, a_transfer_waits_for_a_service_that_is_down_and_ends_when_it_is_back)
{
    static const char *const services[] = {"fraud", "ledger", "notification", "transfer"};
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        const bool is_transfer = strcmp(services[i], "transfer") == 0;
        char id[UUID_SIZE];
        if (!is_transfer) {
            rig_kill(rig, services[i]);
        }
        bank_transfer(rig, "alice", "bob", 100, id);
        if (is_transfer) {
            rig_kill(rig, services[i]);
        }
        rig_relaunch(rig, services[i]);
        bank_wait_status(rig, id, "completed");
    }
    bank_wait_idle(rig);
    bank_expect_account(rig, "alice", 99600, 0);
    bank_expect_account(rig, "bob", 100400, 0);
    bank_expect_books(rig);
}

// Each kill falls into the handling of the transfers before it: what was held, posted
// or said when the process died must be so once, neither lost nor doubled.
Test(bank, killing_any_process_in_mid_work_loses_and_doubles_nothing)
{
    enum {
        TRANSFERS = 60,
        KILL_EVERY = 5,
        AMOUNT = 100
    };
    static const char *const victims[] = {"ledger", "broker", "fraud", "notification"};
    char ids[TRANSFERS][UUID_SIZE];
    for (size_t i = 0; i < TRANSFERS; i++) {
        bank_transfer(rig, i % 2 == 0 ? "alice" : "carol", "bob", AMOUNT, ids[i]);
        if (i % KILL_EVERY == KILL_EVERY - 1) {
            const char *victim = victims[i / KILL_EVERY % ARRAY_LEN(victims)];
            rig_kill(rig, victim);
            rig_launch(rig, victim);
        }
    }
    for (size_t i = 0; i < TRANSFERS; i++) {
        bank_wait_status(rig, ids[i], "completed");
    }
    bank_wait_idle(rig);

    bank_expect_account(rig, "alice", 100000 - TRANSFERS / 2 * AMOUNT, 0);
    bank_expect_account(rig, "bob", 100000 + TRANSFERS * AMOUNT, 0);
    bank_expect_books(rig);
    cr_expect_eq(bank_get_count(rig, "ledger", "/entries?limit=500", "entries"), TRANSFERS + 3);
    cr_expect_eq(bank_get_count(rig, "notification", "/notifications?limit=500", "notifications"),
                 2 * TRANSFERS);
    cr_expect_eq(bank_get_count(rig, "broker", "/dead-letters", "dead_letters"), 0);
}

Test(bank, a_pending_transfer_names_whom_it_waits_for)
{
    rig_kill(rig, "ledger");
    char id[UUID_SIZE];
    bank_transfer(rig, "alice", "bob", 100, id);
    (void)event_tap_wait(tap, "fraud-cleared", id);
    bank_wait_status(rig, id, "pending");
    char *path = mem_format("/transfers/%s", id);
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    // Until the answer of fraud has reached transfer it waits for both.
    while (bank_get_count(rig, "transfer", path, "waiting_for") != 1) {
        cr_assert(clock_mono_ms() < deadline_ms);
    }
    char *body = bank_get(rig, "transfer", path);
    cr_expect_not_null(strstr(body, "\"waiting_for\":[\"ledger\"]"), "%s", body);
    free(body);
    rig_relaunch(rig, "ledger");
    bank_wait_status(rig, id, "completed");
    free(path);
}
