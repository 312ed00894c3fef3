// Which events a service handled, and in which order, is told by the log alone.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/rebuild/rebuild_plan.h"
#include "common/event.h"
#include "common/mem.h"
#include "common/store.h"

static char folder[] = "/tmp/faultline-plan-XXXXXX";
static char path[64];
static struct rebuild_plan *plan;
static struct rebuild_counts counts;
static uint64_t next_offset;

static void open_plan(void)
{
    static const char *const topics[] = {"asked", "ended", NULL};
    char *problem = NULL;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/plan.db", folder);
    cr_assert_eq(rebuild_plan_open(&plan, path, "ledger", topics, &problem), ERR_OK, "%s", problem);
}

static void close_plan(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    rebuild_plan_destroy(&plan);
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char *file = mem_format("%s%s", path, suffixes[i]);
        unlink(file);
        free(file);
    }
    rmdir(folder);
}

TestSuite(rebuild_plan, .init = open_plan, .fini = close_plan);

// --- the log, record by record

static uint64_t add(const char *topic, const char *key, const char *id, const char *headers,
                    const char *body)
{
    const struct wire_delivered entry = {.offset = next_offset,
                                         .record = {.topic = bytes_of_text(topic),
                                                    .key = bytes_of_text(key),
                                                    .id = bytes_of_text(id),
                                                    .headers = bytes_of_text(headers),
                                                    .body = bytes_of_text(body)}};
    cr_assert_eq(rebuild_plan_add(plan, &entry), ERR_OK);
    return next_offset++;
}

static uint64_t add_event(const char *topic, const char *key, const char *id)
{
    return add(topic, key, id, "", "{}");
}

// An event that a service made because of another one.
static uint64_t add_output(const char *source, const char *key, const char *cause)
{
    struct event event = {.time = "2026-11-28T20:00:00.000000Z", .version = 1};
    snprintf(event.id, sizeof event.id, "of-%s", cause);
    snprintf(event.source, sizeof event.source, "/services/%s", source);
    snprintf(event.type, sizeof event.type, "answered");
    snprintf(event.subject, sizeof event.subject, "%s", key);
    snprintf(event.correlation_id, sizeof event.correlation_id, "%s", key);
    snprintf(event.causation_id, sizeof event.causation_id, "%s", cause);
    event.data = cJSON_CreateObject();
    char *body = event_format(&event);
    const uint64_t offset = add(event.type, key, event.id, "", body);
    free(body);
    cJSON_Delete(event.data);
    return offset;
}

// Somebody gives the event at offset up; somebody gives it back.
static void add_letter(const char *group, const char *key, const char *id, uint64_t offset)
{
    char *topic = mem_format("dead-letter.%s", group);
    char *headers = mem_format("{\"topic\":\"asked\",\"offset\":%llu}", (unsigned long long)offset);
    add(topic, key, id, headers, "{}");
    free(headers);
    free(topic);
}

static uint64_t add_copy(const char *group, const char *key, const char *id)
{
    char *topic = mem_format("redrive.%s", group);
    const uint64_t offset = add(topic, key, id, "{\"topic\":\"asked\"}", "{}");
    free(topic);
    return offset;
}

// The ids of the events to be handled, one behind the other.
static const char *order_of(const struct rebuild_choice *choice)
{
    static const char sql[] = "SELECT group_concat(id, ' ') FROM (SELECT id FROM inputs"
                              " JOIN deliveries USING (offset) ORDER BY number)";
    static char out[256];
    char *problem = NULL;
    cr_assert_eq(rebuild_plan_schedule(plan, choice, &counts, &problem), ERR_OK, "%s", problem);
    struct store *store = NULL;
    cr_assert_eq(store_open(&store, path, &problem), ERR_OK, "%s", problem);
    struct store_row *row = store_query(store, sql);
    cr_assert_eq(store_next(row), ERR_OK);
    snprintf(out, sizeof out, "%s", store_is_null(row, 0) ? "" : store_text(row, 0));
    store_destroy(&store);
    return out;
}

static const char *order_of_all(void)
{
    return order_of(&(const struct rebuild_choice){0});
}

Test(rebuild_plan, what_came_to_nothing_is_handled_in_the_order_of_the_log)
{
    add_event("asked", "a", "a1");
    add_event("asked", "b", "b1");
    add_event("other", "c", "c1"); // it does not hear that
    add_event("ended", "a", "a2");
    cr_expect_str_eq(order_of_all(), "a1 b1 a2");
    cr_expect_eq(counts.inputs, 3);
}

Test(rebuild_plan, what_came_to_something_is_handled_where_that_is)
{
    add_event("asked", "a", "a1");
    add_event("asked", "b", "b1");
    add_event("asked", "c", "c1");
    add_output("ledger", "c", "c1");
    add_output("ledger", "a", "a1");
    add_output("ledger", "b", "b1");
    cr_expect_str_eq(order_of_all(), "c1 a1 b1");
}

Test(rebuild_plan, what_others_made_of_an_event_does_not_count)
{
    add_event("asked", "a", "a1");
    add_event("asked", "b", "b1");
    add_output("fraud", "b", "b1");
    add_output("fraud", "a", "a1");
    cr_expect_str_eq(order_of_all(), "a1 b1");
}

Test(rebuild_plan, a_later_event_of_a_key_waits_for_the_earlier)
{
    add_event("asked", "a", "a1");
    add_event("ended", "a", "a2");
    add_event("asked", "b", "b1");
    add_output("ledger", "b", "b1");
    add_output("ledger", "a", "a1");
    cr_expect_str_eq(order_of_all(), "b1 a1 a2");
}

Test(rebuild_plan, events_without_a_key_wait_for_none)
{
    add_event("asked", "", "e1");
    add_event("asked", "", "e2");
    add_output("ledger", "x", "e1"); // every event of ours has a subject
    cr_expect_str_eq(order_of_all(), "e2 e1");
}

Test(rebuild_plan, what_was_given_up_was_not_handled)
{
    const uint64_t offset = add_event("asked", "a", "a1");
    add_event("asked", "b", "b1");
    add_letter("ledger", "a", "a1", offset);
    add_event("ended", "a", "a2");
    cr_expect_str_eq(order_of_all(), "b1 a2");
    cr_expect_eq(counts.given_up, 1);
}

Test(rebuild_plan, what_another_group_gave_up_was)
{
    const uint64_t offset = add_event("asked", "a", "a1");
    add_letter("payment", "a", "a1", offset);
    add_copy("payment", "a", "a1");
    cr_expect_str_eq(order_of_all(), "a1");
}

Test(rebuild_plan, what_was_redriven_was_handled_where_its_copy_is)
{
    const uint64_t offset = add_event("asked", "a", "a1");
    add_letter("ledger", "a", "a1", offset);
    add_event("ended", "a", "a2");
    add_copy("ledger", "a", "a1");
    add_event("asked", "b", "b1");
    cr_expect_str_eq(order_of_all(), "a2 a1 b1");
}

Test(rebuild_plan, what_died_again_was_not)
{
    uint64_t offset = add_event("asked", "a", "a1");
    add_letter("ledger", "a", "a1", offset);
    offset = add_copy("ledger", "a", "a1");
    add_letter("ledger", "a", "a1", offset);
    cr_expect_str_eq(order_of_all(), "");
    cr_expect_eq(counts.given_up, 1);
}

// The group has read the log again since.
Test(rebuild_plan, what_was_given_up_and_came_to_something_all_the_same_was_handled_there)
{
    const uint64_t offset = add_event("asked", "a", "a1");
    add_letter("ledger", "a", "a1", offset);
    add_event("asked", "b", "b1");
    add_output("ledger", "a", "a1");
    add_event("asked", "c", "c1");
    cr_expect_str_eq(order_of_all(), "b1 a1 c1");
}

Test(rebuild_plan, an_event_that_is_in_the_log_twice_is_handled_once)
{
    add_event("asked", "a", "a1");
    add_event("asked", "b", "b1");
    add_event("asked", "a", "a1");
    cr_expect_str_eq(order_of_all(), "a1 b1");
}

Test(rebuild_plan, what_the_living_database_has_not_handled_is_left_out)
{
    char *living = mem_format("%s/living.db", folder);
    char *problem = NULL;
    struct store *store = NULL;
    cr_assert_eq(store_open(&store, living, &problem), ERR_OK, "%s", problem);
    cr_assert_eq(store_exec_script(store,
                                   "CREATE TABLE inbox (handler, id, request_hash);"
                                   "INSERT INTO inbox VALUES ('asked', 'c1', NULL),"
                                   " ('asked', 'd1', NULL), ('/postings', 'b1', 5);"),
                 ERR_OK);
    store_destroy(&store);
    add_event("asked", "a", "a1"); // below the floor of its group
    add_event("asked", "b", "b1"); // only a request has that id
    add_event("asked", "c", "c1");
    const uint64_t offset = add_event("asked", "d", "d1");
    add_letter("ledger", "d", "d1", offset); // given up, and handled since
    const struct rebuild_choice choice = {.database = living, .only_handled = true, .floor = 1};
    cr_expect_str_eq(order_of(&choice), "a1 c1 d1");
    cr_expect_eq(counts.under_way, 1);
    unlink(living);
    free(living);
}
