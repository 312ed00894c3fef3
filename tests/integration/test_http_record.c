// What is recorded of HTTP is what was asked and answered, refusals of the server
// itself included; and a record that cannot be written harms no request.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/http_server.h"
#include "common/mem.h"

enum {
    PATIENCE_MS = 10000,
    ANSWER_SIZE = 4096
};

static char folder[] = "/tmp/faultline-record-XXXXXX";
static char *path;
static struct http_server *server;
static char answer[ANSWER_SIZE]; // the last one

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
    path = mem_format("%s/http.jsonl", folder);
}

static void teardown(void)
{
    http_server_destroy(&server);
    unlink(path);
    rmdir(folder);
    free(path);
}

TestSuite(http_record, .init = setup, .fini = teardown, .timeout = 60);

static enum err open_with(const char *record, char **problem)
{
    const struct http_server_options options = {
        .address = "127.0.0.1", .name = "shop", .record = record};
    return http_server_open(&server, &options, problem);
}

static void start(const char *record)
{
    char *problem = NULL;
    cr_assert_eq(open_with(record, &problem), ERR_OK, "%s", problem);
}

// The core: answers the one request that comes.
static void serve(void)
{
    struct pollfd waiting = {.fd = http_server_fd(server), .events = POLLIN};
    cr_assert_eq(poll(&waiting, 1, PATIENCE_MS), 1);
    struct http_exchange *exchange = NULL;
    cr_assert_eq(http_server_take(server, &exchange, 1), 1);
    if (strcmp(http_path(exchange), "/nothing") == 0) {
        http_reply(exchange, 204, NULL, (struct bytes){0});
        return;
    }
    http_set_header(exchange, "Location", "/orders/1");
    http_set_header(exchange, "X-Split", "a\r\nb"); // does not go out
    http_reply(exchange, 202, HTTP_JSON, bytes_of_text("{\"status\":\"pending\"}"));
}

// Sends a request and reads the answer; is_refused: by the server, without the core.
static void ask(const char *request, bool is_refused)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(http_server_port(server)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    if (!is_refused) {
        serve();
    }
    size_t size = 0;
    ssize_t got = 0;
    while ((got = recv(fd, answer + size, sizeof answer - 1 - size, 0)) > 0) {
        size += (size_t)got;
    }
    answer[size] = '\0';
    close(fd);
}

// The lines of the record, as an array that the caller deletes.
static cJSON *recorded(void)
{
    cJSON *lines = cJSON_CreateArray();
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) > 0) {
        cJSON *json = cJSON_Parse(line);
        cr_assert_not_null(json, "%s", line);
        cJSON_AddItemToArray(lines, json);
    }
    free(line);
    fclose(file);
    return lines;
}

// Expects that line i is what text, a JSON value, says.
static void expect_line(const cJSON *lines, int i, const char *text)
{
    cJSON *expected = cJSON_Parse(text);
    cr_assert_not_null(expected);
    char *got = cJSON_PrintUnformatted(cJSON_GetArrayItem(lines, i));
    cr_expect(cJSON_Compare(cJSON_GetArrayItem(lines, i), expected, true), "%s", got);
    free(got);
    cJSON_Delete(expected);
}

#define END "Host: x\r\nConnection: close\r\n"

Test(http_record, each_exchange_is_a_line)
{
    start(path);
    ask("POST /orders?mode=sync&q=%20 HTTP/1.1\r\n" END
        "Content-Type: application/json\r\nIdempotency-Key: k\r\nContent-Length: 9\r\n\r\n"
        "{\"a\":\"\xff\"}",
        false);
    ask("GET /nothing HTTP/1.1\r\n" END "\r\n", false);
    ask("TRACE /orders HTTP/1.1\r\n" END "\r\n", true);
    cr_expect_not_null(strstr(answer, "method-not-allowed"));

    cJSON *lines = recorded();
    cr_assert_eq(cJSON_GetArraySize(lines), 3);
    expect_line(
        lines,
        0,
        "{\"service\":\"shop\",\"method\":\"POST\",\"path\":\"/orders\","
        "\"query\":{\"mode\":\"sync\",\"q\":\" \"},"
        "\"request_headers\":{\"Content-Type\":\"application/json\",\"Idempotency-Key\":\"k\"},"
        "\"request\":\"{\\\"a\\\":\\\"\xef\xbf\xbd\\\"}\","
        "\"status\":202,\"headers\":{\"Content-Type\":\"application/json\","
        "\"Location\":\"/orders/1\"},\"response\":\"{\\\"status\\\":\\\"pending\\\"}\"}");
    expect_line(lines,
                1,
                "{\"service\":\"shop\",\"method\":\"GET\",\"path\":\"/nothing\",\"query\":{},"
                "\"request_headers\":{},\"request\":\"\",\"status\":204,"
                "\"headers\":{},\"response\":null}");
    const cJSON *refusal = cJSON_GetArrayItem(lines, 2);
    cr_expect_str_eq(json_text_of(refusal, "method"), "TRACE");
    cr_expect_eq(cJSON_GetObjectItem(refusal, "status")->valueint, 405);
    cJSON_Delete(lines);
}

Test(http_record, a_second_process_adds_to_the_file)
{
    for (int i = 0; i < 2; i++) {
        start(path);
        ask("GET /nothing HTTP/1.1\r\n" END "\r\n", false);
        http_server_destroy(&server);
    }
    cJSON *lines = recorded();
    cr_expect_eq(cJSON_GetArraySize(lines), 2);
    cJSON_Delete(lines);
}

Test(http_record, without_a_file_nothing_is_recorded)
{
    start("");
    ask("GET /nothing HTTP/1.1\r\n" END "\r\n", false);
    cr_expect_not_null(strstr(answer, "204"));
    cr_expect_neq(access(path, F_OK), 0);
}

Test(http_record, a_file_that_cannot_be_opened_is_told_at_the_start)
{
    char *problem = NULL;
    cr_expect_eq(open_with("/no/such/folder/http.jsonl", &problem), ERR_IO);
    cr_expect_null(server);
    cr_expect_not_null(strstr(problem, "HTTP_RECORD=/no/such/folder/http.jsonl"), "%s", problem);
    free(problem);
}

Test(http_record, a_full_disk_harms_no_request)
{
    start("/dev/full");
    for (int i = 0; i < 2; i++) {
        ask("GET /orders HTTP/1.1\r\n" END "\r\n", false);
        cr_expect_not_null(strstr(answer, "{\"status\":\"pending\"}"));
    }
}
