// Sessions: who is here under which name, who must go, and when silence is death.
#include <criterion/criterion.h>
#include <stdio.h>

#include "broker/session.h"

static struct session_table *table;

static void start(void)
{
    table = session_table_new(0);
}

static void stop(void)
{
    session_table_destroy(&table);
}

TestSuite(session, .init = start, .fini = stop);

static enum err hello(const char *peer, const char *member, uint64_t incarnation, int64_t now_ms,
                      struct session **out)
{
    return session_start(table,
                         bytes_of_text(peer),
                         &(struct wire_control){
                             .member = bytes_of_text(member),
                             .incarnation = incarnation,
                             .heartbeat_ms = 1000,
                         },
                         500,
                         now_ms,
                         out);
}

static struct session *started(const char *peer, const char *member, uint64_t incarnation,
                               int64_t now_ms)
{
    struct session *session = NULL;
    cr_assert_eq(hello(peer, member, incarnation, now_ms, &session), ERR_OK);
    return session;
}

Test(session, is_found_by_its_peer_its_member_name_and_its_number)
{
    struct session *session = started("peer-a", "payment-1", 7, 0);

    cr_expect_eq(session_by_peer(table, bytes_of_text("peer-a")), session);
    cr_expect_eq(session_by_member(table, bytes_of_text("payment-1")), session);
    cr_expect_eq(session_by_number(table, session->number), session);
    cr_expect_null(session_by_peer(table, bytes_of_text("peer-b")));
    cr_expect_null(session_by_member(table, bytes_of_text("payment")));
    cr_expect_null(session_by_number(table, session->number + SESSIONS_MAX));
    cr_expect_null(session_by_number(table, 0));
}

Test(session, the_shorter_heartbeat_holds)
{
    cr_expect_eq(started("peer-a", "payment-1", 7, 0)->heartbeat_ms, 500);
}

Test(session, a_newer_incarnation_finds_the_older_session_and_may_begin_when_it_has_ended)
{
    struct session *older = started("peer-a", "payment-1", 7, 0);
    struct session *found = NULL;

    cr_expect_eq(hello("peer-b", "payment-1", 8, 0, &found), ERR_EXISTS);
    cr_expect_eq(found, older);
    session_end(table, older);
    cr_expect_eq(hello("peer-b", "payment-1", 8, 0, &found), ERR_OK);
    cr_expect_null(session_by_peer(table, bytes_of_text("peer-a")));
    cr_expect_eq(session_count(table), 1);
}

Test(session, the_same_or_an_older_incarnation_from_another_peer_is_stale)
{
    struct session *session = started("peer-a", "payment-1", 7, 0);
    struct session *found = NULL;

    cr_expect_eq(hello("peer-b", "payment-1", 7, 0, &found), ERR_CONFLICT);
    cr_expect_eq(hello("peer-b", "payment-1", 6, 0, &found), ERR_CONFLICT);
    cr_expect_eq(session_by_member(table, bytes_of_text("payment-1")), session);
}

Test(session, a_peer_that_says_hello_again_must_end_what_it_had)
{
    struct session *session = started("peer-a", "payment-1", 7, 0);
    struct session *found = NULL;

    cr_expect_eq(hello("peer-a", "payment-2", 1, 0, &found), ERR_EXISTS);
    cr_expect_eq(found, session);
}

Test(session, an_ended_incarnation_is_forgotten)
{
    session_end(table, started("peer-a", "payment-1", 7, 0));
    started("peer-b", "payment-1", 1, 0);
}

Test(session, a_number_is_never_used_again)
{
    struct session *first = started("peer-a", "payment-1", 1, 0);
    const uint64_t number = first->number;
    session_end(table, first);
    struct session *second = started("peer-a", "payment-1", 1, 0);

    cr_expect_neq(number, 0);
    cr_expect_neq(second->number, number);
    cr_expect_null(session_by_number(table, number));
}

Test(session, there_are_no_more_than_the_limit)
{
    struct session *session = NULL;
    for (int i = 0; i < SESSIONS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "member-%d", i);
        started(name, name, 1, 0);
    }

    cr_expect_eq(hello("one-more", "one-more", 1, 0, &session), ERR_FULL);
    cr_expect_eq(session_count(table), SESSIONS_MAX);
    session_end(table, session_by_peer(table, bytes_of_text("member-500")));
    cr_expect_eq(hello("one-more", "one-more", 1, 0, &session), ERR_OK);
    cr_expect_not_null(session_by_peer(table, bytes_of_text("member-1023")));
}

Test(session, a_walk_visits_each_once_though_sessions_end_on_the_way)
{
    started("a", "a", 1, 0);
    started("b", "b", 1, 0);
    started("c", "c", 1, 0);
    size_t slot = 0;
    int visited = 0;
    for (struct session *s; (s = session_next(table, &slot)) != NULL; visited++) {
        session_end(table, s);
    }

    cr_expect_eq(visited, 3);
    cr_expect_eq(session_count(table), 0);
}

Test(session, three_silent_heartbeats_are_the_end_and_not_a_moment_before)
{
    struct session *session = started("peer-a", "payment-1", 7, 1000);
    cr_expect_eq(session_expires_ms(session), 2500);

    session->seen_ms = 2499;

    cr_expect_eq(session_expires_ms(session), 3999);
}

Test(session, a_ping_is_due_when_nothing_was_sent_for_a_heartbeat)
{
    struct session *session = started("peer-a", "payment-1", 7, 1000);
    cr_expect_eq(session_ping_due_ms(session), 1500);
    cr_expect_eq(session_deadline_ms(table), 1500);

    session->sent_ms = 2400;

    cr_expect_eq(session_deadline_ms(table), 2500); // now silence comes first

    session->blocked_until_ms = 1010;

    cr_expect_eq(session_deadline_ms(table), 1010);
}

Test(session, without_sessions_there_is_no_deadline)
{
    cr_expect_eq(session_deadline_ms(table), INT64_MAX);
}
