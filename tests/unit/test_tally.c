// Stretches of the log: where they begin, what they hold, and that they go with a segment.
#include <criterion/criterion.h>

#include "broker/tally.h"

static struct tallies tallies;

static void stop(void)
{
    tallies_release(&tallies);
}

TestSuite(tally, .fini = stop);

Test(tally, a_stretch_counts_each_topic_alone)
{
    tallies_add(&tallies, 0, 0, 2, 5);
    tallies_add(&tallies, 0, 5, 0, 1);
    tallies_add(&tallies, 0, 6, 2, 1);
    cr_assert_eq(tallies.count, 1);
    const uint32_t expected[] = {1, 0, 6};
    cr_assert_eq(tallies.list[0].topics, 3);
    cr_expect_arr_eq(tallies.list[0].records, expected, sizeof expected);
}

Test(tally, a_long_stretch_ends_with_a_batch_and_any_with_its_segment)
{
    static const struct {
        uint64_t segment, offset, first;
    } cases[] = {
        {0, 0, 0},
        {0, TALLY_RECORDS - 1, 0},
        {0, TALLY_RECORDS + 7, TALLY_RECORDS + 7},
        {0, TALLY_RECORDS + 8, TALLY_RECORDS + 7},
        {TALLY_RECORDS + 9, TALLY_RECORDS + 9, TALLY_RECORDS + 9},
        {TALLY_RECORDS + 9, TALLY_RECORDS + 10, TALLY_RECORDS + 9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tallies_add(&tallies, cases[i].segment, cases[i].offset, 0, 1);
        cr_expect_eq(tallies.list[tallies.count - 1].first, cases[i].first, "case %zu", i);
    }
    cr_expect_eq(tallies.count, 3);
}

Test(tally, what_is_dropped_is_counted_no_more)
{
    for (uint64_t segment = 0; segment < 50; segment += 10) {
        tallies_add(&tallies, segment, segment, 0, (uint32_t)segment + 1);
    }
    tallies_drop(&tallies, 0);
    cr_expect_eq(tallies.count, 5);
    tallies_drop(&tallies, 30);
    cr_assert_eq(tallies.count, 2);
    cr_expect_eq(tallies.list[0].first, 30);
    cr_expect_eq(tallies.list[0].records[0], 31);
    tallies_add(&tallies, 40, 41, 0, 1);
    cr_expect_eq(tallies.list[1].records[0], 42);
}
