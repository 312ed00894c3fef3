// The members of an object, read without a tree.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/verify/json_walk.h"

static struct bytes rest;
static struct bytes name;
static struct bytes value;

static bool begin(const char *text)
{
    return json_walk_begin(bytes_of_text(text), &rest);
}

static void expect_member(const char *wanted_name, const char *wanted_value)
{
    cr_assert(json_walk_next(&rest, &name, &value), "no %s", wanted_name);
    cr_expect(bytes_equal_text(name, wanted_name), "%s", wanted_name);
    cr_expect(bytes_equal_text(value, wanted_value), "%s", wanted_value);
}

Test(json_walk, members_come_one_after_the_other_as_they_are_written)
{
    cr_assert(begin(" { \"a\" : \"x\" ,\"b\":{\"c\":[1,{\"d\":\"}\"}]}, \"e\":-1.5e3,\"f\":null}"));
    expect_member("a", "\"x\"");
    expect_member("b", "{\"c\":[1,{\"d\":\"}\"}]}");
    expect_member("e", "-1.5e3");
    expect_member("f", "null");
    cr_expect_not(json_walk_next(&rest, &name, &value));
}

Test(json_walk, a_quote_behind_a_backslash_ends_no_string)
{
    cr_assert(begin("{\"a\":\"x\\\"y\",\"b\":\"z\\\\\",\"c\":1}"));
    expect_member("a", "\"x\\\"y\"");
    expect_member("b", "\"z\\\\\"");
    expect_member("c", "1");
}

Test(json_walk, only_a_string_without_escapes_is_a_text)
{
    cr_expect(bytes_equal_text(json_walk_text(bytes_of_text("\"x y\"")), "x y"));
    cr_expect_eq(json_walk_text(bytes_of_text("\"x\\u0020\"")).size, 0);
    cr_expect_eq(json_walk_text(bytes_of_text("12")).size, 0);
    cr_expect_eq(json_walk_text((struct bytes){0}).size, 0);
}

Test(json_walk, an_object_has_ended_at_its_last_brace_and_not_before)
{
    cr_assert(begin("{\"a\":1} "));
    cr_expect_not(json_walk_has_ended(rest));
    expect_member("a", "1");
    cr_expect(json_walk_has_ended(rest));
    cr_assert(begin("{\"a\":1}x"));
    expect_member("a", "1");
    cr_expect_not(json_walk_has_ended(rest));
    cr_assert(begin("{\"a\":1,x"));
    expect_member("a", "1");
    cr_expect_not(json_walk_next(&rest, &name, &value));
    cr_expect_not(json_walk_has_ended(rest));
}

Test(json_walk, what_is_no_object_has_no_members)
{
    cr_expect_not(begin(""));
    cr_expect_not(begin("[1]"));
    cr_assert(begin("{}"));
    cr_expect_not(json_walk_next(&rest, &name, &value));
}

// Cut anywhere, it ends without a look behind the end (the address sanitizer watches).
Test(json_walk, an_object_that_breaks_off_ends)
{
    static const char text[] = "{\"a\":\"x\\\"y\",\"b\":{\"c\":[1,2]},\"d\":true}";
    for (size_t size = 0; size < strlen(text); size++) {
        uint8_t *cut = malloc(size == 0 ? 1 : size);
        memcpy(cut, text, size);
        if (json_walk_begin((struct bytes){cut, size}, &rest)) {
            int members = 0;
            while (json_walk_next(&rest, &name, &value)) {
                members++;
            }
            cr_expect_lt(members, 4);
        }
        free(cut);
    }
}
