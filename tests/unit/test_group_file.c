// The file of all groups comes back as it was saved, or says what is wrong with it.
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/group_file.h"
#include "common/mem.h"
#include "common/record.h"

// --- plumbing

// Each test runs in a process of its own, so this is one folder a test.
static char directory[] = "/tmp/faultline-groups-XXXXXX";
static char problem[GROUP_FILE_PROBLEM_SIZE];
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

static struct buf file_text(void)
{
    struct buf text = {0};
    char *path = path_of(GROUP_FILE_NAME);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file);
    for (int byte = fgetc(file); byte != EOF; byte = fgetc(file)) {
        buf_put_u8(&text, (uint8_t)byte);
    }
    fclose(file);
    free(path);
    return text;
}

static void write_file(struct bytes text)
{
    char *path = path_of(GROUP_FILE_NAME);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(text.data, 1, text.size, file), text.size);
    cr_assert_eq(fclose(file), 0);
    free(path);
}

// Text with a checksum that is right, so that only the lines can be wrong.
static void write_sealed(const char *lines)
{
    struct buf text = {0};
    buf_put_text(&text, lines);
    buf_printf(&text, "crc32c %08x\n", record_crc32c(0, text.data, text.size));
    write_file(buf_view(&text));
    buf_release(&text);
}

static enum err save(const struct group_file_state *state)
{
    return group_file_save(directory, 0, state, problem);
}

static enum err load(struct group_file_state *state)
{
    return group_file_load(directory, 0, state, problem);
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
    for (uint64_t i = 0; i < 5; i++) {
        group_offer(payment, true, i, 1);
    }
    struct group_delivery delivery = {0};
    while (group_deliver(payment, 0, &delivery)) {
    }
    const struct group_failure failure = {.wall_us = 77, .error = bytes_of_text("no\nroute")};
    bool dying = false;
    cr_assert_eq(group_ack(payment, 1, 102, 1, 1), 1);
    cr_assert_eq(group_nack(payment, 1, 103, 1, 250, 0, &failure, &dying), ERR_OK);

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

Test(group_file, the_text_is_the_documented_one)
{
    save_fixture();

    struct buf text = file_text();
    buf_put_u8(&text, 0);
    char *crc = strstr((char *)text.data, "crc32c ");
    cr_assert_not_null(crc);
    *crc = '\0';

    cr_expect_str_eq((char *)text.data,
                     "faultline-groups 1\nlog-end 105\n"
                     "total order-created 60\ntotal a.b 45\n"
                     "group payment\nretries 3\nfloor 100\n"
                     "attempts 100-101 1\ndone 102\n"
                     "failed 103 1 1 250 77 retry no route\n"
                     "attempts 104 1\n"
                     "backlog 4\ntopic order-created\ntopic order-cancelled\n"
                     "dead-letter 7\ndead-letter 20-22\ndead-letter 104\n"
                     "group fraud\nretries 0\nfloor 0\nbacklog 0\n");
    buf_release(&text);
}

Test(group_file, what_was_saved_comes_back)
{
    save_fixture();

    struct group_file_state state = {0};
    cr_assert_eq(load(&state), ERR_OK, "%s", problem);

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
    struct buf before = file_text();
    struct group_file_state state = {0};
    cr_assert_eq(load(&state), ERR_OK);

    cr_assert_eq(save(&state), ERR_OK);

    struct buf after = file_text();
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
    fputs("faultline-groups 1\nlog-e", file);
    fclose(file);
    free(temp);

    struct group_file_state state = {0};
    cr_assert_eq(load(&state), ERR_OK);
    cr_expect_eq(state.log_end, 105);
    cr_expect_eq(save(&state), ERR_OK);
    group_file_state_release(&state);
}

// --- damage

static void expect_damage(const char *what, size_t at)
{
    struct group_file_state state = {0};
    cr_expect_eq(load(&state), ERR_CORRUPT, "%s %zu was not noticed", what, at);
    cr_expect_not_null(strstr(problem, directory));
    cr_expect_not_null(strstr(problem, "in line "));
    expect_empty(&state);
    group_file_state_release(&state);
}

Test(group_file, a_change_of_any_byte_is_noticed)
{
    static const uint8_t masks[] = {0x01, 0x02, 0x20, 0x80, 0xff};
    save_fixture();
    struct buf text = file_text();

    for (size_t at = 0; at < text.size; at++) {
        for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
            text.data[at] ^= masks[i];
            write_file(buf_view(&text));
            expect_damage("a change at byte", at);
            text.data[at] ^= masks[i];
        }
    }
    buf_release(&text);
}

Test(group_file, a_cut_at_any_byte_is_noticed)
{
    save_fixture();
    struct buf text = file_text();
    for (size_t size = 0; size < text.size; size++) {
        write_file((struct bytes){.data = text.data, .size = size});
        expect_damage("a cut at byte", size);
    }
    buf_release(&text);
}

Test(group_file, a_byte_too_many_or_too_few_anywhere_is_noticed)
{
    save_fixture();
    struct buf text = file_text();
    for (size_t at = 0; at <= text.size; at++) {
        static const char extra[] = {'0', '\n', ' '};
        for (size_t i = 0; i < ARRAY_LEN(extra); i++) {
            struct buf changed = {0};
            buf_put(&changed, text.data, at);
            buf_put_u8(&changed, (uint8_t)extra[i]);
            buf_put(&changed, text.data + at, text.size - at);
            write_file(buf_view(&changed));
            expect_damage("a byte more at", at);
            buf_release(&changed);
        }
    }
    for (size_t at = 0; at < text.size; at++) {
        struct buf changed = {0};
        buf_put(&changed, text.data, at);
        buf_put(&changed, text.data + at + 1, text.size - at - 1);
        write_file(buf_view(&changed));
        expect_damage("a byte less at", at);
        buf_release(&changed);
    }
    buf_release(&text);
}

#define HEAD  "faultline-groups 1\nlog-end 9\n"
#define GROUP "group a\nretries 3\nfloor 0\n"

Test(group_file, lines_that_are_never_written_are_refused_by_their_number)
{
    static const struct {
        const char *lines;
        const char *where;
    } cases[] = {
        {"", "line 1:"},
        {"faultline-groups 2\nlog-end 9\n", "line 1:"},
        {"faultline-groups 10\nlog-end 9\n", "line 1:"},
        {"faultline-groups 1\n", "line 2:"},
        {"faultline-groups 1\nlog-end x\n", "line 2:"},
        {"faultline-groups 1\nlog-end 18446744073709551616\n", "line 2:"},
        {HEAD "total a\n", "line 3:"},
        {HEAD "total A 1\n", "line 3:"},
        {HEAD "total a 1 \n", "line 3:"},
        {HEAD "totals a 1\n", "line 3:"},
        {HEAD "group a\nretries 3\nfloor x\nbacklog 0\n", "line 5:"},
        {HEAD GROUP "done 3\ndone 3\nbacklog 0\n", "line 7:"},
        {HEAD GROUP, "line 6:"},
        {HEAD GROUP "backlog -1\n", "line 6:"},
        {HEAD GROUP "backlog 0\nbacklog 0\n", "line 7:"},
        {HEAD GROUP "backlog 0\ntopic a b\n", "line 7:"},
        {HEAD GROUP "backlog 0\ntopic a\ndead-letter 9\n", "line 8:"},
        {HEAD GROUP "backlog 0\ndead-letter 4\ndead-letter 4\n", "line 8:"},
        {HEAD GROUP "backlog 0\ndead-letter 5-4\n", "line 7:"},
        {HEAD GROUP "backlog 0\n" GROUP "backlog 0\n", "line 7:"},
        {HEAD "\n", "line 3:"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_sealed(cases[i].lines);
        struct group_file_state state = {0};
        cr_expect_eq(load(&state), ERR_CORRUPT, "case %zu", i);
        cr_expect_not_null(strstr(problem, cases[i].where), "case %zu: %s", i, problem);
        group_file_state_release(&state);
    }
}

Test(group_file, lines_of_a_group_that_are_never_written_are_refused_by_their_number)
{
    static const struct {
        const char *lines;
        const char *where;
    } cases[] = {
        {"group Payment!\nretries 3\nfloor 0\n", "line 3:"},
        {"group \nretries 3\nfloor 0\n", "line 3:"},
        {"group a\nretries\nfloor 0\n", "line 4:"},
        {"group a\nretries -1\nfloor 0\n", "line 4:"},
        {"group a\nretries 4294967296\nfloor 0\n", "line 4:"},
        {"group a\nretries 3 \nfloor 0\n", "line 4:"},
        {"group a\nretries 03\nfloor 0\n", "line 4:"},
        {"group a\nretries 3\n", "line 5:"},
        {"group a\nretries 3\nfloor 18446744073709551615\n", "line 5:"},
        {"group a\nretries 3\nfloor 5\ndone 5\n", "line 5:"},
        {"group a\nretries 3\nfloor 5\ndone 4\n", "line 6:"},
        {GROUP "done 8-7\n", "line 6:"},
        {GROUP "done 8-8\n", "line 6:"},
        {GROUP "done 6\ndone 6\n", "line 7:"},
        {GROUP "done 6\ndone 7\n", "line 6:"},
        {GROUP "done 6-\n", "line 6:"},
        {GROUP "done 6-18446744073709551615\n", "line 6:"},
        {GROUP "done 1048576\n", "line 6:"},
        {GROUP "attempts 6\n", "line 6:"},
        {GROUP "attempts 6 1x\n", "line 6:"},
        {GROUP "attempts 6 4294967297\n", "line 6:"},
        {GROUP "failed 6 1 1 0 0 maybe x\n", "line 6:"},
        {GROUP "failed 6 1 1 5 0 dying x\n", "line 6:"},
        {GROUP "failed 6 1 1 3600001 0 retry x\n", "line 6:"},
        {GROUP "failed 18446744073709551615 1 1 0 0 retry x\n", "line 6:"},
        {GROUP "failed 6\n", "line 6:"},
        {GROUP "failed 6 1 1 0 0 retry x\nfailed 6 1 1 0 0 retry x\n", "line 7:"},
        {GROUP "\n", "line 6:"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *lines = mem_format(HEAD "%sbacklog 0\n", cases[i].lines);
        write_sealed(lines);
        free(lines);
        struct group_file_state state = {0};
        cr_expect_eq(load(&state), ERR_CORRUPT, "case %zu", i);
        cr_expect_not_null(strstr(problem, cases[i].where), "case %zu: %s", i, problem);
        group_file_state_release(&state);
    }
}

Test(group_file, too_many_topics_of_a_group_are_refused)
{
    struct buf text = {0};
    buf_put_text(&text, HEAD GROUP "backlog 0\n");
    for (int i = 0; i < 65; i++) {
        buf_printf(&text, "topic t%d\n", i);
    }
    buf_put_u8(&text, 0);
    write_sealed((const char *)text.data);
    struct group_file_state state = {0};
    cr_expect_eq(load(&state), ERR_CORRUPT);
    cr_expect_not_null(strstr(problem, "line 71:"), "%s", problem);
    group_file_state_release(&state);
    buf_release(&text);
}

Test(group_file, a_damaged_range_does_not_ask_for_memory)
{
    write_file(bytes_of_text("faultline-groups 1\nlog-end 9000000000000000000\n" GROUP
                             "backlog 0\ndead-letter 1-8000000000000000000\ncrc32c 00000000\n"));
    expect_damage("a range", 0);
}

// --- a system that says no

Test(group_file, a_full_disk_leaves_the_old_file_and_dirty_groups)
{
    save_fixture();
    struct buf before = file_text();
    struct fixture fixture;
    fill(&fixture);
    fixture.state.log_end = 106;
    // A file size limit stops a write in its middle, as a full disk does.
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit unlimited = {0};
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    struct rlimit limit = unlimited;
    limit.rlim_cur = 100;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);

    const enum err err = save(&fixture.state);

    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    cr_expect_eq(err, ERR_FULL);
    cr_expect_not_null(strstr(problem, "cannot write "), "%s", problem);
    cr_expect(group_is_dirty(fixture.groups[0].group));
    struct buf after = file_text();
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

Test(group_file, a_folder_that_is_not_there_is_an_error_with_its_name)
{
    const struct group_file_state state = {0};
    cr_expect_eq(group_file_save("/nonexistent/folder", 0, &state, problem), ERR_IO);
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
    cr_expect_not_null(strstr(problem, "cannot replace "), "%s", problem);
}
