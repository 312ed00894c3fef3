// Limits that only a real broker reaches: connections, sessions, members, files, and
// clients that ask and never listen. docs/protocol.md, section 12, lists all limits.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/group.h"
#include "broker/session.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/mem.h"
#include "tests/support/broker_process.h"
#include "tests/support/raw_client.h"

enum {
    CROWD = 2100, // more than sessions, and than connections to the HTTP interface
    FILES_WANTED = 3 * CROWD,
#ifdef __SANITIZE_ADDRESS__
    MEMORY_MAX_KB = 512 * 1024, // it keeps for a while what was freed
#else
    MEMORY_MAX_KB = 64 * 1024,
#endif
};

static struct broker_process *broker;
static struct raw_client *client;

static const char *const orders[] = {"order-created", NULL};

static void start_with(const char *const *env)
{
    broker = broker_process_new(env);
    client = raw_client_new(broker_process_url(broker));
}

static void stop(void)
{
    raw_client_destroy(&client);
    cr_expect_eq(broker_process_stop(broker, 10000), 0); // it has lived through all of it
    broker_process_destroy(&broker);
}

TestSuite(broker_limits, .fini = stop, .timeout = 120);

static void send_control(struct raw_client *to, const struct wire_control *control)
{
    raw_client_send(to, control, (struct bytes){0});
}

static void expect_error(struct raw_client *from, const char *code, uint32_t index)
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
    cr_expect_eq(control.index, index);
}

// --- what a record may hold

struct sizes {
    uint16_t topic, key, id, headers;
    uint32_t body;
    uint64_t number; // begins the id, unless that is too short or this is 0
};

// A record of these sizes with the right checksum, whether they are allowed or not.
static void put_record(struct buf *batch, const struct sizes *sizes)
{
    const size_t at = batch->size;
    const size_t size = (size_t)RECORD_HEADER_SIZE + sizes->topic + sizes->key + sizes->id +
                        sizes->headers + sizes->body;
    memset(buf_reserve(batch, size), 'x', size);
    batch->size += size;
    uint8_t *record = batch->data + at;
    store_u32(record, (uint32_t)size);
    store_u16(record + 8, sizes->topic);
    store_u16(record + 10, sizes->key);
    store_u16(record + 12, sizes->id);
    store_u16(record + 14, sizes->headers);
    if (sizes->number != 0 && sizes->id >= sizeof sizes->number) {
        store_u64(record + RECORD_HEADER_SIZE + sizes->topic + sizes->key, sizes->number);
    }
    store_u32(record + 4, record_crc32c(0, record + 8, size - 8));
}

static void publish_two(const struct sizes *first, const struct sizes *second)
{
    struct buf batch = {0};
    put_record(&batch, first);
    put_record(&batch, second);
    raw_client_send(client,
                    &(struct wire_control){
                        .type = WIRE_PUBLISH, .request = 1, .acks = WIRE_ACKS_ALL, .count = 2},
                    buf_view(&batch));
    buf_release(&batch);
}

Test(broker_limits, each_part_of_a_record_may_be_as_long_as_its_limit_and_no_longer)
{
    static const struct sizes most = {
        RECORD_TOPIC_MAX, RECORD_KEY_MAX, RECORD_ID_MAX, RECORD_HEADERS_MAX, 240 * 1024, 0};
    static const struct sizes over[] = {
        {.topic = RECORD_TOPIC_MAX + 1, .id = 1},
        {.topic = 1, .id = 1, .key = RECORD_KEY_MAX + 1},
        {.topic = 1, .id = RECORD_ID_MAX + 1},
        {.topic = 1, .id = 1, .headers = RECORD_HEADERS_MAX + 1},
        {.topic = 1, .id = 1, .body = RECORD_SIZE_MAX},
    };
    start_with((const char *const[]){"EVENT_BYTES_MAX=245760", NULL});
    raw_client_hello(client, "order-1", 1);
    struct wire_control control;
    struct bytes batch;
    publish_two(&most, &most);
    raw_client_expect(client, WIRE_PUBLISHED, &control, &batch);
    for (size_t i = 0; i < ARRAY_LEN(over); i++) {
        publish_two(&most, &over[i]);
        expect_error(client, WIRE_CODE_MALFORMED, 1);
    }
    const struct sizes large = {.topic = 1, .id = 1, .body = 240 * 1024};
    const struct sizes too_large = {.topic = 1, .id = 1, .body = 240 * 1024 + 1};
    publish_two(&large, &too_large);
    expect_error(client, WIRE_CODE_TOO_LARGE, 1);
}

// --- members

static void say_subscribe(struct raw_client *to, const char *group)
{
    send_control(to,
                 &(struct wire_control){
                     .type = WIRE_SUBSCRIBE,
                     .group = bytes_of_text(group),
                     .credit = 1,
                     .topics_count = 1,
                     .topics = {bytes_of_text(orders[0])},
                 });
}

Test(broker_limits, a_group_has_64_members_and_the_next_may_come_when_one_leaves)
{
    struct raw_client *members[GROUP_MEMBERS_MAX];
    struct wire_control control;
    struct bytes batch;
    start_with(NULL);
    for (size_t i = 0; i < GROUP_MEMBERS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "payment-%zu", i);
        members[i] = raw_client_new(broker_process_url(broker));
        raw_client_hello(members[i], name, 1);
        raw_client_subscribe(members[i], "payment", 1, orders);
    }
    raw_client_hello(client, "one-more", 1);
    say_subscribe(client, "payment");
    expect_error(client, WIRE_CODE_LIMIT, WIRE_INDEX_NONE);
    say_subscribe(members[7], "payment"); // who is in may say it again
    raw_client_expect(members[7], WIRE_SUBSCRIBED, &control, &batch);

    send_control(members[3], &(struct wire_control){.type = WIRE_BYE});
    raw_client_expect(members[3], WIRE_BYE, &control, &batch);
    say_subscribe(client, "payment");
    raw_client_expect(client, WIRE_SUBSCRIBED, &control, &batch);
    for (size_t i = 0; i < GROUP_MEMBERS_MAX; i++) {
        raw_client_destroy(&members[i]);
    }
}

// --- connections

// Many connections from one ZeroMQ context.
struct crowd {
    void *context;
    void *sockets[CROWD];
};

static void allow_files(void)
{
    struct rlimit files;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_max < FILES_WANTED) {
        cr_skip_test("this process may not open as many files");
    }
    files.rlim_cur = FILES_WANTED;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
}

static void crowd_hello(struct crowd *self, size_t at)
{
    char name[32];
    struct buf frame = {0};
    snprintf(name, sizeof name, "crowd-%zu", at);
    wire_control_append(&frame,
                        &(struct wire_control){.type = WIRE_HELLO,
                                               .member = bytes_of_text(name),
                                               .incarnation = 1,
                                               .heartbeat_ms = 60000});
    cr_assert_eq(zmq_send(self->sockets[at], frame.data, frame.size, 0), (int)frame.size);
    buf_release(&frame);
}

static void crowd_open(struct crowd *self)
{
    const int zero = 0;
    self->context = zmq_ctx_new();
    zmq_ctx_set(self->context, ZMQ_MAX_SOCKETS, CROWD + 1);
    for (size_t i = 0; i < CROWD; i++) {
        self->sockets[i] = zmq_socket(self->context, ZMQ_DEALER);
        cr_assert_not_null(self->sockets[i], "socket %zu: %s", i, zmq_strerror(errno));
        zmq_setsockopt(self->sockets[i], ZMQ_LINGER, &zero, sizeof zero);
        cr_assert_eq(zmq_connect(self->sockets[i], broker_process_url(broker)), 0);
        crowd_hello(self, i);
    }
}

static void crowd_close(struct crowd *self)
{
    for (size_t i = 0; i < CROWD; i++) {
        zmq_close(self->sockets[i]);
    }
    zmq_ctx_term(self->context);
}

// Waits for the answer of one: true: WELCOME; false: ERROR limit-reached.
static bool crowd_is_welcome(const struct crowd *self, size_t at)
{
    uint8_t frame[2048];
    zmq_pollitem_t item = {.socket = self->sockets[at], .events = ZMQ_POLLIN};
    cr_assert_eq(zmq_poll(&item, 1, RAW_CLIENT_WAIT_MS), 1, "connection %zu hears nothing", at);
    const int size = zmq_recv(self->sockets[at], frame, sizeof frame, 0);
    struct wire_control control;
    const char *problem = NULL;
    const struct bytes view = {.data = frame, .size = (size_t)size};
    cr_assert_eq(wire_control_parse(view, &control, &problem), ERR_OK);
    cr_assert(control.type == WIRE_WELCOME || bytes_equal_text(control.code, WIRE_CODE_LIMIT));
    return control.type == WIRE_WELCOME;
}

Test(broker_limits, sessions_end_at_1024_of_2100_connections_and_those_who_are_in_go_on)
{
    static struct crowd crowd;
    struct wire_control control;
    struct bytes batch;
    allow_files();
    start_with((const char *const[]){"HEARTBEAT_MS=60000", NULL});
    raw_client_hello(client, "order-1", 1);
    crowd_open(&crowd);
    size_t welcome = 0;
    size_t refused = 0; // one of them
    for (size_t i = 0; i < CROWD; i++) {
        const bool is_in = crowd_is_welcome(&crowd, i);
        welcome += is_in;
        refused = is_in ? refused : i;
    }
    cr_expect_eq(welcome, SESSIONS_MAX - 1); // and order-1
    raw_client_publish(client, "order-created", "k", "e-1", "{}");

    send_control(client, &(struct wire_control){.type = WIRE_BYE});
    raw_client_expect(client, WIRE_BYE, &control, &batch);
    crowd_hello(&crowd, refused);
    cr_expect(crowd_is_welcome(&crowd, refused));
    crowd_close(&crowd);
}

static void connect_many(int *fds, size_t count, uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (size_t i = 0; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_geq(fds[i], 0);
        cr_assert_eq(connect(fds[i], (const struct sockaddr *)&address, sizeof address), 0);
    }
}

static void close_many(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static void expect_http_answers(void)
{
    int status = 0;
    const int64_t deadline_ms = clock_mono_ms() + RAW_CLIENT_WAIT_MS;
    do {
        nap();
        free(broker_process_get(broker, "/healthz", &status));
    } while (status != 200 && clock_mono_ms() < deadline_ms);
    cr_expect_eq(status, 200);
}

Test(broker_limits, more_http_connections_than_there_may_be_harm_nobody)
{
    static int fds[CROWD];
    cr_assert_gt((int)CROWD, (int)HTTP_CONNECTIONS_MAX);
    allow_files();
    start_with(NULL);
    raw_client_hello(client, "order-1", 1);
    connect_many(fds, CROWD, broker_process_http_port(broker));
    raw_client_publish(client, "order-created", "k", "e-1", "{}");
    close_many(fds, CROWD);
    expect_http_answers();
}

// --- files

// The soft limit of files that the broker may have open; those it has stay.
static void limit_files(int files)
{
    char *command = mem_format("prlimit --pid %d --nofile=%d:", broker_process_pid(broker), files);
    cr_assert_eq(system(command), 0);
    free(command);
}

// Publishes an event and gives the answer: PUBLISHED, or an ERROR with disk-full.
static enum wire_type publish_large(uint64_t request)
{
    struct wire_control control;
    struct bytes answer;
    struct buf batch = {0};
    put_record(&batch, &(struct sizes){.topic = 1, .id = 8, .body = 60000, .number = request});
    raw_client_send(
        client,
        &(struct wire_control){
            .type = WIRE_PUBLISH, .request = request, .acks = WIRE_ACKS_ALL, .count = 1},
        buf_view(&batch));
    do {
        cr_assert(raw_client_receive(client, RAW_CLIENT_WAIT_MS, &control, &answer));
    } while (control.request != request);
    cr_assert(control.type == WIRE_PUBLISHED ||
              bytes_equal_text(control.code, WIRE_CODE_DISK_FULL));
    buf_release(&batch);
    return control.type;
}

Test(broker_limits, without_files_publishers_and_connections_wait_and_go_on_when_there_are_some)
{
    struct wire_control control;
    struct bytes batch;
    start_with((const char *const[]){"SEGMENT_BYTES=1048576", NULL});
    raw_client_hello(client, "order-1", 1);
    uint64_t request = 1;
    cr_expect_eq(publish_large(request), WIRE_PUBLISHED);
    limit_files(3);
    enum wire_type answer = WIRE_PUBLISHED;
    while (answer == WIRE_PUBLISHED && ++request < 100) {
        answer = publish_large(request); // at the end of the segment it needs another file
    }
    cr_expect_eq(answer, WIRE_ERROR);
    cr_expect_eq(publish_large(++request), WIRE_ERROR);
    struct raw_client *newcomer = raw_client_new(broker_process_url(broker));
    send_control(newcomer,
                 &(struct wire_control){.type = WIRE_HELLO,
                                        .member = bytes_of_text("order-2"),
                                        .incarnation = 1,
                                        .heartbeat_ms = 1000});
    cr_expect(!raw_client_receive(newcomer, 50, &control, &batch));

    limit_files(1024);
    cr_expect_eq(publish_large(++request), WIRE_PUBLISHED);
    raw_client_expect(newcomer, WIRE_WELCOME, &control, &batch);
    raw_client_destroy(&newcomer);
    expect_http_answers();
}

// --- who never listens

static long memory_kb(void)
{
    long kb = -1;
    char line[256];
    char *path = mem_format("/proc/%d/status", broker_process_pid(broker));
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "VmHWM: %ld kB", &kb);
    }
    if (file != NULL) {
        fclose(file);
    }
    free(path);
    return kb;
}

static void fill_log(uint64_t request, size_t events)
{
    for (size_t i = 0; i < events; i++) {
        cr_assert_eq(publish_large(request + i), WIRE_PUBLISHED);
    }
}

// Room for little more than a message on the client's side: the rest is the broker's.
static void *deaf_open(void *context)
{
    const int one = 1;
    const int zero = 0;
    const int bytes = 4096;
    void *socket = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &one, sizeof one);
    zmq_setsockopt(socket, ZMQ_RCVBUF, &bytes, sizeof bytes);
    cr_assert_eq(zmq_connect(socket, broker_process_url(broker)), 0);
    return socket;
}

static void deaf_say(void *socket, const struct wire_control *control)
{
    struct buf frame = {0};
    wire_control_append(&frame, control);
    cr_assert_eq(zmq_send(socket, frame.data, frame.size, 0), (int)frame.size);
    buf_release(&frame);
}

static bool status_has(const char *text)
{
    char *status = broker_process_get(broker, "/status", NULL);
    const bool has = status != NULL && strstr(status, text) != NULL;
    free(status);
    return has;
}

static void expect_little_memory(void)
{
    const long kb = memory_kb();
    cr_expect(kb > 0 && kb < MEMORY_MAX_KB, "%ld kB", kb);
}

Test(broker_limits, who_asks_and_never_listens_costs_little_loses_its_session_and_hinders_nobody)
{
    void *context = zmq_ctx_new();
    start_with(NULL);
    raw_client_hello(client, "order-1", 1);
    fill_log(1, 40);
    void *deaf = deaf_open(context);
    const struct wire_control hello = {.type = WIRE_HELLO,
                                       .member = bytes_of_text("deaf-1"),
                                       .incarnation = 1,
                                       .heartbeat_ms = 1000};
    deaf_say(deaf, &hello);
    cr_expect(status_has("\"send_failures\":0"));
    for (uint64_t i = 1; i <= 8000; i++) { // each for 1 MiB
        deaf_say(deaf, &(struct wire_control){.type = WIRE_READ, .request = i, .credit = 4096});
    }
    fill_log(100, 40);
    const int64_t deadline_ms = clock_mono_ms() + RAW_CLIENT_WAIT_MS;
    while (status_has("\"send_failures\":0") && clock_mono_ms() < deadline_ms) {
        nap();
    }
    cr_expect(!status_has("\"send_failures\":0"), "its queue was full, and the session ended");
    expect_little_memory();
    zmq_close(deaf);
    zmq_ctx_term(context);
}

Test(broker_limits, a_member_that_never_listens_leaves_its_group_to_the_others)
{
    enum {
        EVENTS = 400 // 24 MB, far more than a member is sent without an ack
    };
    void *context = zmq_ctx_new();
    start_with((const char *const[]){"HEARTBEAT_MS=300", NULL});
    raw_client_hello(client, "order-1", 1);
    void *deaf = deaf_open(context);
    deaf_say(deaf,
             &(struct wire_control){.type = WIRE_HELLO,
                                    .member = bytes_of_text("deaf-1"),
                                    .incarnation = 1,
                                    .heartbeat_ms = 300});
    deaf_say(deaf,
             &(struct wire_control){.type = WIRE_SUBSCRIBE,
                                    .group = bytes_of_text("payment"),
                                    .retries_max = 3,
                                    .credit = WIRE_CREDIT_MAX,
                                    .topics_count = 1,
                                    .topics = {bytes_of_text("x")}});
    fill_log(1, EVENTS);

    // Silent for three heartbeats: what it was sent goes to who comes.
    struct wire_delivered delivered;
    static bool seen[EVENTS];
    struct raw_client *other = raw_client_new(broker_process_url(broker));
    raw_client_hello(other, "payment-2", 1);
    raw_client_subscribe(other, "payment", 100, (const char *const[]){"x", NULL});
    for (size_t i = 0; i < EVENTS; i++) {
        raw_client_delivery(other, &delivered);
        cr_assert(delivered.offset < EVENTS && !seen[delivered.offset]);
        seen[delivered.offset] = true;
        raw_client_ack(other, delivered.offset, delivered.attempt);
    }
    expect_little_memory();
    raw_client_destroy(&other);
    zmq_close(deaf);
    zmq_ctx_term(context);
}

Test(broker_limits, who_reads_one_answer_after_the_other_may_read_any_amount)
{
    start_with(NULL);
    raw_client_hello(client, "order-1", 1);
    fill_log(1, 400); // 24 MB
    struct wire_control control = {.end = 1};
    while (control.offset < control.end) {
        struct bytes batch;
        send_control(
            client,
            &(struct wire_control){
                .type = WIRE_READ, .request = 1, .offset = control.offset, .credit = 4096});
        raw_client_expect(client, WIRE_RECORDS, &control, &batch);
    }
    cr_expect_eq(control.offset, 400);
}
