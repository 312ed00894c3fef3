// What a real broker promises to those who publish and those who consume.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker_process.h"
#include "tests/support/raw_client.h"

static struct broker_process *broker;
static struct raw_client *producer;
static struct raw_client *consumer;

static const char *const orders[] = {"order-created", "order-cancelled", NULL};

static struct raw_client *client(const char *member)
{
    struct raw_client *self = raw_client_new(broker_process_url(broker));
    raw_client_hello(self, member, 1);
    return self;
}

static void start(void)
{
    broker = broker_process_new(NULL);
    producer = client("producer-1");
    consumer = client("payment-1");
}

static void stop(void)
{
    raw_client_destroy(&producer);
    raw_client_destroy(&consumer);
    broker_process_destroy(&broker);
}

TestSuite(broker_delivery, .init = start, .fini = stop, .timeout = 60);

static void restart(void)
{
    broker_process_kill(broker);
    raw_client_destroy(&producer);
    raw_client_destroy(&consumer);
    broker_process_start(broker);
    producer = client("producer-1");
    consumer = client("payment-1");
}

static void nack(uint64_t offset, uint32_t attempt, uint32_t delay_ms)
{
    raw_client_send(consumer,
                    &(struct wire_control){
                        .type = WIRE_NACK,
                        .offset = offset,
                        .attempt = attempt,
                        .delay_ms = delay_ms,
                        .detail = bytes_of_text("the card network is down"),
                    },
                    (struct bytes){0});
}

static void reject(uint64_t offset, uint32_t attempt)
{
    raw_client_send(consumer,
                    &(struct wire_control){
                        .type = WIRE_REJECT,
                        .offset = offset,
                        .attempt = attempt,
                        .detail = bytes_of_text("amount must be \"positive\""),
                    },
                    (struct bytes){0});
}

static void expect_delivery(struct raw_client *from, uint64_t offset, uint32_t attempt)
{
    struct wire_delivered delivered;
    raw_client_delivery(from, &delivered);
    cr_assert_eq(delivered.offset, offset, "offset %lu", (unsigned long)delivered.offset);
    cr_assert_eq(delivered.attempt, attempt, "attempt %u", delivered.attempt);
}

static void expect_in_status(const char *text)
{
    char *status = broker_process_get(broker, "/status", NULL);
    cr_expect(status != NULL && strstr(status, text) != NULL, "no %s in %s", text, status);
    free(status);
}

Test(broker_delivery, a_group_that_is_new_gets_what_was_published_before)
{
    cr_expect_eq(raw_client_publish(producer, "order-created", "o-1", "e-1", "{}"), 0);
    cr_expect_eq(raw_client_publish(producer, "order-created", "o-2", "e-2", "{\"x\":1}"), 1);

    raw_client_subscribe(consumer, "payment", 10, orders);

    struct wire_delivered delivered;
    raw_client_delivery(consumer, &delivered);
    cr_expect_eq(delivered.offset, 0);
    cr_expect_eq(delivered.attempt, 1);
    cr_expect(bytes_equal_text(delivered.record.topic, "order-created"));
    cr_expect(bytes_equal_text(delivered.record.id, "e-1"));
    raw_client_delivery(consumer, &delivered);
    cr_expect_eq(delivered.offset, 1);
    cr_expect(bytes_equal_text(delivered.record.body, "{\"x\":1}"));
}

Test(broker_delivery, topics_that_a_group_did_not_ask_for_stay_away)
{
    raw_client_subscribe(consumer, "payment", 10, orders);
    raw_client_publish(producer, "fraud-flagged", "o-1", "e-1", "{}");
    raw_client_publish(producer, "order-cancelled", "o-1", "e-2", "{}");

    expect_delivery(consumer, 1, 1);
    raw_client_ack(consumer, 1, 1);

    cr_expect(raw_client_is_quiet(consumer));
    expect_in_status("\"lag_events\":0");
}

Test(broker_delivery, two_groups_each_get_all_two_members_of_one_share)
{
    struct raw_client *second = client("payment-2");
    struct raw_client *other = client("ledger-1");
    raw_client_subscribe(consumer, "payment", 1, orders);
    raw_client_subscribe(second, "payment", 1, orders);
    raw_client_subscribe(other, "ledger", 10, orders);
    raw_client_publish(producer, "order-created", "o-1", "e-1", "{}");
    raw_client_publish(producer, "order-created", "o-2", "e-2", "{}");

    struct wire_delivered one;
    struct wire_delivered two;
    raw_client_delivery(consumer, &one);
    raw_client_delivery(second, &two);
    cr_expect_eq(one.offset + two.offset, 1);
    expect_delivery(other, 0, 1);
    expect_delivery(other, 1, 1);

    raw_client_destroy(&second);
    raw_client_destroy(&other);
}

Test(broker_delivery, credit_is_a_window_and_an_ack_opens_it)
{
    raw_client_subscribe(consumer, "payment", 2, orders);
    for (int i = 0; i < 3; i++) {
        const char *key = (const char *[]){"a", "b", "c"}[i];
        raw_client_publish(producer, "order-created", key, key, "");
    }
    expect_delivery(consumer, 0, 1);
    expect_delivery(consumer, 1, 1);
    cr_expect(raw_client_is_quiet(consumer));

    raw_client_ack(consumer, 0, 1);

    expect_delivery(consumer, 2, 1);
}

Test(broker_delivery, a_later_event_of_a_key_waits_through_the_retries_of_the_earlier)
{
    raw_client_subscribe(consumer, "payment", 10, orders);
    raw_client_publish(producer, "order-created", "o-1", "e-1", "{}");
    raw_client_publish(producer, "order-cancelled", "o-1", "e-2", "{}");
    raw_client_publish(producer, "order-created", "o-2", "e-3", "{}");
    expect_delivery(consumer, 0, 1);
    expect_delivery(consumer, 2, 1);

    nack(0, 1, 50);
    expect_delivery(consumer, 0, 2);
    raw_client_ack(consumer, 0, 2);

    expect_delivery(consumer, 1, 1);
}

Test(broker_delivery, a_stale_ack_is_counted_and_changes_nothing)
{
    raw_client_subscribe(consumer, "payment", 10, orders);
    raw_client_publish(producer, "order-created", "o-1", "e-1", "{}");
    expect_delivery(consumer, 0, 1);
    nack(0, 1, 0);
    expect_delivery(consumer, 0, 2);

    raw_client_ack(consumer, 0, 1);

    cr_expect(raw_client_is_quiet(consumer));
    expect_in_status("\"lag_events\":1");
    expect_in_status("\"stale_acks\":1");
}

Test(broker_delivery, an_event_that_fails_four_times_becomes_a_dead_letter)
{
    raw_client_subscribe(consumer, "payment", 10, orders);
    raw_client_publish(producer, "order-created", "o-1", "e-1", "{\"total\":1}");
    raw_client_publish(producer, "order-cancelled", "o-1", "e-2", "{}");
    for (uint32_t attempt = 1; attempt <= 4; attempt++) {
        expect_delivery(consumer, 0, attempt);
        nack(0, attempt, 0);
    }

    expect_delivery(consumer, 1, 1); // the key is free again

    char *list = broker_process_get(broker, "/dead-letters?group=payment", NULL);
    cr_expect(strstr(list,
                     "\"first_offset\":0,\"attempts\":4,\"failures\":4,"
                     "\"error\":\"the card network is down\"") != NULL,
              "%s",
              list);
    free(list);
    char *letter = broker_process_get(broker, "/dead-letters/2", NULL);
    cr_expect(strstr(letter, "\"event\":{\"total\":1}") != NULL, "%s", letter);
    free(letter);
}

Test(broker_delivery, a_rejected_event_is_dead_at_once_and_stays_so_after_a_kill)
{
    raw_client_subscribe(consumer, "payment", 10, orders);
    raw_client_publish(producer, "order-created", "o-1", "e-1", "no json");
    expect_delivery(consumer, 0, 1);
    reject(0, 1);
    cr_expect(raw_client_is_quiet(consumer)); // and the dead letter is in the log
    expect_in_status("\"dead_letters\":1");

    restart();
    raw_client_subscribe(consumer, "payment", 10, orders);

    cr_expect(raw_client_is_quiet(consumer));
    expect_in_status("\"dead_letters\":1");
    expect_in_status("\"lag_events\":0");
    char *letter = broker_process_get(broker, "/dead-letters/1", NULL);
    cr_expect(
        strstr(letter, "\"error\":\"amount must be \\\"positive\\\"\"") != NULL, "%s", letter);
    cr_expect(strstr(letter, "\"event\":null") != NULL, "%s", letter);
    free(letter);
}

Test(broker_delivery, what_was_published_outlives_a_kill_and_comes_in_order)
{
    raw_client_subscribe(consumer, "payment", 100, orders);
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof key, "o-%d", i);
        cr_assert_eq(raw_client_publish(producer, "order-created", key, key, "{}"), (uint64_t)i);
    }

    restart();
    raw_client_subscribe(consumer, "payment", 100, orders);

    for (uint64_t i = 0; i < 50; i++) {
        struct wire_delivered delivered;
        raw_client_delivery(consumer, &delivered);
        cr_assert_eq(delivered.offset, i);
        raw_client_ack(consumer, i, delivered.attempt);
    }
    cr_expect(raw_client_is_quiet(consumer));
    expect_in_status("\"lag_events\":0");
}

Test(broker_delivery, what_a_lost_member_held_goes_to_another_without_a_failure)
{
    struct raw_client *second = client("payment-2");
    raw_client_subscribe(consumer, "payment", 10, orders);
    raw_client_publish(producer, "order-created", "o-1", "e-1", "{}");
    expect_delivery(consumer, 0, 1);
    raw_client_subscribe(second, "payment", 10, orders);

    raw_client_send(consumer, &(struct wire_control){.type = WIRE_BYE}, (struct bytes){0});

    expect_delivery(second, 0, 2);
    expect_in_status("\"failing\":[]");
    raw_client_destroy(&second);
}

Test(broker_delivery, a_clean_stop_says_bye_saves_and_is_quick)
{
    struct wire_control control;
    struct bytes batch;
    raw_client_subscribe(consumer, "payment", 10, orders);
    raw_client_publish(producer, "order-created", "o-1", "e-1", "{}");
    expect_delivery(consumer, 0, 1);
    raw_client_ack(consumer, 0, 1);
    cr_expect(raw_client_is_quiet(consumer));

    cr_expect_eq(broker_process_stop(broker, 2000), 0);
    raw_client_expect(consumer, WIRE_BYE, &control, &batch);

    broker_process_start(broker);
    expect_in_status("\"floor\":1,\"lag_events\":0");
}
