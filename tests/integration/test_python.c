// docs/protocol.md is enough to write a client: the one in examples/python, in plain
// pyzmq, against the real broker and the client in C.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/broker_process.h"
#include "tests/support/bus_peer.h"

#define PYTHON "/usr/bin/python3" // Debian's, which has Debian's python3-zmq

enum {
    ARGS_MAX = 12,
    HEARTBEAT_MS = 100,
};

static struct broker_process *broker;
static const char *url;
static char folder[64]; // for what the processes write
static pid_t member;    // of a group of processes; 0: none

static void set_up(void)
{
    static const char *const env[] = {"HEARTBEAT_MS=100", NULL};
    broker = broker_process_new(env);
    url = broker_process_url(broker);
    strcpy(folder, "/tmp/faultline-python-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    member = 0;
}

static void member_kill(void)
{
    if (member != 0) {
        kill(-member, SIGKILL); // and the commands that it runs
        waitpid(member, NULL, 0);
        member = 0;
    }
}

static void tear_down(void)
{
    member_kill();
    broker_process_destroy(&broker);
    char *command = mem_format("rm -rf -- %s", folder);
    cr_expect_eq(system(command), 0);
    free(command);
}

TestSuite(python, .init = set_up, .fini = tear_down, .timeout = 60);

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static char *path_of(const char *name)
{
    return mem_format("%s/%s", folder, name);
}

static bool file_is(const char *name, const char *wanted)
{
    char *path = path_of(name);
    char text[4096] = {0};
    FILE *file = fopen(path, "re");
    const bool is_same = file != NULL && fread(text, 1, sizeof text - 1, file) == strlen(wanted) &&
                         strcmp(text, wanted) == 0;
    if (file != NULL) {
        fclose(file);
    }
    free(path);
    return is_same;
}

static void file_write(const char *name, const char *text)
{
    char *path = path_of(name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    free(path);
}

// Starts one of the examples in the folder, with a process group of its own, input from
// the file "in" and output to the file "out".
static pid_t start(const char *script, const char *const *args)
{
    const char *source = getenv("FAULTLINE_SOURCE");
    cr_assert_not_null(source, "FAULTLINE_SOURCE is not set; run this with ctest");
    char *argv[ARGS_MAX + 4] = {mem_strdup(PYTHON), mem_strdup("-B")};
    argv[2] = mem_format("%s/examples/python/%s", source, script);
    for (size_t i = 0; args[i] != NULL; i++) {
        cr_assert_lt(i, ARGS_MAX);
        argv[3 + i] = mem_strdup(args[i]);
    }
    const pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (chdir(folder) != 0 || dup2(open("in", O_RDONLY | O_CREAT, 0600), STDIN_FILENO) < 0 ||
            dup2(open("out", O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO) < 0) {
            _exit(126);
        }
        execv(PYTHON, argv);
        _exit(127);
    }
    cr_assert_gt(pid, 0);
    setpgid(pid, pid); // whoever is first
    for (size_t i = 0; argv[i] != NULL; i++) {
        free(argv[i]);
    }
    return pid;
}

// Publishes lines in Python and expects to be told this about them. A client in C needs
// its turns meanwhile, or its session ends; NULL: there is none.
static void publish(struct bus_peer *meanwhile, const char *lines, const char *told)
{
    file_write("in", lines);
    const pid_t pid = start("publish.py", (const char *const[]){url, "order-created", NULL});
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (meanwhile != NULL) {
            peer_pump(meanwhile, 5);
        } else {
            nap();
        }
    }
    cr_assert_eq(status, 0, "is python3-zmq installed?");
    cr_assert(file_is("out", told));
}

// Starts a member in Python that runs a line of shell for each event, its body in $0.
static void member_start(const char *shell)
{
    const char *const args[] = {
        url, "ledger", "ledger-1", "order-created", "sh", "-c", shell, NULL};
    member = start("member.py", args);
}

static int64_t counter(const char *name)
{
    char *status = broker_process_get(broker, "/status", NULL);
    char *member_name = mem_format("\"%s\":", name);
    const char *at = status == NULL ? NULL : strstr(status, member_name);
    const int64_t value = at == NULL ? -1 : strtoll(at + strlen(member_name), NULL, 10);
    free(member_name);
    free(status);
    return value;
}

// Fails the test when condition takes too long to hold.
#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        const int64_t deadline_ms_ = clock_mono_ms() + PEER_DEADLINE_MS;                           \
        while (!(condition)) {                                                                     \
            cr_assert_lt(clock_mono_ms(), deadline_ms_, "it never came true: %s", #condition);     \
            nap();                                                                                 \
        }                                                                                          \
    } while (0)

static void publish_in_c(const char *key, const char *id, const char *body)
{
    struct bus_peer *publisher = peer_publisher(url);
    publisher->unanswered = mem_calloc(1, 1);
    const struct bytes bytes = bytes_of_text(body);
    cr_assert_eq(bus_publish(publisher->bus, 0, "order-created", key, id, bytes), ERR_OK);
    bus_flush(publisher->bus);
    PUMP_UNTIL(publisher->published == 1, publisher);
    peer_close(&publisher);
}

// --- from Python to C

Test(python, what_it_publishes_a_member_in_c_receives_as_it_was)
{
    struct bus_peer *consumer = peer_consumer(url, "ledger", 1, "order-created");
    publish(consumer,
            "e-1 order-7 {\"n\":1}\ne-2 order-8 {\"n\":\"\xc3\xbc 2\"}\n",
            "e-1 is at 0\ne-2 is at 1\n");

    PUMP_UNTIL(consumer->deliveries_count == 2, consumer);
    const struct bus_delivery *first = &consumer->deliveries[0].delivery;
    const struct bus_delivery *second = &consumer->deliveries[1].delivery;
    cr_expect(bytes_equal_text(first->topic, "order-created"));
    cr_expect(bytes_equal_text(first->key, "order-7"));
    cr_expect(bytes_equal_text(first->id, "e-1"));
    cr_expect(bytes_equal_text(first->body, "{\"n\":1}"));
    cr_expect_eq(second->offset, 1);
    cr_expect(bytes_equal_text(second->body, "{\"n\":\"\xc3\xbc 2\"}"));
    peer_close(&consumer);
}

Test(python, what_it_publishes_again_is_told_to_be_there_and_delivered_once)
{
    struct bus_peer *consumer = peer_consumer(url, "ledger", 1, "order-created");
    peer_answer_with(consumer, PEER_ACK);
    publish(consumer, "e-1 order-7 {}\n", "e-1 is at 0\n");
    publish(consumer, "e-1 order-7 {}\ne-2 order-7 {}\n", "e-1 was there, at 0\ne-2 is at 1\n");

    PUMP_UNTIL(peer_count_id(consumer, "e-2") == 1, consumer);
    cr_expect_eq(peer_count_id(consumer, "e-1"), 1);
    cr_expect_eq(counter("duplicates"), 1);
    peer_close(&consumer);
}

Test(python, an_event_that_may_not_be_stored_is_refused_and_the_others_are_stored)
{
    struct buf lines = {0};
    buf_put_text(&lines, "e-1 k ");
    for (size_t i = 0; i < 65537; i++) {
        buf_put_u8(&lines, 'x');
    }
    buf_put_text(&lines, "\ne-2 k {}\n");
    buf_put_u8(&lines, 0);
    publish(NULL, (const char *)lines.data, "e-1 is refused: too-large\ne-2 is at 0\n");
    buf_release(&lines);
}

// --- from C to Python

Test(python, what_is_published_in_c_its_member_receives_and_acks)
{
    member_start("echo \"$0\" >> seen");
    publish_in_c("k", "e-1", "{\"n\":1}");
    publish_in_c("k", "e-2", "{\"n\":2}"); // one key: in this order
    WAIT_FOR(counter("acked") == 2);
    cr_expect(file_is("seen", "{\"n\":1}\n{\"n\":2}\n"));
    cr_expect_eq(counter("lag_events"), 0);
    cr_expect_eq(counter("redelivered"), 0);
    cr_expect_eq(counter("stale_acks"), 0);
}

Test(python, what_its_member_nacks_comes_again_until_it_acks)
{
    member_start("echo again >> seen; test $(wc -l < seen) -eq 3");
    publish_in_c("k", "e-1", "{}");
    WAIT_FOR(counter("acked") == 1);
    cr_expect(file_is("seen", "again\nagain\nagain\n"));
    cr_expect_eq(counter("failed"), 2);
    cr_expect_eq(counter("redelivered"), 2);
}

// It works ten heartbeats long and says nothing else: without its PONGs and PINGs the
// broker would give the event to somebody else, without the broker's it would go away.
Test(python, a_member_that_works_for_long_stays_by_its_heartbeats)
{
    member_start("echo begun >> seen; until test -e go || ! kill -0 $PPID; do sleep 0.01; done");
    publish_in_c("k", "e-1", "{}");
    WAIT_FOR(file_is("seen", "begun\n"));
    const int64_t end_ms = clock_mono_ms() + 10 * HEARTBEAT_MS;
    WAIT_FOR(counter("held") != 1 || clock_mono_ms() > end_ms);
    cr_expect_eq(counter("held"), 1);
    file_write("go", "");
    WAIT_FOR(counter("acked") == 1);
    cr_expect_eq(counter("delivered"), 1);
    cr_expect_eq(counter("stale_acks"), 0);
}

Test(python, what_a_member_held_when_it_was_killed_goes_to_one_in_c_as_the_next_attempt)
{
    member_start("echo begun >> seen; sleep 60");
    publish_in_c("k", "e-1", "{}");
    WAIT_FOR(file_is("seen", "begun\n"));
    struct bus_peer *consumer = peer_consumer(url, "ledger", 2, "order-created");
    member_kill();

    PUMP_UNTIL(consumer->deliveries_count == 1, consumer);
    cr_expect_eq(consumer->deliveries[0].delivery.attempt, 2);
    cr_expect(bytes_equal_text(consumer->deliveries[0].delivery.id, "e-1"));
    peer_close(&consumer);
}

Test(python, a_member_comes_back_by_itself_when_the_broker_was_killed)
{
    member_start("echo \"$0\" >> seen");
    publish_in_c("k", "e-1", "1");
    WAIT_FOR(counter("acked") == 1);
    WAIT_FOR(counter("lag_events") == 0);
    broker_process_kill(broker);
    broker_process_start(broker);
    publish_in_c("k", "e-2", "2");
    // The group's file may lag behind the acks by 100 ms: then the first comes again.
    WAIT_FOR(file_is("seen", "1\n2\n") || file_is("seen", "1\n1\n2\n"));
}
