// The broker as a process: how it starts, what it says when it cannot, how it ends,
// what it costs, and what it shows of itself.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/broker_process.h"
#include "tests/support/raw_client.h"

static struct broker_process *broker;

static const char *const orders[] = {"order-created", NULL};

static void start(void)
{
    broker = broker_process_new((const char *const[]){"HEARTBEAT_MS=600", NULL});
}

static void stop(void)
{
    broker_process_destroy(&broker);
}

TestSuite(broker_process, .init = start, .fini = stop, .timeout = 60);

static struct raw_client *client(const char *member)
{
    struct raw_client *self = raw_client_new(broker_process_url(broker));
    raw_client_hello(self, member, 1);
    return self;
}

static void expect_failure(const char *const *env, int status, const char *sentence)
{
    char *output = NULL;
    cr_expect_eq(broker_process_run(env, &output), status);
    cr_expect_not_null(strstr(output, sentence), "no \"%s\" in: %s", sentence, output);
    free(output);
}

Test(broker_process, a_port_in_use_is_said_in_a_sentence)
{
    char *bind = mem_format("BROKER_BIND=%s", broker_process_url(broker));
    expect_failure((const char *const[]){bind, "HTTP_PORT=0", NULL}, 1, "is in use");
    char *http = mem_format("HTTP_PORT=%d", broker_process_http_port(broker));
    expect_failure(
        (const char *const[]){"BROKER_BIND=tcp://127.0.0.1:*", http, NULL}, 1, "is in use");
    free(bind);
    free(http);
}

Test(broker_process, an_endpoint_that_is_none_is_said_in_a_sentence)
{
    expect_failure((const char *const[]){"BROKER_BIND=localhost:5550", "HTTP_PORT=0", NULL},
                   1,
                   "BROKER_BIND must be like");
}

Test(broker_process, a_bad_setting_is_named)
{
    expect_failure((const char *const[]){"HEARTBEAT_MS=soon", NULL}, 2, "HEARTBEAT_MS");
    expect_failure((const char *const[]){"EVENT_BYTES_MAX=262144", NULL}, 2, "EVENT_BYTES_MAX");
}

Test(broker_process, a_folder_that_another_broker_has_open_is_refused)
{
    char *data = mem_format("DATA_DIR=%s", broker_process_directory(broker));
    expect_failure(
        (const char *const[]){data, "BROKER_BIND=tcp://127.0.0.1:*", "HTTP_PORT=0", NULL},
        1,
        broker_process_directory(broker));
    free(data);
}

Test(broker_process, a_damaged_groups_file_is_named_with_what_to_do)
{
    struct raw_client *consumer = client("payment-1");
    raw_client_subscribe(consumer, "payment", 1, orders);
    raw_client_destroy(&consumer);
    cr_expect_eq(broker_process_stop(broker, 2000), 0);
    char *path = mem_format("%s/groups", broker_process_directory(broker));
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    cr_assert_eq(pwrite(fd, "X", 1, 30), 1);
    close(fd);

    char *output = NULL;
    cr_expect_eq(broker_process_try(broker, &output), 1);
    cr_expect_not_null(strstr(output, path), "%s", output);
    free(output);
    free(path);
}

Test(broker_process, its_clients_outlive_a_pause_of_the_broker)
{
    struct raw_client *consumer = client("payment-1");
    raw_client_subscribe(consumer, "payment", 1, orders);
    kill(broker_process_pid(broker), SIGSTOP);
    nanosleep(&(struct timespec){.tv_sec = 2, .tv_nsec = 400000000}, NULL); // four heartbeats
    kill(broker_process_pid(broker), SIGCONT);

    cr_expect_eq(raw_client_publish(consumer, "order-created", "o-1", "e-1", "{}"), 0);
    raw_client_destroy(&consumer);
}

Test(broker_process, settings_that_cannot_work_together_stop_the_start_with_a_sentence)
{
    static const struct {
        const char *settings[3];
        const char *names;
    } cases[] = {
        {{"DISK_BYTES_MAX=134217727"}, "two files of SEGMENT_BYTES"},
        {{"DISK_BYTES_MAX=134217728", "RETENTION_HOURS=1"}, "three files"},
        {{"DISK_BYTES_MAX=300000000", "RETENTION_BYTES=232891137"}, "RETENTION_BYTES keeps"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *output = NULL;
        cr_expect_eq(broker_process_run(cases[i].settings, &output), 2);
        cr_expect_not_null(strstr(output, "DISK_BYTES_MAX is"), "%s", output);
        cr_expect_not_null(strstr(output, cases[i].names), "%s", output);
        free(output);
    }
}

// Another id for each call.
static const char *next_id(void)
{
    static char id[16];
    static int count;
    snprintf(id, sizeof id, "e-%d", ++count);
    return id;
}

Test(broker_process, it_stops_within_two_seconds_under_load)
{
    struct raw_client *producer = client("order-1");
    struct buf batch = {0};
    for (uint64_t request = 1; request <= 200; request++) {
        buf_clear(&batch);
        for (int i = 0; i < 64; i++) {
            const enum err err = record_append(&batch,
                                               &(struct record){
                                                   .topic = bytes_of_text("order-created"),
                                                   .id = bytes_of_text(next_id()),
                                                   .body = bytes_of_text("{}"),
                                               });
            cr_assert_eq(err, ERR_OK);
        }
        raw_client_send(producer,
                        &(struct wire_control){
                            .type = WIRE_PUBLISH,
                            .request = request,
                            .acks = WIRE_ACKS_ALL,
                            .count = 64,
                        },
                        buf_view(&batch));
    }
    buf_release(&batch);

    cr_expect_eq(broker_process_stop(broker, 2000), 0);
    raw_client_destroy(&producer);
}

// Proportional: pages of libraries that all processes share count by their share.
static long memory_kb(int pid)
{
    char path[64];
    char line[256];
    long kb = -1;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "Pss: %ld kB", &kb) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kb;
}

Test(broker_process, at_rest_it_takes_less_than_12_mb_also_after_a_burst)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("the sanitizer takes more than that for itself");
#endif
    struct raw_client *producer = client("order-1");
    static char body[60001];
    memset(body, 'x', sizeof body - 1);
    for (int i = 0; i < 300; i++) {
        raw_client_publish(producer, "order-created", "", next_id(), body);
    }
    raw_client_destroy(&producer);

    const int64_t deadline_ms = clock_mono_ms() + 5000;
    long kb = 0;
    do {
        kb = memory_kb(broker_process_pid(broker));
    } while (kb >= 12 * 1024 && clock_mono_ms() < deadline_ms);
    cr_expect_lt(kb, 12 * 1024, "%ld kB", kb);
}

// --- HTTP

static void expect_answer(const char *path, int status, const char *text)
{
    int got = 0;
    char *body = broker_process_get(broker, path, &got);
    cr_expect_eq(got, status, "%s: %d", path, got);
    cr_expect(body != NULL && strstr(body, text) != NULL, "%s: no %s in %s", path, text, body);
    free(body);
}

Test(broker_process, what_it_answers_by_http)
{
    expect_answer("/healthz", 200, "alive");
    expect_answer("/readyz", 200, "ready");
    expect_answer("/nothing", 404, "\"type\":\"urn:faultline:problem:not-found\"");
    expect_answer("/dead-letters", 200, "{\"dead_letters\":[],\"next\":null}");
    expect_answer("/dead-letters?group=nobody", 404, "no such group");
    expect_answer("/dead-letters?limit=0", 400, "\"field\":\"limit\"");
    expect_answer("/dead-letters?limit=501", 400, "limit");
    expect_answer("/dead-letters?after=x", 400, "\"field\":\"after\"");
    expect_answer("/dead-letters/0", 404, "not-found");
    expect_answer("/dead-letters/", 404, "not-found");
    expect_answer("/dead-letters/99999999999999999999", 404, "not-found");
    expect_answer("/status", 200, "\"groups\":[]");
}

Test(broker_process, its_http_interface_can_only_be_read)
{
    static const char *const paths[] = {"/healthz", "/metrics", "/status", "/dead-letters/0"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        int status = 0;
        char *answer = broker_process_ask(broker, "DELETE", paths[i], &status);
        cr_expect_eq(status, 405, "%s: %d", paths[i], status);
        cr_expect_not_null(strstr(answer, "\r\nAllow: GET\r\n"), "%s", answer);
        cr_expect_not_null(strstr(answer, "urn:faultline:problem:method-not-allowed"));
        free(answer);
    }
}

static void wait_for_dead_letter(uint64_t offset)
{
    char *path = mem_format("/dead-letters/%llu", (unsigned long long)offset);
    const int64_t deadline_ms = clock_mono_ms() + 10000;
    int status = 0;
    while (status != 200 && clock_mono_ms() < deadline_ms) {
        free(broker_process_get(broker, path, &status));
    }
    cr_assert_eq(status, 200, "%s: %d", path, status);
    free(path);
}

Test(broker_process, dead_letters_come_in_pages)
{
    struct raw_client *consumer = client("payment-1");
    raw_client_subscribe(consumer, "payment", 10, orders);
    for (int i = 0; i < 5; i++) {
        struct wire_delivered delivered;
        raw_client_publish(consumer, "order-created", "", next_id(), "{}");
        raw_client_delivery(consumer, &delivered);
        raw_client_send(consumer,
                        &(struct wire_control){
                            .type = WIRE_REJECT,
                            .offset = delivered.offset,
                            .attempt = delivered.attempt,
                            .detail = bytes_of_text("no"),
                        },
                        (struct bytes){0});
        wait_for_dead_letter(delivered.offset + 1); // before anything else is published
    }
    raw_client_destroy(&consumer);

    expect_answer("/dead-letters?limit=2", 200, "\"original_offset\":2,");
    expect_answer("/dead-letters?limit=2", 200, "\"next\":3");
    expect_answer("/dead-letters?limit=2&after=3", 200, "\"next\":7");
    expect_answer("/dead-letters?limit=2&after=7", 200, "\"offset\":9,\"key\"");
    expect_answer("/dead-letters?limit=2&after=7", 200, "\"next\":null");
}

Test(broker_process, its_metrics_are_what_promtool_accepts)
{
    struct raw_client *consumer = client("payment-1");
    raw_client_subscribe(consumer, "payment", 10, orders);
    raw_client_publish(consumer, "order-created", "", "e-1", "{}");
    raw_client_destroy(&consumer);
    expect_answer("/metrics", 200, "faultline_broker_published_total 1\n");
    expect_answer("/metrics", 200, "faultline_broker_group_lag_events{group=\"payment\"} 1\n");
    if (system("command -v promtool >/dev/null 2>&1") != 0) {
        cr_skip_test("promtool is not installed");
    }
    char *text = broker_process_get(broker, "/metrics", NULL);
    FILE *promtool = popen("promtool check metrics 2>&1", "w");
    fputs(text, promtool);
    cr_expect_eq(pclose(promtool), 0);
    free(text);
}
