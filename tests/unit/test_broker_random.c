// Whatever happens in whatever order (crashes, full queues, full disks, members that
// come, go and fail, publishes that come again, dead letters that go back, a log that sheds
// its oldest segments), every event that was published is done once for each group, acked
// or dead, and what was redriven for its own group, none is stored twice, none is dropped before,
// and no key ever overtakes itself. Each seed is one history.
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/log.h"
#include "tests/support/toy_world.h"

enum {
    SEEDS = 12,
    STEPS = 1500,
    EVENTS_MAX = 4096,
    KEYS = 8,
    GROUPS = 2,
    MEMBERS = 3, // of each group
    HELD_MAX = 4096,
    SEGMENT_BYTES = 4096,
};

struct held {
    uint64_t offset;
    uint32_t attempt;
};

struct member {
    char peer;
    bool connected;
    struct held held[HELD_MAX];
    size_t held_count;
};

struct model {
    struct toy_world world;
    uint64_t random;
    uint64_t published;    // offsets below it, dead letters among them
    int key[EVENTS_MAX];   // -1: a dead letter, no group's event
    int owner[EVENTS_MAX]; // the group that a redriven event belongs to; -1: to all
    uint64_t redriven;
    bool done[GROUPS][EVENTS_MAX];
    bool delivered[GROUPS][EVENTS_MAX]; // since the last crash
    struct member members[GROUPS][MEMBERS];
    uint64_t incarnation;
};

static const char *const group_names[GROUPS] = {"payment", "ledger"};

static uint64_t chance(struct model *self, uint64_t below)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return self->random % below;
}

static struct consumer *consumer_of(struct model *self, int group)
{
    return broker_find_consumer(self->world.broker, bytes_of_text(group_names[group]));
}

static bool is_for(const struct model *self, uint64_t offset, int group)
{
    return self->key[offset] != -1 && (self->owner[offset] == -1 || self->owner[offset] == group);
}

// --- what is seen

static void see_delivery(struct model *self, int group, const struct wire_delivered *delivered)
{
    const uint64_t offset = delivered->offset;
    cr_assert_lt(offset, self->published);
    cr_assert(is_for(self, offset, group));
    cr_assert(bytes_equal_text(delivered->record.topic, "order-created"));
    char key[8];
    snprintf(key, sizeof key, "k-%d", self->key[offset]);
    cr_assert(bytes_equal_text(delivered->record.key, key));
    self->delivered[group][offset] = true;
    self->done[group][offset] = false; // acked, but the crash forgot it: again
    for (uint64_t earlier = 0; earlier < offset; earlier++) {
        if (self->key[earlier] == self->key[offset] && is_for(self, earlier, group) &&
            !self->done[group][earlier]) {
            cr_assert_fail("%s: offset %d of key %d overtook %d",
                           group_names[group],
                           (int)offset,
                           self->key[offset],
                           (int)earlier);
        }
    }
}

static void listen(struct model *self, int group, struct member *member)
{
    struct wire_delivered delivered;
    while (toy_gets(&self->world, member->peer, &delivered)) {
        see_delivery(self, group, &delivered);
        cr_assert_lt(member->held_count, HELD_MAX);
        member->held[member->held_count++] =
            (struct held){.offset = delivered.offset, .attempt = delivered.attempt};
    }
    toy_forget(&self->world, member->peer);
}

// Dead letters in the log are offsets without an event; what they bury is done. Redriven
// events are for one group.
static void see_log(struct model *self)
{
    cr_assert_lt(event_log_next(self->world.log), EVENTS_MAX);
    for (; self->published < event_log_next(self->world.log); self->published++) {
        const uint64_t offset = self->published;
        struct event_log_entry entry;
        struct dead_letter letter;
        const enum err err = event_log_cursor_read(self->world.broker->elsewhere, offset, &entry);
        cr_assert_eq(err, ERR_OK);
        self->key[offset] = entry.record.key.data[2] - '0';
        self->owner[offset] = -1;
        if (topic_is_own(entry.record.topic)) {
            cr_assert_eq(dead_letter_parse(entry.record.headers, &letter), ERR_OK);
            const int group = strcmp(letter.group, group_names[0]) == 0 ? 0 : 1;
            if (topic_begins(entry.record.topic, TOPIC_REDRIVE)) {
                self->owner[offset] = group;
            } else {
                self->key[offset] = -1;
                self->done[group][letter.offset] = true;
            }
        }
    }
}

static void listen_all(struct model *self)
{
    see_log(self);
    for (int g = 0; g < GROUPS; g++) {
        for (int m = 0; m < MEMBERS; m++) {
            listen(self, g, &self->members[g][m]);
        }
    }
}

// --- what happens

static void connect_member(struct model *self, int group, struct member *member)
{
    self->world.peers[member->peer - 'a'].answer = ERR_OK;
    member->held_count = 0;
    toy_hello(&self->world, member->peer);
    toy_subscribe(&self->world,
                  member->peer,
                  group_names[group],
                  (uint32_t)(1 + chance(self, 20)),
                  "order-created");
    member->connected = true;
}

static void publish(struct model *self)
{
    char key[8];
    snprintf(key, sizeof key, "k-%d", (int)chance(self, KEYS));
    toy_publish_later(&self->world, 'p', "order-created", key, 1 + chance(self, 300));
}

// What is in the log already must not be stored again.
static void publish_again(struct model *self)
{
    struct event_log *log = self->world.log;
    struct event_log_entry entry;
    const uint64_t kept = event_log_next(log) - event_log_first(log);
    if (kept == 0) {
        return;
    }
    const uint64_t offset = event_log_first(log) + chance(self, kept);
    const enum err err = event_log_cursor_read(self->world.broker->elsewhere, offset, &entry);
    cr_assert_eq(err, ERR_OK);
    if (topic_is_own(entry.record.topic)) {
        return;
    }
    char id[RECORD_ID_MAX + 1] = "";
    memcpy(id, entry.record.id.data, entry.record.id.size);
    // After a disk that was full a batch holds few publishes: what waited may be synced, or
    // refused, before this one is looked at.
    const uint64_t end = event_log_next(log) + event_log_pending(log);
    const uint64_t duplicates = self->world.broker->counters.duplicates;
    toy_publish_ids(&self->world, 'p', id, WIRE_ACKS_ALL);
    cr_assert_leq(event_log_next(log) + event_log_pending(log), end);
    cr_assert_geq(self->world.broker->counters.duplicates, duplicates + 1);
}

static void redrive(struct model *self, int group)
{
    const struct wire_control control = {.type = WIRE_REDRIVE,
                                         .request = 1,
                                         .group = bytes_of_text(group_names[group]),
                                         .end = UINT64_MAX};
    const uint64_t before = self->world.broker->counters.redriven;
    toy_send(&self->world, 'p', &control, (struct bytes){0});
    self->redriven += self->world.broker->counters.redriven - before;
}

// Retention looks now; what it drops is done for everybody.
static void retain(struct model *self)
{
    self->world.broker->retain_due_ms = 0;
    toy_turn(&self->world);
    listen_all(self);
    for (int g = 0; g < GROUPS; g++) {
        for (uint64_t offset = 0; offset < event_log_first(self->world.log); offset++) {
            cr_assert(!is_for(self, offset, g) || self->done[g][offset],
                      "%s never finished %d, which was dropped",
                      group_names[g],
                      (int)offset);
        }
    }
}

static void answer(struct model *self, int group, struct member *member)
{
    if (member->held_count == 0) {
        return;
    }
    const size_t at = chance(self, member->held_count);
    const struct held held = member->held[at];
    const bool fails = chance(self, 4) == 0;
    member->held[at] = member->held[--member->held_count];
    if (fails && chance(self, 2) == 0) {
        const struct wire_control control = {
            .type = WIRE_REJECT, .offset = held.offset, .attempt = held.attempt};
        toy_send(&self->world, member->peer, &control, (struct bytes){0});
        toy_turn(&self->world);
        return;
    }
    if (fails) {
        toy_nack(&self->world, member->peer, held.offset, held.attempt, (uint32_t)chance(self, 50));
        return;
    }
    const uint64_t acked = self->world.broker->counters.acked;
    self->done[group][held.offset] = true; // before what its ack lets go is seen
    toy_ack(&self->world, member->peer, held.offset, held.attempt);
    cr_assert_eq(self->world.broker->counters.acked, acked + 1);
}

static void leave(struct model *self, struct member *member)
{
    toy_send(
        &self->world, member->peer, &(struct wire_control){.type = WIRE_BYE}, (struct bytes){0});
    member->connected = false;
    member->held_count = 0;
    toy_turn(&self->world);
}

static void crash(struct model *self)
{
    self->world.disk.is_limited = false;
    toy_world_crash(&self->world);
    memset(self->delivered, 0, sizeof self->delivered);
    for (int g = 0; g < GROUPS; g++) {
        for (int m = 0; m < MEMBERS; m++) {
            self->members[g][m].connected = false;
            self->members[g][m].held_count = 0;
        }
    }
    toy_hello(&self->world, 'p');
}

static void step(struct model *self)
{
    const int g = (int)chance(self, GROUPS);
    struct member *member = &self->members[g][chance(self, MEMBERS)];
    const uint64_t what = chance(self, 100);
    if (what < 25) {
        publish(self);
    } else if (what < 28) {
        publish_again(self);
    } else if (what < 29) {
        toy_turn(&self->world);
    } else if (what < 30) {
        retain(self);
    } else if (what < 31) {
        redrive(self, g);
    } else if (!member->connected) {
        connect_member(self, g, member);
    } else if (what < 80) {
        answer(self, g, member);
    } else if (what < 90) {
        toy_pass(&self->world, (int64_t)chance(self, 60));
    } else if (what < 92) {
        leave(self, member);
    } else if (what < 94) {
        self->world.peers[member->peer - 'a'].answer =
            self->world.peers[member->peer - 'a'].answer == ERR_OK ? ERR_FULL : ERR_OK;
    } else if (what < 98) {
        self->world.disk.is_limited = !self->world.disk.is_limited;
    } else if (what == 99 && chance(self, 4) == 0) {
        crash(self);
    }
    listen_all(self);
    toy_forget(&self->world, 'p');
}

static void expect_all_done(struct model *self)
{
    for (int g = 0; g < GROUPS; g++) {
        for (uint64_t offset = 0; offset < self->published; offset++) {
            cr_assert(!is_for(self, offset, g) || self->done[g][offset],
                      "%s never finished %d",
                      group_names[g],
                      (int)offset);
        }
        cr_assert_eq(consumer_of(self, g)->backlog, 0);
    }
}

// All faults end, all members are there, and everything is acked.
static void finish(struct model *self)
{
    self->world.disk.is_limited = false;
    for (int g = 0; g < GROUPS; g++) {
        for (int m = 0; m < MEMBERS; m++) {
            connect_member(self, g, &self->members[g][m]);
        }
    }
    for (int round = 0; round < 5000; round++) {
        listen_all(self);
        for (int g = 0; g < GROUPS; g++) {
            for (int m = 0; m < MEMBERS; m++) {
                struct member *member = &self->members[g][m];
                while (member->held_count > 0) {
                    const struct held held = member->held[--member->held_count];
                    self->done[g][held.offset] = true;
                    toy_ack(&self->world, member->peer, held.offset, held.attempt);
                }
            }
        }
        if (consumer_of(self, 0)->backlog == 0 && consumer_of(self, 1)->backlog == 0) {
            break;
        }
        toy_pass(&self->world, 10);
    }
    listen_all(self);
}

ParameterizedTestParameters(broker_random, every_event_is_done_once_and_in_the_order_of_its_key)
{
    static uint64_t seeds[SEEDS];
    for (size_t i = 0; i < SEEDS; i++) {
        seeds[i] = 0x9e3779b97f4a7c15ULL * (i + 1);
    }
    return cr_make_param_array(uint64_t, seeds, SEEDS);
}

ParameterizedTest(uint64_t *seed, broker_random,
                  every_event_is_done_once_and_in_the_order_of_its_key)
{
    (void)log_open("broker", "json", "error");
    struct model *self = calloc(1, sizeof *self);
    self->random = *seed;
    toy_world_set_up(&self->world);
    self->world.options.log.segment_bytes = SEGMENT_BYTES;
    self->world.options.retention_bytes = 3 * SEGMENT_BYTES;
    toy_world_crash(&self->world);
    toy_hello(&self->world, 'p');
    for (int g = 0; g < GROUPS; g++) {
        for (int m = 0; m < MEMBERS; m++) {
            self->members[g][m].peer = (char)('a' + g * MEMBERS + m);
        }
    }
    for (int g = 0; g < GROUPS; g++) { // before there is something for retention to take
        connect_member(self, g, &self->members[g][0]);
    }
    for (int i = 0; i < STEPS; i++) {
        step(self);
    }
    finish(self);
    redrive(self, 0); // a dead letter that is listed holds its segment
    redrive(self, 1);
    finish(self);
    expect_all_done(self);
    cr_assert_gt(self->redriven, 0);
    retain(self);
    cr_assert_gt(event_log_first(self->world.log), 0);
    toy_world_tear_down(&self->world);
    free(self);
}
