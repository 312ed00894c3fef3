// Sessions of the broker: who they are, which group they are in, whether they live.
#include <string.h>

#include "broker/broker_state.h"
#include "common/crash_point.h"
#include "common/log.h"

// Hands what it held to others and forgets it.
static void end_session(struct broker *self, struct session *session, const char *why)
{
    struct consumer *consumer = session->consumer;
    if (consumer != NULL) {
        struct group_stats stats;
        group_leave(consumer->group, session->number);
        group_stats_get(consumer->group, &stats);
        consumer->no_member_since_us = stats.members == 0 ? broker_wall_us(self) : 0;
    }
    log_info("session ended",
             LOG_STR("member", session->member),
             LOG_STR("group", consumer == NULL ? NULL : group_name(consumer->group)),
             LOG_STR("reason", why));
    session_end(self->sessions, session);
}

void broker_end_members(struct broker *self, const struct consumer *consumer, const char *why)
{
    size_t slot = 0;
    for (struct session *s; (s = session_next(self->sessions, &slot)) != NULL;) {
        if (s->consumer == consumer) {
            broker_refuse_session(self, s, WIRE_CODE_NO_SESSION, why);
            end_session(self, s, why);
        }
    }
}

// --- HELLO, BYE, PING, PONG

// Ends the session that is in the way of a HELLO.
static void make_way(struct broker *self, struct session *older, const struct message *hello)
{
    if (session_by_peer(self->sessions, hello->peer) == older) {
        end_session(self, older, "said HELLO again");
        return;
    }
    self->counters.evicted++;
    broker_refuse_session(
        self, older, WIRE_CODE_EVICTED, "a newer incarnation of this member has connected");
    end_session(self, older, "evicted by a newer incarnation");
}

void broker_on_hello(struct broker *self, const struct message *message)
{
    struct message refused = {.peer = message->peer, .control = message->control};
    struct session *session = NULL;
    enum err err = ERR_OK;
    while ((err = session_start(self->sessions,
                                message->peer,
                                message->control,
                                self->options.heartbeat_ms,
                                broker_now_ms(self),
                                &session)) == ERR_EXISTS) {
        make_way(self, session, message);
    }
    if (err == ERR_CONFLICT) {
        broker_refuse(
            self, &refused, WIRE_CODE_STALE, "this incarnation or a newer one is connected");
        return;
    }
    if (err != ERR_OK) {
        broker_refuse(
            self, &refused, WIRE_CODE_LIMIT, "the broker has as many sessions as it may have");
        return;
    }
    log_info("session started", LOG_STR("member", session->member));
    const struct wire_control welcome = {
        .type = WIRE_WELCOME,
        .heartbeat_ms = session->heartbeat_ms,
        .event_bytes_max = self->options.event_bytes_max,
    };
    broker_send(self, session, &welcome);
}

// Everything that came before is answered first: BYE back means that it arrived.
void broker_on_bye(struct broker *self, const struct message *message)
{
    (void)broker_sync(self);
    broker_send(self, message->session, &(struct wire_control){.type = WIRE_BYE});
    end_session(self, message->session, "said BYE");
}

void broker_on_ping(struct broker *self, const struct message *message)
{
    broker_send(self, message->session, &(struct wire_control){.type = WIRE_PONG});
}

void broker_on_pong(struct broker *self, const struct message *message)
{
    (void)self;
    message->session->unread_bytes = 0; // it listens
}

// --- SUBSCRIBE, CREDIT

// What stands against a SUBSCRIBE: NULL, or the code. Else *wanted are its topics.
static const char *subscribe_fault(struct broker *self, const struct message *message,
                                   struct consumer *consumer, struct topic_set *wanted,
                                   const char **detail)
{
    const struct wire_control *control = message->control;
    const struct consumer *mine = message->session->consumer;
    struct group_stats stats = {0};
    if (mine != NULL && mine != consumer) {
        *detail = "this session is a member of another group";
        return WIRE_CODE_SUBSCRIBED;
    }
    if (consumer != NULL) {
        group_stats_get(consumer->group, &stats);
    }
    *detail = "the group has as many members as it may have";
    if (mine == NULL && stats.members == GROUP_MEMBERS_MAX) {
        return WIRE_CODE_LIMIT;
    }
    *detail = "the broker has as many groups as it may have";
    if (consumer == NULL && self->consumers_count == BROKER_GROUPS_MAX) {
        return WIRE_CODE_LIMIT;
    }
    for (size_t i = 0; i < control->topics_count; i++) {
        *detail = "what is redriven goes to its own group alone, unasked";
        if (topic_begins(control->topics[i], TOPIC_REDRIVE)) {
            return WIRE_CODE_FORBIDDEN;
        }
        *detail = "the broker has as many topics as it may have";
        const int topic = topic_add(&self->topics, control->topics[i], TOPICS_MAX);
        if (topic == TOPIC_NONE) {
            return WIRE_CODE_LIMIT;
        }
        topic_set_add(wanted, topic);
    }
    return NULL;
}

// NULL: it could not be stored. A new group must be on disk before the client hears of
// it: from then on it relies on getting every event from the group's floor.
static struct consumer *create(struct broker *self, const struct wire_control *control,
                               const struct topic_set *wanted)
{
    char name[WIRE_NAME_MAX + 1] = {0};
    memcpy(name, control->group.data, control->group.size);
    const bool latest = control->offset_reset == WIRE_LATEST;
    const uint64_t floor = latest ? event_log_next(self->log) : event_log_first(self->log);
    struct consumer *consumer = broker_add_consumer(self, group_new(name, floor));
    consumer->wanted = *wanted;
    const uint64_t end = event_log_next(self->log);
    crash_point("broker-before-create");
    if (broker_count(self, consumer, end, &consumer->backlog) != ERR_OK ||
        broker_save(self) != ERR_OK) {
        broker_remove_consumer(self, consumer);
        consumer_destroy(&consumer);
        return NULL;
    }
    crash_point("broker-after-create");
    log_info("group created", LOG_STR("group", name), LOG_INT("offset", floor));
    return consumer;
}

static void join(struct broker *self, const struct message *message, struct consumer *consumer)
{
    struct session *session = message->session;
    const struct wire_control *control = message->control;
    group_set_retries(consumer->group, control->retries_max);
    group_set_order(consumer->group, control->order == WIRE_ORDER_KEY);
    (void)group_join(consumer->group, session->number, control->credit); // it may be in
    session->consumer = consumer;
    session->credit = control->credit;
    broker_apply_credit(session);
    consumer->no_member_since_us = 0;
    struct group_stats stats;
    group_stats_get(consumer->group, &stats);
    const struct wire_control answer = {
        .type = WIRE_SUBSCRIBED, .group = control->group, .offset = stats.floor};
    broker_send(self, session, &answer);
    log_info("member subscribed",
             LOG_STR("member", session->member),
             LOG_STR("group", group_name(consumer->group)),
             LOG_INT("offset", stats.floor),
             LOG_INT("lag_events", consumer->backlog));
}

void broker_on_subscribe(struct broker *self, const struct message *message)
{
    struct topic_set wanted = {0};
    const char *detail = NULL;
    struct consumer *consumer = broker_find_consumer(self, message->control->group);
    const char *code = subscribe_fault(self, message, consumer, &wanted, &detail);
    if (code != NULL) {
        broker_refuse(self, message, code, detail);
        return;
    }
    // What waits for the sync came before this group: count it before.
    (void)broker_sync(self);
    if (consumer == NULL) {
        consumer = create(self, message->control, &wanted);
    } else if (memcmp(&wanted, &consumer->wanted, sizeof wanted) != 0) {
        if (broker_set_topics(self, consumer, &wanted) == ERR_OK) {
            broker_save_soon(self);
        } else {
            consumer = NULL;
        }
    }
    if (consumer == NULL) {
        broker_refuse(self,
                      message,
                      WIRE_CODE_DISK_FULL,
                      "the group could not be stored, or its events not be counted");
    } else {
        join(self, message, consumer);
    }
}

void broker_apply_credit(struct session *session)
{
    const bool stopped = session->lost || session->blocked_until_ms != 0 ||
                         session->held_bytes >= BROKER_HELD_BYTES_MAX;
    group_set_credit(session->consumer->group, session->number, stopped ? 0 : session->credit);
}

void broker_on_credit(struct broker *self, const struct message *message)
{
    (void)self;
    message->session->credit = message->control->credit;
    broker_apply_credit(message->session);
}

// --- heartbeats

static void judge(struct broker *self, struct session *session, bool all_read, int64_t now_ms)
{
    static const char silent[] = "silent for three heartbeats";
    if (session->lost) {
        end_session(self, session, "cannot be reached");
        return;
    }
    if (all_read && now_ms >= session_expires_ms(session)) {
        broker_refuse_session(self, session, WIRE_CODE_NO_SESSION, silent);
        end_session(self, session, silent);
        return;
    }
    if (session->blocked_until_ms != 0 && now_ms >= session->blocked_until_ms) {
        session->blocked_until_ms = 0;
        broker_apply_credit(session);
    }
    if (now_ms >= session_ping_due_ms(session)) {
        broker_send(self, session, &(struct wire_control){.type = WIRE_PING});
    }
}

// A process that was stopped or starved for a while, or was busy with a long round, must
// not take its own pause for its clients' silence. Pauses shorter than a heartbeat do not
// count: three of them are needed to be silent, and a broker that is always busy must
// still find out who has died.
void broker_heartbeats(struct broker *self, bool all_read)
{
    const int64_t now_ms = broker_now_ms(self);
    const int64_t pause_ms = self->awake_by_ms == 0 ? 0 : now_ms - self->awake_by_ms;
    size_t slot = 0;
    for (struct session *s; (s = session_next(self->sessions, &slot)) != NULL;) {
        if (pause_ms >= s->heartbeat_ms) {
            s->seen_ms = s->seen_ms + pause_ms < now_ms ? s->seen_ms + pause_ms : now_ms;
        }
        judge(self, s, all_read, now_ms);
    }
    self->awake_by_ms = now_ms; // or later, if broker_deadline_ms says so
}

enum err broker_stop(struct broker *self)
{
    broker_append_dead_letters(self);
    (void)broker_sync(self);
    size_t slot = 0;
    for (struct session *s; (s = session_next(self->sessions, &slot)) != NULL;) {
        broker_send(self, s, &(struct wire_control){.type = WIRE_BYE});
        end_session(self, s, "the broker stops");
    }
    crash_point("broker-stop-synced");
    return broker_save(self);
}
