// A log line is one JSON object or one aligned line of text, whatever is in it.
#define _XOPEN_SOURCE 700 // pseudo-terminals

#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

// Standard output of a test: a file without a name, read back with output_read.
static int output = -1;

static void output_capture(void)
{
    char path[] = "/tmp/faultline-log-XXXXXX";
    output = mkstemp(path);
    cr_assert_geq(output, 0);
    unlink(path);
    cr_assert_eq(dup2(output, STDOUT_FILENO), STDOUT_FILENO);
}

// All that has been written so far; the caller frees it.
static char *output_read(void)
{
    const off_t size = lseek(output, 0, SEEK_END);
    char *text = mem_calloc((size_t)size + 1, 1);
    cr_assert_eq(pread(output, text, (size_t)size, 0), size);
    return text;
}

static cJSON *line_read(void)
{
    log_flush();
    char *text = output_read();
    cr_assert_not_null(strchr(text, '\n'));
    cr_expect_eq(strchr(text, '\n')[1], '\0', "more than a line: %s", text);
    cJSON *line = cJSON_Parse(text);
    cr_assert_not_null(line, "not JSON: %s", text);
    free(text);
    return line;
}

static const char *text_of(const cJSON *line, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, name));
}

TestSuite(log, .init = output_capture);

Test(log, a_line_has_time_level_service_message_and_its_fields)
{
    cr_assert_eq(log_open("payment", "json", "info"), ERR_OK);
    const int64_t before = clock_wall_us();

    log_info("event handled",
             LOG_STR("topic", "order-created"),
             LOG_INT("offset", 42),
             LOG_INT("least", INT64_MIN),
             LOG_BYTES("key", ((struct bytes){.data = (const uint8_t *)"k-17", .size = 3})),
             LOG_STR("absent", NULL),
             LOG_END);

    cJSON *line = line_read();
    cr_expect_geq(clock_parse_rfc3339(text_of(line, "ts")), before);
    cr_expect_eq(strlen(text_of(line, "ts")), CLOCK_RFC3339_SIZE - 1);
    cr_expect_str_eq(text_of(line, "level"), "info");
    cr_expect_str_eq(text_of(line, "service"), "payment");
    cr_expect_str_eq(text_of(line, "msg"), "event handled");
    cr_expect_str_eq(text_of(line, "topic"), "order-created");
    cr_expect_str_eq(text_of(line, "key"), "k-1");
    cr_expect_eq(cJSON_GetObjectItem(line, "offset")->valueint, 42);
    cr_expect_not(cJSON_HasObjectItem(line, "absent"));
    cJSON_Delete(line);
    char *text = output_read();
    cr_expect_not_null(strstr(text, "\"least\":-9223372036854775808,"));
    free(text);
}

Test(log, before_log_open_lines_go_out_as_json_from_info_on)
{
    log_debug("unseen", LOG_END);
    log_info("seen", LOG_END);
    cJSON *line = line_read();
    cr_expect_str_eq(text_of(line, "service"), "faultline");
    cr_expect_str_eq(text_of(line, "msg"), "seen");
    cJSON_Delete(line);
}

Test(log, an_unknown_format_or_level_is_refused)
{
    cr_expect_eq(log_open("payment", "xml", "info"), ERR_INVALID);
    cr_expect_eq(log_open("payment", "json", "loud"), ERR_INVALID);
}

Test(log, every_character_survives_and_no_line_breaks)
{
    cr_assert_eq(log_open("payment", "json", "debug"), ERR_OK);
    char all[128];
    for (int i = 1; i < 128; i++) {
        all[i - 1] = (char)i;
    }
    all[127] = '\0';

    log_debug("m\"s\\g\n", LOG_STR("all", all), LOG_STR("text", "ä€\xf0\x9f\x92\xb6"), LOG_END);

    cJSON *line = line_read();
    cr_expect_str_eq(text_of(line, "msg"), "m\"s\\g\n");
    cr_expect_str_eq(text_of(line, "all"), all);
    cr_expect_str_eq(text_of(line, "text"), "ä€\xf0\x9f\x92\xb6");
    cJSON_Delete(line);
}

Test(log, bytes_that_are_not_utf8_become_replacement_characters)
{
    log_info("m",
             LOG_STR("stray", "a\x80z"),
             LOG_STR("cut", "a\xe2\x82"),
             LOG_STR("overlong", "\xc0\xaf"),
             LOG_STR("surrogate", "\xed\xa0\x80"),
             LOG_STR("beyond", "\xf4\x90\x80\x80"),
             LOG_BYTES("nul", ((struct bytes){.data = (const uint8_t *)"a\0b", .size = 3})),
             LOG_BYTES("empty", ((struct bytes){0})),
             LOG_END);
    cJSON *line = line_read();
    cr_expect_str_eq(text_of(line, "stray"), "a\xef\xbf\xbdz");
    cr_expect_str_eq(text_of(line, "cut"), "a\xef\xbf\xbd\xef\xbf\xbd");
    cr_expect_str_eq(text_of(line, "overlong"), "\xef\xbf\xbd\xef\xbf\xbd");
    cr_expect_str_eq(text_of(line, "surrogate"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    cr_expect_eq(text_of(line, "beyond")[0], '\xef');
    cr_expect_str_eq(text_of(line, "empty"), "");
    cJSON_Delete(line);
    char *text = output_read();
    cr_expect_not_null(strstr(text, "\"nul\":\"a\\u0000b\""));
    free(text);
}

Test(log, lines_below_the_level_are_not_written)
{
    cr_assert_eq(log_open("payment", "json", "error"), ERR_OK);
    log_info("a", LOG_END);
    log_warn("b", LOG_END);
    log_flush();
    char *text = output_read();
    cr_expect_str_eq(text, "");
    free(text);
}

Test(log, info_waits_for_a_flush_and_a_warning_brings_it_along)
{
    log_info("first", LOG_END);
    char *text = output_read();
    cr_expect_str_eq(text, "");
    free(text);

    log_warn("second", LOG_END);

    text = output_read();
    cr_expect_not_null(strstr(text, "\"first\""));
    cr_expect_lt(strstr(text, "\"first\""), strstr(text, "\"second\""));
    free(text);
}

Test(log, a_full_buffer_is_written_without_being_asked)
{
    for (int i = 0; i < 1000; i++) {
        log_info("a line of some hundred bytes", LOG_INT("number", i), LOG_END);
    }
    char *text = output_read();
    cr_expect_geq(strlen(text), 64 * 1024);
    free(text);
}

Test(log, text_is_aligned_and_without_colours_when_it_is_no_terminal)
{
    cr_assert_eq(log_open("payment", "text", "info"), ERR_OK);

    log_info("event handled", LOG_STR("topic", "order-created"), LOG_INT("offset", 3), LOG_END);
    log_error("no", LOG_STR("why", "two words"), LOG_STR("esc", "\033[2J"), LOG_END);

    char *text = output_read();
    char *second = strchr(text, '\n');
    *second++ = '\0';
    const size_t clock_size = strlen("20:36:57.123456");
    cr_expect_str_eq(text + clock_size,
                     "  payment       info   event handled      topic=order-created offset=3");
    cr_expect_str_eq(
        second + clock_size,
        "  payment       error  no                 why=\"two words\" esc=\"\\u001b[2J\"\n");
    free(text);
}

// A terminal is where a person reads: /dev/ptmx stands in for one.
Test(log, text_on_a_terminal_has_colours_unless_told_otherwise)
{
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    cr_assert_geq(terminal, 0);
    cr_assert_eq(grantpt(terminal), 0);
    cr_assert_eq(unlockpt(terminal), 0);
    const int other = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    cr_assert_geq(other, 0);
    dup2(other, STDOUT_FILENO);
    unsetenv("NO_COLOR");
    cr_assert_eq(log_open("payment", "text", "info"), ERR_OK);
    log_warn("a", LOG_END);
    setenv("NO_COLOR", "1", 1);
    cr_assert_eq(log_open("payment", "text", "info"), ERR_OK);
    log_warn("b", LOG_END);

    char text[512] = "";
    size_t size = 0;
    while (strstr(text, " b ") == NULL) {
        const ssize_t more = read(terminal, text + size, sizeof text - 1 - size);
        cr_assert_gt(more, 0);
        size += (size_t)more;
        text[size] = '\0';
    }
    const char *second = strchr(text, '\n');
    cr_assert_not_null(second);
    cr_expect_not_null(strstr(text, "\033["));
    cr_expect_lt(strstr(text, "\033["), second);
    cr_expect_null(strstr(second, "\033["));
}

Test(log, a_reader_that_went_away_loses_lines_and_nothing_else)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    signal(SIGPIPE, SIG_IGN);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);

    errno = ENOENT;
    log_error("nobody reads this", LOG_END);

    cr_expect_eq(errno, ENOENT);
    output_capture();
    log_error("somebody reads this", LOG_END);
    char *text = output_read();
    cr_expect_null(strstr(text, "nobody"));
    cr_expect_not_null(strstr(text, "somebody"));
    free(text);
}
