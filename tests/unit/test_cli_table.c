// Tables and numbers for people.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/table.h"
#include "common/mem.h"

static const struct table_column columns[] = {
    {"NAME", TABLE_LEFT}, {"N", TABLE_RIGHT}, {"LAST", TABLE_LEFT}};

static void expect_printed(const struct table *table, const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = tmpfile();
    cr_assert_not_null(out);
    table_print(table, 2, out);
    rewind(out);
    size = 4096;
    text = mem_calloc(size, 1);
    fread(text, 1, size - 1, out);
    fclose(out);
    cr_expect_str_eq(text, expected);
    free(text);
}

Test(table, columns_are_as_wide_as_their_widest_cell_and_no_line_ends_in_spaces)
{
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    table_add(table, COLOUR_RED, "%s", "a");
    table_add(table, COLOUR_NONE, "%d", 12345);
    table_add(table, COLOUR_NONE, "%s", "");
    table_add(table, COLOUR_NONE, "%s", "zw\xc3\xb6lf");
    table_add(table, COLOUR_NONE, "%d", 7);
    table_add(table, COLOUR_NONE, "%s", "x");

    cr_expect_eq(table_rows_count(table), 2);
    expect_printed(table,
                   "  NAME       N  LAST\n"
                   "  a      12345\n"
                   "  zw\xc3\xb6lf      7  x\n");
    table_destroy(&table);
}

Test(table, without_rows_only_the_titles_are_printed)
{
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    cr_expect_eq(table_rows_count(table), 0);
    expect_printed(table, "  NAME  N  LAST\n");
    table_destroy(&table);
}

static void expect_duration(int64_t us, const char *expected)
{
    char text[TERM_NUMBER_SIZE];
    term_format_duration(text, us);
    cr_expect_str_eq(text, expected);
}

Test(term, durations_have_the_unit_that_fits)
{
    expect_duration(-1, "-");
    expect_duration(0, "0.0 ms");
    expect_duration(840, "0.8 ms");
    expect_duration(3100, "3.1 ms");
    expect_duration(312400, "312 ms");
    expect_duration(1240000, "1.24 s");
    expect_duration(14200000, "14.2 s");
    expect_duration(INT64_C(192000000), "3 min 12 s");
    expect_duration(INT64_C(7500000000), "2 h 5 min");
    expect_duration(INT64_C(273600000000), "3 d 4 h");
}

static void expect_count(int64_t number, const char *expected)
{
    char text[TERM_NUMBER_SIZE];
    term_format_count(text, number);
    cr_expect_str_eq(text, expected);
}

Test(term, counts_have_their_thousands_apart)
{
    expect_count(0, "0");
    expect_count(999, "999");
    expect_count(1000, "1,000");
    expect_count(1234567, "1,234,567");
    expect_count(-1234, "-1,234");
    expect_count(-123, "-123");
    expect_count(INT64_MIN, "-9,223,372,036,854,775,808");
}
