// Topics have numbers, counts, and a limit behind which there is room for the broker's own.
#include <criterion/criterion.h>
#include <stdio.h>

#include "broker/topic.h"

static struct topic_table topics; // each test has a process of its own
static struct topic_table *const table = &topics;

static int add(const char *topic)
{
    return topic_add(table, bytes_of_text(topic), TOPICS_MAX);
}

Test(topic, a_topic_keeps_its_number)
{
    const int first = add("order-created");
    const int second = add("order-cancelled");

    cr_expect_neq(first, second);
    cr_expect_eq(add("order-created"), first);
    cr_expect_eq(topic_find(table, bytes_of_text("order-cancelled")), second);
    cr_expect_eq(topic_find(table, bytes_of_text("order")), TOPIC_NONE);
    cr_expect_str_eq(table->topics[first].name, "order-created");
}

Test(topic, the_brokers_own_topics_are_known_by_their_names)
{
    char name[RECORD_TOPIC_MAX + 1];
    cr_expect(bytes_equal_text(topic_of_group(name, TOPIC_REDRIVE, "payment"), "redrive.payment"));
    cr_expect(topic_is_own(bytes_of_text(name)));
    cr_expect(topic_begins(bytes_of_text(name), TOPIC_REDRIVE));
    cr_expect_not(topic_begins(bytes_of_text(name), TOPIC_DEAD_LETTER));
    cr_expect(topic_is_own(bytes_of_text("dead-letter.payment")));
    cr_expect_not(topic_is_own(bytes_of_text("dead-letter")));
    cr_expect_not(topic_is_own(bytes_of_text("order-created")));
}

Test(topic, topics_end_at_the_limit_and_the_brokers_own_have_room_behind_it)
{
    char name[64];
    for (int i = 0; i < TOPICS_MAX; i++) {
        snprintf(name, sizeof name, "topic-%d", i);
        cr_assert_eq(add(name), i);
    }
    cr_expect_eq(add("one-more"), TOPIC_NONE);
    cr_expect_eq(add("topic-77"), 77);
    for (int i = TOPICS_MAX; i < TOPIC_SLOTS; i++) {
        snprintf(name, sizeof name, "dead-letter.group-%d", i);
        cr_assert_eq(topic_add(table, bytes_of_text(name), TOPIC_SLOTS), i);
    }
    cr_expect_eq(topic_add(table, bytes_of_text("dead-letter.one-more"), TOPIC_SLOTS), TOPIC_NONE);
}

Test(topic, a_set_holds_what_was_put_in)
{
    struct topic_set set = {0};
    topic_set_add(&set, 0);
    topic_set_add(&set, TOPIC_SLOTS - 1);
    cr_expect(topic_set_has(&set, 0));
    cr_expect(topic_set_has(&set, TOPIC_SLOTS - 1));
    cr_expect_not(topic_set_has(&set, 1));
}
