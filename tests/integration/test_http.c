// The HTTP server and client over real sockets: what a good client gets, and that
// a bad one gets a documented answer and takes nothing down.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/http_client.h"
#include "common/http_server.h"
#include "common/mem.h"

enum {
    PATIENCE_MS = 10000, // no wait of a test is longer
    CROWD = 300,
    HELD_MAX = HTTP_WAITING_MAX,
};

static struct http_server *server;
static struct http_client *client;

// --- the core thread that answers

// Requests of /hold, until the test lets them go; the thread's own.
static struct http_exchange *held[HELD_MAX];
static size_t held_size;

static atomic_size_t held_count; // how many /hold there are now
static atomic_int release_at;    // how many must be there before they are answered
static atomic_bool is_stopping;
static int stop_fd = -1;
static pthread_t core;
static bool has_core;

static void answer_echo(struct http_exchange *exchange)
{
    const struct bytes body = http_body(exchange);
    const char *query = http_query(exchange, "q");
    const char *header = http_header(exchange, "x-test");
    char *text = mem_format("%s %s q=%s x-test=%s body=%zu:%.*s",
                            http_method(exchange),
                            http_path(exchange),
                            query == NULL ? "(none)" : query,
                            header == NULL ? "(none)" : header,
                            body.size,
                            (int)(body.size < 100 ? body.size : 100),
                            body.size == 0 ? "" : (const char *)body.data);
    http_set_header(exchange, "X-Echo", "yes");
    http_set_header(exchange, "X-Split", "a\r\nX-Injected: b");
    http_reply(exchange, 200, HTTP_TEXT, bytes_of_text(text));
    free(text);
}

static void answer_large(struct http_exchange *exchange)
{
    const size_t size = (size_t)strtoul(http_query(exchange, "size"), NULL, 10);
    char *text = mem_alloc(size);
    memset(text, 'x', size);
    http_reply(
        exchange, 200, HTTP_TEXT, (struct bytes){.data = (const uint8_t *)text, .size = size});
    free(text);
}

static void answer_held(void)
{
    // The last first: answers need no order.
    while (held_size > 0) {
        struct http_exchange *exchange = held[--held_size];
        http_reply(exchange, 200, HTTP_TEXT, bytes_of_text(http_query(exchange, "id")));
    }
    atomic_store(&held_count, 0);
}

static void answer_one(struct http_exchange *exchange)
{
    const char *path = http_path(exchange);
    if (strcmp(path, "/hold") == 0) {
        held[held_size++] = exchange;
        atomic_store(&held_count, held_size);
    } else if (strcmp(path, "/large") == 0) {
        answer_large(exchange);
    } else if (strcmp(path, "/nothing") == 0) {
        http_reply(exchange, 204, NULL, (struct bytes){0});
    } else {
        answer_echo(exchange);
    }
}

static void *core_run(void *argument)
{
    struct http_exchange *taken[64];
    (void)argument;
    while (!atomic_load(&is_stopping)) {
        struct pollfd polls[] = {{.fd = http_server_fd(server), .events = POLLIN},
                                 {.fd = stop_fd, .events = POLLIN}};
        poll(polls, ARRAY_LEN(polls), PATIENCE_MS);
        uint64_t wakes = 0;
        const ssize_t size = read(stop_fd, &wakes, sizeof wakes);
        (void)size;
        const size_t count = http_server_take(server, taken, ARRAY_LEN(taken));
        for (size_t i = 0; i < count; i++) {
            answer_one(taken[i]);
        }
        if (held_size > 0 && held_size >= (size_t)atomic_load(&release_at)) {
            answer_held();
        }
    }
    answer_held();
    return NULL;
}

static void core_wake(void)
{
    const uint64_t one = 1;
    cr_assert_eq(write(stop_fd, &one, sizeof one), (ssize_t)sizeof one);
}

static void held_release(void)
{
    atomic_store(&release_at, 1);
    core_wake();
}

static void core_stop(void)
{
    if (has_core) {
        atomic_store(&is_stopping, true);
        core_wake();
        pthread_join(core, NULL);
        has_core = false;
    }
}

static void server_start(int64_t timeout_ms)
{
    const struct http_server_options options = {.address = "127.0.0.1", .timeout_ms = timeout_ms};
    char *problem = NULL;
    cr_assert_eq(http_server_open(&server, &options, &problem), ERR_OK, "%s", problem);
}

static void core_start(void)
{
    atomic_store(&release_at, 1);
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cr_assert_geq(stop_fd, 0);
    cr_assert_eq(pthread_create(&core, NULL, core_run, NULL), 0);
    has_core = true;
}

static void setup(void)
{
    server_start(1000);
    core_start();
    client = http_client_new();
}

static void teardown(void)
{
    http_client_destroy(&client);
    core_stop();
    http_server_destroy(&server);
    if (stop_fd >= 0) {
        close(stop_fd);
    }
}

TestSuite(http, .init = setup, .fini = teardown, .timeout = 60);

// --- a client without manners

static int dial(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(http_server_port(server)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    const ssize_t size = send(fd, text, strlen(text), MSG_NOSIGNAL);
    cr_assert_eq(size, (ssize_t)strlen(text));
}

static bool readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, PATIENCE_MS) == 1;
}

// Reads one answer: the head, and as much body as its Content-Length says. "" when the
// connection was closed instead. The caller frees it.
static char *hear(int fd)
{
    struct buf text = {0};
    size_t wanted = SIZE_MAX;
    while (text.size < wanted) {
        cr_assert(readable(fd), "no answer");
        const ssize_t size = recv(fd, buf_reserve(&text, 65536), 65535, 0);
        if (size <= 0) {
            break;
        }
        text.size += (size_t)size;
        text.data[text.size] = '\0';
        const char *end = strstr((const char *)text.data, "\r\n\r\n");
        const char *length = strstr((const char *)text.data, "Content-Length: ");
        if (wanted == SIZE_MAX && end != NULL) {
            wanted = (size_t)(end + 4 - (const char *)text.data);
            wanted += length == NULL ? 0 : (size_t)strtoul(length + 16, NULL, 10);
        }
    }
    buf_put_u8(&text, '\0');
    return (char *)text.data;
}

static void expect_heard(int fd, const char *status, const char *part)
{
    char *text = hear(fd);
    cr_expect_eq(strncmp(text, status, strlen(status)), 0, "not %s: %s", status, text);
    cr_expect_not_null(strstr(text, part), "no %s in: %s", part, text);
    free(text);
}

static void expect_closed(int fd)
{
    char byte = 0;
    cr_expect(readable(fd), "still open");
    cr_expect_leq(recv(fd, &byte, 1, 0), 0);
}

// The process is well: somebody else is answered.
static void expect_alive(void)
{
    const int fd = dial();
    say(fd, "GET /alive HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_heard(fd, "HTTP/1.1 200 OK", "GET /alive");
    close(fd);
}

static void wait_held(size_t count)
{
    const int64_t deadline = clock_mono_ms() + PATIENCE_MS;
    while (atomic_load(&held_count) < count) {
        cr_assert_lt(clock_mono_ms(), deadline, "%zu held", atomic_load(&held_count));
        poll(NULL, 0, 1);
    }
}

// --- requests and answers

Test(http, the_core_sees_method_path_query_header_and_body_decoded)
{
    const int fd = dial();
    say(fd,
        "POST /a%20b/c?p=1&q=x%26y+z&r HTTP/1.1\r\nHost: a\r\nX-TEST: v\r\nContent-Length: "
        "5\r\n\r\n"
        "hello");
    expect_heard(fd, "HTTP/1.1 200 OK", "POST /a b/c q=x&y z x-test=v body=5:hello");
    close(fd);
}

Test(http, a_query_name_without_value_is_there_and_empty)
{
    const int fd = dial();
    say(fd, "GET /?q HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_heard(fd, "HTTP/1.1 200 OK", "q= x-test=(none) body=0:");
    say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_heard(fd, "HTTP/1.1 200 OK", "q=(none)");
    close(fd);
}

Test(http, headers_of_the_answer_are_sent_and_cannot_be_split)
{
    const int fd = dial();
    say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    char *text = hear(fd);
    cr_expect_not_null(strstr(text, "X-Echo: yes\r\n"));
    cr_expect_null(strstr(text, "X-Injected"));
    free(text);
    close(fd);
}

Test(http, head_is_answered_like_get_without_the_body)
{
    const int fd = dial();
    say(fd, "HEAD /h HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    char *text = hear(fd);
    cr_expect_eq(strncmp(text, "HTTP/1.1 200 OK", 15), 0);
    cr_expect_not_null(strstr(text, "Content-Length: 38"), "%s", text);
    cr_expect_null(strstr(text, "HEAD /h"));
    free(text);
    close(fd);
}

Test(http, an_answer_without_content_has_no_body)
{
    struct http_response response;
    char *url = mem_format("http://127.0.0.1:%u/nothing", http_server_port(server));
    cr_assert_eq(http_client_call(client, "GET", url, NULL, NULL, PATIENCE_MS, &response), ERR_OK);
    cr_expect_eq(response.status, 204);
    cr_expect_eq(response.body.size, 0);
    free(url);
}

Test(http, one_connection_serves_many_requests_also_pipelined)
{
    const int fd = dial();
    for (int i = 0; i < 3; i++) {
        say(fd, "GET /one HTTP/1.1\r\nHost: a\r\n\r\n");
        expect_heard(fd, "HTTP/1.1 200 OK", "GET /one");
    }
    say(fd,
        "GET /two HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /three HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    struct buf text = {0};
    ssize_t size = 0;
    while (readable(fd) && (size = recv(fd, buf_reserve(&text, 4096), 4095, 0)) > 0) {
        text.size += (size_t)size;
    }
    buf_put_u8(&text, '\0');
    const char *two = strstr((const char *)text.data, "GET /two");
    cr_assert_not_null(two);
    cr_expect_not_null(strstr(two, "GET /three"));
    buf_release(&text);
    close(fd);
}

static void crowd_call(int crowd, int rounds)
{
    int *fds = mem_calloc((size_t)crowd, sizeof *fds);
    atomic_store(&release_at, crowd);
    for (int i = 0; i < crowd; i++) {
        fds[i] = dial();
    }
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < crowd; i++) {
            char *request = mem_format("GET /hold?id=%d-%d. HTTP/1.1\r\nHost: a\r\n\r\n", round, i);
            say(fds[i], request);
            free(request);
        }
        for (int i = 0; i < crowd; i++) {
            char *own = mem_format("\r\n\r\n%d-%d.", round, i);
            expect_heard(fds[i], "HTTP/1.1 200 OK", own);
            free(own);
        }
    }
    for (int i = 0; i < crowd; i++) {
        close(fds[i]);
    }
    free(fds);
}

Test(http, a_crowd_of_connections_is_answered_in_any_order)
{
    crowd_call(CROWD, 3);
}

// As many as libmicrohttpd asks epoll for at once: its own thread sleeps over them.
Test(http, a_crowd_of_exactly_128_is_answered_again_and_again)
{
    crowd_call(128, 100);
}

Test(http, an_answer_may_take_longer_than_the_timeout_of_silent_connections)
{
    atomic_store(&release_at, HELD_MAX);
    const int fd = dial();
    say(fd, "GET /hold?id=late HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_held(1);
    // Another silent connection tells when the timeout has passed.
    const int silent = dial();
    expect_closed(silent);
    close(silent);
    held_release();
    expect_heard(fd, "HTTP/1.1 200 OK", "late");
    close(fd);
}

Test(http, large_answers_arrive_whole)
{
    const size_t sizes[] = {0, 1, 65536, HTTP_REPLY_BYTES_MAX};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct http_response response;
        char *url =
            mem_format("http://127.0.0.1:%u/large?size=%zu", http_server_port(server), sizes[i]);
        cr_assert_eq(http_client_call(client, "GET", url, NULL, NULL, PATIENCE_MS, &response),
                     ERR_OK);
        cr_expect_eq(response.body.size, sizes[i]);
        cr_expect(sizes[i] == 0 || response.body.data[sizes[i] - 1] == 'x');
        free(url);
    }
}

// --- bad input

static void expect_refused(const char *request, const char *status, const char *code)
{
    const int fd = dial();
    say(fd, request);
    char *text = hear(fd);
    char *type = mem_format("{\"type\":\"urn:faultline:problem:%s\"", code);
    cr_expect_eq(strncmp(text, status, strlen(status)), 0, "%s", text);
    cr_expect_not_null(strstr(text, type), "%s", text);
    cr_expect_not_null(strstr(text, "Content-Type: application/problem+json\r\n"), "%s", text);
    free(type);
    free(text);
    close(fd);
    expect_alive();
}

Test(http, a_body_of_the_limit_is_taken_and_one_byte_more_is_413)
{
    struct buf request = {0};
    buf_put_text(&request, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n");
    memset(buf_reserve(&request, HTTP_BODY_BYTES_MAX + 2), 'b', HTTP_BODY_BYTES_MAX);
    request.size += HTTP_BODY_BYTES_MAX;
    buf_put_u8(&request, '\0');
    int fd = dial();
    say(fd, (const char *)request.data);
    expect_heard(fd, "HTTP/1.1 200 OK", "body=65536:bbb");
    close(fd);

    memcpy(strstr((char *)request.data, "65536"), "65537", 5);
    request.data[request.size - 1] = 'b';
    buf_put_u8(&request, '\0');
    expect_refused((const char *)request.data, "HTTP/1.1 413 ", "body-too-large");
    buf_release(&request);
}

Test(http, a_body_announced_too_large_is_413_before_it_is_sent)
{
    expect_refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n",
                   "HTTP/1.1 413 ",
                   "body-too-large");
    expect_refused("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                   "Content-Length: 70000\r\n\r\n",
                   "HTTP/1.1 413 ",
                   "body-too-large");
}

// Ten megabytes from a client that does not listen before it has sent all: it must
// find the 413 then, and no broken connection.
Test(http, a_body_of_ten_megabytes_sent_in_spite_of_the_413_hurts_nobody)
{
    const int fd = dial();
    say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    char *block = mem_calloc(1, 100000);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(send(fd, block, 100000, MSG_NOSIGNAL), 100000);
    }
    free(block);
    expect_alive();
    expect_heard(fd, "HTTP/1.1 413 ", "urn:faultline:problem:body-too-large");
    expect_closed(fd);
    close(fd);
}

Test(http, a_client_that_never_stops_sending_is_cut_off)
{
    const int fd = dial();
    say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    char *block = mem_calloc(1, 100000);
    size_t sent = 0;
    while (send(fd, block, 100000, MSG_NOSIGNAL) == 100000) {
        sent += 100000;
        cr_assert_lt(sent, 1000000000);
    }
    free(block);
    close(fd);
    expect_alive();
}

// Sixty-four is how many the server reads on for; it must serve beyond them.
Test(http, many_such_clients_at_once_are_each_answered_and_let_go)
{
    int fds[100];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = dial();
        say(fds[i], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
        expect_heard(fds[i], "HTTP/1.1 413 ", "body-too-large");
    }
    expect_alive();
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        expect_closed(fds[i]);
        close(fds[i]);
    }
}

// A body in chunks says nothing of its size: count zero-filled chunks of 4096 bytes.
static void send_chunks(int fd, int count)
{
    char *block = mem_calloc(1, 4096);
    for (int i = 0; i < count; i++) {
        if (send(fd, "1000\r\n", 6, MSG_NOSIGNAL | MSG_MORE) < 0 ||
            send(fd, block, 4096, MSG_NOSIGNAL | MSG_MORE) < 0 ||
            send(fd, "\r\n", 2, MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    free(block);
}

static const char chunked_head[] =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

Test(http, a_chunked_body_of_the_limit_is_taken_and_a_larger_one_is_413)
{
    int fd = dial();
    say(fd, chunked_head);
    send_chunks(fd, 16);
    say(fd, "0\r\n\r\n");
    expect_heard(fd, "HTTP/1.1 200 OK", "body=65536:");
    close(fd);

    fd = dial();
    say(fd, chunked_head);
    send_chunks(fd, 17);
    say(fd, "0\r\n\r\n");
    expect_heard(fd, "HTTP/1.1 413 ", "urn:faultline:problem:body-too-large");
    close(fd);

    fd = dial();
    say(fd, chunked_head);
    send_chunks(fd, 2500);
    say(fd, "0\r\n\r\n");
    expect_heard(fd, "HTTP/1.1 413 ", "urn:faultline:problem:body-too-large");
    // Nothing is left of it on the connection.
    say(fd, "GET /after HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_heard(fd, "HTTP/1.1 200 OK", "GET /after");
    close(fd);
}

Test(http, a_chunked_body_without_end_is_cut_off)
{
    const int fd = dial();
    say(fd, chunked_head);
    send_chunks(fd, 10000);
    expect_closed(fd);
    close(fd);
    expect_alive();
}

Test(http, half_a_request_and_silence_is_closed)
{
    const int line = dial();
    say(line, "POST /hal");
    const int head = dial();
    say(head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Le");
    const int body = dial();
    say(body, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    expect_closed(line);
    expect_closed(head);
    expect_closed(body);
    close(line);
    close(head);
    close(body);
    expect_alive();
}

// A byte now and then defeats a timeout of silence; the body has one of its own.
Test(http, a_head_that_drips_is_cut_off)
{
    const int fd = dial();
    say(fd, "GET / HTTP/1.1\r\nX: ");
    const int64_t start = clock_mono_ms();
    struct pollfd one = {.fd = fd, .events = POLLIN};
    while (poll(&one, 1, 100) == 0 && clock_mono_ms() - start < PATIENCE_MS) {
        send(fd, "b", 1, MSG_NOSIGNAL);
    }
    cr_expect_geq(clock_mono_ms() - start, 2900);
    cr_expect_lt(clock_mono_ms() - start, PATIENCE_MS);
    expect_closed(fd);
    close(fd);
}

Test(http, a_body_that_drips_is_cut_off)
{
    const int fd = dial();
    say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    const int64_t start = clock_mono_ms();
    struct pollfd one = {.fd = fd, .events = POLLIN};
    while (poll(&one, 1, 100) == 0 && clock_mono_ms() - start < PATIENCE_MS) {
        send(fd, "b", 1, MSG_NOSIGNAL);
    }
    cr_expect_geq(clock_mono_ms() - start, 2900);
    expect_closed(fd);
    close(fd);
}

Test(http, an_unknown_method_is_405)
{
    const char *const requests[] = {
        "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "get / HTTP/1.1\r\nHost: a\r\n\r\n",
        "BREW / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    };
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        expect_refused(requests[i], "HTTP/1.1 405 ", "method-not-allowed");
    }
    const int fd = dial();
    say(fd, requests[0]);
    expect_heard(fd, "HTTP/1.1 405 ", "Allow: GET, HEAD, POST, PUT, PATCH, DELETE\r\n");
    say(fd, "GET /after HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_heard(fd, "HTTP/1.1 200 OK", "GET /after");
    close(fd);
}

Test(http, a_url_with_a_hidden_end_is_400)
{
    expect_refused(
        "GET /orders/%00x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ", "malformed-url");
    expect_refused("GET /?q=a%00 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ", "malformed-url");
}

Test(http, garbage_gets_an_error_or_is_hung_up_on)
{
    const char *const garbage[] = {
        "\r\n\r\n\r\n",
        "garbage\r\n\r\n",
        "\x16\x03\x01\x02\x01\x01\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ": : :\r\n: :\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        const int fd = dial();
        say(fd, garbage[i]);
        char *text = hear(fd);
        cr_expect(text[0] == '\0' || strstr(text, " 40") != NULL || strstr(text, " 413 ") != NULL ||
                      strstr(text, " 505 ") != NULL,
                  "%zu: %s",
                  i,
                  text);
        free(text);
        close(fd);
    }
    expect_alive();
}

Test(http, a_head_without_end_gets_an_error_or_is_hung_up_on)
{
    const int fd = dial();
    say(fd, "GET / HTTP/1.1\r\nX: ");
    char *block = mem_alloc(200000);
    memset(block, 'x', 200000);
    send(fd, block, 200000, MSG_NOSIGNAL);
    free(block);
    char *text = hear(fd);
    cr_expect(text[0] == '\0' || strncmp(text, "HTTP/1.1 4", 10) == 0, "%s", text);
    free(text);
    close(fd);
    expect_alive();
}

Test(http, more_waiting_requests_than_the_limit_are_503)
{
    atomic_store(&release_at, HELD_MAX + 1);
    int *fds = mem_calloc(HTTP_WAITING_MAX, sizeof *fds);
    for (int i = 0; i < HTTP_WAITING_MAX; i++) {
        fds[i] = dial();
        say(fds[i], "GET /hold?id=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    wait_held(HTTP_WAITING_MAX);
    const int fd = dial();
    say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_heard(fd, "HTTP/1.1 503 ", "Retry-After: 1\r\n");
    close(fd);
    held_release();
    for (int i = 0; i < HTTP_WAITING_MAX; i++) {
        expect_heard(fds[i], "HTTP/1.1 200 OK", "1");
        close(fds[i]);
    }
    free(fds);
    // On a new connection: the server may have closed one that was idle for all these answers.
    const int after = dial();
    say(after, "GET /after HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_heard(after, "HTTP/1.1 200 OK", "GET /after");
    close(after);
}

// Under the address sanitizer this also shows that nothing of them is left.
Test(http, clients_that_leave_while_they_wait_are_forgotten)
{
    atomic_store(&release_at, HELD_MAX);
    for (int i = 0; i < 50; i++) {
        const int fd = dial();
        say(fd, "GET /hold?id=1 HTTP/1.1\r\nHost: a\r\n\r\n");
        wait_held((size_t)i + 1);
        if (i % 2 == 0) {
            // A reset instead of an orderly end.
            const struct linger linger = {.l_onoff = 1, .l_linger = 0};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        }
        close(fd);
    }
    held_release();
    expect_alive();
}

// --- start and stop

Test(http, stopping_answers_what_waits_with_503)
{
    core_stop();
    const int fds[] = {dial(), dial(), dial()};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        say(fds[i], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}");
    }
    const int half = dial();
    say(half, "POST / HT");
    struct pollfd waiting = {.fd = http_server_fd(server), .events = POLLIN};
    cr_assert_eq(poll(&waiting, 1, PATIENCE_MS), 1);

    http_server_destroy(&server);

    size_t answered = 0;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        char *text = hear(fds[i]);
        // One whose bytes came too late is hung up on.
        if (text[0] != '\0') {
            cr_expect_not_null(strstr(text, "urn:faultline:problem:stopping"), "%s", text);
            cr_expect_not_null(strstr(text, "Connection: close"), "%s", text);
            answered++;
        }
        free(text);
        close(fds[i]);
    }
    cr_expect_geq(answered, 1);
    expect_closed(half);
    close(half);
}

Test(http, a_port_in_use_is_told_with_its_number)
{
    struct http_server *second = NULL;
    char *problem = NULL;
    const struct http_server_options options = {.address = "127.0.0.1",
                                                .port = http_server_port(server)};
    char *expected = mem_format("port %u is in use: ", options.port);
    cr_expect_eq(http_server_open(&second, &options, &problem), ERR_IO);
    cr_expect_null(second);
    cr_expect_eq(strncmp(problem, expected, strlen(expected)), 0, "%s", problem);
    free(expected);
    free(problem);
}

Test(http, an_address_of_another_machine_or_none_is_told)
{
    const char *const addresses[] = {"192.0.2.1", "no.such.host.invalid"};
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct http_server *second = NULL;
        char *problem = NULL;
        const struct http_server_options options = {.address = addresses[i]};
        cr_expect_eq(http_server_open(&second, &options, &problem), ERR_IO);
        cr_expect_not_null(strstr(problem, addresses[i]), "%s", problem);
        cr_expect_not_null(strstr(problem, "HTTP_ADDRESS"), "%s", problem);
        free(problem);
    }
}

Test(http, a_server_can_be_started_again_on_its_port_at_once)
{
    const struct http_server_options options = {.address = "127.0.0.1",
                                                .port = http_server_port(server)};
    expect_alive();
    core_stop();
    http_server_destroy(&server);
    char *problem = NULL;
    cr_assert_eq(http_server_open(&server, &options, &problem), ERR_OK, "%s", problem);
    cr_expect_eq(http_server_port(server), options.port);
}

// --- the client

// A server of another kind: a thread that does what the test wants with each
// connection in turn.
struct oddity {
    int listener;
    uint16_t port;
    const char *const *says; // one a connection, after reading; NULL: close at once
    size_t says_count;
    bool answers_twice; // on the first connection; else it is closed after one answer
    atomic_size_t requests;
    pthread_t thread;
};

static void oddity_open(struct oddity *oddity)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    oddity->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(oddity->listener, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(getsockname(oddity->listener, (struct sockaddr *)&address, &size), 0);
    oddity->port = ntohs(address.sin_port);
}

static void *oddity_run(void *argument)
{
    struct oddity *oddity = argument;
    char request[4096];
    for (size_t i = 0; i < oddity->says_count; i++) {
        const int fd = accept(oddity->listener, NULL, NULL);
        while (oddity->says[i] != NULL && recv(fd, request, sizeof request, 0) > 0) {
            atomic_fetch_add(&oddity->requests, 1);
            send(fd, oddity->says[i], strlen(oddity->says[i]), MSG_NOSIGNAL);
            if (strstr(oddity->says[i], "Content-Length") == NULL || i > 0 ||
                !oddity->answers_twice) {
                break;
            }
            // The second request on it is read and not answered.
            if (recv(fd, request, sizeof request, 0) > 0) {
                atomic_fetch_add(&oddity->requests, 1);
            }
            break;
        }
        close(fd);
    }
    return NULL;
}

static void oddity_start(struct oddity *oddity)
{
    oddity_open(oddity);
    cr_assert_eq(listen(oddity->listener, 8), 0);
    cr_assert_eq(pthread_create(&oddity->thread, NULL, oddity_run, oddity), 0);
}

static void oddity_stop(struct oddity *oddity)
{
    shutdown(oddity->listener, SHUT_RDWR);
    pthread_join(oddity->thread, NULL);
    close(oddity->listener);
}

static enum err call(uint16_t port, const char *method, const char *path, const char *body,
                     int64_t timeout_ms, struct http_response *response)
{
    char *url = mem_format("http://127.0.0.1:%u%s", port, path);
    const enum err err = http_client_call(client, method, url, NULL, body, timeout_ms, response);
    free(url);
    return err;
}

static const char good_answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

Test(http, the_client_sends_method_headers_and_body)
{
    const struct http_header headers[] = {{"X-Test", "from the client"}, {0}};
    const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "GET"};
    const char *const bodies[] = {NULL, "{\"a\":1}", "{}", NULL, NULL};
    char *url = mem_format("http://127.0.0.1:%u/x?q=1", http_server_port(server));
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct http_response response;
        const char *body = bodies[i] == NULL ? "" : bodies[i];
        cr_assert_eq(
            http_client_call(client, methods[i], url, headers, bodies[i], PATIENCE_MS, &response),
            ERR_OK,
            "%s",
            http_client_error(client));
        char *expected = mem_format(
            "%s /x q=1 x-test=from the client body=%zu:%s", methods[i], strlen(body), body);
        cr_expect_eq(response.status, 200);
        cr_expect_str_eq((const char *)response.body.data, expected);
        free(expected);
    }
    free(url);
}

Test(http, an_error_status_is_an_answer)
{
    struct http_response response;
    cr_expect_eq(call(http_server_port(server), "BREW", "/", NULL, PATIENCE_MS, &response), ERR_OK);
    cr_expect_eq(response.status, 405);
}

Test(http, head_has_a_status_and_no_body_and_the_next_call_has_one)
{
    struct http_response response;
    cr_assert_eq(call(http_server_port(server), "HEAD", "/", NULL, PATIENCE_MS, &response), ERR_OK);
    cr_expect_eq(response.status, 200);
    cr_expect_eq(response.body.size, 0);
    cr_assert_eq(call(http_server_port(server), "GET", "/", NULL, PATIENCE_MS, &response), ERR_OK);
    cr_expect_gt(response.body.size, 0);
}

Test(http, a_port_where_nobody_listens_is_unavailable)
{
    struct oddity nobody = {0};
    oddity_open(&nobody);
    struct http_response response;
    cr_expect_eq(call(nobody.port, "POST", "/charges", "{}", PATIENCE_MS, &response),
                 ERR_UNAVAILABLE);
    cr_expect_not_null(
        strstr(http_client_error(client), "could not be reached"), "%s", http_client_error(client));
    cr_expect_eq(response.status, 0);
    close(nobody.listener);
}

Test(http, a_name_that_is_none_is_unavailable)
{
    struct http_response response;
    cr_expect_eq(http_client_call(
                     client, "GET", "http://no.such.host.invalid/", NULL, NULL, 5000, &response),
                 ERR_UNAVAILABLE);
}

Test(http, a_url_that_is_none_is_invalid)
{
    struct http_response response;
    cr_expect_eq(http_client_call(client, "GET", "http://", NULL, NULL, 1000, &response),
                 ERR_INVALID);
    cr_expect_eq(http_client_call(client, "GET", "file:///etc/passwd", NULL, NULL, 1000, &response),
                 ERR_INVALID);
}

Test(http, a_server_that_is_silent_is_a_timeout)
{
    atomic_store(&release_at, HELD_MAX);
    struct http_response response;
    const int64_t start = clock_mono_ms();
    cr_expect_eq(call(http_server_port(server), "GET", "/hold?id=1", NULL, 200, &response),
                 ERR_TIMEOUT);
    cr_expect_geq(clock_mono_ms() - start, 200);
    cr_expect_lt(clock_mono_ms() - start, 2000);
}

// A listener whose backlog is full drops the SYN: no connection, nothing sent.
Test(http, a_connection_that_cannot_be_made_in_time_is_unavailable)
{
    struct oddity full = {0};
    oddity_open(&full);
    cr_assert_eq(listen(full.listener, 0), 0);
    int fds[8];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const struct sockaddr_in address = {.sin_family = AF_INET,
                                            .sin_port = htons(full.port),
                                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        const int rc = connect(fds[i], (const struct sockaddr *)&address, sizeof address);
        cr_assert(rc == 0 || errno == EINPROGRESS);
    }
    struct http_response response;
    cr_expect_eq(call(full.port, "POST", "/", "{}", 300, &response), ERR_UNAVAILABLE);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
    close(full.listener);
}

Test(http, a_server_that_hangs_up_or_talks_rubbish_is_an_io_error)
{
    const char *const says[] = {NULL, "rubbish\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Le"};
    struct oddity oddity = {.says = says, .says_count = ARRAY_LEN(says)};
    oddity_start(&oddity);
    for (size_t i = 0; i < ARRAY_LEN(says); i++) {
        struct http_response response;
        cr_expect_eq(call(oddity.port, "POST", "/", "{}", PATIENCE_MS, &response),
                     ERR_IO,
                     "%zu: %s",
                     i,
                     http_client_error(client));
        cr_expect_str_not_empty(http_client_error(client));
    }
    oddity_stop(&oddity);
}

Test(http, an_answer_over_the_limit_is_too_large_and_the_next_call_works)
{
    struct http_response response;
    cr_expect_eq(
        call(http_server_port(server), "GET", "/large?size=4194305", NULL, PATIENCE_MS, &response),
        ERR_TOO_LARGE);
    cr_expect_eq(response.body.size, 0);
    cr_expect_eq(call(http_server_port(server), "GET", "/", NULL, PATIENCE_MS, &response), ERR_OK);
}

Test(http, a_kept_connection_that_the_server_closed_is_no_error)
{
    const char *const says[] = {good_answer, good_answer};
    struct oddity oddity = {.says = says, .says_count = ARRAY_LEN(says)};
    oddity_start(&oddity);
    for (size_t i = 0; i < ARRAY_LEN(says); i++) {
        struct http_response response;
        cr_expect_eq(call(oddity.port, "POST", "/", "{}", PATIENCE_MS, &response),
                     ERR_OK,
                     "%s",
                     http_client_error(client));
        // The end of the connection must have arrived before the next call.
        poll(NULL, 0, 50);
    }
    oddity_stop(&oddity);
}

// A request that was read and not answered may have had its effect: it is never
// sent a second time behind the caller's back.
Test(http, a_kept_connection_that_breaks_in_mid_request_is_an_io_error_and_not_tried_again)
{
    const char *const says[] = {good_answer, good_answer};
    struct oddity oddity = {.says = says, .says_count = ARRAY_LEN(says), .answers_twice = true};
    oddity_start(&oddity);
    struct http_response response;
    cr_expect_eq(call(oddity.port, "POST", "/", "{}", PATIENCE_MS, &response), ERR_OK);
    cr_expect_eq(call(oddity.port, "POST", "/", "{}", PATIENCE_MS, &response), ERR_IO);
    cr_expect_eq(atomic_load(&oddity.requests), 2);
    oddity_stop(&oddity);
}
