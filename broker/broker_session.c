// Sessions of the broker: who they are, which group they are in, whether they live.
#include <string.h>

#include "broker/broker_state.h"
#include "common/log.h"

void broker_end_session(struct broker *self, struct session *session, const char *why)
{
    struct consumer *consumer = session->consumer;
    if (consumer != NULL) {
        const struct broker_world *world = &self->options.world;
        group_leave(consumer->group, session->number);
        struct group_stats stats;
        group_stats_get(consumer->group, &stats);
        if (stats.members == 0) {
            consumer->no_member_since_us = world->wall_us(world->context);
        }
    }
    log_info("session ended",
             LOG_STR("member", session->member),
             LOG_STR("group", consumer == NULL ? NULL : group_name(consumer->group)),
             LOG_STR("reason", why),
             LOG_END);
    session_end(self->sessions, session);
}

static void evict(struct broker *self, struct session *older)
{
    broker_refuse_session(
        self, older->peer, WIRE_CODE_EVICTED, "a newer incarnation of this member has connected");
    self->counters.evicted++;
    broker_end_session(self, older, "evicted by a newer incarnation");
}

static void welcome(struct broker *self, struct session *session)
{
    broker_send(self,
                session,
                &(struct wire_control){
                    .type = WIRE_WELCOME,
                    .heartbeat_ms = session->heartbeat_ms,
                    .event_bytes_max = self->options.event_bytes_max,
                },
                (struct bytes){0});
}

static bool same_peer(const struct session *session, struct bytes peer)
{
    return session->peer.size == peer.size && memcmp(session->peer.data, peer.data, peer.size) == 0;
}

void broker_on_hello(struct broker *self, struct bytes peer, const struct wire_control *control)
{
    const struct session_hello hello = {
        .peer = peer,
        .member = control->member,
        .incarnation = control->incarnation,
        .heartbeat_ms = control->heartbeat_ms,
        .heartbeat_max_ms = self->options.heartbeat_ms,
    };
    struct session *session = NULL;
    enum err err = session_start(self->sessions, &hello, broker_now_ms(self), &session);
    while (err == ERR_EXISTS) {
        if (same_peer(session, peer)) {
            broker_end_session(self, session, "said HELLO again");
        } else {
            evict(self, session);
        }
        err = session_start(self->sessions, &hello, broker_now_ms(self), &session);
    }
    if (err == ERR_OK) {
        log_info("session started", LOG_STR("member", session->member), LOG_END);
        welcome(self, session);
    } else if (err == ERR_CONFLICT) {
        broker_refuse_session(
            self, peer, WIRE_CODE_STALE, "this incarnation or a newer one is connected");
    } else {
        broker_refuse_session(
            self, peer, WIRE_CODE_LIMIT, "the broker has as many sessions as it may have");
    }
}

// Numbers the topics of a SUBSCRIBE, and that of the group's dead letters, so that
// there is a place for these when they come. false: there are too many.
static bool topics_of(struct broker *self, const struct wire_control *control,
                      uint16_t topics[WIRE_TOPICS_MAX])
{
    for (size_t i = 0; i < control->topics_count; i++) {
        const int topic = topic_add(self->topics, control->topics[i]);
        if (topic == TOPIC_NONE) {
            return false;
        }
        topics[i] = (uint16_t)topic;
    }
    char dead_letters[RECORD_TOPIC_MAX + 1] = TOPIC_DEAD_LETTER;
    memcpy(dead_letters + strlen(dead_letters), control->group.data, control->group.size);
    return topic_add(self->topics, bytes_of_text(dead_letters)) != TOPIC_NONE;
}

static struct consumer *consumer_create(struct broker *self, const struct wire_control *control)
{
    char name[WIRE_NAME_MAX + 1] = {0};
    memcpy(name, control->group.data, control->group.size);
    const bool latest = control->offset_reset == WIRE_LATEST;
    const uint64_t floor = latest ? event_log_next(self->log) : event_log_first(self->log);
    struct consumer *consumer = consumer_new(group_new(name, floor));
    consumer->no_member_since_us = self->options.world.wall_us(self->options.world.context);
    self->consumers[self->consumers_count++] = consumer;
    log_info("group created", LOG_STR("group", name), LOG_INT("offset", floor), LOG_END);
    return consumer;
}

// A new group must be on disk before the client hears of it: from then on it
// relies on getting every event from the group's floor.
static bool consumer_keep(struct broker *self)
{
    if (broker_save(self) == ERR_OK) {
        return true;
    }
    self->consumers_count--;
    consumer_destroy(&self->consumers[self->consumers_count]);
    return false;
}

static void backlog_start(struct broker *self, struct consumer *consumer, bool created,
                          const struct wire_control *control)
{
    if (!created) {
        broker_count_backlog(self, consumer);
    } else if (control->offset_reset == WIRE_EARLIEST) {
        for (size_t i = 0; i < consumer->topics_count; i++) {
            consumer->backlog += topic_records(self->topics, consumer->topics[i]);
        }
    }
}

static void subscribe(struct broker *self, const struct message *message, struct consumer *consumer)
{
    struct session *session = message->session;
    const struct wire_control *control = message->control;
    group_set_retries(consumer->group, control->retries_max);
    if (session->consumer == NULL &&
        group_join(consumer->group, session->number, control->credit) != ERR_OK) {
        broker_refuse_message(
            self, message, WIRE_CODE_LIMIT, "the group has as many members as it may have");
        return;
    }
    session->consumer = consumer;
    session->credit = control->credit;
    broker_apply_credit(self, session);
    consumer->no_member_since_us = 0;
    struct group_stats stats;
    group_stats_get(consumer->group, &stats);
    broker_send(self,
                session,
                &(struct wire_control){
                    .type = WIRE_SUBSCRIBED,
                    .group = control->group,
                    .offset = stats.floor,
                },
                (struct bytes){0});
    log_info("member subscribed",
             LOG_STR("member", session->member),
             LOG_STR("group", group_name(consumer->group)),
             LOG_INT("offset", stats.floor),
             LOG_INT("lag_events", consumer->backlog),
             LOG_END);
}

void broker_on_subscribe(struct broker *self, const struct message *message)
{
    const struct wire_control *control = message->control;
    struct consumer *consumer = message->session->consumer;
    if (consumer != NULL && !bytes_equal_text(control->group, group_name(consumer->group))) {
        broker_refuse_message(
            self, message, WIRE_CODE_SUBSCRIBED, "this session is a member of another group");
        return;
    }
    consumer = broker_find_consumer(self, control->group);
    const bool created = consumer == NULL;
    if (created && self->consumers_count == BROKER_GROUPS_MAX) {
        broker_refuse_message(
            self, message, WIRE_CODE_LIMIT, "the broker has as many groups as it may have");
        return;
    }
    uint16_t topics[WIRE_TOPICS_MAX];
    if (!topics_of(self, control, topics)) {
        broker_refuse_message(
            self, message, WIRE_CODE_LIMIT, "the broker has as many topics as it may have");
        return;
    }
    // What waits for the sync came before this group: count it before.
    (void)broker_sync(self);
    if (created) {
        consumer = consumer_create(self, control);
    }
    if (consumer_set_topics(consumer, topics, control->topics_count)) {
        backlog_start(self, consumer, created, control);
        if (created && !consumer_keep(self)) {
            broker_refuse_message(
                self, message, WIRE_CODE_DISK_FULL, "the group could not be stored");
            return;
        }
        self->save_due_ms = created ? self->save_due_ms : broker_now_ms(self) + BROKER_SAVE_MS;
    }
    subscribe(self, message, consumer);
}

void broker_apply_credit(struct broker *self, struct session *session)
{
    (void)self;
    const bool stopped = session->lost || session->blocked_until_ms != 0 ||
                         session->held_bytes >= BROKER_HELD_BYTES_MAX;
    group_set_credit(session->consumer->group, session->number, stopped ? 0 : session->credit);
}

void broker_on_credit(struct broker *self, const struct message *message)
{
    message->session->credit = message->control->credit;
    broker_apply_credit(self, message->session);
}

// Everything that came before is answered first: BYE back means that it arrived.
void broker_on_bye(struct broker *self, const struct message *message)
{
    (void)broker_sync(self);
    broker_send(
        self, message->session, &(struct wire_control){.type = WIRE_BYE}, (struct bytes){0});
    broker_end_session(self, message->session, "said BYE");
}

// A process that was stopped or starved for a while must not take its own pause
// for its clients' silence.
static int64_t own_pause_ms(struct broker *self, int64_t now_ms)
{
    const int64_t late_ms = self->awake_by_ms == 0 ? 0 : now_ms - self->awake_by_ms;
    return late_ms >= WIRE_HEARTBEAT_MIN_MS ? late_ms : 0;
}

static void expire(struct broker *self, struct session *session)
{
    broker_refuse_session(self, session->peer, WIRE_CODE_NO_SESSION, "silent for three heartbeats");
    broker_end_session(self, session, "silent for three heartbeats");
}

void broker_heartbeats(struct broker *self, bool all_read)
{
    const int64_t now_ms = broker_now_ms(self);
    const int64_t pause_ms = own_pause_ms(self, now_ms);
    size_t slot = 0;
    for (struct session *s; (s = session_next(self->sessions, &slot)) != NULL;) {
        s->seen_ms = s->seen_ms + pause_ms < now_ms ? s->seen_ms + pause_ms : now_ms;
        if (s->lost) {
            broker_end_session(self, s, "cannot be reached");
            continue;
        }
        if (all_read && session_is_expired(s, now_ms)) {
            expire(self, s);
            continue;
        }
        if (s->blocked_until_ms != 0 && now_ms >= s->blocked_until_ms) {
            s->blocked_until_ms = 0;
            broker_apply_credit(self, s);
        }
        if (session_wants_ping(s, now_ms)) {
            broker_send(self, s, &(struct wire_control){.type = WIRE_PING}, (struct bytes){0});
        }
    }
}

enum err broker_stop(struct broker *self)
{
    broker_append_dead_letters(self);
    (void)broker_sync(self);
    size_t slot = 0;
    for (struct session *s; (s = session_next(self->sessions, &slot)) != NULL;) {
        broker_send(self, s, &(struct wire_control){.type = WIRE_BYE}, (struct bytes){0});
        broker_end_session(self, s, "the broker stops");
    }
    return broker_save(self);
}
