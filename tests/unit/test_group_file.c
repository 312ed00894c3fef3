// The file of all groups comes back as it was saved, or says what is wrong with it.
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/group_file.h"
#include "common/mem.h"
#include "common/record.h"
#include "tests/support/faulty_disk.h"

// --- plumbing

// Each test runs in a process of its own, so this is one folder a test.
static char directory[] = "/tmp/faultline-groups-XXXXXX";
static char problem[GROUP_FILE_PROBLEM_SIZE];
static struct faulty_disk disk;
static char order_created[] = "order-created";
static char order_cancelled[] = "order-cancelled";
static char dotted[] = "a.b";

static char *path_of(const char *name)
{
    return mem_format("%s/%s", directory, name);
}

static void make_directory(void)
{
    cr_assert_not_null(mkdtemp(directory));
    faulty_disk_init(&disk);
}

static void remove_directory(void)
{
    static const char *const names[] = {"groups", "groups.tmp"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path = path_of(names[i]);
        if (unlink(path) != 0 && (errno == EISDIR || errno == EPERM)) {
            rmdir(path);
        }
        free(path);
    }
    rmdir(directory);
}

TestSuite(group_file, .init = make_directory, .fini = remove_directory);

static struct buf file_bytes(void)
{
    struct buf bytes = {0};
    char *path = path_of(GROUP_FILE_NAME);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file);
    for (int byte = fgetc(file); byte != EOF; byte = fgetc(file)) {
        buf_put_u8(&bytes, (uint8_t)byte);
    }
    fclose(file);
    free(path);
    return bytes;
}

static void write_file(struct bytes bytes)
{
    char *path = path_of(GROUP_FILE_NAME);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes.data, 1, bytes.size, file), bytes.size);
    cr_assert_eq(fclose(file), 0);
    free(path);
}

static enum err save(const struct group_file_state *state)
{
    return group_file_save(&disk.disk, directory, 0, state, problem);
}

static enum err load(struct group_file_state *state)
{
    return group_file_load(&disk.disk, directory, 0, state, problem);
}

// What the tests save: a group with some of everything, and one that is new.
struct fixture {
    struct group_file_total totals[2];
    char *topics[2];
    uint64_t dead_letters[5];
    struct group_file_group groups[2];
    struct group_file_state state;
};

static void fill(struct fixture *self)
{
    struct group *payment = group_new("payment", 100);
    group_set_retries(payment, 3);
    group_join(payment, 1, 10);
    for (uint32_t i = 0; i < 5; i++) {
        group_offer(payment, true, i);
    }
    struct group_delivery delivery = {0};
    while (group_deliver(payment, 0, &delivery)) {
    }
    const struct group_failure failure = {
        .wall_us = 77, .error = bytes_of_text("no\nroute"), .delay_ms = 250};
    cr_assert_eq(group_ack(payment, 1, 102, 1, 1), 1);
    cr_assert_eq(group_nack(payment, 1, 103, 1, &failure), ERR_OK);

    *self = (struct fixture){
        .totals = {{.topic = order_created, .count = 60}, {.topic = dotted, .count = 45}},
        .topics = {order_created, order_cancelled},
        .dead_letters = {7, 20, 21, 22, 104},
    };
    self->groups[0] = (struct group_file_group){
        .group = payment,
        .backlog = 4,
        .topics = self->topics,
        .topics_count = 2,
        .dead_letters = self->dead_letters,
        .dead_letters_count = 5,
    };
    self->groups[1] = (struct group_file_group){.group = group_new("fraud", 0)};
    self->state = (struct group_file_state){
        .log_first = 4,
        .log_end = 105,
        .totals = self->totals,
        .totals_count = 2,
        .groups = self->groups,
        .groups_count = 2,
    };
}

static void drop(struct fixture *self)
{
    group_destroy(&self->groups[0].group);
    group_destroy(&self->groups[1].group);
}

static void save_fixture(void)
{
    struct fixture fixture;
    fill(&fixture);
    cr_assert_eq(save(&fixture.state), ERR_OK, "%s", problem);
    drop(&fixture);
}

static void expect_empty(const struct group_file_state *state)
{
    cr_expect_eq(state->log_end, 0);
    cr_expect_eq(state->totals_count, 0);
    cr_expect_eq(state->groups_count, 0);
    cr_expect_null(state->totals);
    cr_expect_null(state->groups);
}

// --- good files

Test(group_file, a_missing_file_is_an_empty_state)
{
    struct group_file_state state = {.log_end = 5};
    cr_expect_eq(load(&state), ERR_OK);
    expect_empty(&state);
    group_file_state_release(&state);
}

Test(group_file, an_empty_state_is_kept_too)
{
    cr_assert_eq(save(&(struct group_file_state){.log_end = 12}), ERR_OK);
    struct group_file_state state = {0};
    cr_assert_eq(load(&state), ERR_OK);
    cr_expect_eq(state.log_end, 12);
    group_file_state_release(&state);
}

Test(group_file, the_bytes_are_the_documented_ones)
{
    static char topic[] = "a.b";
    struct group_file_total total = {.topic = topic, .count = 130};
    char *topics[] = {topic};
    uint64_t dead_letters[] = {7, 20, 350};
    struct group_file_group group = {
        .group = group_new("pay", 120),
        .backlog = 11,
        .topics = topics,
        .topics_count = 1,
        .dead_letters = dead_letters,
        .dead_letters_count = 3,
    };
    const struct group_file_state state = {.log_first = 4,
                                           .log_end = 400,
                                           .totals = &total,
                                           .totals_count = 1,
                                           .groups = &group,
                                           .groups_count = 1};
    static const uint8_t expected[] = {
        'F',  'L', 'g', 'r',  2,   0,   0,    0, // magic, version
        0x90, 3,                                 // log_end
        4,                                       // log_first
        1,    3,   0,   'a',  '.', 'b', 0x82, 1, // one topic, 130 records
        1,    3,   0,   'p',  'a', 'y', 0,    0, // one group: name, order by key, retries
        120,  0,                                 // floor, nothing is known from there on
        11,   1,   3,   0,    'a', '.', 'b',     // backlog, one topic
        3,    7,   13,  0xca, 2,                 // three dead letters, by their distances
    };

    cr_assert_eq(save(&state), ERR_OK);

    struct buf bytes = file_bytes();
    cr_assert_eq(bytes.size, sizeof expected + 4);
    cr_expect_arr_eq(bytes.data, expected, sizeof expected);
    cr_expect_eq(load_u32(bytes.data + sizeof expected),
                 record_crc32c(0, expected, sizeof expected));
    buf_release(&bytes);
    group_destroy(&group.group);
}

Test(group_file, what_was_saved_comes_back)
{
    save_fixture();

    struct group_file_state state = {0};
    cr_assert_eq(load(&state), ERR_OK, "%s", problem);

    cr_expect_eq(state.log_first, 4);
    cr_expect_eq(state.log_end, 105);
    cr_assert_eq(state.totals_count, 2);
    cr_expect_str_eq(state.totals[1].topic, "a.b");
    cr_expect_eq(state.totals[1].count, 45);
    cr_assert_eq(state.groups_count, 2);
    const struct group_file_group *payment = &state.groups[0];
    cr_expect_str_eq(group_name(payment->group), "payment");
    cr_expect_eq(group_retries(payment->group), 3);
    cr_expect_eq(group_cursor(payment->group), 100);
    cr_expect(group_is_done(payment->group, 102));
    cr_expect_not(group_is_done(payment->group, 103));
    struct group_entry_info info = {0};
    cr_assert(group_failing_next(payment->group, 0, &info));
    cr_expect_str_eq(info.error, "no route");
    cr_expect_eq(payment->backlog, 4);
    cr_assert_eq(payment->topics_count, 2);
    cr_expect_str_eq(payment->topics[1], "order-cancelled");
    const uint64_t dead_letters[] = {7, 20, 21, 22, 104};
    cr_assert_eq(payment->dead_letters_count, ARRAY_LEN(dead_letters));
    cr_expect_arr_eq(payment->dead_letters, dead_letters, sizeof dead_letters);
    cr_expect_str_eq(group_name(state.groups[1].group), "fraud");
    group_file_state_release(&state);
    expect_empty(&state);
}

Test(group_file, what_was_loaded_saves_as_the_same_bytes)
{
    save_fixture();
    struct buf before = file_bytes();
    struct group_file_state state = {0};
    cr_assert_eq(load(&state), ERR_OK);

    cr_assert_eq(save(&state), ERR_OK);

    struct buf after = file_bytes();
    cr_expect_eq(before.size, after.size);
    cr_expect_arr_eq(before.data, after.data, after.size);
    buf_release(&before);
    buf_release(&after);
    group_file_state_release(&state);
}

Test(group_file, saving_makes_the_groups_clean_and_leaves_no_other_file)
{
    struct fixture fixture;
    fill(&fixture);
    cr_assert(group_is_dirty(fixture.groups[0].group));

    cr_assert_eq(save(&fixture.state), ERR_OK);

    cr_expect_not(group_is_dirty(fixture.groups[0].group));
    cr_expect_not(group_is_dirty(fixture.groups[1].group));
    char *temp = path_of("groups.tmp");
    cr_expect_eq(access(temp, F_OK), -1);
    free(temp);
    drop(&fixture);
}

Test(group_file, half_a_file_of_an_earlier_crash_is_in_nobodys_way)
{
    save_fixture();
    char *temp = path_of("groups.tmp");
    FILE *file = fopen(temp, "wb");
    cr_assert_not_null(file);
    fputs("FLgr", file);
    fclose(file);
    free(temp);

    struct group_file_state state = {0};
    cr_assert_eq(load(&state), ERR_OK);
    cr_expect_eq(state.log_end, 105);
    cr_expect_eq(save(&state), ERR_OK);
    group_file_state_release(&state);
}

// --- damage

static void expect_refused(const char *why, const char *what, size_t at)
{
    struct group_file_state state = {0};
    cr_expect_eq(load(&state), ERR_CORRUPT, "%s %zu was not noticed", what, at);
    cr_expect_not_null(strstr(problem, directory));
    cr_expect_not_null(strstr(problem, why), "%s %zu: %s", what, at, problem);
    cr_expect_not_null(strstr(problem, "move it away"));
    expect_empty(&state);
    group_file_state_release(&state);
}

Test(group_file, a_flip_of_any_bit_is_noticed)
{
    save_fixture();
    struct buf bytes = file_bytes();

    for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        write_file(buf_view(&bytes));
        expect_refused(bit / 32 == 1 ? "another version" : "is damaged", "a flip of bit", bit);
        bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    buf_release(&bytes);
}

Test(group_file, a_cut_at_any_byte_is_noticed)
{
    save_fixture();
    struct buf bytes = file_bytes();
    for (size_t size = 0; size < bytes.size; size++) {
        write_file((struct bytes){.data = bytes.data, .size = size});
        expect_refused("", "a cut at byte", size);
    }
    buf_release(&bytes);
}

Test(group_file, a_byte_too_many_or_too_few_anywhere_is_noticed)
{
    save_fixture();
    struct buf bytes = file_bytes();
    for (size_t at = 0; at <= bytes.size; at++) {
        for (uint8_t extra = 0; extra < 3; extra++) {
            struct buf changed = {0};
            buf_put(&changed, bytes.data, at);
            buf_put_u8(&changed, extra);
            buf_put(&changed, bytes.data + at, bytes.size - at);
            write_file(buf_view(&changed));
            expect_refused("", "a byte more at", at);
            buf_release(&changed);
        }
    }
    for (size_t at = 0; at < bytes.size; at++) {
        struct buf changed = {0};
        buf_put(&changed, bytes.data, at);
        buf_put(&changed, bytes.data + at + 1, bytes.size - at - 1);
        write_file(buf_view(&changed));
        expect_refused("", "a byte less at", at);
        buf_release(&changed);
    }
    buf_release(&bytes);
}

Test(group_file, another_version_of_the_format_is_refused_and_said_so)
{
    write_file(bytes_of_text("faultline-groups 1\nlog-end 9\ncrc32c 00000000\n"));
    expect_refused("another version", "text", 0);
    write_file((struct bytes){(const uint8_t *)"FLgr\3\0\0\0", 8});
    expect_refused("another version", "a later version", 3);
}

// Bytes with a checksum that is right, so that only what they say can be wrong.
static void write_sealed(const void *data, size_t size)
{
    struct buf bytes = {0};
    buf_put(&bytes, "FLgr\2\0\0\0", 8);
    buf_put(&bytes, data, size);
    buf_put_u32(&bytes, record_crc32c(0, bytes.data, bytes.size));
    write_file(buf_view(&bytes));
    buf_release(&bytes);
}

#define GROUP_A "\1\0a\0\3\0\0" // name, order, retries, floor, nothing known

Test(group_file, what_no_broker_writes_is_refused_even_with_a_right_checksum)
{
    static const struct {
        const char *what;
        const char *bytes;
        size_t size;
    } cases[] = {
#define CASE(what, bytes) {what, bytes, sizeof bytes - 1}
        CASE("a log that ends before it begins", "\5\6\0\0"),
        CASE("an offset that is too large", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\1\0\0\0"),
        CASE("more topics than there may be", "\x64\0\x81\x20\0"),
        CASE("a topic that is none", "\x64\0\1\1\0A\5\0"),
        CASE("more records than the log", "\x64\0\1\1\0a\x65\0"),
        CASE("more groups than there may be", "\x64\0\0\x81\2" GROUP_A "\0\0\0"),
        CASE("fewer groups than promised", "\x64\0\0\2" GROUP_A "\0\0\0"),
        CASE("a name that is none", "\x64\0\0\1\1\0A\0\3\0\0\0\0\0"),
        CASE("no name", "\x64\0\0\1\0\0\0\3\0\0\0\0\0"),
        CASE("a name with an end in it", "\x64\0\0\1\2\0a\0\0\3\0\0\0\0\0"),
        CASE("two of a name", "\x64\0\0\2" GROUP_A "\0\0\0" GROUP_A "\0\0\0"),
        CASE("a backlog longer than the log", "\x64\0\0\1" GROUP_A "\x65\0\0"),
        CASE("more topics than a group may have", "\x64\0\0\1" GROUP_A "\0\x41"),
        CASE("a group's topic that is none", "\x64\0\0\1" GROUP_A "\0\1\1\0 \0"),
        CASE("more dead letters than bytes", "\x64\0\0\1" GROUP_A "\0\0\3\1\1"),
        CASE("a dead letter twice", "\x64\0\0\1" GROUP_A "\0\0\2\5\0"),
        CASE("a dead letter past the log", "\x64\0\0\1" GROUP_A "\0\0\1\x64"),
        CASE("something behind the end", "\x64\0\0\1" GROUP_A "\0\0\0\0"),
#undef CASE
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_sealed(cases[i].bytes, cases[i].size);
        expect_refused("no broker writes", cases[i].what, i);
    }
    write_sealed("\x64\0\0\1" GROUP_A "\x64\0\1\0", 15);
    struct group_file_state state = {0};
    cr_expect_eq(load(&state), ERR_OK, "such a file is good: %s", problem);
    group_file_state_release(&state);
}

Test(group_file, a_wrong_count_asks_for_no_memory)
{
    // A million offsets, and as many dead letters as a number can say.
    static const char offsets[] = "\xff\xff\xff\x7f\0\0\1\1\0a\0\3\0\x80\x80\x40\1";
    static const char letters[] =
        "\xff\xff\xff\x7f\0\0\1" GROUP_A "\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x7f\1";
    write_sealed(offsets, sizeof offsets - 1);
    expect_refused("no broker writes", "offsets", 0);
    write_sealed(letters, sizeof letters - 1);
    expect_refused("no broker writes", "dead letters", 0);
}

// --- a system that says no

Test(group_file, a_full_disk_leaves_the_old_file_and_dirty_groups)
{
    save_fixture();
    struct buf before = file_bytes();
    struct fixture fixture;
    fill(&fixture);
    fixture.state.log_end = 106;
    disk.is_limited = true;
    disk.bytes_left = 20;

    const enum err err = save(&fixture.state);

    disk.is_limited = false;
    cr_expect_eq(err, ERR_FULL);
    cr_expect_not_null(strstr(problem, "cannot write "), "%s", problem);
    cr_expect(group_is_dirty(fixture.groups[0].group));
    struct buf after = file_bytes();
    cr_expect_eq(before.size, after.size);
    cr_expect_arr_eq(before.data, after.data, before.size);
    char *temp = path_of("groups.tmp");
    cr_expect_eq(access(temp, F_OK), -1);
    free(temp);

    cr_expect_eq(save(&fixture.state), ERR_OK, "there is room again");
    buf_release(&before);
    buf_release(&after);
    drop(&fixture);
}

Test(group_file, a_failed_sync_leaves_dirty_groups_and_no_other_file)
{
    struct fixture fixture;
    fill(&fixture);
    disk.sync_error = EIO;

    cr_expect_eq(save(&fixture.state), ERR_IO);

    cr_expect(group_is_dirty(fixture.groups[0].group));
    cr_expect_not_null(strstr(problem, "cannot write "), "%s", problem);
    struct group_file_state state = {0};
    cr_expect_eq(load(&state), ERR_OK);
    expect_empty(&state);
    drop(&fixture);
}

// A process that died between the rename and the sync of the folder leaves a file that a
// power cut may still take back; who reads it goes on from it, and tells others so.
Test(group_file, what_was_loaded_is_durable_or_not_given)
{
    struct fixture fixture;
    struct group_file_state state;
    fill(&fixture);
    cr_assert_eq(save(&fixture.state), ERR_OK);

    disk.sync_error = EIO;
    cr_expect_eq(load(&state), ERR_IO);
    cr_expect_not_null(strstr(problem, "sync the folder of"));
    cr_expect_eq(state.groups_count, 0);

    disk.sync_error = 0;
    cr_expect_eq(load(&state), ERR_OK);
    group_file_state_release(&state);
    drop(&fixture);
}

Test(group_file, a_folder_that_is_not_there_is_an_error_with_its_name)
{
    const struct group_file_state state = {0};
    cr_expect_eq(group_file_save(&disk_os, "/nonexistent/folder", 0, &state, problem), ERR_IO);
    cr_expect_not_null(strstr(problem, "/nonexistent/folder/groups"), "%s", problem);
}

Test(group_file, a_path_that_is_no_file_cannot_be_read_or_replaced)
{
    char *path = path_of(GROUP_FILE_NAME);
    cr_assert_eq(mkdir(path, 0700), 0);
    free(path);
    struct group_file_state state = {0};
    cr_expect_eq(load(&state), ERR_IO);
    cr_expect_not_null(strstr(problem, "cannot read "), "%s", problem);
    cr_expect_eq(save(&state), ERR_IO);
    cr_expect_not_null(strstr(problem, "cannot rename "), "%s", problem);
}
