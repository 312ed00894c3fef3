// What every engine behind common/bus.h must keep, whatever is killed: the
// conformance suite. It knows the bus and how to start, kill and pause an engine,
// nothing of protocols or files.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/broker_process.h"
#include "tests/support/bus_peer.h"

enum {
    STOP_TIMEOUT_MS = 5000
};

static struct broker_process *broker;
static const char *url;

static void broker_start(void)
{
    broker = broker_process_new(NULL);
    url = broker_process_url(broker);
}

static void broker_end(void)
{
    // Whatever was done to it, it stops cleanly.
    cr_expect_eq(broker_process_stop(broker, STOP_TIMEOUT_MS), 0);
    broker_process_destroy(&broker);
}

TestSuite(bus, .init = broker_start, .fini = broker_end, .timeout = 60);

// Publishes and waits until nothing is unanswered.
static void publish(struct bus_peer *publisher, const char *topic, const char *key, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cr_assert(peer_publish(publisher, topic, key));
    }
    bus_flush(publisher->bus);
    PUMP_UNTIL(bus_in_flight(publisher->bus) == 0, publisher);
}

static const struct bus_delivery *delivery(const struct bus_peer *peer, size_t index)
{
    cr_assert_lt(index, peer->deliveries_count);
    return &peer->deliveries[index].delivery;
}

static void ack(struct bus_peer *peer, size_t index)
{
    bus_ack(peer->bus, delivery(peer, index));
    bus_flush(peer->bus);
}

// --- publishing and receiving

Test(bus, what_is_published_is_answered_and_delivered_as_it_was)
{
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *consumer = peer_consumer(url, "payment", 1, "order-created");
    const int64_t before_us = clock_wall_us();
    cr_assert_eq(
        bus_publish(
            publisher->bus, 7, "order-created", "order-7", "id-7", bytes_of_text("{\"n\":7}")),
        ERR_OK);
    cr_expect_eq(bus_in_flight(publisher->bus), 1);
    publisher->unanswered = mem_calloc(8, 1);
    bus_flush(publisher->bus);

    PUMP_UNTIL(publisher->published == 1 && consumer->deliveries_count == 1, publisher, consumer);

    const struct bus_delivery *got = delivery(consumer, 0);
    cr_expect(bytes_equal_text(got->topic, "order-created"));
    cr_expect(bytes_equal_text(got->key, "order-7"));
    cr_expect(bytes_equal_text(got->id, "id-7"));
    cr_expect(bytes_equal_text(got->body, "{\"n\":7}"));
    cr_expect_eq(got->attempt, 1);
    cr_expect_eq(got->offset, publisher->last_offset);
    cr_expect_geq(got->time_us, (uint64_t)before_us);
    cr_expect_leq(got->time_us, (uint64_t)clock_wall_us());
    cr_expect_eq(bus_in_flight(publisher->bus), 0);
    peer_close(&publisher);
    peer_close(&consumer);
}

Test(bus, a_new_group_gets_what_was_published_before_it_existed)
{
    struct bus_peer *publisher = peer_publisher(url);
    publish(publisher, "order-created", "k", 100);
    struct bus_peer *consumer = peer_consumer(url, "late", 1, "order-created");
    peer_answer_with(consumer, PEER_ACK);
    PUMP_UNTIL(consumer->deliveries_count == 100, consumer);
    peer_close(&publisher);
    peer_close(&consumer);
}

Test(bus, a_new_group_from_latest_gets_only_what_comes_later)
{
    struct bus_peer *publisher = peer_publisher(url);
    publish(publisher, "order-created", "k", 3);
    static const char *const topics[] = {"order-created"};
    struct bus_peer *consumer = peer_open(&(struct bus_options){.url = url,
                                                                .member = "late-1",
                                                                .group = "late",
                                                                .topics = topics,
                                                                .topics_count = 1,
                                                                .from_latest = true});
    publish(publisher, "order-created", "k", 1);
    PUMP_UNTIL(consumer->deliveries_count > 0, consumer);
    cr_expect(bytes_equal_text(delivery(consumer, 0)->id, "event-3"));
    peer_close(&publisher);
    peer_close(&consumer);
}

Test(bus, a_group_gets_only_its_topics)
{
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *consumer = peer_consumer(url, "payment", 1, "order-created");
    peer_answer_with(consumer, PEER_ACK);
    publish(publisher, "order-confirmed", "k", 5);
    publish(publisher, "order-created", "k", 1);
    PUMP_UNTIL(consumer->deliveries_count == 1, consumer);
    cr_expect(bytes_equal_text(delivery(consumer, 0)->id, "event-5"));
    peer_close(&publisher);
    peer_close(&consumer);
}

Test(bus, many_events_all_arrive_in_the_order_of_their_key)
{
    enum {
        EVENTS = 20000
    };
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *consumer = peer_consumer(url, "payment", 1, "order-created");
    peer_answer_with(consumer, PEER_ACK);
    char key[16];
    for (int i = 0; i < EVENTS; i++) {
        snprintf(key, sizeof key, "key-%d", i % 1000);
        cr_assert(peer_publish(publisher, "order-created", key));
        if (i % 100 == 0) {
            peer_pump(publisher, 0);
            peer_pump(consumer, 0);
        }
    }
    PUMP_UNTIL(publisher->published == EVENTS && consumer->deliveries_count >= EVENTS,
               publisher,
               consumer);
    int last[1000];
    memset(last, -1, sizeof last);
    for (size_t i = 0; i < consumer->deliveries_count; i++) {
        int number = -1;
        sscanf((const char *)delivery(consumer, i)->id.data, "event-%d", &number);
        cr_assert_gt(number, last[number % 1000]);
        last[number % 1000] = number;
    }
    peer_close(&publisher);
    peer_close(&consumer);
}

Test(bus, an_oversized_event_is_refused_and_the_others_of_its_batch_are_stored)
{
    struct bus_peer *publisher = peer_publisher(url);
    char *large = mem_calloc(1, 70 * 1024 + 1);
    memset(large, 'x', 70 * 1024);
    cr_assert(peer_publish(publisher, "order-created", "k"));
    cr_assert_eq(
        bus_publish(publisher->bus, 0, "order-created", "k", "large", bytes_of_text(large)),
        ERR_OK);
    cr_assert(peer_publish(publisher, "order-created", "k"));
    bus_flush(publisher->bus);
    PUMP_UNTIL(publisher->published == 2 && publisher->refused == 1, publisher);
    cr_expect_eq(publisher->last_err, ERR_TOO_LARGE);
    cr_expect_eq(publisher->lost, 0);
    free(large);
    peer_close(&publisher);
}

Test(bus, what_can_be_no_event_is_refused_before_it_is_sent)
{
    struct bus_peer *publisher = peer_publisher(url);
    char *huge = mem_calloc(1, 300 * 1024 + 1);
    memset(huge, 'x', 300 * 1024);
    cr_expect_eq(bus_publish(publisher->bus, 0, "t", "k", "i", bytes_of_text(huge)), ERR_TOO_LARGE);
    cr_expect_eq(bus_publish(publisher->bus, 0, "Bad Topic", "k", "i", bytes_of_text("{}")),
                 ERR_INVALID);
    cr_expect_eq(bus_publish(publisher->bus, 0, "t", "k", "", bytes_of_text("{}")), ERR_INVALID);
    free(huge);
    peer_close(&publisher);
}

Test(bus, clients_may_not_write_dead_letters)
{
    struct bus_peer *publisher = peer_publisher(url);
    cr_assert(peer_publish(publisher, "dead-letter.payment", "k"));
    bus_flush(publisher->bus);
    PUMP_UNTIL(publisher->refused == 1, publisher);
    cr_expect_eq(publisher->last_err, ERR_INVALID);
    peer_close(&publisher);
}

Test(bus, publishes_without_acks_are_answered_when_sent_and_arrive)
{
    struct bus_peer *publisher =
        peer_open(&(struct bus_options){.url = url, .member = "publisher-1", .without_acks = true});
    struct bus_peer *consumer = peer_consumer(url, "payment", 1, "order-created");
    peer_answer_with(consumer, PEER_ACK);
    for (int i = 0; i < 50; i++) {
        cr_assert(peer_publish(publisher, "order-created", "k"));
    }
    bus_flush(publisher->bus);
    PUMP_UNTIL(publisher->published == 50 && consumer->deliveries_count == 50, consumer, publisher);
    cr_expect_eq(bus_in_flight(publisher->bus), 0);
    peer_close(&publisher);
    peer_close(&consumer);
}

Test(bus, a_url_that_is_none_is_refused)
{
    struct bus *bus = NULL;
    const char *problem = NULL;
    const char *const urls[] = {"", "http://x", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:x"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        const struct bus_options options = {.url = urls[i], .member = "a-1"};
        cr_expect_eq(bus_open(&bus, &options, &problem), ERR_INVALID, "%s", urls[i]);
        cr_expect_not_null(problem);
        cr_expect_null(bus);
    }
}

// --- groups

Test(bus, two_members_of_a_group_share_its_events)
{
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *first = peer_consumer(url, "payment", 1, "order-created");
    struct bus_peer *second = peer_consumer(url, "payment", 2, "order-created");
    peer_answer_with(first, PEER_ACK);
    peer_answer_with(second, PEER_ACK);
    char key[16];
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        cr_assert(peer_publish(publisher, "order-created", key));
    }
    bus_flush(publisher->bus);
    PUMP_UNTIL(first->deliveries_count + second->deliveries_count == 200, publisher, first, second);
    cr_expect_eq(peer_ids(first) + peer_ids(second), 200);
    cr_expect_gt(first->deliveries_count, 0);
    cr_expect_gt(second->deliveries_count, 0);
    peer_close(&publisher);
    peer_close(&first);
    peer_close(&second);
}

Test(bus, two_groups_each_get_every_event)
{
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *payment = peer_consumer(url, "payment", 1, "order-created");
    struct bus_peer *fraud = peer_consumer(url, "fraud", 1, "order-created");
    peer_answer_with(payment, PEER_ACK);
    peer_answer_with(fraud, PEER_ACK);
    publish(publisher, "order-created", "k", 50);
    PUMP_UNTIL(payment->deliveries_count == 50 && fraud->deliveries_count == 50, payment, fraud);
    cr_expect_eq(peer_ids(payment), 50);
    cr_expect_eq(peer_ids(fraud), 50);
    peer_close(&publisher);
    peer_close(&payment);
    peer_close(&fraud);
}

// A second group that has everything shows that the broker has dealt with it all.
Test(bus, a_member_holds_no_more_than_its_credit)
{
    static const char *const topics[] = {"order-created"};
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *limited = peer_open(&(struct bus_options){.url = url,
                                                               .member = "limited-1",
                                                               .group = "limited",
                                                               .topics = topics,
                                                               .topics_count = 1,
                                                               .credit = 3});
    struct bus_peer *marker = peer_consumer(url, "marker", 1, "order-created");
    peer_answer_with(marker, PEER_ACK);
    for (int i = 0; i < 20; i++) {
        cr_assert(peer_publish(publisher, "order-created", NULL)); // no key: no order to keep
    }
    bus_flush(publisher->bus);
    PUMP_UNTIL(marker->deliveries_count == 20 && limited->deliveries_count >= 3,
               publisher,
               marker,
               limited);
    cr_expect_eq(limited->deliveries_count, 3);

    ack(limited, 0); // frees one place
    PUMP_UNTIL(limited->deliveries_count >= 4, limited);

    bus_set_credit(limited->bus, 0); // stops it, what it holds stays held
    bus_flush(limited->bus);
    for (size_t i = 1; i < 4; i++) {
        ack(limited, i);
    }
    publish(publisher, "order-created", NULL, 1);
    PUMP_UNTIL(marker->deliveries_count == 21, marker, limited);
    cr_expect_eq(limited->deliveries_count, 4);

    bus_set_credit(limited->bus, 512);
    bus_flush(limited->bus);
    PUMP_UNTIL(limited->deliveries_count == 21, limited);
    peer_close(&publisher);
    peer_close(&limited);
    peer_close(&marker);
}

// --- failing

Test(bus, a_nacked_event_comes_again_after_its_delay_with_the_next_attempt)
{
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *consumer = peer_consumer(url, "payment", 1, "order-created");
    publish(publisher, "order-created", "k", 1);
    PUMP_UNTIL(consumer->deliveries_count == 1, consumer);
    const int64_t nacked_ms = clock_mono_ms();
    bus_nack(consumer->bus, delivery(consumer, 0), 300, "not now");
    bus_flush(consumer->bus);
    PUMP_UNTIL(consumer->deliveries_count == 2, consumer);
    cr_expect_geq(consumer->deliveries[1].at_ms - nacked_ms, 299);
    cr_expect_eq(delivery(consumer, 1)->attempt, 2);
    cr_expect_eq(delivery(consumer, 1)->offset, delivery(consumer, 0)->offset);
    ack(consumer, 1);
    peer_close(&publisher);
    peer_close(&consumer);
}

Test(bus, an_event_whose_retries_are_used_up_becomes_a_dead_letter)
{
    static const char *const topics[] = {"order-created"};
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *letters = peer_consumer(url, "letters", 1, "dead-letter.payment");
    struct bus_peer *consumer = peer_open(&(struct bus_options){.url = url,
                                                                .member = "payment-1",
                                                                .group = "payment",
                                                                .topics = topics,
                                                                .topics_count = 1,
                                                                .retries_max = 2});
    consumer->delay_ms = 0;
    peer_answer_with(consumer, PEER_NACK);
    publish(publisher, "order-created", "order-1", 1);
    PUMP_UNTIL(letters->deliveries_count == 1, letters, consumer);
    cr_expect_eq(consumer->deliveries_count, 3, "the first and two retries");
    cr_expect(bytes_equal_text(delivery(letters, 0)->id, "event-0"));
    cr_expect(bytes_equal_text(delivery(letters, 0)->key, "order-1"));
    cr_expect(bytes_equal_text(delivery(letters, 0)->body, "{}"));
    peer_close(&publisher);
    peer_close(&letters);
    peer_close(&consumer);
}

Test(bus, a_rejected_event_becomes_a_dead_letter_at_once)
{
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *letters = peer_consumer(url, "letters", 1, "dead-letter.payment");
    struct bus_peer *consumer = peer_consumer(url, "payment", 1, "order-created");
    publish(publisher, "order-created", "k", 2);
    PUMP_UNTIL(consumer->deliveries_count == 1, consumer);
    bus_reject(consumer->bus, delivery(consumer, 0), "cannot be");
    bus_flush(consumer->bus);
    PUMP_UNTIL(letters->deliveries_count == 1, letters, consumer);
    cr_expect(bytes_equal_text(delivery(letters, 0)->id, "event-0"));

    PUMP_UNTIL(consumer->deliveries_count == 2, consumer); // its key is free again
    cr_expect(bytes_equal_text(delivery(consumer, 1)->id, "event-1"));
    peer_close(&publisher);
    peer_close(&letters);
    peer_close(&consumer);
}

Test(bus, a_failing_event_holds_back_its_key_across_topics_and_no_other)
{
    static const char *const topics[] = {"order-created", "order-cancelled"};
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *consumer = peer_open(&(struct bus_options){.url = url,
                                                                .member = "payment-1",
                                                                .group = "payment",
                                                                .topics = topics,
                                                                .topics_count = 2,
                                                                .retries_max = 5});
    consumer->nack_only = "event-0";
    consumer->delay_ms = 50;
    peer_answer_with(consumer, PEER_NACK);
    cr_assert(peer_publish(publisher, "order-created", "failing"));
    cr_assert(peer_publish(publisher, "order-cancelled", "failing"));
    cr_assert(peer_publish(publisher, "order-created", "other"));
    bus_flush(publisher->bus);
    PUMP_UNTIL(peer_count_id(consumer, "event-0") == 3 && peer_count_id(consumer, "event-2") == 1,
               publisher,
               consumer);
    cr_expect_eq(peer_count_id(consumer, "event-1"), 0);

    peer_answer_with(consumer, PEER_ACK);
    PUMP_UNTIL(peer_count_id(consumer, "event-1") == 1, consumer);
    cr_expect_eq(peer_count_id(consumer, "event-0"), 4);
    peer_close(&publisher);
    peer_close(&consumer);
}

// --- members that go

Test(bus, a_member_that_says_bye_hands_its_events_to_others_at_once)
{
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *first = peer_consumer(url, "payment", 1, "order-created");
    publish(publisher, "order-created", NULL, 10);
    PUMP_UNTIL(first->deliveries_count == 10, first);
    struct bus_peer *second = peer_consumer(url, "payment", 2, "order-created");
    ack(first, 0);
    const int64_t left_ms = clock_mono_ms();
    bus_bye(first->bus, 1000);
    cr_expect_lt(clock_mono_ms() - left_ms, 900, "the broker answered");
    PUMP_UNTIL(second->deliveries_count == 9, second);
    cr_expect_lt(clock_mono_ms() - left_ms, 2000, "no silence had to be waited for");
    cr_expect_eq(delivery(second, 0)->attempt, 2);
    peer_close(&publisher);
    peer_close(&first);
    peer_close(&second);
}

Test(bus, a_newer_incarnation_takes_over_what_the_older_held)
{
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *older = peer_consumer(url, "payment", 1, "order-created");
    publish(publisher, "order-created", NULL, 5);
    PUMP_UNTIL(older->deliveries_count == 5, older);

    struct bus_peer *newer = peer_consumer(url, "payment", 1, "order-created");
    PUMP_UNTIL(newer->deliveries_count == 5, newer);
    cr_expect_eq(delivery(newer, 0)->attempt, 2);
    PUMP_UNTIL(older->lost == 1, older);
    cr_expect_not_null(strstr(older->last_detail, "evicted"), "%s", older->last_detail);
    peer_close(&older);
    peer_close(&newer);
    peer_close(&publisher);
}

// The child of a fork before this process has a ZeroMQ context: it consumes, and says
// over a pipe how many deliveries it got and sessions it lost.
static pid_t member_fork(int *report)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    const pid_t pid = fork();
    if (pid > 0) {
        close(ends[1]);
        *report = ends[0];
        return pid;
    }
    static const char *const topics[] = {"order-created"};
    struct bus_peer *peer = peer_open_unconnected(&(struct bus_options){.url = url,
                                                                        .member = "payment-1",
                                                                        .group = "payment",
                                                                        .topics = topics,
                                                                        .topics_count = 1,
                                                                        .heartbeat_ms = 200});
    size_t told = 0;
    for (int64_t deadline = clock_mono_ms() + 30000; clock_mono_ms() < deadline;) {
        peer_pump(peer, 5);
        if (peer->deliveries_count != told) {
            told = peer->deliveries_count;
            if (write(ends[1], "d", 1) != 1) {
                break;
            }
        }
        if (peer->lost > 0) {
            if (write(ends[1], "l", 1) != 1) {
                break;
            }
            peer->lost = 0;
        }
    }
    _exit(0);
}

static char report_read(int report)
{
    char letter = 0;
    cr_assert_eq(read(report, &letter, 1), 1);
    return letter;
}

Test(bus, a_stopped_member_loses_its_session_and_its_events_go_to_another)
{
    int report = -1;
    const pid_t member = member_fork(&report);
    struct bus_peer *publisher = peer_publisher(url);
    publish(publisher, "order-created", "k", 1);
    cr_expect_eq(report_read(report), 'd');
    struct bus_peer *other = peer_consumer(url, "payment", 2, "order-created");

    kill(member, SIGSTOP);
    PUMP_UNTIL(other->deliveries_count == 1, other);
    cr_expect_eq(delivery(other, 0)->attempt, 2);
    ack(other, 0);

    kill(member, SIGCONT);
    cr_expect_eq(report_read(report), 'l', "it learns that it was away");
    kill(member, SIGKILL);
    waitpid(member, NULL, 0);
    close(report);
    peer_close(&publisher);
    peer_close(&other);
}

Test(bus, a_killed_member_leaves_its_events_to_another)
{
    int report = -1;
    const pid_t member = member_fork(&report);
    struct bus_peer *publisher = peer_publisher(url);
    publish(publisher, "order-created", "k", 1);
    cr_expect_eq(report_read(report), 'd');
    struct bus_peer *other = peer_consumer(url, "payment", 2, "order-created");
    kill(member, SIGKILL);
    waitpid(member, NULL, 0);
    PUMP_UNTIL(other->deliveries_count == 1, other);
    close(report);
    peer_close(&publisher);
    peer_close(&other);
}

// --- a broker that goes

Test(bus, a_client_waits_for_a_broker_that_is_not_there_yet)
{
    broker_process_kill(broker);
    struct bus_peer *publisher =
        peer_open_unconnected(&(struct bus_options){.url = url, .member = "publisher-1"});
    cr_expect_not(peer_publish(publisher, "order-created", "k"));
    peer_pump(publisher, 5);
    broker_process_start(broker);
    PUMP_UNTIL(publisher->connected == 1, publisher);
    cr_expect_eq(publisher->lost, 0);
    cr_expect(peer_publish_again(publisher, "order-created", "k"));
    PUMP_UNTIL(publisher->published == 1, publisher);
    peer_close(&publisher);
}

Test(bus, what_was_unanswered_when_the_broker_died_is_published_again_and_arrives)
{
    struct bus_peer *publisher = peer_publisher(url);
    broker_process_kill(broker);
    for (int i = 0; i < 10; i++) {
        cr_assert(peer_publish(publisher, "order-created", "k"));
    }
    bus_flush(publisher->bus);
    PUMP_UNTIL(publisher->lost == 1, publisher);
    cr_expect_eq(publisher->published, 0);
    cr_expect_eq(bus_in_flight(publisher->bus), 0);
    cr_expect_not(bus_is_connected(publisher->bus));

    broker_process_start(broker);
    PUMP_UNTIL(publisher->connected == 2, publisher);
    cr_expect(peer_publish_again(publisher, "order-created", "k"));
    PUMP_UNTIL(publisher->published == 10, publisher);
    struct bus_peer *consumer = peer_consumer(url, "payment", 1, "order-created");
    peer_answer_with(consumer, PEER_ACK);
    PUMP_UNTIL(peer_ids(consumer) == 10, consumer);
    peer_close(&publisher);
    peer_close(&consumer);
}

Test(bus, a_broker_killed_again_and_again_loses_nothing_that_was_answered)
{
    enum {
        KILLS = 4,
        EVENTS = 500
    };
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *consumer = peer_consumer(url, "payment", 1, "order-created");
    peer_answer_with(consumer, PEER_ACK);
    for (int round = 0; round < KILLS; round++) {
        const size_t answered = publisher->published;
        for (int i = 0; i < EVENTS; i++) {
            peer_publish(publisher, "order-created", NULL);
            if (i % 50 == 0) {
                peer_pump(publisher, 0);
                peer_pump(consumer, 0);
            }
        }
        // In the middle: some are answered, others are not.
        PUMP_UNTIL(publisher->published > answered, publisher, consumer);
        broker_process_kill(broker);
        broker_process_start(broker);
        const size_t connected = publisher->connected;
        PUMP_UNTIL(publisher->connected > connected, publisher, consumer);
        cr_assert(peer_publish_again(publisher, "order-created", NULL));
    }
    PUMP_UNTIL(bus_in_flight(publisher->bus) == 0 && peer_ids(consumer) == (size_t)KILLS * EVENTS,
               publisher,
               consumer);
    cr_expect_eq(publisher->published, (size_t)KILLS * EVENTS);
    peer_close(&publisher);
    peer_close(&consumer);
}

Test(bus, acks_and_attempts_survive_a_killed_broker)
{
    struct bus_peer *publisher = peer_publisher(url);
    struct bus_peer *consumer = peer_consumer(url, "payment", 1, "order-created");
    publish(publisher, "order-created", "first", 1);
    publish(publisher, "order-created", "second", 1);
    PUMP_UNTIL(consumer->deliveries_count == 2, consumer);
    ack(consumer, 0);
    bus_nack(consumer->bus, delivery(consumer, 1), 0, "once");
    bus_flush(consumer->bus);
    PUMP_UNTIL(consumer->deliveries_count == 3, consumer);
    // The groups may lag by 100 ms: outlive that.
    const int64_t saved_ms = clock_mono_ms() + 500;
    PUMP_UNTIL(clock_mono_ms() > saved_ms, consumer);

    broker_process_kill(broker);
    broker_process_start(broker);
    PUMP_UNTIL(consumer->deliveries_count == 4, consumer);

    cr_expect(bytes_equal_text(delivery(consumer, 3)->key, "second"));
    cr_expect_geq(delivery(consumer, 3)->attempt, 3);
    cr_expect_eq(consumer->lost, 1);
    peer_close(&publisher);
    peer_close(&consumer);
}

Test(bus, a_paused_broker_loses_its_clients_and_has_them_back_when_it_resumes)
{
    struct bus_peer *publisher =
        peer_open(&(struct bus_options){.url = url, .member = "publisher-1", .heartbeat_ms = 200});
    kill(broker_process_pid(broker), SIGSTOP);
    PUMP_UNTIL(publisher->lost == 1, publisher);
    cr_expect_not_null(strstr(publisher->last_detail, "silent"), "%s", publisher->last_detail);
    kill(broker_process_pid(broker), SIGCONT);
    PUMP_UNTIL(publisher->connected == 2, publisher);
    publish(publisher, "order-created", "k", 1);
    peer_close(&publisher);
}

// More messages than a socket queues: the client must keep them, in order.
Test(bus, what_a_paused_broker_cannot_take_waits_and_is_answered_later)
{
    enum {
        EVENTS = 5000
    };
    struct bus_peer *publisher = peer_publisher(url);
    kill(broker_process_pid(broker), SIGSTOP);
    for (int i = 0; i < EVENTS; i++) {
        cr_assert(peer_publish(publisher, "order-created", "k"));
        bus_flush(publisher->bus); // a message each
    }
    peer_pump(publisher, 0);
    kill(broker_process_pid(broker), SIGCONT);
    PUMP_UNTIL(publisher->published == EVENTS, publisher);
    cr_expect_eq(publisher->last_offset, EVENTS - 1);
    cr_expect_eq(publisher->lost, 0);
    peer_close(&publisher);
}

Test(bus, clients_hear_at_once_of_a_broker_that_stops)
{
    struct bus_peer *publisher = peer_publisher(url);
    const int64_t asked_ms = clock_mono_ms();
    cr_expect_eq(broker_process_stop(broker, STOP_TIMEOUT_MS), 0);
    PUMP_UNTIL(publisher->lost == 1, publisher);
    cr_expect_lt(clock_mono_ms() - asked_ms, 2000, "no silence had to be waited for");
    broker_process_start(broker);
    PUMP_UNTIL(publisher->connected == 2, publisher);
    peer_close(&publisher);
}

Test(bus, a_full_disk_refuses_publishes_for_now_and_reading_goes_on)
{
    struct broker_process *small = broker_process_new(
        (const char *const[]){"SEGMENT_BYTES=1048576", "DISK_BYTES_MAX=2097152", NULL});
    struct bus_peer *publisher = peer_publisher(broker_process_url(small));
    while (publisher->refused == 0) {
        cr_assert(peer_publish(publisher, "order-created", NULL));
        bus_flush(publisher->bus);
        PUMP_UNTIL(bus_in_flight(publisher->bus) < 1000, publisher);
    }
    PUMP_UNTIL(bus_in_flight(publisher->bus) == 0, publisher);
    cr_expect_eq(publisher->last_err, ERR_FULL);
    cr_expect_gt(publisher->published, 1000);
    cr_expect_eq(publisher->lost, 0);

    struct bus_peer *consumer =
        peer_consumer(broker_process_url(small), "payment", 1, "order-created");
    peer_answer_with(consumer, PEER_ACK);
    PUMP_UNTIL(consumer->deliveries_count == publisher->published, consumer);
    cr_expect_eq(broker_process_stop(small, STOP_TIMEOUT_MS), 0);
    peer_close(&publisher);
    peer_close(&consumer);
    broker_process_destroy(&small);
}

Test(bus, an_idle_session_lasts)
{
    struct bus_peer *peer =
        peer_open(&(struct bus_options){.url = url, .member = "idle-1", .heartbeat_ms = 100});
    const int64_t until_ms = clock_mono_ms() + 1500;
    PUMP_UNTIL(clock_mono_ms() > until_ms, peer);
    cr_expect_eq(peer->lost, 0);
    cr_expect(bus_is_connected(peer->bus));
    peer_close(&peer);
}
