// A database made anew by the service's own executable, from a plan: what each event came
// to must come out again, in whatever order the plan has them.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/spawn.h"
#include "common/event.h"
#include "common/mem.h"
#include "common/rebuild.h"
#include "common/store.h"

static char folder[] = "/tmp/faultline-rebuild-XXXXXX";
static char plan_path[64];
static struct store *plan;
static struct store *rebuilt;
static int64_t next_offset;

extern char **environ;

#define AT "2026-11-28T20:00:00.000000Z"

static void open_plan(void)
{
    char *problem = NULL;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(plan_path, sizeof plan_path, "%s/plan.db", folder);
    cr_assert_eq(store_open(&plan, plan_path, &problem), ERR_OK, "%s", problem);
    cr_assert_eq(store_exec_script(plan, rebuild_plan_schema), ERR_OK);
}

static void close_plan(void)
{
    store_destroy(&plan);
    store_destroy(&rebuilt);
    char *command = mem_format("rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
    free(command);
}

TestSuite(rebuild, .init = open_plan, .fini = close_plan, .timeout = 60);

// --- the plan

// Every key is a UUID, as every subject of ours: digits tell them apart.
static const char *key_of(int number)
{
    static char out[4][UUID_SIZE];
    static int turn;
    char *key = out[turn++ % 4];
    snprintf(key, UUID_SIZE, "01890a5d-ac96-774b-bcce-%012d", number);
    return key;
}

static char *envelope(const char *source, const char *topic, const char *key, const char *id,
                      const char *cause, int version, const char *data)
{
    struct event event = {.time = AT, .version = version, .data = cJSON_Parse(data)};
    cr_assert_not_null(event.data, "%s", data);
    snprintf(event.id, sizeof event.id, "%s", id);
    snprintf(event.source, sizeof event.source, "/services/%s", source);
    snprintf(event.type, sizeof event.type, "%s", topic);
    snprintf(event.subject, sizeof event.subject, "%s", key);
    snprintf(event.correlation_id, sizeof event.correlation_id, "%s", key);
    snprintf(event.causation_id, sizeof event.causation_id, "%s", cause);
    char *text = event_format(&event);
    cJSON_Delete(event.data);
    return text;
}

static void add_input(const char *source, const char *topic, const char *key, const char *id,
                      int version, const char *data)
{
    static const char delivery_sql[] = "INSERT INTO deliveries (offset, time_us, topic, key, id,"
                                       " body) VALUES (?, 1, ?, ?, ?, ?)";
    static const char input_sql[] = "INSERT INTO inputs (offset) VALUES (?)";
    char *body = envelope(source, topic, key, id, "request-1", version, data);
    struct store_row *row = store_query(plan, delivery_sql);
    store_bind_int(row, next_offset);
    store_bind_text(row, topic);
    store_bind_text(row, key);
    store_bind_text(row, id);
    store_bind_text(row, body);
    cr_assert_eq(store_run(row), ERR_OK);
    row = store_query(plan, input_sql);
    store_bind_int(row, next_offset++);
    cr_assert_eq(store_run(row), ERR_OK);
    free(body);
}

// What service made of cause, as the log has it.
static void add_output(const char *service, const char *topic, const char *key, const char *cause,
                       const char *data)
{
    static const char sql[] = "INSERT INTO outputs (offset, cause, id, topic, at, body)"
                              " VALUES (?, ?, ?, ?, ?, ?)";
    char source[EVENT_TEXT_MAX];
    snprintf(source, sizeof source, "/services/%s", service);
    const char *const texts[] = {source, cause, topic, key};
    char id[UUID_SIZE];
    uuid_derive(texts, ARRAY_LEN(texts), id);
    char *body = envelope(service, topic, key, id, cause, 1, data);
    struct store_row *row = store_query(plan, sql);
    store_bind_int(row, next_offset++);
    store_bind_text(row, cause);
    store_bind_text(row, id);
    store_bind_text(row, topic);
    store_bind_text(row, AT);
    store_bind_text(row, body);
    cr_assert_eq(store_run(row), ERR_OK);
    free(body);
}

static void add_transfer(int number, const char *from, const char *to, int amount)
{
    char id[32];
    snprintf(id, sizeof id, "created-%d", number);
    char *data = mem_format("{\"transfer_id\":\"%s\",\"from_account\":\"%s\",\"to_account\":\"%s\","
                            "\"amount\":{\"amount_minor\":%d,\"currency\":\"EUR\"}}",
                            key_of(number),
                            from,
                            to,
                            amount);
    add_input("transfer", "transfer-created", key_of(number), id, 2, data);
    free(data);
}

static void add_completed(int number)
{
    char id[32];
    snprintf(id, sizeof id, "completed-%d", number);
    char *data = mem_format("{\"transfer_id\":\"%s\",\"from_account\":\"x\",\"to_account\":\"y\","
                            "\"amount\":{\"amount_minor\":1,\"currency\":\"EUR\"}}",
                            key_of(number));
    add_input("transfer", "transfer-completed", key_of(number), id, 1, data);
    free(data);
}

static void add_funds(int number, const char *topic)
{
    char cause[32];
    snprintf(cause, sizeof cause, "created-%d", number);
    add_output("ledger", topic, key_of(number), cause, "{\"reason\":\"insufficient-funds\"}");
}

static void add_order(int number, const char *token, const char *sku, int quantity)
{
    char id[32];
    snprintf(id, sizeof id, "order-%d", number);
    char *data = mem_format("{\"order_id\":\"%s\",\"customer_id\":\"alice\",\"payment_token\":"
                            "\"%s\",\"total\":{\"amount_minor\":100,\"currency\":\"EUR\"},"
                            "\"items\":[{\"sku\":\"%s\",\"quantity\":%d}]}",
                            key_of(number),
                            token,
                            sku,
                            quantity);
    add_input("order", "order-created", key_of(number), id, 2, data);
    free(data);
}

static void add_answer(int number, const char *service, const char *topic)
{
    char cause[32];
    snprintf(cause, sizeof cause, "order-%d", number);
    add_output(service, topic, key_of(number), cause, "{\"reason\":\"from-the-log\"}");
}

// --- the replay

// Runs the service's executable. What it says, which the caller frees, goes to *said.
static int run(const char *service, const char *file, char **said)
{
    const char *bin = getenv("FAULTLINE_BIN");
    char *path = mem_format("%s/faultline-%s", bin == NULL ? "." : bin, service);
    const char *const argv[] = {path, "--rebuild", file, NULL};
    setenv("DATA_DIR", folder, 1);
    setenv("LOG_LEVEL", "warn", 1);
    struct buf output = {0};
    char *problem = NULL;
    int code = -1;
    const enum err err =
        spawn_helper_read(argv, (const char *const *)environ, &output, &code, &problem);
    cr_assert_eq(err, ERR_OK, "%s", problem);
    *said = mem_strndup((const char *)output.data, output.size);
    buf_release(&output);
    free(path);
    return code;
}

static void rebuild(const char *service)
{
    store_destroy(&plan);
    char *said = NULL;
    cr_assert_eq(run(service, plan_path, &said), 0, "%s", said);
    free(said);
    char *problem = NULL;
    char *path = mem_format("%s/%s.db", folder, service);
    cr_assert_eq(access(path, F_OK), 0);
    cr_assert_eq(store_open(&rebuilt, path, &problem), ERR_OK, "%s", problem);
    cr_assert_eq(store_open(&plan, plan_path, &problem), ERR_OK, "%s", problem);
    free(path);
}

// The first column of the first row; sql is a constant.
static int64_t number_in(struct store *store, const char *sql)
{
    struct store_row *row = store_query(store, sql);
    cr_assert_eq(store_next(row), ERR_OK, "%s", sql);
    const int64_t number = store_int(row, 0);
    store_done(row);
    return number;
}

static const char undone_sql[] = "SELECT count(*) FROM undone";
static const char odd_sql[] = "SELECT count(*) FROM undone WHERE is_odd";
static const char outbox_sql[] = "SELECT count(*) FROM outbox";
static const char inbox_sql[] = "SELECT count(*) FROM inbox";
static const char alice_sql[] =
    "SELECT balance_minor - held_minor FROM accounts WHERE id = 'alice'";
static const char prints_sql[] = "SELECT available FROM stock WHERE sku = 'rare-print'";
static const char restocked_sql[] = "SELECT restocked FROM stock WHERE sku = 'rare-print'";
static const char rejected_sql[] = "SELECT count(*) FROM reservations WHERE status = 'rejected'";

Test(rebuild, what_the_log_has_is_published_no_more_and_what_it_has_not_is)
{
    add_transfer(1, "alice", "bob", 100);
    add_funds(1, "funds-held");
    add_transfer(2, "alice", "bob", 200);
    rebuild("ledger");
    cr_expect_eq(number_in(plan, undone_sql), 0);
    cr_expect_eq(number_in(rebuilt, inbox_sql), 2);
    cr_expect_eq(number_in(rebuilt, outbox_sql), 1);
    cr_expect_eq(number_in(rebuilt, alice_sql), 100000 - 300);
}

// Two replicas: what the one had committed first the other published first.
Test(rebuild, an_event_waits_for_the_one_that_made_its_outcome_possible)
{
    add_transfer(1, "bob", "alice", 500);
    add_funds(1, "funds-held");
    add_transfer(2, "alice", "carol", 100400); // with what comes from bob
    add_funds(2, "funds-held");
    add_transfer(3, "alice", "bob", 100000); // without that
    add_funds(3, "funds-rejected");
    add_completed(1);
    rebuild("ledger");
    cr_expect_eq(number_in(plan, undone_sql), 0);
    cr_expect_eq(number_in(rebuilt, alice_sql), 100);
    cr_expect_eq(number_in(rebuilt, inbox_sql), 4);
}

Test(rebuild, an_outcome_that_the_rules_cannot_give_is_odd_and_holds_its_key_up)
{
    add_transfer(1, "alice", "bob", 100);
    add_funds(1, "funds-rejected"); // with all that money
    add_completed(1);
    add_transfer(2, "alice", "bob", 200);
    rebuild("ledger");
    cr_expect_eq(number_in(plan, undone_sql), 2);
    cr_expect_eq(number_in(plan, odd_sql), 1);
    cr_expect_eq(number_in(rebuilt, inbox_sql), 1);
    cr_expect_eq(number_in(rebuilt, alice_sql), 100000 - 200);
}

Test(rebuild, goods_that_came_over_http_are_taken_for_restocked)
{
    add_order(1, "tok_visa", "rare-print", 7); // there were 3
    add_answer(1, "inventory", "inventory-reserved");
    rebuild("inventory");
    cr_expect_eq(number_in(plan, undone_sql), 0);
    cr_expect_eq(number_in(rebuilt, restocked_sql), 4);
    cr_expect_eq(number_in(rebuilt, prints_sql), 0);
    cr_expect_eq(number_in(rebuilt, outbox_sql), 0);
}

Test(rebuild, goods_that_were_gone_over_http_stay_rejected)
{
    add_order(1, "tok_visa", "rare-print", 2);
    add_answer(1, "inventory", "inventory-rejected");
    rebuild("inventory");
    cr_expect_eq(number_in(plan, undone_sql), 0);
    cr_expect_eq(number_in(rebuilt, rejected_sql), 1);
    cr_expect_eq(number_in(rebuilt, prints_sql), 3);
}

// Not restocked: the order of the outputs alone was another one.
Test(rebuild, goods_that_come_back_a_little_later_are_waited_for)
{
    add_order(1, "tok_visa", "rare-print", 3);
    add_answer(1, "inventory", "inventory-reserved");
    add_order(2, "tok_visa", "rare-print", 3);
    add_answer(2, "inventory", "inventory-reserved");
    char *data =
        mem_format("{\"order_id\":\"%s\",\"customer_id\":\"alice\",\"reason\":\"x\"}", key_of(1));
    add_input("order", "order-cancelled", key_of(1), "cancelled-1", 1, data);
    free(data);
    rebuild("inventory");
    cr_expect_eq(number_in(plan, undone_sql), 0);
    cr_expect_eq(number_in(rebuilt, restocked_sql), 0);
    cr_expect_eq(number_in(rebuilt, prints_sql), 0);
}

Test(rebuild, what_failed_and_was_tried_again_is_tried_again)
{
    static const char paid_sql[] = "SELECT count(*) FROM payments WHERE status = 'authorized'"
                                   " AND updated_at = '" AT "'";
    setenv("BUS_RETRIES", "0", 1); // it had more when it was handled
    add_order(1, "tok_flaky", "milk-jug", 1);
    add_answer(1, "payment", "payment-authorized");
    add_order(2, "tok_flaky", "milk-jug", 1); // not handled so far: that is for the group
    add_order(3, "tok_poison", "milk-jug", 1);
    rebuild("payment");
    cr_expect_eq(number_in(rebuilt, paid_sql), 1);
    cr_expect_eq(number_in(plan, undone_sql), 2);
    cr_expect_eq(number_in(plan, odd_sql), 0);
    cr_expect_eq(number_in(rebuilt, inbox_sql), 1);
}

// Limits are settings, and may be others by now.
Test(rebuild, fraud_decides_as_it_did)
{
    static const char flagged_sql[] =
        "SELECT count(*) FROM decisions WHERE reason = 'from-the-log'";
    static const char cleared_sql[] = "SELECT count(*) FROM decisions WHERE reason = ''";
    add_order(1, "tok_visa", "milk-jug", 1);
    add_answer(1, "fraud", "fraud-flagged");
    add_order(2, "tok_visa", "milk-jug", 1);
    add_answer(2, "fraud", "fraud-cleared");
    rebuild("fraud");
    cr_expect_eq(number_in(plan, undone_sql), 0);
    cr_expect_eq(number_in(rebuilt, flagged_sql), 1);
    cr_expect_eq(number_in(rebuilt, cleared_sql), 1);
}

// --- what is no plan, and no place

static void expect_refused(const char *file, const char *words)
{
    char *said = NULL;
    const int code = run("payment", file, &said);
    cr_expect_eq(code, EXIT_FAILURE, "%s", said);
    cr_expect_not_null(strstr(said, words), "%s", said);
    free(said);
}

static void make_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

Test(rebuild, what_is_no_plan_is_refused_with_a_sentence)
{
    char *path = mem_format("%s/no-plan", folder);
    expect_refused(path, "cannot read");
    cr_expect_neq(access(path, F_OK), 0, "nothing is made");
    make_file(path, "");
    expect_refused(path, "is no plan of `faultline rebuild`");
    make_file(path, "this is no database at all, nor is there a plan in it, whoever asks");
    expect_refused(path, "cannot open the database");
    free(path);
}

Test(rebuild, a_database_that_is_there_is_left_alone)
{
    char *path = mem_format("%s/payment.db", folder);
    add_order(1, "tok_visa", "milk-jug", 1);
    make_file(path, "");
    expect_refused(plan_path, "is there already");
    free(path);
}
