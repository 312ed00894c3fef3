// What load --record writes, as verify reads it.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/verify/verify_record.h"

static void write_file(char path[], const char *text)
{
    const int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    FILE *file = fdopen(fd, "w");
    fputs(text, file);
    fclose(file);
}

static enum err read_text(const char *text, char **problem)
{
    char name[] = "/tmp/faultline-record-XXXXXX";
    const char *path = name;
    write_file(name, text);
    struct verify_record *record = NULL;
    *problem = NULL;
    const enum err err = verify_record_read(&record, &path, 1, problem);
    cr_expect((err == ERR_OK) == (record != NULL));
    verify_record_destroy(&record);
    unlink(path);
    return err;
}

#define LINE                                                                                       \
    "{\"order_id\":\"01a223df-d4db-7b26-b21a-8461255841de\",\"mode\":\"async\",\"status\":202,"    \
    "\"at\":\"2026-11-28T20:36:40.464986Z\"}"

Test(verify_record, answers_are_read)
{
    char *problem = NULL;
    cr_expect_eq(read_text(LINE "\n" LINE "\n", &problem), ERR_OK);
    cr_expect_eq(
        read_text("{\"order_id\":null,\"mode\":\"sync\",\"status\":\"timeout\"}\n", &problem),
        ERR_OK);
    cr_expect_eq(read_text("", &problem), ERR_OK);
    cr_expect_null(problem);
}

Test(verify_record, a_last_line_that_was_being_written_is_passed_over)
{
    char *problem = NULL;
    cr_expect_eq(read_text(LINE "\n{\"order_id\":\"01a2", &problem), ERR_OK);
    cr_expect_null(problem);
    // Another load went on behind it.
    cr_expect_eq(read_text("{\"order_id\":\"01a2\n" LINE "\n", &problem), ERR_OK);
    cr_expect_null(problem);
}

Test(verify_record, a_line_that_is_no_answer_is_named)
{
    char *problem = NULL;
    cr_expect_eq(read_text(LINE "\n{\"order_id\":\"01a2\"}\n", &problem), ERR_INVALID);
    cr_assert_not_null(problem);
    cr_expect_not_null(strstr(problem, "line 2 of"), "%s", problem);
    free(problem);
    cr_expect_eq(read_text("{\"order_id\":\"no-id\",\"status\":202}\n", &problem), ERR_INVALID);
    free(problem);
}

Test(verify_record, a_file_that_is_no_record_is_told_though_it_has_no_line_end)
{
    char *problem = NULL;
    cr_expect_eq(read_text("garbage", &problem), ERR_INVALID);
    free(problem);
    cr_expect_eq(read_text("{\"order_id\":\"01a2", &problem), ERR_INVALID);
    free(problem);
    cr_expect_eq(read_text(LINE "\ngarbage", &problem), ERR_INVALID);
    free(problem);
}

Test(verify_record, a_file_that_cannot_be_read_is_told)
{
    const char *path = "/tmp"; // a folder
    struct verify_record *record = NULL;
    char *problem = NULL;
    cr_expect_eq(verify_record_read(&record, &path, 1, &problem), ERR_IO);
    cr_expect_not_null(problem);
    cr_expect_null(record);
    free(problem);
}

Test(verify_record, a_file_that_is_not_there_is_told)
{
    const char *path = "/nonexistent/record";
    struct verify_record *record = NULL;
    char *problem = NULL;
    cr_expect_eq(verify_record_read(&record, &path, 1, &problem), ERR_NOT_FOUND);
    cr_expect_null(record);
    cr_expect_not_null(problem);
    free(problem);
}
