// The file of the groups comes back as it was saved, or says what is wrong with it.
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
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

static enum err save(const char *content)
{
    return group_file_save(&disk.disk, directory, bytes_of_text(content), problem);
}

// What a test takes: a text with its NUL, or whatever is there.
struct taken {
    char text[64];
    size_t leave; // bytes that are not looked at
    bool refuse;
    unsigned calls;
};

static void take(void *context, struct reader *in)
{
    struct taken *self = context;
    self->calls++;
    const struct bytes bytes = reader_bytes(in, in->rest.size - self->leave);
    cr_assert_lt(bytes.size, sizeof self->text);
    memcpy(self->text, bytes.data, bytes.size);
    self->text[bytes.size] = '\0';
    in->failed = self->refuse;
}

static enum err load(struct taken *taken)
{
    return group_file_load(&disk.disk, directory, take, taken, problem);
}

static void expect_content(const char *content)
{
    struct taken taken = {0};
    cr_expect_eq(load(&taken), ERR_OK, "%s", problem);
    cr_expect_str_eq(taken.text, content);
    cr_expect_eq(taken.calls, 1);
}

// --- good files

Test(group_file, a_missing_file_says_nothing)
{
    struct taken taken = {0};
    cr_expect_eq(load(&taken), ERR_OK);
    cr_expect_eq(taken.calls, 0);
}

Test(group_file, what_was_saved_comes_back)
{
    cr_assert_eq(save("all groups"), ERR_OK);
    expect_content("all groups");
    cr_assert_eq(save(""), ERR_OK);
    expect_content("");
}

Test(group_file, the_frame_is_the_documented_one)
{
    cr_assert_eq(save("abc"), ERR_OK);

    struct buf bytes = file_bytes();
    cr_assert_eq(bytes.size, 15);
    cr_expect_arr_eq(bytes.data, "FLgr\3\0\0\0abc", 11);
    cr_expect_eq(load_u32(bytes.data + 11), record_crc32c(0, bytes.data, 11));
    buf_release(&bytes);
}

Test(group_file, a_long_file_comes_back_whole)
{
    struct buf content = {0};
    for (uint32_t i = 0; i < 50000; i++) {
        buf_put_u32(&content, i);
    }
    cr_assert_eq(group_file_save(&disk.disk, directory, buf_view(&content), problem), ERR_OK);
    struct taken taken = {.leave = content.size};
    disk.call_bytes_max = 1000;

    cr_expect_eq(load(&taken), ERR_CORRUPT, "not all was looked at");
    taken.leave = content.size - 10;
    cr_expect_eq(load(&taken), ERR_CORRUPT, "not all was looked at");

    cr_expect_arr_eq(taken.text, content.data, 10);
    buf_release(&content);
}

Test(group_file, saving_leaves_no_other_file)
{
    cr_assert_eq(save("all groups"), ERR_OK);
    char *temp = path_of("groups.tmp");
    cr_expect_eq(access(temp, F_OK), -1);
    free(temp);
}

Test(group_file, half_a_file_of_an_earlier_crash_is_in_nobodys_way)
{
    cr_assert_eq(save("all groups"), ERR_OK);
    char *temp = path_of("groups.tmp");
    FILE *file = fopen(temp, "wb");
    cr_assert_not_null(file);
    fputs("FLgr, and much more than what is written over it", file);
    fclose(file);
    free(temp);

    expect_content("all groups");
    cr_expect_eq(save("others"), ERR_OK);
    expect_content("others");
}

// --- damage

static void expect_refused(const char *why, const char *what, size_t at)
{
    struct taken taken = {0};
    cr_expect_eq(load(&taken), ERR_CORRUPT, "%s %zu was not noticed", what, at);
    cr_expect_not_null(strstr(problem, directory));
    cr_expect_not_null(strstr(problem, why), "%s %zu: %s", what, at, problem);
    cr_expect_not_null(strstr(problem, "move it away"));
    cr_expect_eq(taken.calls, 0);
}

Test(group_file, a_flip_of_any_bit_is_noticed)
{
    cr_assert_eq(save("all groups"), ERR_OK);
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
    cr_assert_eq(save("all groups"), ERR_OK);
    struct buf bytes = file_bytes();
    for (size_t size = 0; size < bytes.size; size++) {
        write_file((struct bytes){.data = bytes.data, .size = size});
        expect_refused("", "a cut at byte", size);
    }
    buf_release(&bytes);
}

Test(group_file, a_byte_too_many_or_too_few_anywhere_is_noticed)
{
    cr_assert_eq(save("all groups"), ERR_OK);
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
        if (at + 1 < bytes.size && bytes.data[at] == bytes.data[at + 1]) {
            at++; // the same bytes, whichever of the two is missing
        }
        buf_put(&changed, bytes.data + at + 1, bytes.size - at - 1);
        write_file(buf_view(&changed));
        expect_refused("", "a byte less at", at);
        buf_release(&changed);
    }
    buf_release(&bytes);
}

Test(group_file, another_version_of_the_format_is_refused_and_said_so)
{
    write_file((struct bytes){(const uint8_t *)"FLgr\4\0\0\0", 8});
    expect_refused("another version", "a later version", 4);
    write_file((struct bytes){(const uint8_t *)"FLgr\2\0\0\0", 8});
    expect_refused("another version", "an earlier version", 2);
}

Test(group_file, what_no_broker_writes_is_refused_even_with_a_right_checksum)
{
    cr_assert_eq(save("all groups"), ERR_OK);
    struct taken taken = {.refuse = true};
    cr_expect_eq(load(&taken), ERR_CORRUPT);
    cr_expect_not_null(strstr(problem, "no broker writes"), "%s", problem);
    taken = (struct taken){.leave = 1};
    cr_expect_eq(load(&taken), ERR_CORRUPT, "something is left");
}

// --- a system that says no

Test(group_file, a_full_disk_leaves_the_old_file)
{
    cr_assert_eq(save("all groups"), ERR_OK);
    disk.is_limited = true;
    disk.bytes_left = 20;

    const enum err err = save("all groups and some more");

    disk.is_limited = false;
    cr_expect_eq(err, ERR_FULL);
    cr_expect_not_null(strstr(problem, "cannot write "), "%s", problem);
    expect_content("all groups");
    char *temp = path_of("groups.tmp");
    cr_expect_eq(access(temp, F_OK), -1);
    free(temp);
    cr_expect_eq(save("there is room again"), ERR_OK);
    expect_content("there is room again");
}

Test(group_file, a_failed_sync_leaves_the_old_file)
{
    disk.sync_error = EIO;

    cr_expect_eq(save("all groups"), ERR_IO);

    cr_expect_not_null(strstr(problem, "cannot write "), "%s", problem);
    struct taken taken = {0};
    disk.sync_error = 0;
    cr_expect_eq(load(&taken), ERR_OK);
    cr_expect_eq(taken.calls, 0);
}

static int fsync_fails(void *context, int fd)
{
    (void)context;
    (void)fd;
    errno = EIO;
    return -1;
}

// Whoever asked for the save can be told neither that it is done nor that it is not.
Test(group_file, a_folder_that_cannot_be_synced_ends_the_process, .signal = SIGABRT)
{
    disk.disk.fsync = fsync_fails;
    (void)save("all groups");
}

// A process that died between the rename and the sync of the folder leaves a file that a
// power cut may still take back; who reads it goes on from it, and tells others so.
Test(group_file, what_was_loaded_is_durable_or_not_given)
{
    struct taken taken = {0};
    cr_assert_eq(save("all groups"), ERR_OK);

    disk.sync_error = EIO;
    cr_expect_eq(load(&taken), ERR_IO);
    cr_expect_not_null(strstr(problem, "sync the folder of"));

    disk.sync_error = 0;
    expect_content("all groups");
}

Test(group_file, a_folder_that_is_not_there_is_an_error_with_its_name)
{
    cr_expect_eq(group_file_save(&disk_os, "/nonexistent/folder", (struct bytes){0}, problem),
                 ERR_IO);
    cr_expect_not_null(strstr(problem, "/nonexistent/folder/groups"), "%s", problem);
}

Test(group_file, a_path_that_is_no_file_cannot_be_read_or_replaced)
{
    char *path = path_of(GROUP_FILE_NAME);
    cr_assert_eq(mkdir(path, 0700), 0);
    free(path);
    struct taken taken = {0};
    cr_expect_eq(load(&taken), ERR_IO);
    cr_expect_not_null(strstr(problem, "cannot read "), "%s", problem);
    cr_expect_eq(save("all groups"), ERR_IO);
    cr_expect_not_null(strstr(problem, "cannot rename "), "%s", problem);
}
