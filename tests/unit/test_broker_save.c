// What the broker keeps of its groups beside the log comes back, and nothing else does:
// whatever the bytes say, a start takes all of it or refuses it.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/mem.h"

// --- plumbing

static int64_t no_time(void *context)
{
    (void)context;
    return 0;
}

// As much of a broker as this needs.
static struct broker *new_broker(void)
{
    struct broker *broker = mem_calloc(1, sizeof *broker);
    broker->world = (struct broker_world){.mono_us = no_time, .wall_us = no_time};
    return broker;
}

static void destroy(struct broker *broker)
{
    for (size_t i = 0; i < broker->consumers_count; i++) {
        consumer_destroy(&broker->consumers[i]);
    }
    free(broker);
}

// A group with some of everything, and one that is new.
static struct broker *new_example(void)
{
    struct broker *broker = new_broker();
    broker->kept_end = 400;
    (void)topic_add(&broker->topics, bytes_of_text("a.b"), TOPIC_SLOTS);
    (void)topic_add(&broker->topics, bytes_of_text("asked-for"), TOPIC_SLOTS);
    struct consumer *pay = broker_add_consumer(broker, group_new("pay", 120));
    topic_set_add(&pay->wanted, topic_find(&broker->topics, bytes_of_text("a.b")));
    topic_set_add(&pay->wanted, topic_find(&broker->topics, bytes_of_text("asked-for")));
    consumer_list(pay, 7);
    consumer_list(pay, 20);
    consumer_list(pay, 350);
    (void)broker_add_consumer(broker, group_new("new", 400));
    return broker;
}

static struct buf put(const struct broker *broker)
{
    struct buf bytes = {0};
    broker_put_kept(broker, &bytes);
    return bytes;
}

// --- tests

Test(broker_save, the_bytes_are_the_documented_ones)
{
    struct broker *broker = new_example();
    static const uint8_t expected[] = {
        0x90, 3,                                // log end
        2,                                      // two groups
        3,    0, 'p', 'a',  'y', 0, 0, 120,  0, // name, order, retries, floor, nothing known
        3,    0, 'a', '.',  'b', 9, 0, 'a',  's', 'k', 'e', 'd', '-', 'f', 'o', 'r', 0, 0, // topics
        3,    7, 12,  0xc9, 2,                       // dead letters
        3,    0, 'n', 'e',  'w', 0, 0, 0x90, 3,   0, // the other group
        0,    0, 0,
    };

    struct buf bytes = put(broker);

    cr_assert_eq(bytes.size, sizeof expected);
    cr_expect_arr_eq(bytes.data, expected, sizeof expected);
    buf_release(&bytes);
    destroy(broker);
}

Test(broker_save, what_was_put_comes_back)
{
    struct broker *before = new_example();
    struct buf bytes = put(before);
    struct reader in = {.rest = buf_view(&bytes)};
    struct broker *broker = new_broker();

    broker_take_kept(broker, &in);

    cr_assert_not(in.failed);
    cr_expect_eq(in.rest.size, 0);
    cr_expect_eq(broker->kept_end, 400);
    const int topic = topic_find(&broker->topics, bytes_of_text("a.b"));
    cr_assert_neq(topic, TOPIC_NONE);
    cr_assert_eq(broker->consumers_count, 2);
    const struct consumer *pay = broker->consumers[0];
    cr_expect_str_eq(group_name(pay->group), "pay");
    cr_expect_eq(group_cursor(pay->group), 120);
    cr_expect(topic_set_has(&pay->wanted, topic));
    const uint64_t dead_letters[] = {7, 20, 350};
    cr_assert_eq(pay->dead_letters_count, 3);
    cr_expect_arr_eq(pay->dead_letters, dead_letters, sizeof dead_letters);
    struct buf again = put(broker);
    cr_assert_eq(again.size, bytes.size);
    cr_expect_arr_eq(again.data, bytes.data, bytes.size);
    buf_release(&again);
    buf_release(&bytes);
    destroy(before);
    destroy(broker);
}

static bool is_taken(const void *data, size_t size)
{
    // Of exactly this size, so that a sanitizer sees each byte read behind it.
    uint8_t *copy = mem_alloc(size);
    memcpy(copy, data, size);
    struct reader in = {.rest = {.data = copy, .size = size}};
    struct broker *broker = new_broker();
    broker_take_kept(broker, &in);
    destroy(broker);
    free(copy);
    return !in.failed && in.rest.size == 0;
}

Test(broker_save, a_cut_anywhere_is_refused)
{
    struct broker *broker = new_example();
    struct buf bytes = put(broker);
    for (size_t size = 0; size < bytes.size; size++) {
        cr_expect_not(is_taken(bytes.data, size), "cut at %zu", size);
    }
    cr_expect(is_taken(bytes.data, bytes.size));
    buf_release(&bytes);
    destroy(broker);
}

Test(broker_save, any_change_of_any_byte_is_taken_or_refused_and_does_no_harm)
{
    struct broker *broker = new_example();
    struct buf bytes = put(broker);
    for (size_t at = 0; at < bytes.size; at++) {
        const uint8_t was = bytes.data[at];
        for (int value = 0; value < 256; value++) {
            bytes.data[at] = (uint8_t)value;
            (void)is_taken(bytes.data, bytes.size);
        }
        bytes.data[at] = was;
    }
    buf_release(&bytes);
    destroy(broker);
}

#define GROUP_A "\1\0a\0\3\0\0" // name, order, retries, floor, nothing known
#define LOG     "\x64"          // end
#define NONE    "\0\0"          // no topics

Test(broker_save, what_no_broker_writes_is_refused)
{
    static const struct {
        const char *what;
        const char *bytes;
        size_t size;
    } cases[] = {
#define CASE(what, bytes) {what, bytes, sizeof bytes - 1}
        CASE("an offset that is too large",
             "\x80\x80\x80\x80\x80\x80\x80\x80\x80\1"
             "\0"),
        CASE("more groups than there may be", LOG "\x81\2" GROUP_A NONE "\0"),
        CASE("fewer groups than promised", LOG "\2" GROUP_A NONE "\0"),
        CASE("a name that is none", LOG "\1\1\0A\0\3\0\0" NONE "\0"),
        CASE("no name", LOG "\1\0\0\0\3\0\0" NONE "\0"),
        CASE("a name with an end in it", LOG "\1\2\0a\0\0\3\0\0" NONE "\0"),
        CASE("two of a name", LOG "\2" GROUP_A NONE "\0" GROUP_A NONE "\0"),
        CASE("a group's topic that is none", LOG "\1" GROUP_A "\1\0 " NONE "\0"),
        CASE("more dead letters than bytes", LOG "\1" GROUP_A NONE "\3\1\1"),
        CASE("a dead letter past the log", LOG "\1" GROUP_A NONE "\1\x64"),
        CASE("dead letters past the log", LOG "\1" GROUP_A NONE "\2\x63\0"),
        CASE("more offsets than bytes",
             "\xff\xff\xff\x7f"
             "\1\1\0a\0\3\0\x80\x80\x40\1"),
        CASE("no end of dead letters",
             "\xff\xff\xff\x7f"
             "\1" GROUP_A NONE "\xff\xff\xff\x7f\0\0\0"),
        CASE("something behind the end", LOG "\1" GROUP_A NONE "\0\0"),
#undef CASE
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cr_expect_not(is_taken(cases[i].bytes, cases[i].size), "%s", cases[i].what);
    }
    static const char good[] = LOG "\1" GROUP_A NONE "\2\x62\0";
    cr_expect(is_taken(good, sizeof good - 1));
}
