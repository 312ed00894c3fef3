// Clients that break the rules of docs/protocol.md, or speak something else, beside
// what test_broker_protocol.c asks: whatever it is sent, the broker answers as
// documented, serves the others and stays up.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/support/broker_process.h"
#include "tests/support/raw_client.h"

static struct broker_process *broker;
static struct raw_client *client;
static struct wire_control got; // the last message expected
static struct bytes got_batch;

static void start(void)
{
    broker = broker_process_new(NULL);
    client = raw_client_new(broker_process_url(broker));
}

// Whatever a test sent, a client that behaves is served afterwards.
static void stop(void)
{
    raw_client_destroy(&client);
    struct raw_client *healthy = raw_client_new(broker_process_url(broker));
    raw_client_hello(healthy, "healthy-1", 1);
    raw_client_publish(healthy, "order-created", "k", "healthy", "{}");
    raw_client_destroy(&healthy);
    cr_expect_eq(broker_process_stop(broker, 5000), 0);
    broker_process_destroy(&broker);
}

TestSuite(broker_rubbish, .init = start, .fini = stop, .timeout = 60);

static void expect(enum wire_type type)
{
    raw_client_expect(client, type, &got, &got_batch);
}

static void expect_error(const char *code)
{
    expect(WIRE_ERROR);
    cr_assert(bytes_equal_text(got.code, code),
              "%.*s: %.*s",
              (int)got.code.size,
              (const char *)got.code.data,
              (int)got.detail.size,
              (const char *)got.detail.data);
}

static void begin_session(void)
{
    raw_client_hello(client, "payment-1", 1000);
}

static void begin_member(void)
{
    begin_session();
    raw_client_subscribe(client, "payment", 100, (const char *const[]){"order-created", NULL});
}

static void send_control(const struct wire_control *control)
{
    raw_client_send(client, control, (struct bytes){0});
}

static void send_type(enum wire_type type)
{
    send_control(&(struct wire_control){.type = type});
}

static void send_hello(uint64_t incarnation, uint32_t heartbeat_ms)
{
    send_control(&(struct wire_control){.type = WIRE_HELLO,
                                        .member = bytes_of_text("a-1"),
                                        .incarnation = incarnation,
                                        .heartbeat_ms = heartbeat_ms});
}

// The session is alive when it answers a READ.
static void expect_session_lasts(void)
{
    send_control(&(struct wire_control){.type = WIRE_READ, .request = 99, .credit = 1});
    expect(WIRE_RECORDS);
    cr_expect_eq(got.request, 99);
}

static void record_put(struct buf *batch, const char *topic, const char *body)
{
    static int records;
    char id[16];
    snprintf(id, sizeof id, "e-%d", ++records);
    const struct record record = {
        .topic = bytes_of_text(topic), .id = bytes_of_text(id), .body = bytes_of_text(body)};
    cr_assert_eq(record_append(batch, &record), ERR_OK);
}

static char *body_of(size_t size)
{
    char *body = mem_calloc(1, size + 1);
    memset(body, 'x', size);
    return body;
}

// --- sessions

Test(broker_rubbish, welcome_gives_the_smaller_heartbeat_and_the_limit_of_events)
{
    send_hello(1, 60000);
    expect(WIRE_WELCOME);
    cr_expect_eq(got.heartbeat_ms, 1000);
    cr_expect_eq(got.event_bytes_max, 65536);
    send_hello(2, 200);
    expect(WIRE_WELCOME);
    cr_expect_eq(got.heartbeat_ms, 200);
}

Test(broker_rubbish, hello_on_a_connection_with_a_session_begins_a_new_one)
{
    begin_member();
    raw_client_hello(client, "payment-1", 1000);
    send_type(WIRE_CREDIT);
    expect_error(WIRE_CODE_NOT_SUBSCRIBED);
}

Test(broker_rubbish, an_ended_session_is_forgotten_with_its_incarnation)
{
    begin_session();
    send_type(WIRE_BYE);
    expect(WIRE_BYE);
    send_type(WIRE_CREDIT);
    expect_error(WIRE_CODE_NO_SESSION);
    raw_client_hello(client, "payment-1", 1);
}

Test(broker_rubbish, ping_is_answered_with_pong)
{
    begin_session();
    send_type(WIRE_PING);
    cr_assert(raw_client_receive(client, RAW_CLIENT_WAIT_MS, &got, &got_batch));
    cr_expect_eq(got.type, WIRE_PONG);
}

// --- groups

Test(broker_rubbish, answers_without_a_group_are_refused)
{
    struct buf acks = {0};
    wire_ack_append(&acks, (struct wire_ack){.offset = 1, .count = 1, .attempt = 1});
    begin_session();
    send_type(WIRE_CREDIT);
    expect_error(WIRE_CODE_NOT_SUBSCRIBED);
    raw_client_send(client, &(struct wire_control){.type = WIRE_ACK, .count = 1}, buf_view(&acks));
    expect_error(WIRE_CODE_NOT_SUBSCRIBED);
    send_control(&(struct wire_control){.type = WIRE_NACK, .offset = 1, .count = 1, .attempt = 1});
    expect_error(WIRE_CODE_NOT_SUBSCRIBED);
    send_control(
        &(struct wire_control){.type = WIRE_REJECT, .offset = 1, .count = 1, .attempt = 1});
    expect_error(WIRE_CODE_NOT_SUBSCRIBED);
    expect_session_lasts();
    buf_release(&acks);
}

Test(broker_rubbish, answers_to_what_was_never_delivered_change_nothing)
{
    begin_member();
    const uint64_t offset = raw_client_publish(client, "order-created", "k", "a", "{}");
    struct wire_delivered delivered;
    raw_client_delivery(client, &delivered);
    raw_client_ack(client, offset, 2);
    raw_client_ack(client, 12345, 1);
    send_control(
        &(struct wire_control){.type = WIRE_REJECT, .offset = UINT64_MAX, .attempt = UINT32_MAX});

    send_control(&(struct wire_control){.type = WIRE_NACK, .offset = offset, .attempt = 1});

    raw_client_delivery(client, &delivered); // it was still held, so the nack counted
    cr_expect_eq(delivered.offset, offset);
    cr_expect_eq(delivered.attempt, 2);
}

Test(broker_rubbish, a_dead_letter_says_where_it_comes_from_and_why)
{
    begin_member();
    raw_client_publish(client, "order-created", "k", "a", "{}");
    struct wire_delivered letter;
    raw_client_delivery(client, &letter);
    send_control(&(struct wire_control){
        .type = WIRE_REJECT, .offset = 0, .attempt = 1, .detail = bytes_of_text("cannot be")});
    struct raw_client *reader = raw_client_new(broker_process_url(broker));
    raw_client_hello(reader, "letters-1", 1);
    raw_client_subscribe(reader, "letters", 10, (const char *const[]){"dead-letter.payment", NULL});

    raw_client_delivery(reader, &letter);

    cr_expect(bytes_equal_text(letter.record.id, "a"));
    char *headers =
        mem_strndup((const char *)letter.record.headers.data, letter.record.headers.size);
    static const char *const members[] = {"\"group\":\"payment\"",
                                          "\"topic\":\"order-created\"",
                                          "\"offset\":0",
                                          "\"attempts\":1",
                                          "\"failures\":1",
                                          "\"error\":\"cannot be\"",
                                          "\"first_failed_at\":",
                                          "\"dead_at\":"};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        cr_expect_not_null(strstr(headers, members[i]), "%s misses %s", headers, members[i]);
    }
    free(headers);
    raw_client_destroy(&reader);
}

// --- reading

Test(broker_rubbish, read_answers_are_at_most_a_megabyte)
{
    begin_session();
    char *body = body_of(60 * 1024);
    struct buf batch = {0};
    for (uint64_t request = 1; request <= 2; request++) {
        buf_clear(&batch);
        for (int i = 0; i < 15; i++) {
            record_put(&batch, "order-created", body);
        }
        const struct wire_control publish = {
            .type = WIRE_PUBLISH, .request = request, .acks = WIRE_ACKS_ALL, .count = 15};
        raw_client_send(client, &publish, buf_view(&batch));
        expect(WIRE_PUBLISHED);
    }
    send_control(&(struct wire_control){.type = WIRE_READ, .request = 3, .credit = 4096});
    expect(WIRE_RECORDS);
    cr_expect_lt(got.count, 30);
    cr_expect_gt(got.count, 10);
    cr_expect_leq(got_batch.size, WIRE_BATCH_BYTES_MAX);
    buf_release(&batch);
    free(body);
}

// --- publishing what is wrong

Test(broker_rubbish, a_batch_whose_count_does_not_fit_is_malformed)
{
    begin_session();
    struct buf batch = {0};
    record_put(&batch, "order-created", "{}");
    const struct wire_control publish = {
        .type = WIRE_PUBLISH, .request = 42, .acks = WIRE_ACKS_ALL, .count = 2};
    raw_client_send(client, &publish, buf_view(&batch));
    expect_error(WIRE_CODE_MALFORMED);
    record_put(&batch, "order-created", "{}");
    record_put(&batch, "order-created", "{}");
    raw_client_send(client, &publish, buf_view(&batch));
    expect_error(WIRE_CODE_MALFORMED);
    expect_session_lasts();
    buf_release(&batch);
}

Test(broker_rubbish, without_acks_only_errors_are_answered)
{
    begin_session();
    struct buf batch = {0};
    record_put(&batch, "order-created", "{}");
    struct wire_control publish = {
        .type = WIRE_PUBLISH, .request = 1, .acks = WIRE_ACKS_NONE, .count = 1};
    raw_client_send(client, &publish, buf_view(&batch));
    buf_clear(&batch);
    record_put(&batch, "dead-letter.x", "{}");
    publish.request = 2;
    raw_client_send(client, &publish, buf_view(&batch));
    expect_error(WIRE_CODE_FORBIDDEN);
    cr_expect_eq(got.request, 2);
    buf_release(&batch);
}

// --- rubbish

static struct wire_control sample(enum wire_type type)
{
    return (struct wire_control){.type = type,
                                 .member = bytes_of_text("cut-1"),
                                 .incarnation = 1,
                                 .heartbeat_ms = 1000,
                                 .group = bytes_of_text("cut"),
                                 .credit = 1,
                                 .topics_count = 1,
                                 .topics = {bytes_of_text("t")},
                                 .request = 1,
                                 .count = 1,
                                 .attempt = 1,
                                 .event_bytes_max = 1,
                                 .code = bytes_of_text("c"),
                                 .detail = bytes_of_text("d")};
}

Test(broker_rubbish, every_truncated_control_frame_is_malformed)
{
    static const enum wire_type types[] = {WIRE_HELLO,
                                           WIRE_SUBSCRIBE,
                                           WIRE_CREDIT,
                                           WIRE_PUBLISH,
                                           WIRE_ACK,
                                           WIRE_NACK,
                                           WIRE_REJECT,
                                           WIRE_READ,
                                           WIRE_BYE,
                                           WIRE_PING};
    begin_member();
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct buf frame = {0};
        const struct wire_control control = sample(types[i]);
        wire_control_append(&frame, &control);
        for (size_t size = 0; size < frame.size; size++) {
            const struct bytes frames[] = {{.data = frame.data, .size = size}, {0}};
            raw_client_send_frames(client, frames, wire_type_has_batch(types[i]) ? 2 : 1);
            expect_error(WIRE_CODE_MALFORMED);
        }
        buf_release(&frame);
    }
    expect_session_lasts();
}

Test(broker_rubbish, a_batch_missing_or_cut_short_is_malformed)
{
    begin_member();
    struct buf frame = {0};
    wire_control_append(&frame, &(struct wire_control){.type = WIRE_ACK, .count = 2});
    struct buf acks = {0};
    wire_ack_append(&acks, (struct wire_ack){.offset = 0, .count = 1, .attempt = 1});
    wire_ack_append(&acks, (struct wire_ack){.offset = 1, .count = 1, .attempt = 1});
    for (size_t size = 0; size < acks.size; size++) {
        const struct bytes frames[] = {buf_view(&frame), {.data = acks.data, .size = size}};
        raw_client_send_frames(client, frames, 2);
        expect_error(WIRE_CODE_MALFORMED);
    }
    const struct bytes alone[] = {buf_view(&frame)};
    raw_client_send_frames(client, alone, 1);
    expect_error(WIRE_CODE_MALFORMED);
    expect_session_lasts();
    buf_release(&frame);
    buf_release(&acks);
}

Test(broker_rubbish, random_frames_after_a_good_hello_never_stop_the_broker)
{
    begin_member();
    uint32_t state = 20261123;
    for (int round = 0; round < 5000; round++) {
        uint8_t bytes[96];
        for (size_t i = 0; i < sizeof bytes; i++) {
            state = state * 1664525 + 1013904223;
            bytes[i] = (uint8_t)(state >> 24);
        }
        bytes[0] = WIRE_VERSION;
        bytes[1] = (uint8_t)(state >> 20 & 0x0f); // mostly types that clients may send
        const size_t size = 2 + (state >> 8) % 90;
        const struct bytes frames[] = {{.data = bytes, .size = size}, {.data = bytes, .size = 48}};
        raw_client_send_frames(client, frames, 1 + (state >> 28 & 1));
    }
    struct raw_client *other =
        raw_client_new(broker_process_url(broker)); // read on elsewhere: these go unread
    raw_client_hello(other, "other-1", 1);
    raw_client_publish(other, "order-created", "k", "a", "{}");
    raw_client_destroy(&other);
}

// --- raw TCP

static uint16_t bus_port(void)
{
    return (uint16_t)atoi(strrchr(broker_process_url(broker), ':') + 1);
}

static int tcp_connect(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(bus_port()),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void tcp_say(const void *data, size_t size)
{
    const int fd = tcp_connect();
    const ssize_t sent = send(fd, data, size, MSG_NOSIGNAL); // it may hang up in between
    (void)sent;
    close(fd);
}

Test(broker_rubbish, bytes_that_are_not_even_zeromq_only_cost_their_connection)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    static const uint8_t greeting[] = {
        0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    uint8_t noise[4096];
    uint32_t state = 7;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof noise; i++) {
            state = state * 1664525 + 1013904223;
            noise[i] = (uint8_t)(state >> 24);
        }
        tcp_say(noise, 1 + state % sizeof noise);
        tcp_say(greeting, 1 + state % sizeof greeting);
    }
    tcp_say(request, sizeof request - 1);
    tcp_say("", 0);
    const int silent = tcp_connect(); // and one that never says anything
    begin_session();
    expect_session_lasts();
    close(silent);
}

Test(broker_rubbish, a_message_over_two_megabytes_closes_the_connection_and_no_other)
{
    begin_session();
    struct raw_client *other = raw_client_new(broker_process_url(broker));
    raw_client_hello(other, "other-1", 1);
    const size_t size = 3 * 1024 * 1024;
    uint8_t *data = mem_calloc(size, 1);
    const struct bytes frames[] = {{.data = data, .size = size}};
    raw_client_send_frames(client, frames, 1);
    raw_client_publish(other, "order-created", "k", "a", "{}");
    raw_client_destroy(&other);
    free(data);
}
