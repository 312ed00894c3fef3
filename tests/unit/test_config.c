// A setting is read from the environment, checked, and explained when it is wrong.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/mem.h"

static const struct setting common_settings[] = {
    {.name = "HTTP_PORT",
     .fallback = "8001",
     .kind = SETTING_INT,
     .min = 0,
     .max = 65535,
     .help = "Port of the HTTP interface."},
    {.name = "LOG_FORMAT",
     .fallback = "json",
     .kind = SETTING_CHOICE,
     .choices = "json|text",
     .help = "How a log line looks."},
    {.name = "BUS_URL", .fallback = "tcp://127.0.0.1:5550", .kind = SETTING_TEXT, .help = "Where."},
    {0}};
static const struct setting own_settings[] = {{.name = "SYNC_TIMEOUT_MS",
                                               .fallback = "2000",
                                               .kind = SETTING_INT,
                                               .min = 1,
                                               .max = 60000,
                                               .unit = "ms",
                                               .help = "Longest wait for an answer."},
                                              {0}};
static const struct setting url_settings[] = {{.name = "PAYMENT_URL",
                                               .fallback = "http://127.0.0.1:8002",
                                               .kind = SETTING_URL,
                                               .help = "The payment service."},
                                              {0}};
static const struct setting *const tables[] = {common_settings, own_settings};

static struct config *load(void)
{
    struct config *config = NULL;
    char *problem = NULL;
    cr_assert_eq(config_load(&config, tables, ARRAY_LEN(tables), &problem), ERR_OK);
    cr_assert_null(problem);
    return config;
}

static void expect_refused(const char *name, const char *value, const char *sentence)
{
    struct config *config = NULL;
    char *problem = NULL;
    cr_assert_eq(setenv(name, value, 1), 0);
    cr_expect_eq(config_load(&config, tables, ARRAY_LEN(tables), &problem), ERR_INVALID);
    cr_expect_null(config);
    cr_assert_not_null(problem);
    cr_expect_str_eq(problem, sentence);
    free(problem);
    cr_assert_eq(unsetenv(name), 0);
}

Test(config, what_is_not_set_has_its_default)
{
    struct config *config = load();
    cr_expect_eq(config_int(config, "HTTP_PORT"), 8001);
    cr_expect_str_eq(config_text(config, "LOG_FORMAT"), "json");
    cr_expect_str_eq(config_text(config, "BUS_URL"), "tcp://127.0.0.1:5550");
    cr_expect_eq(config_int(config, "SYNC_TIMEOUT_MS"), 2000);
    config_destroy(&config);
    cr_expect_null(config);
}

Test(config, the_environment_overrides_the_default)
{
    setenv("HTTP_PORT", "65535", 1);
    setenv("LOG_FORMAT", "text", 1);
    struct config *config = load();
    cr_expect_eq(config_int(config, "HTTP_PORT"), 65535);
    cr_expect_str_eq(config_text(config, "LOG_FORMAT"), "text");
    config_destroy(&config);
}

Test(config, an_empty_variable_counts_as_not_set)
{
    setenv("HTTP_PORT", "", 1);
    struct config *config = load();
    cr_expect_eq(config_int(config, "HTTP_PORT"), 8001);
    config_destroy(&config);
}

Test(config, a_number_that_is_none_or_out_of_range_is_refused_by_name)
{
    expect_refused("HTTP_PORT",
                   "eighty",
                   "HTTP_PORT is \"eighty\": it must be a whole number from 0 to 65535");
    expect_refused(
        "HTTP_PORT", "65536", "HTTP_PORT is \"65536\": it must be a whole number from 0 to 65535");
    expect_refused(
        "HTTP_PORT", "-1", "HTTP_PORT is \"-1\": it must be a whole number from 0 to 65535");
    expect_refused(
        "HTTP_PORT", " 1", "HTTP_PORT is \" 1\": it must be a whole number from 0 to 65535");
    expect_refused("SYNC_TIMEOUT_MS",
                   "2s",
                   "SYNC_TIMEOUT_MS is \"2s\": it must be a whole number from 1 to 60000 ms");
    expect_refused("SYNC_TIMEOUT_MS",
                   "99999999999999999999",
                   "SYNC_TIMEOUT_MS is \"99999999999999999999\": it must be a whole number from 1 "
                   "to 60000 ms");
}

Test(config, a_choice_that_is_none_is_refused_by_name)
{
    expect_refused("LOG_FORMAT", "jso", "LOG_FORMAT is \"jso\": it must be one of json|text");
    expect_refused(
        "LOG_FORMAT", "json|text", "LOG_FORMAT is \"json|text\": it must be one of json|text");
}

Test(config, help_is_a_table_whose_columns_stand_under_each_other)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    config_print_help(tables, ARRAY_LEN(tables), out);
    fclose(out);

    static const char *const rows[][2] = {
        {"setting", "what it does\n"},
        {"HTTP_PORT", "Port of the HTTP interface. (0 to 65535)\n"},
        {"LOG_FORMAT", "How a log line looks. (json|text)\n"},
        {"BUS_URL", "Where.\n"},
        {"SYNC_TIMEOUT_MS", "Longest wait for an answer. (1 to 60000)\n"},
    };
    const char *line = text;
    const ptrdiff_t column = strstr(text, rows[0][1]) - text;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cr_expect_eq(strncmp(line + 2, rows[i][0], strlen(rows[i][0])), 0, "%s", line);
        cr_expect_eq(strncmp(line + column, rows[i][1], strlen(rows[i][1])), 0, "%s", line);
        line = strchr(line, '\n') + 1;
    }
    cr_expect_str_empty(line);
    free(text);
}

Test(config, a_url_that_no_call_could_use_is_refused)
{
    static const struct setting *const urls[] = {url_settings};
    static const char *const bad[] = {"ftp://payment", "payment:8002", "http://", "http://a b"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct config *config = NULL;
        char *problem = NULL;
        cr_assert_eq(setenv("PAYMENT_URL", bad[i], 1), 0);
        cr_expect_eq(config_load(&config, urls, ARRAY_LEN(urls), &problem), ERR_INVALID);
        cr_assert_not_null(problem);
        cr_expect_not_null(strstr(problem, "it must be http://host or http://host:port"));
        free(problem);
    }
}
