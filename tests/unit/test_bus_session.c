// The client's half of the protocol, without a socket: every message it says and
// every input it gives is a matter of what came in and what time it is.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus_session.h"
#include "common/mem.h"
#include "common/wire.h"

enum {
    HEARTBEAT_MS = 1000,
    WALL_US = 1700000000
};

static struct bus_session *session;
static int64_t now_ms;
static struct buf out_control; // of the last message taken off, for views to stay
static struct buf out_batch;
static struct buf in_control; // of the last message given
static struct buf in_batch;
static struct bus_input inputs[16384];

static const char *const topics[] = {"order-created", "order-confirmed"};

static void open_with(const struct bus_options *options)
{
    const char *problem = NULL;
    cr_assert_eq(bus_session_new(&session, options, 7, &problem), ERR_OK, "%s", problem);
    now_ms = 5000;
    bus_session_tick(session, now_ms, WALL_US);
}

static void open_consumer(void)
{
    open_with(&(struct bus_options){.member = "payment-1",
                                    .group = "payment",
                                    .topics = topics,
                                    .topics_count = ARRAY_LEN(topics),
                                    .retries_max = 3,
                                    .heartbeat_ms = HEARTBEAT_MS});
}

static void open_publisher(void)
{
    open_with(&(struct bus_options){.member = "order-1", .heartbeat_ms = HEARTBEAT_MS});
}

static void close_session(void)
{
    bus_session_destroy(&session);
    buf_release(&out_control);
    buf_release(&out_batch);
    buf_release(&in_control);
    buf_release(&in_batch);
}

// Takes the oldest message off and returns what it says.
static struct wire_control said(void)
{
    const struct bus_message *message = session->out.first;
    cr_assert_not_null(message, "nothing was said");
    buf_clear(&out_control);
    buf_put(&out_control, message->control.data, message->control.size);
    buf_clear(&out_batch);
    buf_put(&out_batch, message->batch.data, message->batch.size);
    bus_session_sent(session, now_ms);
    struct wire_control parsed;
    const char *problem = NULL;
    cr_assert_eq(wire_control_parse(buf_view(&out_control), &parsed, &problem), ERR_OK);
    cr_expect_eq(wire_type_has_batch(parsed.type), out_batch.size > 0);
    return parsed;
}

static void expect_said(enum wire_type type)
{
    const struct wire_control control = said();
    cr_expect_eq(
        control.type, type, "said %s, not %s", wire_type_name(control.type), wire_type_name(type));
}

static void expect_silent(void)
{
    cr_expect_null(session->out.first);
}

static void hear_with(const struct wire_control *control)
{
    buf_clear(&in_control);
    wire_control_append(&in_control, control);
    bus_session_receive(session,
                        buf_view(&in_control),
                        buf_view(&in_batch),
                        wire_type_has_batch(control->type) ? 2 : 1,
                        now_ms);
}

static void hear(enum wire_type type)
{
    hear_with(&(struct wire_control){.type = type});
}

static void hear_error(uint64_t request, uint32_t index, const char *code)
{
    hear_with(&(struct wire_control){.type = WIRE_ERROR,
                                     .request = request,
                                     .index = index,
                                     .code = bytes_of_text(code),
                                     .detail = bytes_of_text("the detail")});
}

static size_t take(void)
{
    return bus_session_take(session, inputs, ARRAY_LEN(inputs), now_ms);
}

static void expect_one(enum bus_input_kind kind)
{
    cr_assert_eq(take(), 1);
    cr_expect_eq(inputs[0].kind, kind);
}

static void expect_lost(const char *why)
{
    expect_one(BUS_LOST);
    cr_assert_not_null(inputs[0].detail);
    cr_expect_not_null(strstr(inputs[0].detail, why), "'%s'", inputs[0].detail);
    cr_expect_neq(session->state, SESSION_UP);
    cr_expect_eq(bus_session_connection(session), 0);
    cr_expect_eq(session->in_flight, 0);
    expect_silent();
}

static void pass(int64_t ms)
{
    now_ms += ms;
    bus_session_tick(session, now_ms, WALL_US);
}

static void welcome(void)
{
    hear_with(&(struct wire_control){
        .type = WIRE_WELCOME, .heartbeat_ms = HEARTBEAT_MS, .event_bytes_max = 65536});
}

static void subscribed(void)
{
    hear_with(&(struct wire_control){.type = WIRE_SUBSCRIBED, .group = bytes_of_text("payment")});
}

// Brings the session up, past its first words.
static void connect_publisher(void)
{
    open_publisher();
    expect_said(WIRE_HELLO);
    welcome();
    expect_one(BUS_CONNECTED);
}

static void connect_consumer(void)
{
    open_consumer();
    expect_said(WIRE_HELLO);
    welcome();
    expect_said(WIRE_SUBSCRIBE);
    subscribed();
    expect_one(BUS_CONNECTED);
}

static enum err publish(uint64_t tag)
{
    char id[32];
    snprintf(id, sizeof id, "event-%llu", (unsigned long long)tag);
    return bus_session_publish(session,
                               tag,
                               &(struct record){.topic = bytes_of_text("order-created"),
                                                .key = bytes_of_text("k"),
                                                .id = bytes_of_text(id),
                                                .body = bytes_of_text("{}")});
}

static void published(uint64_t request, uint64_t offset, uint32_t count)
{
    hear_with(&(struct wire_control){
        .type = WIRE_PUBLISHED, .request = request, .offset = offset, .count = count});
}

static void deliver_put(uint64_t offset, uint32_t attempt, bool damaged)
{
    struct buf record = {0};
    cr_assert_eq(record_append(&record,
                               &(struct record){.topic = bytes_of_text("order-created"),
                                                .key = bytes_of_text("k"),
                                                .id = bytes_of_text("e"),
                                                .body = bytes_of_text("{}")}),
                 ERR_OK);
    if (damaged) {
        record.data[record.size - 1] ^= 1;
    }
    wire_delivered_append(&in_batch,
                          &(struct wire_delivered){.offset = offset,
                                                   .time_us = 99,
                                                   .attempt = attempt,
                                                   .record = {.whole = buf_view(&record)}});
    buf_release(&record);
}

TestSuite(bus_session, .fini = close_session);

// --- opening

static void expect_refused(struct bus_options options, const char *words)
{
    const char *problem = NULL;
    struct bus_session *none = NULL;
    cr_expect_eq(bus_session_new(&none, &options, 1, &problem), ERR_INVALID);
    cr_expect_null(none);
    cr_assert_not_null(problem);
    cr_expect_not_null(strstr(problem, words), "'%s' does not say '%s'", problem, words);
}

Test(bus_session, malformed_options_are_refused_and_named)
{
    static const char *const bad_topics[] = {"Order Created"};
    expect_refused((struct bus_options){0}, "member");
    expect_refused((struct bus_options){.member = "Payment 1"}, "member");
    expect_refused((struct bus_options){.member = "a", .group = "x y"}, "group");
    expect_refused((struct bus_options){.member = "a", .group = "g"}, "topics");
    expect_refused(
        (struct bus_options){
            .member = "a", .group = "g", .topics = topics, .topics_count = WIRE_TOPICS_MAX + 1},
        "topics");
    expect_refused(
        (struct bus_options){.member = "a", .group = "g", .topics = bad_topics, .topics_count = 1},
        "topic");
    expect_refused((struct bus_options){.member = "a", .credit = WIRE_CREDIT_MAX + 1}, "credit");
    expect_refused((struct bus_options){.member = "a", .heartbeat_ms = 49}, "heartbeat_ms");
    expect_refused((struct bus_options){.member = "a", .heartbeat_ms = 60001}, "heartbeat_ms");
}

Test(bus_session, hello_comes_first_and_a_publisher_is_up_when_welcomed)
{
    open_publisher();
    const struct wire_control hello = said();
    cr_expect_eq(hello.type, WIRE_HELLO);
    cr_expect(bytes_equal_text(hello.member, "order-1"));
    cr_expect_eq(hello.incarnation, WALL_US);
    cr_expect_eq(hello.heartbeat_ms, HEARTBEAT_MS);
    cr_expect_neq(session->state, SESSION_UP);
    cr_expect_eq(publish(1), ERR_UNAVAILABLE);

    welcome();

    expect_one(BUS_CONNECTED);
    cr_expect_eq(session->state, SESSION_UP);
    expect_silent();
}

Test(bus_session, a_consumer_is_up_when_subscribed)
{
    open_consumer();
    expect_said(WIRE_HELLO);
    welcome();
    cr_expect_neq(session->state, SESSION_UP);
    const struct wire_control subscribe = said();
    cr_expect_eq(subscribe.type, WIRE_SUBSCRIBE);
    cr_expect(bytes_equal_text(subscribe.group, "payment"));
    cr_expect_eq(subscribe.credit, BUS_CREDIT_DEFAULT);
    cr_expect_eq(subscribe.retries_max, 3);
    cr_expect_eq(subscribe.offset_reset, WIRE_EARLIEST);
    cr_expect_eq(subscribe.topics_count, 2);
    cr_expect_eq(take(), 0);

    subscribed();

    expect_one(BUS_CONNECTED);
    cr_expect_eq(session->state, SESSION_UP);
}

// --- time

Test(bus_session, a_greeting_without_an_answer_is_repeated_on_a_new_connection)
{
    open_publisher();
    const uint64_t first = bus_session_connection(session);
    const struct wire_control hello = said();
    const uint64_t incarnation = hello.incarnation;
    pass(3 * HEARTBEAT_MS - 1);
    cr_expect_eq(bus_session_connection(session), first);
    pass(1);
    cr_expect_eq(take(), 0, "there was no session that could be lost");
    pass(0);
    cr_expect_neq(bus_session_connection(session), first);
    const struct wire_control again = said();
    cr_expect_eq(again.type, WIRE_HELLO);
    cr_expect_gt(again.incarnation, incarnation);
}

Test(bus_session, who_has_said_nothing_for_a_heartbeat_pings)
{
    connect_publisher();
    cr_expect_eq(bus_session_due_ms(session), now_ms + HEARTBEAT_MS);
    pass(HEARTBEAT_MS - 1);
    expect_silent();
    pass(1);
    expect_said(WIRE_PING);
    pass(HEARTBEAT_MS - 1);
    expect_silent();
    cr_expect_eq(bus_session_due_ms(session), now_ms + 1);
}

Test(bus_session, a_ping_is_answered)
{
    connect_publisher();
    hear(WIRE_PING);
    expect_said(WIRE_PONG);
}

Test(bus_session, three_heartbeats_of_silence_lose_the_session)
{
    connect_publisher();
    cr_assert_eq(publish(1), ERR_OK);
    bus_session_flush(session);
    pass(3 * HEARTBEAT_MS - 1);
    cr_expect_eq(session->state, SESSION_UP);
    pass(1);
    expect_lost("silent for 3000 ms");
}

Test(bus_session, any_message_ends_the_silence)
{
    connect_publisher();
    for (int i = 0; i < 10; i++) {
        pass(2 * HEARTBEAT_MS);
        hear(WIRE_PONG);
    }
    cr_expect_eq(session->state, SESSION_UP);
}

Test(bus_session, the_heartbeat_of_welcome_is_the_one_that_holds)
{
    open_publisher();
    expect_said(WIRE_HELLO);
    hear_with(&(struct wire_control){
        .type = WIRE_WELCOME, .heartbeat_ms = 100, .event_bytes_max = 65536});
    expect_one(BUS_CONNECTED);
    pass(100);
    expect_said(WIRE_PING);
    pass(200);
    expect_lost("silent for 300 ms");
}

Test(bus_session, pauses_double_up_to_their_limit_with_jitter_and_begin_anew_after_a_long_session)
{
    connect_publisher();
    int64_t longest = BUS_BACKOFF_MIN_MS;
    for (int i = 0; i < 10; i++) {
        hear_error(0, WIRE_INDEX_NONE, WIRE_CODE_NO_SESSION);
        expect_lost("no-session");
        const int64_t pause = bus_session_due_ms(session) - now_ms;
        cr_expect_geq(pause, longest / 2);
        cr_expect_leq(pause, longest);
        longest = longest * 2 < BUS_BACKOFF_MAX_MS ? longest * 2 : BUS_BACKOFF_MAX_MS;

        pass(pause - 1);
        cr_expect_eq(bus_session_connection(session), 0);
        pass(1);
        expect_said(WIRE_HELLO);
        welcome();
        expect_one(BUS_CONNECTED);
    }
    pass(BUS_BACKOFF_MAX_MS);
    hear_error(0, WIRE_INDEX_NONE, WIRE_CODE_NO_SESSION);
    cr_expect_leq(bus_session_due_ms(session) - now_ms, BUS_BACKOFF_MIN_MS);
}

Test(bus_session, incarnations_grow_though_the_wall_clock_stands_still)
{
    open_publisher();
    uint64_t last = 0;
    for (int i = 0; i < 5; i++) {
        const struct wire_control hello = said();
        cr_expect_gt(hello.incarnation, last);
        last = hello.incarnation;
        hear_error(0, WIRE_INDEX_NONE, WIRE_CODE_STALE);
        expect_lost("stale-incarnation");
        pass(BUS_BACKOFF_MAX_MS);
    }
}

// --- losing

Test(bus_session, errors_about_the_session_end_it_and_say_why)
{
    static const char *const codes[] = {WIRE_CODE_NO_SESSION,
                                        WIRE_CODE_EVICTED,
                                        WIRE_CODE_STALE,
                                        WIRE_CODE_LIMIT,
                                        WIRE_CODE_MALFORMED,
                                        WIRE_CODE_NOT_SUBSCRIBED};
    connect_publisher();
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        hear_error(0, WIRE_INDEX_NONE, codes[i]);
        expect_lost(codes[i]);
        pass(BUS_BACKOFF_MAX_MS);
        expect_said(WIRE_HELLO);
        welcome();
        expect_one(BUS_CONNECTED);
    }
}

Test(bus_session, a_refused_hello_is_told_to_the_owner)
{
    open_publisher();
    expect_said(WIRE_HELLO);
    hear_error(0, WIRE_INDEX_NONE, WIRE_CODE_LIMIT);
    expect_lost("limit-reached: the detail");
}

Test(bus_session, bye_from_the_broker_ends_the_session)
{
    connect_publisher();
    hear(WIRE_BYE);
    expect_lost("stopped");
}

Test(bus_session, what_the_broker_must_not_say_ends_the_session)
{
    connect_publisher();
    welcome(); // again
    expect_lost("WELCOME out of turn");
    pass(BUS_BACKOFF_MAX_MS);
    expect_said(WIRE_HELLO);
    hear(WIRE_CREDIT);
    cr_expect_eq(bus_session_connection(session), 0);
    pass(BUS_BACKOFF_MAX_MS);
    expect_said(WIRE_HELLO);
    bus_session_receive(session, bytes_of_text("rubbish"), (struct bytes){0}, 1, now_ms);
    cr_expect_eq(bus_session_connection(session), 0);
}

Test(bus_session, a_message_with_too_many_frames_ends_the_session)
{
    connect_publisher();
    buf_clear(&in_control);
    wire_control_append(&in_control, &(struct wire_control){.type = WIRE_PONG});
    bus_session_receive(session, buf_view(&in_control), bytes_of_text("more"), 2, now_ms);
    expect_lost("PONG out of turn");
}

// --- publishing

Test(bus_session, publishes_gather_until_the_flush_and_each_gets_its_answer)
{
    connect_publisher();
    for (uint64_t tag = 10; tag < 13; tag++) {
        cr_expect_eq(publish(tag), ERR_OK);
    }
    expect_silent();
    bus_session_flush(session);
    const struct wire_control control = said();
    cr_expect_eq(control.type, WIRE_PUBLISH);
    cr_expect_eq(control.acks, WIRE_ACKS_ALL);
    cr_expect_eq(control.count, 3);
    cr_expect_eq(session->in_flight, 3);

    published(control.request, 500, 3);

    cr_assert_eq(take(), 3);
    for (uint64_t i = 0; i < 3; i++) {
        cr_expect_eq(inputs[i].kind, BUS_PUBLISHED);
        cr_expect_eq(inputs[i].tag, 10 + i);
        cr_expect_eq(inputs[i].offset, 500 + i);
    }
    cr_expect_eq(session->in_flight, 0);
}

Test(bus_session, a_request_may_be_answered_in_several_runs)
{
    connect_publisher();
    for (uint64_t tag = 0; tag < 3; tag++) {
        publish(tag);
    }
    bus_session_flush(session);
    const uint64_t request = said().request;
    published(request, 7, 1);
    expect_one(BUS_PUBLISHED);
    cr_expect_eq(inputs[0].offset, 7);
    published(request, 40, 2);
    cr_assert_eq(take(), 2);
    cr_expect_eq(inputs[1].tag, 2);
    cr_expect_eq(inputs[1].offset, 41);
    cr_expect_eq(session->in_flight, 0);
}

Test(bus_session, an_answer_tells_which_events_were_there_before)
{
    connect_publisher();
    cr_assert_eq(publish(1), ERR_OK);
    cr_assert_eq(publish(2), ERR_OK);
    bus_session_flush(session);
    const uint64_t request = said().request;
    hear_with(&(struct wire_control){
        .type = WIRE_PUBLISHED, .request = request, .offset = 4, .count = 1, .duplicate = 1});
    cr_assert_eq(take(), 1);
    cr_expect(inputs[0].duplicate);
    cr_expect_eq(inputs[0].offset, 4);
    published(request, 9, 1);
    cr_assert_eq(take(), 1);
    cr_expect_not(inputs[0].duplicate);
    cr_expect_eq(inputs[0].offset, 9);
}

Test(bus_session, answers_may_come_in_another_order_than_their_requests)
{
    connect_publisher();
    uint64_t requests[3];
    for (uint64_t tag = 0; tag < 3; tag++) {
        publish(tag);
        bus_session_flush(session);
        requests[tag] = said().request;
    }
    published(requests[1], 1, 1);
    expect_one(BUS_PUBLISHED);
    cr_expect_eq(inputs[0].tag, 1);
    published(requests[2], 2, 1);
    expect_one(BUS_PUBLISHED);
    published(requests[0], 0, 1);
    expect_one(BUS_PUBLISHED);
    cr_expect_eq(inputs[0].tag, 0);
}

Test(bus_session, more_answers_than_records_end_the_session)
{
    connect_publisher();
    publish(1);
    bus_session_flush(session);
    published(said().request, 0, 2);
    expect_lost("not asked");
}

Test(bus_session, a_batch_is_at_most_4096_records_and_a_megabyte)
{
    connect_publisher();
    for (uint64_t tag = 0; tag < WIRE_BATCH_MAX + 1; tag++) {
        cr_assert_eq(publish(tag), ERR_OK);
    }
    bus_session_flush(session);
    cr_expect_eq(said().count, WIRE_BATCH_MAX);
    cr_expect_eq(said().count, 1);

    char *body = mem_calloc(1, 200 * 1024);
    memset(body, 'x', 200 * 1024 - 1);
    for (uint64_t tag = 0; tag < 11; tag++) {
        cr_assert_eq(bus_session_publish(session,
                                         tag,
                                         &(struct record){.topic = bytes_of_text("t"),
                                                          .id = bytes_of_text("i"),
                                                          .body = bytes_of_text(body)}),
                     ERR_OK);
    }
    bus_session_flush(session);
    cr_expect_eq(said().count, 5);
    cr_expect_leq(out_batch.size, WIRE_BATCH_BYTES_MAX);
    cr_expect_eq(said().count, 5);
    cr_expect_eq(said().count, 1);
    free(body);
}

Test(bus_session, publishes_beyond_the_window_are_refused_until_one_is_answered)
{
    connect_publisher();
    for (uint64_t tag = 0; tag < BUS_IN_FLIGHT_MAX; tag++) {
        cr_assert_eq(publish(tag), ERR_OK);
    }
    cr_expect_eq(publish(1), ERR_FULL);
    bus_session_flush(session);
    published(said().request, 0, WIRE_BATCH_MAX);
    cr_expect_eq(take(), WIRE_BATCH_MAX);
    cr_expect_eq(publish(1), ERR_OK);
}

Test(bus_session, publishes_beyond_the_bytes_of_the_window_are_refused)
{
    connect_publisher();
    char *body = mem_calloc(1, 200 * 1024);
    memset(body, 'x', 200 * 1024 - 1);
    const struct record record = {
        .topic = bytes_of_text("t"), .id = bytes_of_text("i"), .body = bytes_of_text(body)};
    enum err err = ERR_OK;
    uint64_t tag = 0;
    while (err == ERR_OK && tag < BUS_IN_FLIGHT_MAX) {
        err = bus_session_publish(session, tag++, &record);
    }
    cr_expect_eq(err, ERR_FULL);
    cr_expect_leq(tag, BUS_IN_FLIGHT_BYTES_MAX / (200 * 1024) + 2);
    free(body);
}

Test(bus_session, what_is_no_event_is_refused_at_once)
{
    connect_publisher();
    struct record record = {.topic = bytes_of_text("Bad Topic"), .id = bytes_of_text("i")};
    cr_expect_eq(bus_session_publish(session, 1, &record), ERR_INVALID);
    record.topic = bytes_of_text("good");
    char *body = mem_calloc(1, RECORD_SIZE_MAX);
    memset(body, 'x', RECORD_SIZE_MAX - 1);
    record.body = bytes_of_text(body);
    cr_expect_eq(bus_session_publish(session, 1, &record), ERR_TOO_LARGE);
    cr_expect_eq(session->in_flight, 0);
    bus_session_flush(session);
    expect_silent();
    free(body);
}

Test(bus_session, one_bad_record_is_refused_and_the_others_are_sent_again)
{
    connect_publisher();
    for (uint64_t tag = 0; tag < 4; tag++) {
        publish(tag);
    }
    bus_session_flush(session);
    const uint64_t request = said().request;

    hear_error(request, 2, WIRE_CODE_TOO_LARGE);

    expect_one(BUS_REFUSED);
    cr_expect_eq(inputs[0].tag, 2);
    cr_expect_eq(inputs[0].err, ERR_TOO_LARGE);
    cr_expect_str_eq(inputs[0].detail, "too-large: the detail");
    const struct wire_control again = said();
    cr_expect_eq(again.type, WIRE_PUBLISH);
    cr_expect_gt(again.request, request);
    cr_expect_eq(again.count, 3);
    struct bytes rest = buf_view(&out_batch);
    struct record record;
    const char *const ids[] = {"event-0", "event-1", "event-3"};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(record_take(&rest, &record), ERR_OK);
        cr_expect(bytes_equal_text(record.id, ids[i]));
    }
    published(again.request, 70, 3);
    cr_assert_eq(take(), 3);
    cr_expect_eq(inputs[2].tag, 3);
    cr_expect_eq(inputs[2].offset, 72);
    cr_expect_eq(session->in_flight, 0);
}

Test(bus_session, the_only_record_of_a_batch_is_refused_alone)
{
    connect_publisher();
    publish(9);
    bus_session_flush(session);
    hear_error(said().request, 0, WIRE_CODE_FORBIDDEN);
    expect_one(BUS_REFUSED);
    cr_expect_eq(inputs[0].err, ERR_INVALID);
    expect_silent();
    cr_expect_eq(session->in_flight, 0);
}

Test(bus_session, a_full_disk_refuses_the_whole_batch_for_now)
{
    connect_publisher();
    publish(1);
    publish(2);
    bus_session_flush(session);
    hear_error(said().request, WIRE_INDEX_NONE, WIRE_CODE_DISK_FULL);
    cr_assert_eq(take(), 2);
    for (size_t i = 0; i < 2; i++) {
        cr_expect_eq(inputs[i].kind, BUS_REFUSED);
        cr_expect_eq(inputs[i].err, ERR_FULL);
        cr_expect_eq(inputs[i].tag, i + 1);
    }
    cr_expect_eq(session->state, SESSION_UP);
    expect_silent();
}

Test(bus_session, a_damaged_record_is_refused_for_now)
{
    connect_publisher();
    publish(1);
    bus_session_flush(session);
    hear_error(said().request, 0, WIRE_CODE_CORRUPT);
    expect_one(BUS_REFUSED);
    cr_expect_eq(inputs[0].err, ERR_CORRUPT);
}

Test(bus_session, a_refusal_of_a_record_that_is_not_there_ends_the_session)
{
    connect_publisher();
    publish(1);
    bus_session_flush(session);
    hear_error(said().request, 1, WIRE_CODE_CORRUPT);
    expect_lost("not there");
}

Test(bus_session, without_acks_a_publish_is_over_when_it_is_sent)
{
    open_with(&(struct bus_options){.member = "order-1", .without_acks = true});
    expect_said(WIRE_HELLO);
    welcome();
    expect_one(BUS_CONNECTED);
    publish(1);
    bus_session_flush(session);
    cr_expect_eq(take(), 0);
    cr_expect_eq(session->in_flight, 1);
    const struct wire_control control = said();
    cr_expect_eq(control.acks, WIRE_ACKS_NONE);
    expect_one(BUS_PUBLISHED);
    cr_expect_eq(inputs[0].tag, 1);
    cr_expect_eq(session->in_flight, 0);
    hear_error(control.request, WIRE_INDEX_NONE, WIRE_CODE_DISK_FULL);
    cr_expect_eq(take(), 0);
}

Test(bus_session, inputs_come_in_parts_when_there_is_little_room)
{
    connect_publisher();
    for (uint64_t tag = 0; tag < 3; tag++) {
        publish(tag);
    }
    bus_session_flush(session);
    published(said().request, 5, 3);
    cr_expect_eq(bus_session_take(session, inputs, 2, now_ms), 2);
    cr_expect(bus_session_has_input(session));
    cr_expect_eq(bus_session_take(session, inputs, 2, now_ms), 1);
    cr_expect_eq(inputs[0].tag, 2);
    cr_expect_not(bus_session_has_input(session));
}

// --- consuming

Test(bus_session, deliveries_are_given_out_and_their_acks_gather)
{
    connect_consumer();
    deliver_put(40, 1, false);
    deliver_put(41, 2, false);
    hear_with(&(struct wire_control){.type = WIRE_DELIVER, .count = 2});
    cr_assert_eq(take(), 2);
    cr_expect_eq(inputs[1].kind, BUS_DELIVERY);
    cr_expect_eq(inputs[1].delivery.offset, 41);
    cr_expect_eq(inputs[1].delivery.attempt, 2);
    cr_expect_eq(inputs[1].delivery.time_us, 99);
    cr_expect(bytes_equal_text(inputs[1].delivery.topic, "order-created"));
    cr_expect(bytes_equal_text(inputs[1].delivery.body, "{}"));

    bus_session_ack(session, 40, 1);
    bus_session_ack(session, 41, 2);
    expect_silent();
    bus_session_flush(session);

    const struct wire_control control = said();
    cr_expect_eq(control.type, WIRE_ACK);
    cr_assert_eq(control.count, 2);
    struct bytes rest = buf_view(&out_batch);
    struct wire_ack ack;
    wire_ack_take(&rest, &ack);
    cr_expect_eq(ack.offset, 40);
    wire_ack_take(&rest, &ack);
    cr_expect_eq(ack.offset, 41);
    cr_expect_eq(ack.attempt, 2);
    bus_session_flush(session);
    expect_silent();
}

Test(bus_session, acks_of_neighbours_go_out_as_one_entry)
{
    connect_consumer();
    static const struct {
        uint64_t offset;
        uint32_t attempt;
    } acked[] = {{40, 1}, {41, 1}, {42, 1}, {43, 2}, {45, 2}, {44, 2}};
    static const struct wire_ack wanted[] = {{40, 3, 1}, {43, 1, 2}, {45, 1, 2}, {44, 1, 2}};
    for (size_t i = 0; i < ARRAY_LEN(acked); i++) {
        bus_session_ack(session, acked[i].offset, acked[i].attempt);
    }
    bus_session_flush(session);

    const struct wire_control control = said();
    cr_assert_eq(control.count, ARRAY_LEN(wanted));
    struct bytes rest = buf_view(&out_batch);
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        struct wire_ack ack;
        cr_assert_eq(wire_ack_take(&rest, &ack), ERR_OK);
        cr_expect_eq(ack.offset, wanted[i].offset);
        cr_expect_eq(ack.count, wanted[i].count);
        cr_expect_eq(ack.attempt, wanted[i].attempt);
    }
}

Test(bus_session, a_damaged_delivery_is_rejected_and_never_given_out)
{
    connect_consumer();
    deliver_put(1, 1, false);
    deliver_put(2, 3, true);
    deliver_put(3, 1, false);
    hear_with(&(struct wire_control){.type = WIRE_DELIVER, .count = 3});
    cr_assert_eq(take(), 2);
    cr_expect_eq(inputs[0].delivery.offset, 1);
    cr_expect_eq(inputs[1].delivery.offset, 3);
    const struct wire_control control = said();
    cr_expect_eq(control.type, WIRE_REJECT);
    cr_expect_eq(control.offset, 2);
    cr_expect_eq(control.attempt, 3);
}

Test(bus_session, a_delivery_batch_that_is_none_ends_the_session)
{
    connect_consumer();
    deliver_put(1, 1, false);
    hear_with(&(struct wire_control){.type = WIRE_DELIVER, .count = 2});
    cr_assert_eq(take(), 2);
    cr_expect_eq(inputs[0].kind, BUS_DELIVERY);
    cr_expect_eq(inputs[1].kind, BUS_LOST);
}

Test(bus_session, bytes_behind_the_last_delivery_end_the_session)
{
    connect_consumer();
    deliver_put(1, 1, false);
    buf_put_u8(&in_batch, 0);
    hear_with(&(struct wire_control){.type = WIRE_DELIVER, .count = 1});
    expect_lost("deliveries that are none");
}

Test(bus_session, nack_and_reject_say_offset_attempt_delay_and_error)
{
    connect_consumer();
    bus_session_refuse(session, WIRE_NACK, 5, 2, 250, "card network down");
    struct wire_control control = said();
    cr_expect_eq(control.type, WIRE_NACK);
    cr_expect_eq(control.offset, 5);
    cr_expect_eq(control.attempt, 2);
    cr_expect_eq(control.delay_ms, 250);
    cr_expect(bytes_equal_text(control.detail, "card network down"));

    bus_session_refuse(session, WIRE_NACK, 5, 3, -1, NULL);
    control = said();
    cr_expect_eq(control.delay_ms, WIRE_DELAY_DEFAULT);
    cr_expect_eq(control.detail.size, 0);

    char error[WIRE_ERROR_MAX * 2];
    memset(error, 'e', sizeof error);
    error[sizeof error - 1] = '\0';
    bus_session_refuse(session, WIRE_REJECT, 6, 1, -1, error);
    control = said();
    cr_expect_eq(control.type, WIRE_REJECT);
    cr_expect_eq(control.detail.size, WIRE_ERROR_MAX);
}

Test(bus_session, more_messages_than_may_wait_to_be_sent_end_the_session)
{
    connect_consumer();
    for (int i = 0; i < BUS_OUT_MAX; i++) {
        bus_session_refuse(session, WIRE_NACK, 5, 2, 250, "card network down");
    }
    pass(1);
    cr_expect_eq(session->state, SESSION_UP);
    bus_session_refuse(session, WIRE_NACK, 5, 2, 250, "card network down");
    pass(1);
    expect_lost("the broker takes nothing");
}

Test(bus_session, credit_is_said_when_it_changes)
{
    connect_consumer();
    session->credit = BUS_CREDIT_DEFAULT;
    bus_session_flush(session);
    expect_silent();
    session->credit = 7;
    session->credit = 8;
    bus_session_flush(session);
    const struct wire_control control = said();
    cr_expect_eq(control.type, WIRE_CREDIT);
    cr_expect_eq(control.credit, 8);
    expect_silent();
}

Test(bus_session, acks_of_a_lost_session_are_dropped)
{
    connect_consumer();
    bus_session_ack(session, 1, 1);
    hear(WIRE_BYE);
    expect_lost("stopped");
    bus_session_ack(session, 2, 1);
    bus_session_refuse(session, WIRE_NACK, 3, 1, 0, "late");
    bus_session_refuse(session, WIRE_REJECT, 4, 1, -1, "late");
    bus_session_flush(session);
    expect_silent();
    pass(BUS_BACKOFF_MAX_MS);
    expect_said(WIRE_HELLO);
    welcome();
    expect_said(WIRE_SUBSCRIBE);
    subscribed();
    bus_session_flush(session);
    expect_silent();
}

// --- rubbish

// A broker that lost its mind costs the session at most.
Test(bus_session, random_messages_never_stop_the_client)
{
    static const enum wire_type types[] = {
        WIRE_WELCOME, WIRE_SUBSCRIBED, WIRE_PUBLISHED, WIRE_DELIVER, WIRE_ERROR, WIRE_PONG};
    uint32_t state = 20261123;
    uint8_t bytes[256];
    open_consumer();
    for (int round = 0; round < 100000; round++) {
        for (size_t i = 0; i < sizeof bytes; i += 4) {
            state = state * 1664525 + 1013904223;
            store_u32(bytes + i, state >> (state >> 30 & 3) * 8); // many small numbers
        }
        bytes[0] = WIRE_VERSION;
        bytes[1] = (uint8_t)types[(state >> 16) % ARRAY_LEN(types)];
        const struct bytes control = {.data = bytes, .size = 2 + (state >> 20) % 40};
        const struct bytes batch = {.data = bytes + 64, .size = (state >> 8) % 190};
        bus_session_receive(session, control, batch, 1 + (state >> 24 & 1), now_ms);
        take();
        if (bus_session_connection(session) == 0) {
            pass(BUS_BACKOFF_MAX_MS);
            expect_said(WIRE_HELLO);
        }
        if ((state & 3) == 0) { // so that the later states are reached as well
            welcome();
            take();
            subscribed();
            take();
            publish(1);
            bus_session_flush(session);
        }
    }
}

// --- leaving

Test(bus_session, bye_comes_behind_all_else_and_waits_for_its_answer)
{
    connect_consumer();
    bus_session_ack(session, 1, 1);
    publish(1);
    bus_session_bye(session);
    expect_said(WIRE_PUBLISH);
    expect_said(WIRE_ACK);
    expect_said(WIRE_BYE);
    cr_expect_not(session->left);
    deliver_put(2, 1, false);
    hear_with(&(struct wire_control){.type = WIRE_DELIVER, .count = 1});
    cr_expect_eq(take(), 0);
    hear(WIRE_BYE);
    cr_expect(session->left);
    expect_silent();
    cr_expect_eq(bus_session_connection(session), 0);
}

Test(bus_session, bye_without_a_session_has_nobody_to_wait_for)
{
    open_publisher();
    bus_session_bye(session);
    cr_expect(session->left);
}
