// Several logs become one, in the order of time, and one line becomes readable.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/log_merge.h"
#include "cli/log_view.h"
#include "common/mem.h"

#define LINE(second, rest) "{\"ts\":\"2026-11-23T20:51:0" second ".123456Z\"," rest "}\n"

static char *write_log(const char *text)
{
    char *path = mem_strdup("/tmp/faultline-test-XXXXXX");
    const int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void append(const char *path, const char *text)
{
    FILE *file = fopen(path, "a");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_log(char *path)
{
    unlink(path);
    free(path);
}

static void expect_next(struct log_merge *merge, const char *name, const char *part)
{
    struct log_line line;
    cr_assert(log_merge_next(merge, &line), "%s expected", part);
    char *text = mem_strndup((const char *)line.text.data, line.text.size);
    cr_expect_str_eq(line.name, name);
    cr_expect_not_null(strstr(text, part), "%s instead of %s", text, part);
    cr_expect_null(strchr(text, '\n'));
    free(text);
}

static void expect_none(struct log_merge *merge)
{
    struct log_line line;
    cr_expect_not(log_merge_next(merge, &line));
}

Test(log_merge, lines_come_in_the_order_of_their_times)
{
    char *a = write_log(LINE("1", "\"n\":\"a1\"") LINE("4", "\"n\":\"a4\""));
    char *b = write_log(LINE("2", "\"n\":\"b2\"") "Assertion failed\n" LINE("3", "\"n\":\"b3\""));
    struct log_merge *merge = log_merge_new(false);
    cr_assert_eq(log_merge_add_file(merge, "a", a, -1, 0), ERR_OK);
    cr_assert_eq(log_merge_add_file(merge, "b", b, -1, 0), ERR_OK);

    expect_next(merge, "a", "a1");
    expect_next(merge, "b", "b2");
    expect_next(merge, "b", "Assertion failed");
    expect_next(merge, "b", "b3");
    expect_next(merge, "a", "a4");
    expect_none(merge);

    log_merge_destroy(&merge);
    remove_log(a);
    remove_log(b);
}

Test(log_merge, only_the_last_lines_are_read_when_that_is_the_wish)
{
    char *path = write_log("one\ntwo\nthree\n");
    struct log_merge *merge = log_merge_new(false);
    cr_assert_eq(log_merge_add_file(merge, "a", path, 2, 0), ERR_OK);
    cr_assert_eq(log_merge_add_file(merge, "b", path, 0, 0), ERR_OK);
    cr_assert_eq(log_merge_add_file(merge, "c", path, 9, 0), ERR_OK);
    cr_assert_eq(log_merge_add_file(merge, "d", path, -1, 8), ERR_OK);

    expect_next(merge, "a", "two");
    expect_next(merge, "a", "three");
    expect_next(merge, "c", "one");
    expect_next(merge, "c", "two");
    expect_next(merge, "c", "three");
    expect_next(merge, "d", "three");
    expect_none(merge);

    log_merge_destroy(&merge);
    remove_log(path);
}

Test(log_merge, a_last_line_without_an_end_counts_when_nobody_follows)
{
    char *path = write_log("whole\nhalf");
    struct log_merge *merge = log_merge_new(false);
    cr_assert_eq(log_merge_add_file(merge, "a", path, -1, 0), ERR_OK);
    expect_next(merge, "a", "whole");
    expect_next(merge, "a", "half");
    expect_none(merge);
    log_merge_destroy(&merge);
    remove_log(path);
}

Test(log_merge, a_followed_log_goes_on_and_a_half_line_waits_for_its_end)
{
    char *path = write_log("whole\nhal");
    struct log_merge *merge = log_merge_new(true);
    cr_assert_eq(log_merge_add_file(merge, "a", path, -1, 0), ERR_OK);
    expect_next(merge, "a", "whole");
    expect_none(merge);

    append(path, "f\nmore\n");
    expect_next(merge, "a", "half");
    expect_next(merge, "a", "more");
    expect_none(merge);

    log_merge_destroy(&merge);
    remove_log(path);
}

Test(log_merge, a_line_longer_than_the_limit_is_cut_in_pieces)
{
    const size_t size = LOG_MERGE_LINE_BYTES_MAX + LOG_MERGE_LINE_BYTES_MAX / 2;
    char *text = mem_alloc(size + 1);
    memset(text, 'x', size);
    text[size] = '\0';
    char *path = write_log(text);
    struct log_merge *merge = log_merge_new(true);
    cr_assert_eq(log_merge_add_file(merge, "a", path, -1, 0), ERR_OK);

    struct log_line line;
    cr_assert(log_merge_next(merge, &line));
    cr_expect_geq(line.text.size, LOG_MERGE_LINE_BYTES_MAX);

    log_merge_destroy(&merge);
    remove_log(path);
    free(text);
}

Test(log_merge, the_output_of_a_command_is_a_log)
{
    const char *const argv[] = {"sh", "-c", "echo one; echo two >&2", NULL};
    const char *const missing[] = {"/nonexistent/command", NULL};
    struct log_merge *merge = log_merge_new(false);
    cr_assert_eq(log_merge_add_command(merge, "sh", argv), ERR_OK);
    cr_expect_eq(log_merge_add_command(merge, "x", missing), ERR_NOT_FOUND);
    cr_expect_eq(log_merge_add_file(merge, "x", "/nonexistent/file", -1, 0), ERR_NOT_FOUND);
    expect_next(merge, "sh", "one");
    expect_next(merge, "sh", "two");
    expect_none(merge);
    log_merge_destroy(&merge);
}

Test(log_merge, there_is_a_maximum_of_logs)
{
    struct log_merge *merge = log_merge_new(false);
    for (int i = 0; i < LOG_MERGE_SOURCES_MAX; i++) {
        cr_assert_eq(log_merge_add_file(merge, "a", "/dev/null", -1, 0), ERR_OK);
    }
    cr_expect_eq(log_merge_add_file(merge, "a", "/dev/null", -1, 0), ERR_FULL);
    log_merge_destroy(&merge);
}

static void expect_view(bool full, const char *line, const char *expected)
{
    char text[1024] = "";
    FILE *out = tmpfile();
    cr_assert_not_null(out);
    const struct log_view view = {.full = full};
    log_view_print(&view, "payment", bytes_of_text(line), out);
    rewind(out);
    fread(text, 1, sizeof text - 1, out);
    fclose(out);
    cr_expect_str_eq(text, expected);
}

static const char handled[] =
    "{\"ts\":\"2026-11-23T20:51:03.123456Z\",\"level\":\"info\",\"service\":\"payment\","
    "\"msg\":\"event "
    "handled\",\"correlation_id\":\"0193\",\"event_id\":\"e1\",\"topic\":\"order-created\","
    "\"attempt\":1,\"duration_us\":1234}";

Test(log_view, a_line_shows_when_who_what_and_the_fields_that_tell_it_apart)
{
    expect_view(
        false,
        handled,
        "20:51:03.123  payment       event handled        topic=order-created  took=1.2 ms  "
        "0193\n");
}

Test(log_view, an_http_exchange_is_one_word)
{
    expect_view(
        false,
        "{\"ts\":\"2026-11-23T20:51:03.123456Z\",\"msg\":\"call answered\",\"target\":\"fraud\","
        "\"method\":\"POST\",\"path\":\"/screenings\",\"status\":200,\"attempt\":2}",
        "20:51:03.123  payment       call answered        POST /screenings 200  target=fraud  "
        "attempt=2\n");
    expect_view(false,
                "{\"ts\":\"2026-11-23T20:51:03.123456Z\",\"msg\":\"call answered\","
                "\"method\":\"POST\",\"path\":\"/screenings\",\"status\":0}",
                "20:51:03.123  payment       call answered        POST /screenings failed\n");
}

Test(log_view, full_shows_every_field)
{
    expect_view(
        true,
        handled,
        "20:51:03.123  payment       event handled        event_id=e1  topic=order-created  "
        "attempt=1  took=1.2 ms  0193\n");
}

Test(log_view, a_line_without_fields_ends_at_its_message)
{
    expect_view(false,
                "{\"ts\":\"2026-11-23T20:51:03.123456Z\",\"msg\":\"bye\"}",
                "20:51:03.123  payment       bye\n");
}

Test(log_view, what_is_no_line_of_ours_is_shown_as_it_is)
{
    expect_view(false, "Assertion failed: x", "              payment       Assertion failed: x\n");
    expect_view(false, "{\"a\":1}", "              payment       {\"a\":1}\n");
}
