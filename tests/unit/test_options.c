// The options of a command: what the table allows is parsed, all else is refused with
// a sentence that names it.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "common/mem.h"

static const struct option_def table[] = {
    {.name = "follow", .letter = 'f', .kind = OPTION_FLAG, .help = "go on"},
    {.name = "lines",
     .letter = 'n',
     .kind = OPTION_INT,
     .value = "N",
     .fallback = "7",
     .min = 0,
     .max = 100,
     .help = "so many"},
    {.name = "mode", .kind = OPTION_CHOICE, .choices = "async|sync", .fallback = "async"},
    {.name = "name", .kind = OPTION_TEXT, .value = "NAME", .help = "a name"},
    {.name = "item", .letter = 'i', .kind = OPTION_LIST, .value = "ITEM", .help = "an item"},
    {.name = "help", .kind = OPTION_FLAG, .help = "help"},
    {0},
};

enum {
    ARGUMENTS_MAX = 8
};

// Parses the words of one line.
static struct options *parse(const char *line, char **words, char **problem)
{
    static const struct option_def *const tables[] = {table};
    struct options *options = NULL;
    int argc = 0;
    char *rest = NULL;
    *words = mem_strdup(line);
    char *argv[ARGUMENTS_MAX] = {0};
    for (char *word = strtok_r(*words, " ", &rest); word != NULL && argc < ARGUMENTS_MAX;
         word = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = word;
    }
    options_parse(&options, tables, 1, argc, argv, problem);
    return options;
}

static void expect_problem(const char *line, const char *sentence)
{
    char *words = NULL;
    char *problem = NULL;
    struct options *options = parse(line, &words, &problem);
    cr_expect_null(options, "%s was accepted", line);
    cr_expect_str_eq(problem == NULL ? "" : problem, sentence);
    options_destroy(&options);
    free(problem);
    free(words);
}

Test(options, what_is_not_given_has_its_default)
{
    char *words = NULL;
    char *problem = NULL;
    struct options *options = parse("", &words, &problem);

    cr_assert_not_null(options);
    cr_expect_not(options_flag(options, "follow"));
    cr_expect_eq(options_int(options, "lines"), 7);
    cr_expect_str_eq(options_text(options, "mode"), "async");
    cr_expect_null(options_text(options, "name"));
    cr_expect_eq(options_list_count(options, "item"), 0);
    cr_expect_eq(options_arguments_count(options), 0);

    options_destroy(&options);
    free(words);
}

Test(options, long_options_take_their_value_behind_a_space_or_an_equals_sign)
{
    char *words = NULL;
    char *problem = NULL;
    struct options *options = parse("--name=a=b --lines 12 --mode sync", &words, &problem);

    cr_assert_not_null(options);
    cr_expect_str_eq(options_text(options, "name"), "a=b");
    cr_expect_eq(options_int(options, "lines"), 12);
    cr_expect_str_eq(options_text(options, "mode"), "sync");
    cr_expect(options_is_given(options, "lines"));
    cr_expect_not(options_is_given(options, "item"));

    options_destroy(&options);
    free(words);
}

Test(options, letters_may_be_joined_and_may_hold_their_value)
{
    char *words = NULL;
    char *problem = NULL;
    struct options *options = parse("-fn5 -i a -ib", &words, &problem);

    cr_assert_not_null(options);
    cr_expect(options_flag(options, "follow"));
    cr_expect_eq(options_int(options, "lines"), 5);
    cr_expect_eq(options_list_count(options, "item"), 2);
    cr_expect_str_eq(options_list(options, "item", 0), "a");
    cr_expect_str_eq(options_list(options, "item", 1), "b");
    cr_expect_null(options_list(options, "item", 2));

    options_destroy(&options);
    free(words);
}

Test(options, arguments_may_stand_between_options_and_a_dash_is_one)
{
    char *words = NULL;
    char *problem = NULL;
    struct options *options = parse("one -f - -- --lines", &words, &problem);

    cr_assert_not_null(options);
    cr_expect_eq(options_arguments_count(options), 3);
    cr_expect_str_eq(options_argument(options, 0), "one");
    cr_expect_str_eq(options_argument(options, 1), "-");
    cr_expect_str_eq(options_argument(options, 2), "--lines");
    cr_expect_null(options_argument(options, 3));

    options_destroy(&options);
    free(words);
}

Test(options, the_last_of_several_values_counts)
{
    char *words = NULL;
    char *problem = NULL;
    struct options *options = parse("--lines 1 --lines 2", &words, &problem);

    cr_assert_not_null(options);
    cr_expect_eq(options_int(options, "lines"), 2);

    options_destroy(&options);
    free(words);
}

Test(options, a_wish_for_help_hides_other_mistakes)
{
    char *words = NULL;
    char *problem = NULL;
    struct options *options = parse("--nonsense --help", &words, &problem);

    cr_assert_not_null(options);
    cr_expect(options_flag(options, "help"));

    options_destroy(&options);
    free(words);
}

Test(options, every_mistake_is_named)
{
    expect_problem("--nonsense=3", "there is no option --nonsense");
    expect_problem("-x", "there is no option -x");
    expect_problem("--name", "--name needs a value: --name NAME");
    expect_problem("-n", "-n needs a value: -n N");
    expect_problem("--name=", "--name needs a value that is not empty");
    expect_problem("--follow=1", "--follow takes no value");
    expect_problem("--lines 101", "--lines must be a whole number from 0 to 100, not '101'");
    expect_problem("--lines -1", "--lines must be a whole number from 0 to 100, not '-1'");
    expect_problem("--lines 5x", "--lines must be a whole number from 0 to 100, not '5x'");
    expect_problem("--lines 99999999999999999999",
                   "--lines must be a whole number from 0 to 100, not '99999999999999999999'");
    expect_problem("--mode syn", "--mode must be one of async|sync, not 'syn'");
    expect_problem("--mode async|sync", "--mode must be one of async|sync, not 'async|sync'");
}
