// A real broker on a disk that is really full, or whose sync fails: publishers hear
// disk-full, readers go on, and no start finds less than was answered.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/broker_process.h"
#include "tests/support/raw_client.h"

enum {
    BODY = 50000,
    EVENTS_MAX = 1000,
    SEGMENT_MB = 1,
    DISK_MB = 8,
    FILLER_MB = 3,
};

#define UNANSWERED "unanswered" // id of the event whose sync fails

static struct broker_process *broker;
static struct raw_client *client;

// Numbers of the events that were answered with PUBLISHED, by offset.
static uint64_t answered[EVENTS_MAX];
static bool is_answered[EVENTS_MAX];
static uint64_t requests; // the newest event's number

static void stop(void)
{
    raw_client_destroy(&client);
    broker_process_destroy(&broker);
}

TestSuite(broker_disk, .fini = stop, .timeout = 120);

// FAULTLINE_BIN as a path that does not begin here.
static void name_binaries(void)
{
    char here[1024];
    const char *given = getenv("FAULTLINE_BIN");
    cr_assert_not_null(getcwd(here, sizeof here));
    if (given == NULL || given[0] != '/') {
        char *bin = mem_format("%s/%s", here, given == NULL ? "build/dev/bin" : given);
        cr_assert_eq(setenv("FAULTLINE_BIN", bin, 1), 0);
        free(bin);
    }
}

static void connect_client(void)
{
    raw_client_destroy(&client);
    client = raw_client_new(broker_process_url(broker));
    raw_client_hello(client, "order-1", (uint64_t)clock_wall_us());
}

static void start_broker(const char *const *env)
{
    broker = broker_process_new(env);
    connect_client();
}

// --- publishing

// Publishes the next event. false: disk-full.
static bool publish(void)
{
    static char body[BODY + 1];
    char id[32];
    struct wire_control control;
    struct bytes none;
    struct buf batch = {0};
    snprintf(id, sizeof id, "%lu", (unsigned long)++requests);
    memset(body, 'a' + (int)(requests % 26), BODY);
    cr_assert_eq(record_append(&batch,
                               &(struct record){.topic = bytes_of_text("order-created"),
                                                .id = bytes_of_text(id),
                                                .body = bytes_of_text(body)}),
                 ERR_OK);
    raw_client_send(
        client,
        &(struct wire_control){
            .type = WIRE_PUBLISH, .request = requests, .acks = WIRE_ACKS_ALL, .count = 1},
        buf_view(&batch));
    buf_release(&batch);
    do {
        cr_assert(raw_client_receive(client, RAW_CLIENT_WAIT_MS, &control, &none));
    } while (control.request != requests);
    if (control.type == WIRE_PUBLISHED) {
        cr_assert_lt(control.offset, EVENTS_MAX);
        cr_assert(!is_answered[control.offset], "an offset was given twice");
        is_answered[control.offset] = true;
        answered[control.offset] = requests;
        return true;
    }
    cr_assert(bytes_equal_text(control.code, WIRE_CODE_DISK_FULL));
    return false;
}

// Publishes until the disk is full, and returns how many events found room.
static size_t publish_until_full(void)
{
    size_t count = 0;
    while (publish()) {
        count++;
    }
    return count;
}

static void publish_when_there_is_room(void)
{
    const int64_t deadline_ms = clock_mono_ms() + RAW_CLIENT_WAIT_MS;
    while (!publish()) {
        cr_assert_lt(clock_mono_ms(), deadline_ms, "there is space, and it is not used");
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

// --- reading

static void expect_whole(const struct wire_delivered *entry)
{
    char id[32];
    snprintf(id, sizeof id, "%lu", (unsigned long)answered[entry->offset]);
    cr_assert(is_answered[entry->offset], "offset %lu was refused", (unsigned long)entry->offset);
    cr_assert(bytes_equal_text(entry->record.id, id));
    cr_assert_eq(entry->record.body.size, BODY);
    cr_assert_eq(entry->record.body.data[BODY / 2], 'a' + answered[entry->offset] % 26);
}

// The log holds what was answered, all of it; and nothing else, but perhaps what had no
// answer when the broker ended.
static void expect_log_whole(void)
{
    uint64_t found = 0;
    struct wire_control control = {.end = 1};
    while (control.offset < control.end) {
        struct bytes batch;
        struct wire_delivered entry;
        const struct wire_control question = {
            .type = WIRE_READ, .request = 1, .offset = control.offset, .credit = 100};
        raw_client_send(client, &question, (struct bytes){0});
        raw_client_expect(client, WIRE_RECORDS, &control, &batch);
        while (batch.size > 0) {
            cr_assert_eq(wire_delivered_take(&batch, &entry), ERR_OK);
            if (!bytes_equal_text(entry.record.id, UNANSWERED)) {
                expect_whole(&entry);
                found++;
            }
        }
    }
    for (size_t i = 0; i < EVENTS_MAX; i++) {
        found -= is_answered[i];
    }
    cr_expect_eq(found, 0);
}

// A group reads from the first event on, acks, and comes to the end.
static void expect_group_gets_all(const char *group)
{
    size_t left = 0;
    for (size_t i = 0; i < EVENTS_MAX; i++) {
        left += is_answered[i];
    }
    struct raw_client *member = raw_client_new(broker_process_url(broker));
    raw_client_hello(member, group, (uint64_t)clock_wall_us());
    raw_client_subscribe(member, group, 8, (const char *const[]){"order-created", NULL});
    for (; left > 0; left--) {
        struct wire_delivered delivered;
        raw_client_delivery(member, &delivered);
        expect_whole(&delivered);
        raw_client_ack(member, delivered.offset, delivered.attempt);
    }
    cr_expect(raw_client_is_quiet(member));
    raw_client_destroy(&member);
}

// --- a full disk

static void (*give_room)(void);

// The story of a full disk, whatever makes it full; give_room ends that.
static void tell_full_disk(void)
{
    cr_expect_gt(publish_until_full(), 5);
    expect_log_whole();
    expect_group_gets_all("payment");
    cr_expect(!publish());

    broker_process_kill(broker); // in this state
    broker_process_start(broker);
    connect_client();
    expect_log_whole();
    publish_until_full();
    expect_group_gets_all("ledger");

    give_room();
    publish_when_there_is_room();
    for (int i = 0; i < 20; i++) {
        cr_expect(publish());
    }
    expect_log_whole();
    broker_process_kill(broker);
    broker_process_start(broker);
    connect_client();
    expect_log_whole();
    expect_group_gets_all("fraud");
}

static void remove_filler(void)
{
    cr_assert_eq(unlink("filler"), 0);
}

static void make_filler(void)
{
    const int fd = open("filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(posix_fallocate(fd, 0, (off_t)FILLER_MB * 1024 * 1024), 0);
    close(fd);
}

// Makes a small file system the working directory. Nobody else sees it, and it goes with the
// test, however that ends.
static bool enter_small_disk(void)
{
    char folder[] = "/tmp/faultline-disk-XXXXXX";
    char options[32];
    snprintf(options, sizeof options, "size=%dm", DISK_MB);
    cr_assert_not_null(mkdtemp(folder));
    const bool is_in = mount("tmpfs", folder, "tmpfs", 0, options) == 0 && chdir(folder) == 0 &&
                       umount2(folder, MNT_DETACH) == 0;
    cr_assert_eq(rmdir(folder), 0);
    return is_in;
}

Test(broker_disk, a_full_file_system_refuses_publishers_until_there_is_space_and_readers_go_on)
{
    name_binaries();
    if (!enter_small_disk()) {
        cr_skip_test("this process may not mount a file system: the limit of a file's size, in "
                     "the next test, is the full disk that is tested here");
    }
    make_filler();
    give_room = remove_filler;
    start_broker((const char *const[]){"DATA_DIR=broker", "SEGMENT_BYTES=1048576", NULL});
    tell_full_disk();
}

// --- the largest size that a file may have

static void limit_file_size(const char *bytes)
{
    char *command = mem_format("prlimit --pid %d --fsize=%s:", broker_process_pid(broker), bytes);
    cr_assert_eq(system(command), 0);
    free(command);
}

Test(broker_disk, a_file_at_the_largest_size_it_may_have_is_a_full_disk)
{
    start_broker((const char *const[]){"SEGMENT_BYTES=8388608", NULL});
    limit_file_size("2000000");
    cr_expect_gt(publish_until_full(), 5);
    expect_log_whole();
    expect_group_gets_all("payment");
    limit_file_size("unlimited");
    publish_when_there_is_room();
    broker_process_kill(broker);
    broker_process_start(broker);
    connect_client();
    expect_log_whole();
}

// --- a sync that fails

Test(broker_disk, a_failed_sync_ends_the_broker_with_a_sentence_and_the_next_start_recovers)
{
    name_binaries();
    char folder[] = "/tmp/faultline-disk-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    char *command = mem_format("%s/fail", folder);
    char *failing = mem_format("FAILING_SYNC=%s", command);
    char *preload = mem_format("LD_PRELOAD=%s/failing_sync.so", getenv("FAULTLINE_BIN"));
    // The sanitizer wants to be loaded first, unless it is told not to mind.
    start_broker(
        (const char *const[]){failing, preload, "ASAN_OPTIONS=verify_asan_link_order=0", NULL});
    for (int i = 0; i < 20; i++) {
        cr_assert(publish());
    }
    close(open(command, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));

    struct buf batch = {0};
    const struct record lost = {.topic = bytes_of_text("order-created"),
                                .id = bytes_of_text(UNANSWERED)};
    cr_assert_eq(record_append(&batch, &lost), ERR_OK);
    raw_client_send(client,
                    &(struct wire_control){
                        .type = WIRE_PUBLISH, .request = 1000, .acks = WIRE_ACKS_ALL, .count = 1},
                    buf_view(&batch));
    char *output = NULL;
    cr_expect_eq(broker_process_wait(broker, 10000, &output), 128 + SIGABRT);
    cr_expect_not_null(strstr(output, "cannot sync "), "%s", output);
    cr_expect_not_null(strstr(output, "Input/output error"), "%s", output);
    cr_expect_not_null(strstr(output, "the next start reads it again"), "%s", output);
    struct wire_control control;
    struct bytes none;
    cr_expect(!raw_client_receive(client, 0, &control, &none), "it was not answered");

    unlink(command);
    broker_process_start(broker);
    connect_client();
    cr_assert(publish());
    expect_log_whole();
    rmdir(folder);
    free(output);
    free(preload);
    free(failing);
    free(command);
    buf_release(&batch);
}
