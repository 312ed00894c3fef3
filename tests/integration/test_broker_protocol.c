// What a real broker answers to those who break the rules, and that it lives on.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tests/support/broker_process.h"
#include "tests/support/raw_client.h"

static struct broker_process *broker;
static struct raw_client *client;

static const char *const orders[] = {"order-created", NULL};

static void start(void)
{
    broker = broker_process_new((const char *const[]){"HEARTBEAT_MS=200", NULL});
    client = raw_client_new(broker_process_url(broker));
}

static void stop(void)
{
    raw_client_destroy(&client);
    cr_expect_neq(broker_process_pid(broker), 0);
    cr_expect_eq(broker_process_stop(broker, 2000), 0); // it has lived through all of it
    broker_process_destroy(&broker);
}

TestSuite(broker_protocol, .init = start, .fini = stop, .timeout = 60);

static void expect_error(struct raw_client *from, const char *code, uint64_t request,
                         uint32_t index)
{
    struct wire_control control;
    struct bytes batch;
    raw_client_expect(from, WIRE_ERROR, &control, &batch);
    cr_assert(bytes_equal_text(control.code, code),
              "%.*s: %.*s",
              (int)control.code.size,
              (const char *)control.code.data,
              (int)control.detail.size,
              (const char *)control.detail.data);
    cr_expect_eq(control.request, request);
    cr_expect_eq(control.index, index);
}

static void send_simple(struct raw_client *to, enum wire_type type)
{
    raw_client_send(to, &(struct wire_control){.type = type}, (struct bytes){0});
}

static void put_record(struct buf *batch, const char *topic, size_t body_size)
{
    uint8_t *body = calloc(1, body_size + 1);
    const enum err err = record_append(batch,
                                       &(struct record){
                                           .topic = bytes_of_text(topic),
                                           .id = bytes_of_text("e-1"),
                                           .body = {.data = body, .size = body_size},
                                       });
    cr_assert_eq(err, ERR_OK);
    free(body);
}

static void publish(const struct buf *batch, uint64_t request, uint32_t count)
{
    raw_client_send(client,
                    &(struct wire_control){
                        .type = WIRE_PUBLISH,
                        .request = request,
                        .acks = WIRE_ACKS_ALL,
                        .count = count,
                    },
                    buf_view(batch));
}

static void expect_nothing_stored(void)
{
    char *status = broker_process_get(broker, "/status", NULL);
    cr_expect(strstr(status, "\"next_offset\":0,") != NULL, "%s", status);
    free(status);
}

Test(broker_protocol, nothing_but_hello_comes_first)
{
    static const enum wire_type types[] = {WIRE_PING, WIRE_PONG, WIRE_BYE};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        send_simple(client, types[i]);
        expect_error(client, WIRE_CODE_NO_SESSION, 0, WIRE_INDEX_NONE);
    }
    struct buf batch = {0};
    put_record(&batch, "order-created", 2);
    publish(&batch, 9, 1);
    expect_error(client, WIRE_CODE_NO_SESSION, 9, WIRE_INDEX_NONE);
    buf_release(&batch);
    expect_nothing_stored();
}

Test(broker_protocol, frames_that_make_no_sense_are_malformed)
{
    static const struct bytes garbage[] = {
        {.data = (const uint8_t *)"", .size = 0},
        {.data = (const uint8_t *)"GET / HTTP/1.1\r\n\r\n", .size = 18},
        {.data = (const uint8_t *)"\x02\x7f", .size = 2},         // no such type
        {.data = (const uint8_t *)"\x01\x0a", .size = 2},         // another version
        {.data = (const uint8_t *)"\x02\x0a\x00", .size = 3},     // too long
        {.data = (const uint8_t *)"\x02\x01\xff\xff", .size = 4}, // cut short
        {.data = (const uint8_t *)"\x02\x8a", .size = 2},         // fine, but twice
    };
    raw_client_hello(client, "payment-1", 1);
    for (size_t i = 0; i + 1 < sizeof garbage / sizeof garbage[0]; i++) {
        raw_client_send_frames(client, &garbage[i], 1);
        expect_error(client, WIRE_CODE_MALFORMED, 0, WIRE_INDEX_NONE);
    }
    raw_client_send_frames(client, &garbage[5], 2);
    expect_error(client, WIRE_CODE_MALFORMED, 0, WIRE_INDEX_NONE);
    raw_client_send_frames(client, garbage, 7);
    expect_error(client, WIRE_CODE_MALFORMED, 0, WIRE_INDEX_NONE);

    cr_expect(raw_client_is_quiet(client)); // the session has outlived it
}

Test(broker_protocol, what_only_the_broker_says_is_malformed)
{
    raw_client_hello(client, "payment-1", 1);
    raw_client_send(
        client,
        &(struct wire_control){.type = WIRE_WELCOME, .heartbeat_ms = 1000, .event_bytes_max = 1024},
        (struct bytes){0});
    expect_error(client, WIRE_CODE_MALFORMED, 0, WIRE_INDEX_NONE);
}

Test(broker_protocol, a_consumer_must_subscribe_first)
{
    raw_client_hello(client, "payment-1", 1);
    raw_client_ack(client, 0, 1);
    expect_error(client, WIRE_CODE_NOT_SUBSCRIBED, 0, WIRE_INDEX_NONE);
    raw_client_send(
        client, &(struct wire_control){.type = WIRE_CREDIT, .credit = 1}, (struct bytes){0});
    expect_error(client, WIRE_CODE_NOT_SUBSCRIBED, 0, WIRE_INDEX_NONE);
}

Test(broker_protocol, a_batch_frame_too_few_or_too_many_is_malformed)
{
    const struct bytes batch = {.data = (const uint8_t *)"x", .size = 1};
    raw_client_hello(client, "payment-1", 1);
    raw_client_send(client, &(struct wire_control){.type = WIRE_PING}, batch);
    expect_error(client, WIRE_CODE_MALFORMED, 0, WIRE_INDEX_NONE);
    raw_client_send(client,
                    &(struct wire_control){
                        .type = WIRE_PUBLISH, .request = 3, .acks = WIRE_ACKS_ALL, .count = 1},
                    (struct bytes){0});
    expect_error(client, WIRE_CODE_MALFORMED, 3, WIRE_INDEX_NONE);
}

Test(broker_protocol, one_bad_record_refuses_the_whole_batch_and_is_named)
{
    struct buf batch = {0};
    raw_client_hello(client, "order-1", 1);
    put_record(&batch, "order-created", 10);
    put_record(&batch, "order-created", 10);
    batch.data[batch.size - 1] ^= 1;
    publish(&batch, 1, 2);
    expect_error(client, WIRE_CODE_CORRUPT, 1, 1);

    buf_clear(&batch);
    put_record(&batch, "order-created", 65536);
    put_record(&batch, "order-created", 65537);
    publish(&batch, 2, 2);
    expect_error(client, WIRE_CODE_TOO_LARGE, 2, 1);

    buf_clear(&batch);
    put_record(&batch, "dead-letter.payment", 10);
    publish(&batch, 3, 1);
    expect_error(client, WIRE_CODE_FORBIDDEN, 3, 0);

    publish(&batch, 4, 2); // one record less than it says
    expect_error(client, WIRE_CODE_FORBIDDEN, 4, 0);

    buf_clear(&batch);
    put_record(&batch, "order-created", 10);
    publish(&batch, 5, 2);
    expect_error(client, WIRE_CODE_MALFORMED, 5, 1);
    put_record(&batch, "order-created", 10);
    publish(&batch, 6, 1); // one record more
    expect_error(client, WIRE_CODE_MALFORMED, 6, WIRE_INDEX_NONE);
    expect_nothing_stored();
    buf_release(&batch);
}

Test(broker_protocol, a_batch_over_its_limit_is_too_large)
{
    struct buf batch = {0};
    raw_client_hello(client, "order-1", 1);
    while (batch.size <= WIRE_BATCH_BYTES_MAX) {
        put_record(&batch, "order-created", 60000);
    }
    publish(&batch, 1, 18);
    expect_error(client, WIRE_CODE_TOO_LARGE, 1, WIRE_INDEX_NONE);
    buf_release(&batch);
    expect_nothing_stored();
}

Test(broker_protocol, a_newer_incarnation_evicts_the_older_and_gets_its_events)
{
    struct wire_delivered delivered;
    struct raw_client *newer = raw_client_new(broker_process_url(broker));
    raw_client_hello(client, "payment-1", 5);
    raw_client_subscribe(client, "payment", 10, orders);
    raw_client_publish(client, "order-created", "o-1", "e-1", "{}");
    raw_client_delivery(client, &delivered);

    raw_client_hello(newer, "payment-1", 6);
    expect_error(client, WIRE_CODE_EVICTED, 0, WIRE_INDEX_NONE);
    raw_client_subscribe(newer, "payment", 10, orders);

    raw_client_delivery(newer, &delivered);
    cr_expect_eq(delivered.offset, 0);
    cr_expect_eq(delivered.attempt, 2);
    raw_client_destroy(&newer);
}

Test(broker_protocol, an_incarnation_that_is_not_newer_is_stale)
{
    struct raw_client *older = raw_client_new(broker_process_url(broker));
    raw_client_hello(client, "payment-1", 5);
    raw_client_send(older,
                    &(struct wire_control){
                        .type = WIRE_HELLO,
                        .member = bytes_of_text("payment-1"),
                        .incarnation = 5,
                        .heartbeat_ms = 1000,
                    },
                    (struct bytes){0});
    expect_error(older, WIRE_CODE_STALE, 0, WIRE_INDEX_NONE);
    raw_client_destroy(&older);
}

Test(broker_protocol, a_session_is_a_member_of_one_group)
{
    raw_client_hello(client, "payment-1", 1);
    raw_client_subscribe(client, "payment", 10, orders);
    raw_client_subscribe(client, "payment", 20, orders); // again is fine
    raw_client_send(client,
                    &(struct wire_control){
                        .type = WIRE_SUBSCRIBE,
                        .group = bytes_of_text("ledger"),
                        .credit = 1,
                        .topics_count = 1,
                        .topics = {bytes_of_text("order-created")},
                    },
                    (struct bytes){0});
    expect_error(client, WIRE_CODE_SUBSCRIBED, 0, WIRE_INDEX_NONE);
}

Test(broker_protocol, silence_for_three_heartbeats_ends_a_session_and_pings_come_before)
{
    struct wire_control control;
    struct bytes batch;
    const int64_t begin_ms = clock_mono_ms();
    raw_client_hello(client, "payment-1", 1);

    raw_client_receive(client, RAW_CLIENT_WAIT_MS, &control, &batch);
    cr_expect_eq(control.type, WIRE_PING);
    while (control.type == WIRE_PING) {
        cr_assert(raw_client_receive(client, RAW_CLIENT_WAIT_MS, &control, &batch));
    }

    cr_expect_eq(control.type, WIRE_ERROR);
    cr_expect(bytes_equal_text(control.code, WIRE_CODE_NO_SESSION));
    cr_expect_geq(clock_mono_ms() - begin_ms, 590);
}

Test(broker_protocol, answering_pings_keeps_a_session)
{
    struct wire_control control;
    struct bytes batch;
    raw_client_hello(client, "payment-1", 1);
    for (int i = 0; i < 5; i++) {
        cr_assert(raw_client_receive(client, RAW_CLIENT_WAIT_MS, &control, &batch));
        cr_assert_eq(control.type, WIRE_PING);
        send_simple(client, WIRE_PONG);
    }
}

Test(broker_protocol, bye_is_answered_behind_everything_that_came_before_it)
{
    struct wire_control control;
    struct bytes bytes;
    struct buf batch = {0};
    raw_client_hello(client, "order-1", 1);
    put_record(&batch, "order-created", 2);
    publish(&batch, 1, 1);
    send_simple(client, WIRE_BYE);

    cr_assert(raw_client_receive(client, RAW_CLIENT_WAIT_MS, &control, &bytes));
    cr_expect_eq(control.type, WIRE_PUBLISHED);
    cr_assert(raw_client_receive(client, RAW_CLIENT_WAIT_MS, &control, &bytes));
    cr_expect_eq(control.type, WIRE_BYE);
    send_simple(client, WIRE_PING);
    expect_error(client, WIRE_CODE_NO_SESSION, 0, WIRE_INDEX_NONE);
    buf_release(&batch);
}

static void read_from(uint64_t offset, uint32_t entries)
{
    raw_client_send(client,
                    &(struct wire_control){
                        .type = WIRE_READ, .request = 7, .offset = offset, .credit = entries},
                    (struct bytes){0});
}

Test(broker_protocol, read_gives_what_is_there_and_where_to_go_on)
{
    struct wire_control control;
    struct bytes batch;
    struct wire_delivered entry;
    raw_client_hello(client, "tail-1", 1);
    read_from(0, 10);
    raw_client_expect(client, WIRE_RECORDS, &control, &batch);
    cr_expect_eq(control.count, 0);
    cr_expect_eq(control.end, 0);
    raw_client_publish(client, "order-created", "o-1", "e-1", "{}");
    raw_client_publish(client, "order-created", "o-1", "e-2", "{}");
    raw_client_publish(client, "order-created", "o-1", "e-3", "{}");

    read_from(1, 1);
    raw_client_expect(client, WIRE_RECORDS, &control, &batch);

    cr_expect_eq(control.request, 7);
    cr_expect_eq(control.count, 1);
    cr_expect_eq(control.offset, 2);
    cr_expect_eq(control.end, 3);
    cr_assert_eq(wire_delivered_take(&batch, &entry), ERR_OK);
    cr_expect_eq(entry.offset, 1);
    cr_expect_eq(entry.attempt, 0);
    read_from(100, 1);
    raw_client_expect(client, WIRE_RECORDS, &control, &batch);
    cr_expect_eq(control.offset, 3); // beyond the end is the end
}
