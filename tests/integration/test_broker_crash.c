// A real broker that is killed in the middle of its work, or whose disk is full.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tests/support/broker_process.h"
#include "tests/support/raw_client.h"

enum {
    KILLS = 5,
    REQUESTS = 400, // before each kill
    RECORDS = 8,    // of a request
    IDS_MAX = 64 * 1024,
};

static struct broker_process *broker;
static struct raw_client *client;

// Event number of each offset that was answered with PUBLISHED; 0: not answered.
static uint32_t published[IDS_MAX];

static void stop(void)
{
    raw_client_destroy(&client);
    broker_process_destroy(&broker);
}

TestSuite(broker_crash, .fini = stop, .timeout = 120);

static void connect_client(void)
{
    raw_client_destroy(&client);
    client = raw_client_new(broker_process_url(broker));
    raw_client_hello(client, "order-1", 1);
}

// Event numbers are their own proof: request r carries numbers r * RECORDS and on.
static void send_request(uint64_t request, size_t body_size)
{
    static char body[65536];
    struct buf batch = {0};
    memset(body, 'x', sizeof body);
    for (uint64_t i = 0; i < RECORDS; i++) {
        char id[32];
        snprintf(id, sizeof id, "%lu", (unsigned long)(request * RECORDS + i));
        const enum err err =
            record_append(&batch,
                          &(struct record){
                              .topic = bytes_of_text("order-created"),
                              .id = bytes_of_text(id),
                              .body = {.data = (const uint8_t *)body, .size = body_size},
                          });
        cr_assert_eq(err, ERR_OK);
    }
    raw_client_send(client,
                    &(struct wire_control){
                        .type = WIRE_PUBLISH,
                        .request = request,
                        .acks = WIRE_ACKS_ALL,
                        .count = RECORDS,
                    },
                    buf_view(&batch));
    buf_release(&batch);
}

static void note_answers(int wanted)
{
    struct wire_control control;
    struct bytes batch;
    while (wanted > 0 && raw_client_receive(client, RAW_CLIENT_WAIT_MS, &control, &batch)) {
        if (control.type != WIRE_PUBLISHED) {
            continue;
        }
        wanted--;
        for (uint32_t i = 0; i < control.count; i++) {
            cr_assert_lt(control.offset + i, IDS_MAX);
            cr_assert_eq(published[control.offset + i], 0, "an offset was given twice");
            published[control.offset + i] = (uint32_t)(control.request * RECORDS + i);
        }
    }
    cr_assert_eq(wanted, 0);
}

// Reads the whole log and compares it with what was answered.
static void expect_all_there(void)
{
    uint64_t offset = 0;
    uint64_t found = 0;
    struct wire_control control = {.end = 1};
    while (offset < control.end) {
        struct bytes batch;
        raw_client_send(
            client,
            &(struct wire_control){
                .type = WIRE_READ, .request = 1, .offset = offset, .credit = WIRE_CREDIT_MAX},
            (struct bytes){0});
        raw_client_expect(client, WIRE_RECORDS, &control, &batch);
        struct wire_delivered entry;
        while (batch.size > 0) {
            cr_assert_eq(wire_delivered_take(&batch, &entry), ERR_OK);
            char id[32];
            snprintf(id, sizeof id, "%u", published[entry.offset]);
            found += published[entry.offset] != 0;
            cr_assert(published[entry.offset] == 0 || bytes_equal_text(entry.record.id, id));
        }
        offset = control.offset;
    }
    for (uint64_t i = 0; i < IDS_MAX; i++) {
        found -= published[i] != 0;
    }
    cr_expect_eq(found, 0);
}

Test(broker_crash, what_was_answered_is_there_after_every_kill)
{
    broker = broker_process_new(NULL);
    connect_client();
    uint64_t request = 1;
    for (int kills = 0; kills < KILLS; kills++) {
        for (int i = 0; i < REQUESTS; i++) {
            send_request(request++, 200);
        }
        note_answers(20 + kills * 40); // the rest is under way
        broker_process_kill(broker);
        broker_process_start(broker);
        connect_client();
        expect_all_there();
    }
}

Test(broker_crash, a_full_disk_is_an_answer_and_readers_go_on)
{
    broker = broker_process_new(
        (const char *const[]){"SEGMENT_BYTES=1048576", "DISK_BYTES_MAX=4194304", NULL});
    connect_client();
    raw_client_subscribe(client, "payment", 4, (const char *const[]){"order-created", NULL});
    struct wire_control control;
    struct bytes batch;
    uint64_t stored = 0;
    do {
        cr_assert_lt(stored, 100);
        send_request(++stored, 60000);
        do {
            cr_assert(raw_client_receive(client, RAW_CLIENT_WAIT_MS, &control, &batch));
        } while (control.type != WIRE_PUBLISHED && control.type != WIRE_ERROR);
    } while (control.type == WIRE_PUBLISHED);
    cr_expect(bytes_equal_text(control.code, WIRE_CODE_DISK_FULL));
    cr_expect_eq(control.request, stored);
    cr_expect_gt(stored, 2);

    // A new group, from the beginning, while the disk is full.
    struct wire_delivered delivered;
    struct raw_client *other = raw_client_new(broker_process_url(broker));
    raw_client_hello(other, "ledger-1", 1);
    raw_client_subscribe(other, "ledger", 1, (const char *const[]){"order-created", NULL});
    for (uint64_t i = 0; i < (stored - 1) * RECORDS; i++) {
        raw_client_delivery(other, &delivered);
        cr_assert_eq(delivered.offset, i);
        raw_client_ack(other, i, 1);
    }
    cr_expect(raw_client_is_quiet(other));
    raw_client_destroy(&other);

    cr_expect_eq(broker_process_stop(broker, 2000), 0);
    broker_process_start(broker);
}
