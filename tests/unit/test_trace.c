// The rules of W3C Trace Context for traceparent.
#include <criterion/criterion.h>
#include <string.h>

#include "common/mem.h"
#include "common/trace.h"

#define TRACE_ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN_ID  "00f067aa0ba902b7"

Test(trace, a_traceparent_is_read_and_written_again)
{
    struct trace_context trace;
    cr_assert_eq(trace_parse(&trace, "00-" TRACE_ID "-" SPAN_ID "-01"), ERR_OK);
    cr_expect_str_eq(trace.trace_id, TRACE_ID);
    cr_expect_str_eq(trace.span_id, SPAN_ID);
    cr_expect_eq(trace.flags, 1);

    char text[TRACE_PARENT_SIZE];
    trace_format(text, &trace);
    cr_expect_str_eq(text, "00-" TRACE_ID "-" SPAN_ID "-01");
}

Test(trace, what_breaks_a_rule_is_refused_and_leaves_nothing)
{
    static const char *const texts[] = {
        "",
        "00",
        "00-" TRACE_ID "-" SPAN_ID "-0",
        "00-" TRACE_ID "-" SPAN_ID "-01-extra",
        "00-" TRACE_ID "-" SPAN_ID "-011",
        "cc-" TRACE_ID "-" SPAN_ID "-01extra",
        "ff-" TRACE_ID "-" SPAN_ID "-01",
        "0x-" TRACE_ID "-" SPAN_ID "-01",
        "00-00000000000000000000000000000000-" SPAN_ID "-01",
        "00-" TRACE_ID "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN_ID "-01",
        "00-" TRACE_ID "-00F067AA0BA902B7-01",
        "00-" TRACE_ID "-" SPAN_ID "-0g",
        "00_" TRACE_ID "-" SPAN_ID "-01",
        "00-" TRACE_ID "_" SPAN_ID "-01",
        "00-" TRACE_ID "-" SPAN_ID "_01",
        "00-4bf92f3577b34da6a3ce929d0e0e473z-" SPAN_ID "-01",
        " 00-" TRACE_ID "-" SPAN_ID "-01",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct trace_context trace = {.trace_id = "x"};
        cr_expect_eq(trace_parse(&trace, texts[i]), ERR_INVALID, "%s", texts[i]);
        cr_expect_str_empty(trace.trace_id);
        cr_expect_str_empty(trace.span_id);
    }
    struct trace_context trace;
    cr_expect_eq(trace_parse(&trace, NULL), ERR_INVALID);
}

Test(trace, a_later_version_is_read_by_its_first_55_characters)
{
    struct trace_context trace;
    cr_expect_eq(trace_parse(&trace, "cc-" TRACE_ID "-" SPAN_ID "-01"), ERR_OK);
    cr_assert_eq(trace_parse(&trace, "cc-" TRACE_ID "-" SPAN_ID "-01-what-the-future-will-be"),
                 ERR_OK);
    char text[TRACE_PARENT_SIZE];
    trace_format(text, &trace);
    cr_expect_str_eq(text, "00-" TRACE_ID "-" SPAN_ID "-01");
}

Test(trace, only_the_sampled_flag_is_passed_on)
{
    struct trace_context trace;
    cr_assert_eq(trace_parse(&trace, "00-" TRACE_ID "-" SPAN_ID "-ff"), ERR_OK);
    cr_expect_eq(trace.flags, 1);
    cr_assert_eq(trace_parse(&trace, "00-" TRACE_ID "-" SPAN_ID "-fe"), ERR_OK);
    cr_expect_eq(trace.flags, 0);
}

Test(trace, a_child_stays_in_its_parents_trace_with_a_span_of_its_own)
{
    struct trace_context parent;
    trace_parse(&parent, "00-" TRACE_ID "-" SPAN_ID "-00");
    struct trace_context child;
    trace_child(&child, &parent);
    cr_expect_str_eq(child.trace_id, TRACE_ID);
    cr_expect_str_neq(child.span_id, SPAN_ID);
    cr_expect_eq(child.flags, 0);
    trace_child(&parent, &parent); // in place
    cr_expect_str_eq(parent.trace_id, TRACE_ID);
    cr_expect_str_neq(parent.span_id, SPAN_ID);
}

Test(trace, without_a_parent_a_sampled_trace_starts)
{
    const struct trace_context none = {0};
    struct trace_context one;
    struct trace_context two;
    trace_child(&one, &none);
    trace_child(&two, &none);
    cr_expect_eq(one.flags, 1);
    cr_expect_str_neq(one.trace_id, two.trace_id);
    char text[TRACE_PARENT_SIZE];
    trace_format(text, &one);
    struct trace_context back;
    cr_expect_eq(trace_parse(&back, text), ERR_OK);
    cr_expect_str_eq(back.trace_id, one.trace_id);
}
