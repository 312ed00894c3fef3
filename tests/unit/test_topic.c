// Topics have numbers, counts, and a limit that dead letters do not use up.
#include <criterion/criterion.h>
#include <stdio.h>

#include "broker/topic.h"

static struct topic_table topics; // each test has a process of its own
static struct topic_table *const table = &topics;

static int add(const char *topic)
{
    return topic_add(table, bytes_of_text(topic));
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

Test(topic, a_group_has_a_topic_for_its_dead_letters)
{
    const int topic = topic_add_dead_letters(table, bytes_of_text("payment"));
    cr_expect_eq(add("dead-letter.payment"), topic);
    cr_expect(topic_is_dead_letter(bytes_of_text(table->topics[topic].name)));
    cr_expect_not(topic_is_dead_letter(bytes_of_text("dead-letter")));
}

Test(topic, topics_end_at_the_limit_and_dead_letters_have_room_of_their_own)
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

Test(topic, a_set_holds_what_was_put_in)
{
    struct topic_set set = {0};
    topic_set_add(&set, 0);
    topic_set_add(&set, TOPIC_SLOTS - 1);
    cr_expect(topic_set_has(&set, 0));
    cr_expect(topic_set_has(&set, TOPIC_SLOTS - 1));
    cr_expect_not(topic_set_has(&set, 1));
}
