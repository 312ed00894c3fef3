// Topics have numbers, counts, and a limit that dead letters do not use up.
#include <criterion/criterion.h>
#include <stdio.h>

#include "broker/topic_table.h"

static struct topic_table *table;

static void start(void)
{
    table = topic_table_new();
}

static void stop(void)
{
    topic_table_destroy(&table);
}

TestSuite(topic_table, .init = start, .fini = stop);

static int add(const char *topic)
{
    return topic_add(table, bytes_of_text(topic));
}

Test(topic_table, a_topic_keeps_its_number)
{
    const int first = add("order-created");
    const int second = add("order-cancelled");

    cr_expect_neq(first, second);
    cr_expect_eq(add("order-created"), first);
    cr_expect_eq(topic_find(table, bytes_of_text("order-cancelled")), second);
    cr_expect_eq(topic_find(table, bytes_of_text("order")), TOPIC_NONE);
    cr_expect_str_eq(topic_name(table, first), "order-created");
}

Test(topic_table, records_are_counted_by_topic)
{
    const int topic = add("order-created");
    topic_records_add(table, topic, 3);
    topic_records_add(table, topic, 4);
    cr_expect_eq(topic_records(table, topic), 7);
    cr_expect_eq(topic_records(table, add("order-cancelled")), 0);
}

Test(topic_table, topics_end_at_the_limit_and_dead_letters_have_room_of_their_own)
{
    char name[64];
    for (int i = 0; i < TOPICS_MAX; i++) {
        snprintf(name, sizeof name, "topic-%d", i);
        cr_assert_eq(add(name), i);
    }
    cr_expect_eq(add("one-more"), TOPIC_NONE);
    cr_expect_eq(add("topic-77"), 77);
    for (int i = 0; i < DEAD_LETTER_TOPICS; i++) {
        snprintf(name, sizeof name, "dead-letter.group-%d", i);
        cr_assert_neq(add(name), TOPIC_NONE);
    }
    cr_expect_eq(add("dead-letter.one-more"), TOPIC_NONE);
}

Test(topic_table, a_set_holds_what_was_put_in)
{
    struct topic_set set = {0};
    topic_set_add(&set, 0);
    topic_set_add(&set, TOPIC_SLOTS - 1);
    cr_expect(topic_set_has(&set, 0));
    cr_expect(topic_set_has(&set, TOPIC_SLOTS - 1));
    cr_expect_not(topic_set_has(&set, 1));
}
