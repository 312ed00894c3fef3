// stress - HTTP server and client, log and metrics used by many threads at once, for
// the thread sanitizer to watch.
//
//   4 callers --HTTP--> server --take--> core --every other--> 2 answering threads
//   1 leaver  --HTTP--/                    \--the rest at once
//   1 scraper: metrics_format, log_flush
//
// Ends with requests still waiting, so that stopping is watched as well.
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/http_client.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"

enum {
    CALLERS = 4,
    CALLS = 1500,
    LEAVES = 300,
    ANSWERERS = 2,
    HANDED_MAX = HTTP_WAITING_MAX,
    CALL_TIMEOUT_MS = 20000,
    LEFT_WAITING = 16,
};

static const struct metric_def requests_def = {.name = "stress_requests_total",
                                               .help = "Requests.",
                                               .kind = METRIC_COUNTER,
                                               .label_names = {"thread", "path"}};
static const struct metric_def duration_def = {.name = "stress_duration_seconds",
                                               .help = "Time to answer.",
                                               .kind = METRIC_HISTOGRAM,
                                               .label_names = {"thread"}};

struct stress {
    struct http_server *server;
    struct metrics *metrics;
    atomic_bool callers_done;
    atomic_bool is_stopping;
    atomic_int failures;
    pthread_mutex_t mutex; // guards handed
    pthread_cond_t handed_more;
    struct http_exchange *handed[HANDED_MAX];
    size_t handed_count;
};

static void answer(struct stress *stress, struct http_exchange *exchange, const char *thread)
{
    char *path = mem_strdup(http_path(exchange));
    const double seconds = (double)(clock_mono_us() - http_received_us(exchange)) / 1e6;
    metrics_add(stress->metrics, &requests_def, METRIC_LABELS(thread, path), 1);
    metrics_observe(stress->metrics, &duration_def, METRIC_LABELS(thread), seconds);
    log_info("request answered", LOG_STR("path", path), LOG_STR("thread", thread));
    http_set_header(exchange, "X-Thread", thread);
    http_reply(exchange, 200, HTTP_TEXT, http_body(exchange));
    free(path);
}

static void hand_over(struct stress *stress, struct http_exchange *exchange)
{
    pthread_mutex_lock(&stress->mutex);
    stress->handed[stress->handed_count++] = exchange;
    pthread_cond_signal(&stress->handed_more);
    pthread_mutex_unlock(&stress->mutex);
}

static void *core_run(void *argument)
{
    struct stress *stress = argument;
    struct http_exchange *taken[64];
    unsigned turn = 0;
    while (!atomic_load(&stress->callers_done)) {
        struct pollfd one = {.fd = http_server_fd(stress->server), .events = POLLIN};
        poll(&one, 1, 20);
        const size_t count = http_server_take(stress->server, taken, ARRAY_LEN(taken));
        for (size_t i = 0; i < count; i++) {
            if (turn++ % 2 == 0) {
                hand_over(stress, taken[i]);
            } else {
                answer(stress, taken[i], "core");
            }
        }
        log_flush();
    }
    return NULL;
}

static void *answerer_run(void *argument)
{
    struct stress *stress = argument;
    pthread_mutex_lock(&stress->mutex);
    while (!atomic_load(&stress->is_stopping) || stress->handed_count > 0) {
        if (stress->handed_count == 0) {
            pthread_cond_wait(&stress->handed_more, &stress->mutex);
            continue;
        }
        struct http_exchange *exchange = stress->handed[--stress->handed_count];
        pthread_mutex_unlock(&stress->mutex);
        answer(stress, exchange, "answerer");
        pthread_mutex_lock(&stress->mutex);
    }
    pthread_mutex_unlock(&stress->mutex);
    return NULL;
}

static void *caller_run(void *argument)
{
    struct stress *stress = argument;
    struct http_client *client = http_client_new();
    const struct http_header headers[] = {{"X-Test", "1"}, {0}};
    for (int i = 0; i < CALLS; i++) {
        char *url = mem_format("http://127.0.0.1:%" PRIu16 "/path/%d?q=%d",
                               http_server_port(stress->server),
                               i % 7,
                               i);
        char *body = mem_format("{\"number\":%d}", i);
        struct http_response response;
        const enum err err =
            http_client_call(client, "POST", url, headers, body, CALL_TIMEOUT_MS, &response);
        if (err != ERR_OK || response.status != 200 || !bytes_equal_text(response.body, body)) {
            atomic_fetch_add(&stress->failures, 1);
            fprintf(stderr, "call %d: %s %s\n", i, err_name(err), http_client_error(client));
        }
        free(body);
        free(url);
    }
    http_client_destroy(&client);
    return NULL;
}

static int dial(const struct stress *stress)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(http_server_port(stress->server)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        perror("connect");
        exit(1);
    }
    const char request[] = "GET /left HTTP/1.1\r\nHost: a\r\n\r\n";
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0) {
        perror("send");
        exit(1);
    }
    return fd;
}

static void *leaver_run(void *argument)
{
    struct stress *stress = argument;
    for (int i = 0; i < LEAVES; i++) {
        close(dial(stress));
    }
    return NULL;
}

static void *scraper_run(void *argument)
{
    struct stress *stress = argument;
    struct buf page = {0};
    while (!atomic_load(&stress->is_stopping)) {
        buf_clear(&page);
        metrics_format(stress->metrics, &page);
        log_warn("scraped", LOG_INT("bytes", page.size));
        poll(NULL, 0, 1);
    }
    buf_release(&page);
    return NULL;
}

// Requests that nobody takes any more: the server must answer them itself.
static void leave_waiting(struct stress *stress, int fds[LEFT_WAITING])
{
    for (int i = 0; i < LEFT_WAITING; i++) {
        fds[i] = dial(stress);
    }
    struct pollfd one = {.fd = http_server_fd(stress->server), .events = POLLIN};
    poll(&one, 1, CALL_TIMEOUT_MS);
}

static void stress_run(struct stress *stress)
{
    pthread_t core;
    pthread_t scraper;
    pthread_t leaver;
    pthread_t answerers[ANSWERERS];
    pthread_t callers[CALLERS];
    pthread_create(&core, NULL, core_run, stress);
    pthread_create(&scraper, NULL, scraper_run, stress);
    pthread_create(&leaver, NULL, leaver_run, stress);
    for (size_t i = 0; i < ANSWERERS; i++) {
        pthread_create(&answerers[i], NULL, answerer_run, stress);
    }
    for (size_t i = 0; i < CALLERS; i++) {
        pthread_create(&callers[i], NULL, caller_run, stress);
    }

    for (size_t i = 0; i < CALLERS; i++) {
        pthread_join(callers[i], NULL);
    }
    pthread_join(leaver, NULL);
    atomic_store(&stress->callers_done, true);
    pthread_join(core, NULL);
    pthread_mutex_lock(&stress->mutex);
    atomic_store(&stress->is_stopping, true);
    pthread_cond_broadcast(&stress->handed_more);
    pthread_mutex_unlock(&stress->mutex);
    for (size_t i = 0; i < ANSWERERS; i++) {
        pthread_join(answerers[i], NULL);
    }
    pthread_join(scraper, NULL);
}

int main(void)
{
    // The log is not what is looked at here.
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDOUT_FILENO) < 0) {
        perror("/dev/null");
        return 1;
    }
    struct stress stress = {.metrics = metrics_new()};
    pthread_mutex_init(&stress.mutex, NULL);
    pthread_cond_init(&stress.handed_more, NULL);
    const struct http_server_options options = {.address = "127.0.0.1"};
    char *problem = NULL;
    if (log_open("stress", "json", "info") != ERR_OK ||
        http_server_open(&stress.server, &options, &problem) != ERR_OK) {
        fprintf(stderr, "%s\n", problem);
        return 1;
    }

    stress_run(&stress);
    int waiting[LEFT_WAITING];
    leave_waiting(&stress, waiting);
    http_server_destroy(&stress.server);

    for (size_t i = 0; i < ARRAY_LEN(waiting); i++) {
        close(waiting[i]);
    }
    metrics_destroy(&stress.metrics);
    fprintf(stderr, "%d calls, %d failed\n", CALLERS * CALLS, atomic_load(&stress.failures));
    return atomic_load(&stress.failures) == 0 ? 0 : 1;
}
