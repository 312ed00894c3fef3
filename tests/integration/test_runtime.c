// The service runtime as its header promises it, with real processes: what is done once
// however often it comes, what survives which death, and what a full disk costs.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "tests/support/shop.h"

static struct rig *rig;
static struct event_tap *tap;

static void stop(void)
{
    event_tap_close(&tap);
    rig_destroy(&rig);
}

TestSuite(runtime, .fini = stop, .timeout = 120);

static void start(const char *const *services, const char *const *settings)
{
    rig = rig_start(services, settings);
    tap = event_tap_open(rig_bus_url(rig), shop_topics);
}

static void publish_created(const char *order_id, const char *token)
{
    char *text = mem_format("{\"order_id\":\"%s\",\"customer_id\":\"alice\","
                            "\"payment_token\":\"%s\","
                            "\"total\":{\"amount_minor\":100,\"currency\":\"EUR\"},"
                            "\"items\":[{\"sku\":\"milk-jug\",\"quantity\":2}]}",
                            order_id,
                            token);
    event_tap_publish(tap, "order-created", 2, order_id, cJSON_Parse(text), NULL);
    free(text);
}

// Waits until the broker's list of a group's dead letters has count entries.
static void wait_dead_letters(const char *group, int count)
{
    char *path = mem_format("/dead-letters?group=%s", group);
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    for (int found = -1; found != count;) {
        cr_assert(clock_mono_ms() < deadline_ms, "%s has %d dead letters", group, found);
        struct rig_reply reply = rig_call(rig, "broker", "GET", path, NULL, NULL);
        found = cJSON_GetArraySize(cJSON_GetObjectItem(reply.json, "dead_letters"));
        rig_reply_release(&reply);
    }
    free(path);
}

// --- an event that is too large

// Places an order of every product there is.
static struct rig_reply place_large(const char *headers)
{
    return rig_call(
        rig,
        "order",
        "POST",
        "/orders",
        "{\"customer_id\":\"alice\",\"payment_token\":\"tok_visa\",\"items\":["
        "{\"sku\":\"espresso-cup\",\"quantity\":1},{\"sku\":\"coffee-beans\",\"quantity\":1},"
        "{\"sku\":\"moka-pot\",\"quantity\":1},{\"sku\":\"milk-jug\",\"quantity\":1},"
        "{\"sku\":\"grinder\",\"quantity\":1},{\"sku\":\"rare-print\",\"quantity\":1}]}",
        headers);
}

Test(runtime, an_order_whose_event_is_too_large_is_refused_where_it_is_made)
{
    start(shop_services, (const char *const[]){"order:EVENT_BYTES_MAX=1024", NULL});
    for (int i = 0; i < 2; i++) { // the key is free again: nothing was done under it
        struct rig_reply reply = place_large("Idempotency-Key: large\r\n");
        shop_expect_problem(&reply, 413, "event-too-large");
        const char *detail = json_text_of(reply.json, "detail");
        int bytes = 0;
        cr_assert_eq(sscanf(detail, "order-created would be an event of %d bytes", &bytes), 1);
        cr_expect(bytes > 1024 && bytes < 2048, "%s", detail);
        cr_expect_not_null(strstr(detail, "over the limit of 1024 (EVENT_BYTES_MAX)"));
        rig_reply_release(&reply);
    }
    char order_id[UUID_SIZE];
    shop_place_async(rig, "alice", "tok_visa", "espresso-cup", 1, order_id);
    shop_expect_status(rig, order_id, "confirmed");
    struct rig_reply orders = rig_call(rig, "order", "GET", "/orders", NULL, NULL);
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(orders.json, "orders")), 1);
    rig_reply_release(&orders);
}

// Trying again would not make it smaller.
Test(runtime, an_event_whose_answer_is_too_large_is_dead_lettered_at_once)
{
    start((const char *const[]){"payment", NULL},
          (const char *const[]){"payment:EVENT_BYTES_MAX=1024", NULL});
    char subject[EVENT_TEXT_MAX];
    memset(subject, 'x', sizeof subject - 1);
    subject[sizeof subject - 1] = '\0';
    publish_created(subject, "tok_visa");
    wait_dead_letters("payment", 1);
    struct rig_reply reply =
        rig_call(rig, "broker", "GET", "/dead-letters?group=payment", NULL, NULL);
    const cJSON *letter = cJSON_GetArrayItem(cJSON_GetObjectItem(reply.json, "dead_letters"), 0);
    cr_expect_eq(cJSON_GetObjectItem(letter, "attempts")->valueint, 1);
    const char *error = json_text_of(letter, "error");
    cr_expect_not_null(strstr(error, "payment-authorized would be an event of"), "%s", error);
    rig_reply_release(&reply);
}

// --- a disk without space

// The size beyond which no file of the process may grow, "unlimited" to end it: what
// a full disk is to a write. There is no POSIX call for another process's limits.
static void limit_files(const char *name, const char *size)
{
    char pid[32];
    char limit[64];
    snprintf(pid, sizeof pid, "%d", (int)rig_pid(rig, name));
    snprintf(limit, sizeof limit, "--fsize=%s:unlimited", size);
    const pid_t child = fork();
    if (child == 0) {
        execlp("prlimit", "prlimit", "--pid", pid, limit, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    cr_assert(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

// No transaction fits behind what inventory's write-ahead log has now.
static void fill_disk_of_inventory(void)
{
    char *path = mem_format("%s/data/inventory/inventory.db-wal", rig_folder(rig));
    struct stat info;
    cr_assert_eq(stat(path, &info), 0);
    char size[32];
    snprintf(size, sizeof size, "%lld", (long long)info.st_size);
    limit_files("inventory", size);
    free(path);
}

static struct rig_reply restock(const char *key)
{
    char header[128];
    snprintf(header, sizeof header, "Idempotency-Key: %s\r\n", key);
    return rig_call(rig, "inventory", "POST", "/stock/grinder/restock", "{\"quantity\":5}", header);
}

static int count_in_log(const char *name, const char *text)
{
    char *path = mem_format("%s/logs/%s.log", rig_folder(rig), name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    char line[4096];
    int count = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        count += strstr(line, text) != NULL;
    }
    fclose(file);
    free(path);
    return count;
}

Test(runtime, a_full_disk_refuses_requests_for_now_and_kills_no_event)
{
    enum {
        EVENTS = 20,
        FAILURES = 6 // more than the retries that an event has
    };
    start((const char *const[]){"inventory", NULL}, NULL);
    fill_disk_of_inventory();
    for (int i = 0; i < 2; i++) {
        struct rig_reply reply = restock("k-1");
        shop_expect_problem(&reply, 503, "store-unavailable");
        rig_reply_release(&reply);
    }
    struct rig_reply reply = rig_call(rig, "inventory", "GET", "/readyz", NULL, NULL);
    cr_expect_eq(reply.status, 503, "%s", reply.body);
    rig_reply_release(&reply);
    char order_ids[EVENTS][UUID_SIZE];
    for (int i = 0; i < EVENTS; i++) {
        uuid_new(order_ids[i]);
        publish_created(order_ids[i], "tok_visa");
    }
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    while (count_in_log("inventory", "could not be committed") < FAILURES) {
        cr_assert(clock_mono_ms() < deadline_ms);
        // What is committed can be read meanwhile.
        cr_assert_eq(rig_get_int(rig, "inventory", "/stock/grinder", "available"), 50);
    }
    cr_expect_eq(count_in_log("inventory", "\"event handled\""), 0);

    limit_files("inventory", "unlimited");

    for (int i = 0; i < EVENTS; i++) {
        event_tap_wait(tap, "inventory-reserved", order_ids[i]);
        cr_expect_eq(event_tap_count(tap, "inventory-reserved", order_ids[i]), 1);
    }
    rig_wait_int(rig, "inventory", "/stock/milk-jug", "reserved", (int64_t)2 * EVENTS);
    wait_dead_letters("inventory", 0);
    reply = restock("k-1");
    cr_expect_eq(reply.status, 200, "what was refused left no trace of its key: %s", reply.body);
    rig_reply_release(&reply);
    rig_wait_int(rig, "inventory", "/stock/grinder", "available", 55);
    reply = rig_call(rig, "inventory", "GET", "/readyz", NULL, NULL);
    cr_expect_eq(reply.status, 200, "%s", reply.body);
    rig_reply_release(&reply);
}

// --- once

// The broker gives an event again whose ack it never saw: it dies between the two.
// The service's own event must wait for it in the outbox, and come once.
Test(runtime, an_event_that_is_delivered_twice_is_handled_once)
{
    start((const char *const[]){"inventory", NULL}, NULL);
    rig_pause(rig, "inventory");
    char order_id[UUID_SIZE];
    uuid_new(order_id);
    publish_created(order_id, "tok_visa");
    event_tap_wait(tap, "order-created", order_id);
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    for (bool is_held = false; !is_held;) {
        cr_assert(clock_mono_ms() < deadline_ms);
        struct rig_reply reply = rig_call(rig, "broker", "GET", "/status", NULL, NULL);
        is_held = strstr(reply.body, "\"held\":1") != NULL;
        rig_reply_release(&reply);
    }
    rig_pause(rig, "broker");
    rig_resume(rig, "inventory");
    rig_wait_log(rig, "inventory", "event handled", "\"result\":\"done\"");
    rig_kill(rig, "broker");
    rig_relaunch(rig, "broker");
    rig_wait_log(rig, "inventory", "event handled", "\"result\":\"duplicate\"");
    event_tap_wait(tap, "inventory-reserved", order_id);
    rig_wait_quiet(rig);
    cr_expect_eq(event_tap_count(tap, "inventory-reserved", order_id), 1);
    shop_expect_stock(rig, "milk-jug", 998, 2, 0);
}

// So that whoever handles it again, after a lost database say, makes the same event.
Test(runtime, the_id_of_an_event_follows_from_service_cause_topic_and_subject)
{
    start((const char *const[]){"inventory", NULL}, NULL);
    char order_id[UUID_SIZE];
    uuid_new(order_id);
    publish_created(order_id, "tok_visa");
    const struct event *made = event_tap_wait(tap, "inventory-reserved", order_id);
    const struct event *cause = event_tap_wait(tap, "order-created", order_id);
    const char *const texts[] = {made->source, cause->id, made->type, order_id};
    char id[UUID_SIZE];
    uuid_derive(texts, ARRAY_LEN(texts), id);
    cr_expect_str_eq(made->id, id);
}

Test(runtime, an_accepted_order_outlives_the_death_of_the_broker_and_of_its_own_process)
{
    start((const char *const[]){"order", NULL}, NULL);
    rig_kill(rig, "broker");
    char order_id[UUID_SIZE];
    shop_place_async(rig, "alice", "tok_visa", "milk-jug", 1, order_id);
    rig_kill(rig, "order");
    rig_launch(rig, "order"); // without a broker it does not become ready
    rig_relaunch(rig, "broker");
    const struct event *event = event_tap_wait(tap, "order-created", order_id);
    cr_expect_str_eq(event->correlation_id, order_id);
    rig_wait_quiet(rig);
    cr_expect_eq(event_tap_count(tap, "order-created", order_id), 1);
}

Test(runtime, a_poisoned_event_does_not_hurt_the_others_of_its_batch)
{
    enum {
        GOOD = 10
    };
    start((const char *const[]){"payment", NULL}, NULL);
    rig_pause(rig, "payment"); // so that all of them are one batch
    char order_ids[GOOD + 1][UUID_SIZE];
    for (int i = 0; i <= GOOD; i++) {
        uuid_new(order_ids[i]);
        publish_created(order_ids[i], i == GOOD / 2 ? "tok_poison" : "tok_visa");
    }
    rig_resume(rig, "payment");
    for (int i = 0; i <= GOOD; i++) {
        if (i != GOOD / 2) {
            event_tap_wait(tap, "payment-authorized", order_ids[i]);
        }
    }
    wait_dead_letters("payment", 1);
    cr_expect_eq(event_tap_count(tap, "payment-authorized", order_ids[GOOD / 2]), 0);
    cr_expect_eq(event_tap_count(tap, "payment-authorized", NULL), GOOD);
}

// --- Idempotency-Key, besides what test_shop_input says of it

static char *sync_order(const char *key, const char *customer)
{
    char *body = mem_format("{\"customer_id\":\"%s\",\"payment_token\":\"tok_visa\","
                            "\"items\":[{\"sku\":\"milk-jug\",\"quantity\":1}]}",
                            customer);
    char *request = mem_format("POST /orders?mode=sync HTTP/1.1\r\nHost: test\r\n"
                               "Connection: close\r\nContent-Type: application/json\r\n"
                               "Idempotency-Key: %s\r\nContent-Length: %zu\r\n\r\n%s",
                               key,
                               strlen(body),
                               body);
    free(body);
    return request;
}

static int begin(const char *key, const char *customer)
{
    char *request = sync_order(key, customer);
    const int connection = rig_begin(rig, "order", request, strlen(request));
    free(request);
    cr_assert_geq(connection, 0);
    return connection;
}

static void expect_answer(int connection, int status, const char *code, const char *replayed)
{
    struct rig_reply reply = rig_end(connection);
    char header[256];
    rig_reply_header(&reply, "Idempotency-Replayed", header);
    cr_expect_str_eq(header, replayed);
    if (code != NULL) {
        shop_expect_problem(&reply, status, code);
    } else {
        cr_expect_eq(reply.status, status, "%s", reply.body);
    }
    rig_reply_release(&reply);
}

static void wait_orders(int count)
{
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    for (int found = -1; found != count;) {
        cr_assert(clock_mono_ms() < deadline_ms, "%d orders", found);
        struct rig_reply reply = rig_call(rig, "order", "GET", "/orders", NULL, NULL);
        found = cJSON_GetArraySize(cJSON_GetObjectItem(reply.json, "orders"));
        rig_reply_release(&reply);
    }
}

Test(runtime, a_key_whose_request_still_runs_is_refused_and_then_answered)
{
    rig = rig_start(shop_services, (const char *const[]){"SYNC_TIMEOUT_MS=20000", NULL});
    rig_pause(rig, "inventory");
    const int first = begin("k-1", "alice");
    wait_orders(1);
    expect_answer(begin("k-1", "alice"), 409, "request-in-progress", "");
    expect_answer(begin("k-1", "bob"), 422, "idempotency-key-reused", "");
    expect_answer(begin("k-1", "alice"), 409, "request-in-progress", "");
    rig_resume(rig, "inventory");
    expect_answer(first, 201, NULL, "");
    expect_answer(begin("k-1", "alice"), 201, NULL, "true");
    expect_answer(begin("k-1", "bob"), 422, "idempotency-key-reused", "");
    wait_orders(1);
    shop_expect_stock(rig, "milk-jug", 999, 0, 1);
}

Test(runtime, a_key_whose_request_failed_for_our_fault_may_be_used_again)
{
    rig = rig_start(shop_services, NULL);
    rig_kill(rig, "inventory");
    expect_answer(begin("k-1", "alice"), 503, "inventory-unavailable", "");
    rig_relaunch(rig, "inventory");
    expect_answer(begin("k-1", "alice"), 201, NULL, "");
    expect_answer(begin("k-1", "alice"), 201, NULL, "true");
}

Test(runtime, a_key_whose_order_was_cut_with_its_process_never_orders_again)
{
    rig = rig_start(shop_services, NULL);
    rig_pause(rig, "inventory");
    const int first = begin("k-1", "alice");
    wait_orders(1);
    rig_kill(rig, "order");
    expect_answer(first, 0, NULL, "");
    rig_resume(rig, "inventory");
    rig_relaunch(rig, "order");
    expect_answer(begin("k-1", "alice"), 409, "request-interrupted", "true");
    expect_answer(begin("k-1", "bob"), 422, "idempotency-key-reused", "");
    wait_orders(1);
    expect_answer(begin("k-2", "alice"), 201, NULL, "");
}

// --- the synchronous chain's settings

Test(runtime, an_open_circuit_fails_orders_without_a_call)
{
    rig = rig_start(shop_services,
                    (const char *const[]){
                        "order:SYNC_BREAKER_FAILURES=2", "order:SYNC_BREAKER_OPEN_MS=1500", NULL});
    rig_kill(rig, "inventory");
    expect_answer(begin("k-1", "alice"), 503, "inventory-unavailable", "");
    expect_answer(begin("k-2", "alice"), 503, "inventory-unavailable", "");
    const int64_t opened_ms = clock_mono_ms();
    rig_relaunch(rig, "inventory");
    struct rig_reply reply = rig_end(begin("k-3", "alice"));
    if (clock_mono_ms() - opened_ms < 1400) {
        shop_expect_problem(&reply, 503, "inventory-unavailable");
        cr_expect_gt(count_in_log("order", "the circuit to a service is open"), 0);
    }
    rig_reply_release(&reply);
    int status = 0;
    for (int i = 4; status != 201; i++) {
        cr_assert(clock_mono_ms() - opened_ms < RIG_DEADLINE_MS, "it never closed");
        char key[16];
        snprintf(key, sizeof key, "k-%d", i);
        reply = rig_end(begin(key, "alice"));
        status = reply.status;
        rig_reply_release(&reply);
    }
}

// --- a clean end

Test(runtime, sigterm_under_load_ends_it_in_two_seconds_and_keeps_what_was_accepted)
{
    enum {
        REQUESTS = 100
    };
    start(shop_services, NULL);
    static const char body[] = "{\"customer_id\":\"alice\",\"payment_token\":\"tok_visa\","
                               "\"items\":[{\"sku\":\"espresso-cup\",\"quantity\":1}]}";
    char *request = mem_format("POST /orders HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
                               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                               strlen(body),
                               body);
    int connections[REQUESTS];
    for (int i = 0; i < REQUESTS; i++) {
        connections[i] = rig_begin(rig, "order", request, strlen(request));
    }
    free(request);
    const int64_t begun_ms = clock_mono_ms();
    cr_expect_eq(rig_stop(rig, "order"), 0);
    cr_expect_lt(clock_mono_ms() - begun_ms, 2000);

    char order_ids[REQUESTS][UUID_SIZE];
    int accepted = 0;
    for (int i = 0; i < REQUESTS; i++) {
        struct rig_reply reply = rig_end(connections[i]);
        cr_expect(reply.status == 0 || reply.status == 202 || reply.status == 503);
        if (reply.status == 202) {
            const char *id = json_text_of(reply.json, "order_id");
            snprintf(order_ids[accepted++], UUID_SIZE, "%.36s", id);
        }
        rig_reply_release(&reply);
    }
    rig_relaunch(rig, "order");
    for (int i = 0; i < accepted; i++) {
        shop_expect_status(rig, order_ids[i], "confirmed");
    }
}

// What waits for a job cannot be answered in time; the process ends all the same.
Test(runtime, sigterm_does_not_wait_for_a_call_that_hangs)
{
    rig = rig_start(shop_services, (const char *const[]){"SYNC_TIMEOUT_MS=60000", NULL});
    rig_pause(rig, "inventory");
    const int first = begin("k-1", "alice");
    wait_orders(1);
    const int64_t begun_ms = clock_mono_ms();
    cr_expect_eq(rig_stop(rig, "order"), 0);
    cr_expect_lt(clock_mono_ms() - begun_ms, 2000);
    expect_answer(first, 0, NULL, "");
    rig_resume(rig, "inventory");
}
