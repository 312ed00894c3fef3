// A consumer group: u8 flags, u16 size of what group_save might have written, that, then a
// script of what happens to the group. Flag 1 begins with a new group instead.
//
// Beside it stands a list of what it was offered: it gives no event out twice at the same
// time, none before an earlier one of its key, nobody more than his credit.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/group.h"
#include "common/mem.h"
#include "tests/fuzz/fuzz.h"

enum {
    FLAG_NEW = 1,
    OFFERED_MAX = 512,
    MEMBERS = 4,
    STEPS_MAX = 2000,
    NOW_MS = 5000,
    LOG_END = 1000000,
};

enum step {
    STEP_OFFER,
    STEP_OFFER_KEYED,
    STEP_DELIVER,
    STEP_ACK,
    STEP_NACK,
    STEP_REJECT,
    STEP_UNDELIVER,
    STEP_JOIN,
    STEP_LEAVE,
    STEP_CREDIT,
    STEP_BURY,
    STEP_PASS,
    STEP_SKIP,
    STEP_SAVE,
    STEPS
};

struct offered {
    uint32_t key_hash; // 0: waits for none
    uint64_t holder;   // member; 0: nobody
    uint32_t attempt;
};

struct driver {
    struct reader script;
    struct group *group;
    int64_t now_ms;
    uint64_t base; // offset of offered[0]
    struct offered offered[OFFERED_MAX];
    size_t count;
    uint32_t credit[MEMBERS + 1]; // by member; 0 is nobody
};

static struct offered *offered_of(struct driver *self, uint64_t offset)
{
    assert(offset >= self->base && offset - self->base < self->count);
    return &self->offered[offset - self->base];
}

static uint32_t held_by(const struct driver *self, uint64_t member)
{
    uint32_t held = 0;
    for (size_t i = 0; i < self->count; i++) {
        held += self->offered[i].holder == member;
    }
    return held;
}

// One of the deliveries that are out, as number picks it; NULL: none is.
static struct offered *held_pick(struct driver *self, uint8_t number, uint64_t *offset)
{
    for (size_t i = 0; i < self->count; i++) {
        const size_t at = (i + number) % self->count;
        if (self->offered[at].holder != 0) {
            *offset = self->base + at;
            return &self->offered[at];
        }
    }
    return NULL;
}

// --- steps

static void offer(struct driver *self, uint32_t key_hash)
{
    struct group_stats stats;
    group_stats_get(self->group, &stats);
    if (self->count == OFFERED_MAX || stats.cursor >= LOG_END ||
        stats.cursor - stats.floor >= GROUP_WINDOW_MAX) {
        return;
    }
    const uint64_t offset = group_cursor(self->group);
    if (self->count == 0) {
        self->base = offset;
    }
    while (self->base + self->count < offset && self->count < OFFERED_MAX) {
        self->offered[self->count++] = (struct offered){0}; // the cursor skipped what is done
    }
    if (self->count == OFFERED_MAX) {
        return;
    }
    self->offered[self->count++] =
        (struct offered){.key_hash = group_has_order(self->group) ? key_hash : 0};
    group_offer(self->group, key_hash != 1, key_hash);
}

static void deliver(struct driver *self)
{
    struct group_delivery delivery;
    if (!group_deliver(self->group, self->now_ms, &delivery)) {
        return;
    }
    struct offered *offered = offered_of(self, delivery.offset);
    assert(offered->holder == 0 && delivery.attempt > 0);
    assert(delivery.member > 0 && delivery.member <= MEMBERS);
    assert(!group_is_done(self->group, delivery.offset));
    offered->holder = delivery.member;
    offered->attempt = delivery.attempt;
    assert(held_by(self, delivery.member) <= self->credit[delivery.member]);
    for (uint64_t at = self->base; offered->key_hash != 0 && at < delivery.offset; at++) {
        assert(offered_of(self, at)->key_hash != offered->key_hash ||
               group_is_done(self->group, at));
    }
}

static void answer(struct driver *self, enum step step)
{
    const uint8_t number = reader_u8(&self->script);
    uint64_t offset = 0;
    struct offered *held = held_pick(self, number, &offset);
    if (held == NULL) {
        return;
    }
    const struct group_failure failure = {.now_ms = self->now_ms,
                                          .wall_us = number,
                                          .error = bytes_of_text("no\n"),
                                          .fatal = step == STEP_REJECT,
                                          .delay_ms = (int64_t)number - 16,
                                          .random = number};
    const struct group_delivery delivery = {offset, held->holder, held->attempt};
    if (step == STEP_UNDELIVER) {
        group_undeliver(self->group, &delivery);
    } else {
        const enum err err = group_nack(self->group, held->holder, offset, held->attempt, &failure);
        assert(err == ERR_OK);
        (void)err;
    }
    held->holder = 0;
    // The same again is stale.
    assert(group_nack(self->group, delivery.member, offset, delivery.attempt, &failure) ==
           ERR_NOT_FOUND);
}

// A run of acks; all that its member holds of it with this attempt is done.
static void ack(struct driver *self)
{
    uint64_t offset = 0;
    const uint32_t count = reader_u8(&self->script);
    struct offered *held = held_pick(self, reader_u8(&self->script), &offset);
    if (held == NULL) {
        return;
    }
    const struct offered first = *held;
    uint32_t expected = 0;
    for (size_t i = 0; i < count && offset - self->base + i < self->count; i++) {
        struct offered *at = held + i;
        if (at->holder == first.holder && at->attempt == first.attempt) {
            at->holder = 0;
            expected++;
        }
    }
    const uint32_t taken = group_ack(self->group, first.holder, offset, count, first.attempt);
    assert(taken == expected);
    (void)taken;
}

static void leave(struct driver *self, uint64_t member)
{
    group_leave(self->group, member);
    self->credit[member] = 0;
    for (size_t i = 0; i < self->count; i++) {
        if (self->offered[i].holder == member) {
            self->offered[i].holder = 0;
        }
    }
}

static void bury(struct driver *self)
{
    const uint64_t offset = group_cursor(self->group) + reader_u8(&self->script) - 128;
    if (offset >= LOG_END) {
        return;
    }
    const bool was_done = group_is_done(self->group, offset);
    const bool buried = group_buried(self->group, offset);
    assert(buried != was_done && group_is_done(self->group, offset));
    if (offset >= self->base && offset - self->base < self->count) {
        offered_of(self, offset)->holder = 0;
    }
}

static void skip(struct driver *self)
{
    const uint64_t floor = group_cursor(self->group) + reader_u8(&self->script) - 200;
    if (floor >= LOG_END) {
        return;
    }
    group_skip_to(self->group, floor);
    struct group_stats stats;
    group_stats_get(self->group, &stats);
    assert(stats.floor >= floor);
    for (size_t i = 0; i < self->count && self->base + i < floor; i++) {
        self->offered[i].holder = 0;
    }
}

static void set_credit(struct driver *self)
{
    const uint64_t member = 1 + reader_u8(&self->script) % MEMBERS;
    const uint32_t credit = reader_u8(&self->script) % 16;
    group_set_credit(self->group, member, credit);
    // Lowered, what it holds already stays.
    const uint32_t held = held_by(self, member);
    struct group_member_stats members[MEMBERS];
    const size_t count = group_members_get(self->group, members, MEMBERS);
    for (size_t i = 0; i < count; i++) {
        if (members[i].member == member) {
            self->credit[member] = credit > held ? credit : held;
        }
    }
}

static void join(struct driver *self)
{
    const uint64_t member = 1 + reader_u8(&self->script) % MEMBERS;
    const uint32_t credit = reader_u8(&self->script) % 16;
    if (group_join(self->group, member, credit) == ERR_OK) {
        self->credit[member] = credit;
    }
}

// A crash: what was out is ready again, the attempts are kept, nothing done comes back.
static void save_and_load(struct driver *self)
{
    struct buf bytes = {0};
    group_save(self->group, &bytes, self->now_ms);
    struct reader in = {.rest = buf_view(&bytes)};
    struct group *loaded = group_load(&in, LOG_END, self->now_ms);
    assert(!in.failed && in.rest.size == 0);
    struct group_stats before;
    struct group_stats after;
    group_stats_get(self->group, &before);
    group_stats_get(loaded, &after);
    assert(after.floor == before.floor && after.cursor == after.floor);
    for (uint64_t offset = before.floor; offset < before.cursor; offset++) {
        assert(group_is_done(loaded, offset) == group_is_done(self->group, offset));
    }
    group_destroy(&self->group);
    self->group = loaded;
    memset(self->credit, 0, sizeof self->credit);
    self->count = 0;
    buf_release(&bytes);
}

static void step_run(struct driver *self, enum step step)
{
    switch (step) {
    case STEP_OFFER:
        offer(self, reader_u8(&self->script) % 2); // 1: of another topic
        break;
    case STEP_OFFER_KEYED:
        offer(self, 2 + reader_u8(&self->script) % 6);
        break;
    case STEP_DELIVER:
        deliver(self);
        break;
    case STEP_ACK:
        ack(self);
        break;
    case STEP_JOIN:
        join(self);
        break;
    case STEP_LEAVE:
        leave(self, 1 + reader_u8(&self->script) % MEMBERS);
        break;
    case STEP_CREDIT:
        set_credit(self);
        break;
    case STEP_BURY:
        bury(self);
        break;
    case STEP_PASS:
        self->now_ms += reader_u8(&self->script) * 16;
        group_set_order(self->group, self->now_ms % 3 != 0);
        break;
    case STEP_SKIP:
        skip(self);
        break;
    case STEP_SAVE:
        save_and_load(self);
        break;
    default:
        answer(self, step);
        break;
    }
}

static void expect_counts(const struct driver *self)
{
    struct group_stats stats;
    group_stats_get(self->group, &stats);
    assert(stats.floor <= stats.cursor);
    assert(stats.ready + stats.held + stats.waiting + stats.parked + stats.dying <=
           stats.cursor - stats.floor);
    struct group_member_stats members[MEMBERS];
    assert(group_members_get(self->group, members, MEMBERS) == stats.members);
    uint32_t held = 0;
    for (size_t i = 0; i < stats.members; i++) {
        assert(members[i].held == held_by(self, members[i].member));
        held += members[i].held;
    }
    assert(held == stats.held);
}

static void drive(struct group **group, struct reader script)
{
    struct driver *self = mem_calloc(1, sizeof *self);
    *self = (struct driver){.script = script, .group = *group, .now_ms = NOW_MS};
    for (size_t i = 0; i < STEPS_MAX && self->script.rest.size > 0; i++) {
        step_run(self, reader_u8(&self->script) % STEPS);
        expect_counts(self);
    }
    *group = self->group; // it may be another one by now
    free(self);
}

// What was read, written and read again, is the same.
static void expect_settled(const struct group *group)
{
    struct buf once = {0};
    struct buf twice = {0};
    group_save(group, &once, NOW_MS);
    struct reader in = {.rest = buf_view(&once)};
    struct group *read = group_load(&in, LOG_END, NOW_MS);
    assert(!in.failed && in.rest.size == 0);
    group_save(read, &twice, NOW_MS);
    assert(fuzz_is_same(buf_view(&once), buf_view(&twice)));
    group_destroy(&read);
    buf_release(&once);
    buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader input = {.rest = {.data = data, .size = size}};
    const uint8_t flags = reader_u8(&input);
    if ((flags & FLAG_NEW) != 0) {
        struct group *group = group_new("g", 100);
        drive(&group, input);
        group_destroy(&group);
        return 0;
    }
    const size_t wanted = reader_u16(&input);
    struct reader saved = {
        .rest = reader_bytes(&input, wanted < input.rest.size ? wanted : input.rest.size)};
    struct group *group = group_load(&saved, LOG_END, NOW_MS);
    if (!saved.failed) {
        expect_settled(group);
        drive(&group, input);
    }
    group_destroy(&group);
    return 0;
}
