// A group against a model that is too simple to be wrong: arrays by offset, searched
// from end to end. Random steps come from a seed; FAULTLINE_SEED=N repeats one story,
// FAULTLINE_SEEDS=COUNT tells so many, from seed 1 on.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/group.h"
#include "common/mem.h"

enum {
    MEMBERS = 4,
    KEYS_MAX = 60, // enough for some to share a bucket
    STORIES = 20,
};

// What a save keeps of an event, and what is forgotten with a broker.
struct model_event {
    bool done;
    bool keyless; // it was offered while the group had no order
    bool parked;  // count has found it so
    bool dying;
    bool waits;
    int64_t due_ms;
    uint32_t attempts;
    uint32_t failures;
    uint64_t holder; // 0: nobody
    int64_t first_failed_us;
};

struct model_member {
    uint64_t member; // 0: not in
    uint32_t credit;
};

// A saved group and the model at that moment.
struct snapshot {
    struct buf bytes; // empty: none yet
    bool failing;     // it has due times, which change as time goes by
    int64_t now_ms;
    struct model_event *events; // owned
    uint64_t backlog;
    bool ordered;
};

struct story {
    uint64_t seed;
    uint64_t random;
    uint64_t steps;
    struct group *group;

    // The log, the same for ever.
    uint64_t log_size;
    uint64_t *keys;  // owned; 0: none
    bool *matches;   // owned
    bool *lettered;  // owned; its dead letter is in the log
    bool *delivered; // owned; ever
    bool *settled;   // owned; ever acked or buried

    // The model of the group.
    int64_t now_ms;
    uint32_t retries_max;
    bool ordered;
    uint64_t cursor;
    uint64_t backlog;
    struct model_event *events; // owned
    struct model_member members[MEMBERS];
    uint64_t members_next;
    struct snapshot snapshot;
};

#define must(condition)                                                                            \
    cr_assert((condition),                                                                         \
              "FAULTLINE_SEED=%lu, step %lu: " #condition,                                         \
              (unsigned long)self->seed,                                                           \
              (unsigned long)self->steps)

static uint64_t draw(struct story *self, uint64_t below)
{
    self->random ^= self->random >> 12;
    self->random ^= self->random << 25;
    self->random ^= self->random >> 27;
    return (self->random * 2685821657736338717U >> 33) % below;
}

static bool chance(struct story *self, uint64_t percent)
{
    return draw(self, 100) < percent;
}

// --- the model

static uint32_t member_held(const struct story *self, uint64_t member)
{
    uint32_t held = 0;
    for (uint64_t offset = 0; offset < self->cursor; offset++) {
        held += self->events[offset].holder == member;
    }
    return held;
}

static uint64_t credit_free(const struct story *self)
{
    uint64_t sum = 0;
    for (int i = 0; i < MEMBERS; i++) {
        const struct model_member *member = &self->members[i];
        if (member->member != 0) {
            const uint32_t held = member_held(self, member->member);
            sum += member->credit > held ? member->credit - held : 0;
        }
    }
    return sum;
}

struct model_counts {
    uint64_t floor;
    uint64_t ready_first; // UINT64_MAX: none
    uint32_t ready, held, waiting, parked, dying;
    uint64_t failing_first, dying_first, due_first;
};

// Looks at every event from the first on; a key is busy from its first event that is
// not done.
static struct model_counts count(const struct story *self)
{
    struct model_counts counts = {
        .floor = UINT64_MAX,
        .ready_first = UINT64_MAX,
        .failing_first = UINT64_MAX,
        .dying_first = UINT64_MAX,
        .due_first = INT64_MAX,
    };
    bool busy[KEYS_MAX + 1] = {false};
    for (uint64_t offset = 0; offset < self->cursor; offset++) {
        struct model_event *event = &self->events[offset];
        if (event->done) {
            continue;
        }
        counts.floor = counts.floor == UINT64_MAX ? offset : counts.floor;
        if (event->failures > 0 && counts.failing_first == UINT64_MAX) {
            counts.failing_first = offset;
        }
        const uint64_t key = event->keyless ? 0 : self->keys[offset];
        event->parked = key != 0 && busy[key];
        if (event->parked) {
            counts.parked++;
            continue;
        }
        busy[key] = true;
        if (event->holder != 0) {
            counts.held++;
        } else if (event->dying) {
            counts.dying++;
            counts.dying_first = counts.dying_first == UINT64_MAX ? offset : counts.dying_first;
        } else if (event->waits) {
            counts.waiting++;
            counts.due_first = (uint64_t)event->due_ms < counts.due_first ? (uint64_t)event->due_ms
                                                                          : counts.due_first;
        } else {
            counts.ready++;
            counts.ready_first = counts.ready_first == UINT64_MAX ? offset : counts.ready_first;
        }
    }
    if (counts.floor == UINT64_MAX) {
        counts.floor = self->cursor;
    }
    return counts;
}

static void check(struct story *self)
{
    const struct model_counts counts = count(self);
    struct group_stats stats = {0};
    group_stats_get(self->group, &stats);
    must(stats.cursor == self->cursor);
    must(group_has_order(self->group) == self->ordered);
    must(stats.floor == counts.floor);
    must(stats.ready == counts.ready);
    must(stats.held == counts.held);
    must(stats.waiting == counts.waiting);
    must(stats.parked == counts.parked);
    must(stats.dying == counts.dying);
    must((uint64_t)group_next_due_ms(self->group) <= counts.due_first);
    must((group_next_due_ms(self->group) == INT64_MAX) == (counts.waiting == 0));
    must(group_wants_more(self->group) ==
         (credit_free(self) > counts.ready && self->cursor - counts.floor < GROUP_WINDOW_MAX));

    struct group_entry_info info = {0};
    if (counts.failing_first != UINT64_MAX) {
        must(group_failing_next(self->group, 0, &info));
        must(info.offset == counts.failing_first);
        must(info.failures == self->events[info.offset].failures);
        must(info.attempts == self->events[info.offset].attempts);
        must(info.first_failed_us == self->events[info.offset].first_failed_us);
    }
    if (counts.dying_first != UINT64_MAX) {
        must(group_dying_next(self->group, 0, &info));
        must(info.offset == counts.dying_first);
    } else if (group_dying_next(self->group, 0, &info)) {
        must(info.offset >= self->cursor && self->events[info.offset].dying);
    }
    uint64_t backlog = 0;
    for (uint64_t offset = 0; offset < self->log_size; offset++) {
        backlog += self->matches[offset] && !group_is_done(self->group, offset);
        must(group_is_done(self->group, offset) == self->events[offset].done);
    }
    must(backlog == self->backlog);
}

// --- steps

// The group skips by itself what it knows to be done when nothing is before it.
static void cursor_follow(struct story *self)
{
    if (count(self).floor == self->cursor) {
        while (self->cursor < self->log_size && self->events[self->cursor].done &&
               self->cursor < group_cursor(self->group)) {
            self->cursor++;
        }
    }
}

static void settle(struct story *self, uint64_t offset)
{
    self->events[offset].done = true;
    self->events[offset].holder = 0;
    self->events[offset].waits = false;
    self->events[offset].failures = 0;
    self->settled[offset] = true;
    self->backlog--;
    cursor_follow(self);
}

static void step_offer(struct story *self)
{
    if (self->cursor == self->log_size || !(group_wants_more(self->group) || chance(self, 10))) {
        return;
    }
    const uint64_t offset = self->cursor;
    must(group_cursor(self->group) == offset);
    // Neighbouring numbers spread too well to meet in a bucket: hash them first.
    const uint8_t key = (uint8_t)self->keys[offset];
    const struct bytes key_bytes = {.data = &key, .size = key != 0};
    group_offer(self->group, self->matches[offset], group_key_hash(key_bytes));
    self->cursor++;
    self->events[offset].keyless = !self->ordered;
    if (!self->matches[offset]) {
        self->events[offset].done = true;
    }
    cursor_follow(self);
}

static void check_delivery(struct story *self, const struct group_delivery *delivery)
{
    must(delivery->offset < self->cursor);
    must(self->matches[delivery->offset]);
    for (uint64_t before = 0; before < delivery->offset; before++) {
        must(self->keys[before] != self->keys[delivery->offset] || self->keys[before] == 0 ||
             self->events[before].done || self->events[before].keyless ||
             self->events[delivery->offset].keyless);
    }
    for (int i = 0; i < MEMBERS; i++) {
        if (self->members[i].member == delivery->member) {
            must(member_held(self, delivery->member) < self->members[i].credit);
            return;
        }
    }
    must(!"delivered to nobody");
}

static void step_deliver(struct story *self)
{
    for (uint64_t offset = 0; offset < self->cursor; offset++) {
        struct model_event *event = &self->events[offset];
        event->waits = event->waits && (event->parked || event->due_ms > self->now_ms);
    }
    const struct model_counts counts = count(self);
    const bool expected = counts.ready > 0 && credit_free(self) > 0;
    struct group_delivery delivery = {0};
    must(group_deliver(self->group, self->now_ms, &delivery) == expected);
    if (!expected) {
        return;
    }
    must(delivery.offset == counts.ready_first);
    check_delivery(self, &delivery);
    struct model_event *event = &self->events[delivery.offset];
    must(delivery.attempt == event->attempts + 1);
    if (chance(self, 5)) {
        group_undeliver(self->group, &delivery);
        return;
    }
    event->attempts++;
    event->holder = delivery.member;
    self->delivered[delivery.offset] = true;
}

// An offset that somebody holds, or any at all.
static uint64_t draw_offset(struct story *self)
{
    const uint64_t start = draw(self, self->log_size);
    if (chance(self, 15)) {
        return start;
    }
    for (uint64_t i = 0; i < self->log_size; i++) {
        const uint64_t offset = (start + i) % self->log_size;
        if (self->events[offset].holder != 0) {
            return offset;
        }
    }
    return start;
}

static void step_answer(struct story *self)
{
    const uint64_t offset = draw_offset(self);
    struct model_event *event = &self->events[offset];
    const uint64_t member = chance(self, 95) ? event->holder : draw(self, self->members_next + 2);
    const uint32_t attempt = chance(self, 95) ? event->attempts : (uint32_t)draw(self, 4);
    const bool valid = event->holder != 0 && member == event->holder && attempt == event->attempts;
    const enum err expected = valid ? ERR_OK : ERR_NOT_FOUND;

    const uint64_t kind = draw(self, 100);
    if (kind < 70) {
        must(group_ack(self->group, member, offset, 1, attempt) == valid);
        if (valid) {
            settle(self, offset);
        }
        return;
    }
    const int64_t delay_ms = (int64_t)draw(self, 400) - 100;
    const struct group_failure failure = {.now_ms = self->now_ms,
                                          .wall_us = (int64_t)self->steps,
                                          .error = bytes_of_text("no\\\n"),
                                          .fatal = kind >= 95,
                                          .delay_ms = delay_ms,
                                          .random = self->random};
    const bool dying = failure.fatal || event->failures == self->retries_max;
    must(group_nack(self->group, member, offset, attempt, &failure) == expected);
    if (!valid) {
        return;
    }
    event->failures++;
    event->first_failed_us = event->failures == 1 ? (int64_t)self->steps : event->first_failed_us;
    event->holder = 0;
    event->dying = dying;
    event->waits = !dying;
    struct group_entry_info info = {0};
    must(group_failing_next(self->group, offset, &info) && info.offset == offset);
    must(info.waiting == event->waits && info.dying == dying);
    event->due_ms = info.due_ms;
    must(delay_ms < 0 || dying || event->due_ms == self->now_ms + delay_ms);
}

static void step_ack_run(struct story *self)
{
    const uint64_t offset = draw_offset(self);
    const struct model_event *first = &self->events[offset];
    const uint64_t member = first->holder == 0 ? 1 + draw(self, MEMBERS) : first->holder;
    const uint32_t attempt = first->attempts;
    const uint32_t count = chance(self, 5) ? UINT32_MAX : 1 + (uint32_t)draw(self, 30);
    uint32_t expected = 0;
    // The cursor moves in the end only: what is woken meanwhile is held by nobody.
    for (uint64_t at = offset; at < self->log_size && at - offset < count; at++) {
        struct model_event *event = &self->events[at];
        if (event->holder == member && event->attempts == attempt) {
            expected++;
            settle(self, at);
        }
    }
    must(group_ack(self->group, member, offset, count, attempt) == expected);
    cursor_follow(self);
}

// The log no longer has its beginning, needed or not.
static void step_skip(struct story *self)
{
    const struct model_counts counts = count(self);
    uint64_t floor = counts.floor + draw(self, chance(self, 10) ? 100 : 8);
    floor = floor > self->log_size ? self->log_size : floor;
    for (uint64_t offset = 0; offset < floor; offset++) {
        struct model_event *event = &self->events[offset];
        self->backlog -= self->matches[offset] && !event->done;
        *event = (struct model_event){.done = true, .attempts = event->attempts};
        self->delivered[offset] = self->settled[offset] = true;
    }
    group_skip_to(self->group, floor);
    self->cursor = self->cursor < floor ? floor : self->cursor;
    cursor_follow(self);
}

// As the server does it: the dead letter goes into the log, then the entry is buried.
static void step_bury(struct story *self)
{
    struct group_entry_info info = {0};
    const uint64_t any = draw(self, self->log_size);
    if (chance(self, 5) && self->matches[any]) { // found in the log, whatever the group knows
        self->lettered[any] = self->delivered[any] = true;
        must(group_buried(self->group, any) == !self->events[any].done);
        if (!self->events[any].done) {
            settle(self, any);
        }
        return;
    }
    if (!group_dying_next(self->group, 0, &info)) {
        return;
    }
    must(self->events[info.offset].dying);
    self->lettered[info.offset] = true;
    if (chance(self, 80)) { // else the broker may die in between
        must(group_buried(self->group, info.offset));
        settle(self, info.offset);
    }
}

static void step_join_or_leave(struct story *self)
{
    struct model_member *member = &self->members[draw(self, MEMBERS)];
    if (member->member == 0) {
        *member = (struct model_member){.member = ++self->members_next,
                                        .credit = (uint32_t)draw(self, 20)};
        must(group_join(self->group, member->member, member->credit) == ERR_OK);
        must(group_join(self->group, member->member, member->credit) == ERR_EXISTS);
        return;
    }
    if (chance(self, 50)) {
        member->credit = (uint32_t)draw(self, 20);
        group_set_credit(self->group, member->member, member->credit);
        return;
    }
    group_leave(self->group, member->member);
    for (uint64_t offset = 0; offset < self->cursor; offset++) {
        if (self->events[offset].holder == member->member) {
            self->events[offset].holder = 0;
        }
    }
    member->member = 0;
}

static bool is_same(struct bytes a, struct bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static void step_save(struct story *self)
{
    struct snapshot *snapshot = &self->snapshot;
    struct buf bytes = {0};
    struct group_entry_info info = {0};
    group_save(self->group, &bytes, self->now_ms);
    if (!group_is_dirty(self->group) && snapshot->bytes.size > 0 && !snapshot->failing) {
        must(is_same(buf_view(&snapshot->bytes), buf_view(&bytes)));
    }
    group_saved(self->group);
    must(!group_is_dirty(self->group));
    buf_release(&snapshot->bytes);
    snapshot->bytes = bytes;
    snapshot->failing = group_failing_next(self->group, 0, &info);
    snapshot->now_ms = self->now_ms;
    snapshot->backlog = self->backlog;
    snapshot->ordered = self->ordered;
    memcpy(snapshot->events, self->events, self->log_size * sizeof *self->events);
}

// The broker dies and starts from what was saved last, on a clock of another origin.
static void step_crash(struct story *self)
{
    const struct snapshot *snapshot = &self->snapshot;
    if (snapshot->bytes.size == 0) {
        return;
    }
    group_destroy(&self->group);
    self->now_ms = (int64_t)draw(self, 1000000);
    struct reader reader = {.rest = buf_view(&snapshot->bytes)};
    self->group = group_load(&reader, self->log_size, self->now_ms);
    must(!reader.failed && reader.rest.size == 0);
    must(!group_is_dirty(self->group));
    struct buf again = {0};
    group_save(self->group, &again, self->now_ms);
    must(is_same(buf_view(&again), buf_view(&snapshot->bytes)));
    buf_release(&again);

    memcpy(self->events, snapshot->events, self->log_size * sizeof *self->events);
    memset(self->members, 0, sizeof self->members);
    self->backlog = snapshot->backlog;
    self->ordered = snapshot->ordered;
    self->cursor = 0;
    for (uint64_t offset = 0; offset < self->log_size; offset++) {
        struct model_event *event = &self->events[offset];
        event->holder = 0;
        event->keyless = false;
        event->due_ms = event->due_ms - snapshot->now_ms + self->now_ms;
        event->waits = event->waits && event->due_ms > self->now_ms;
    }
    while (self->cursor < self->log_size && self->events[self->cursor].done &&
           self->cursor < group_cursor(self->group)) {
        self->cursor++;
    }
    for (uint64_t offset = 0; offset < self->log_size; offset++) {
        if (self->lettered[offset]) {
            must(group_buried(self->group, offset) == !self->events[offset].done);
            if (!self->events[offset].done) {
                settle(self, offset);
            }
        }
    }
    cursor_follow(self);
}

static void step(struct story *self)
{
    const uint64_t kind = draw(self, 1000);
    self->steps++;
    if (kind < 320) {
        step_offer(self);
    } else if (kind < 620) {
        step_deliver(self);
    } else if (kind < 820) {
        step_answer(self);
    } else if (kind < 860) {
        step_ack_run(self);
    } else if (kind < 895) {
        step_bury(self);
    } else if (kind < 896) {
        step_skip(self);
    } else if (kind < 897) {
        group_tidy(self->group);
    } else if (kind < 900) {
        self->ordered = chance(self, 70);
        group_set_order(self->group, self->ordered);
    } else if (kind < 950) {
        step_join_or_leave(self);
    } else if (kind < 965) {
        step_save(self);
    } else if (kind < 970) {
        step_crash(self);
    } else {
        self->now_ms += (int64_t)draw(self, 300);
    }
}

// With a member that acks everything, all comes to its end.
static void finish(struct story *self)
{
    for (int i = 0; i < MEMBERS; i++) {
        group_leave(self->group, self->members[i].member);
        self->members[i].member = 0;
    }
    for (uint64_t offset = 0; offset < self->log_size; offset++) {
        self->events[offset].holder = 0;
    }
    self->members[0] = (struct model_member){.member = ++self->members_next, .credit = 7};
    must(group_join(self->group, self->members_next, 7) == ERR_OK);
    for (uint64_t rounds = 0; self->backlog > 0 || self->cursor < self->log_size; rounds++) {
        must(rounds < 100 * self->log_size);
        step_offer(self);
        step_deliver(self);
        step_bury(self);
        if (rounds % 3 == 0) {
            self->now_ms += 100;
        }
        for (uint64_t offset = 0; offset < self->cursor; offset++) {
            const struct model_event *event = &self->events[offset];
            if (event->holder != 0) {
                must(group_ack(self->group, event->holder, offset, 1, event->attempts) == 1);
                settle(self, offset);
            }
        }
    }
    check(self);
    struct group_stats stats = {0};
    group_stats_get(self->group, &stats);
    must(stats.floor == self->log_size);
    for (uint64_t offset = 0; offset < self->log_size; offset++) {
        must(!self->matches[offset] || (self->delivered[offset] && self->settled[offset]));
    }
}

static void story_begin(struct story *self, uint64_t seed)
{
    *self = (struct story){.seed = seed, .random = seed * 0x9e3779b97f4a7c15U + 1};
    self->log_size = 1 + draw(self, chance(self, 20) ? 1000 : 200);
    self->keys = mem_calloc(self->log_size, sizeof *self->keys);
    self->matches = mem_calloc(self->log_size, sizeof *self->matches);
    self->lettered = mem_calloc(self->log_size, sizeof *self->lettered);
    self->delivered = mem_calloc(self->log_size, sizeof *self->delivered);
    self->settled = mem_calloc(self->log_size, sizeof *self->settled);
    self->events = mem_calloc(self->log_size, sizeof *self->events);
    self->snapshot.events = mem_calloc(self->log_size, sizeof *self->events);
    const uint64_t keys_count = 1 + draw(self, chance(self, 50) ? KEYS_MAX : 9);
    const uint64_t matching = draw(self, 101);
    for (uint64_t offset = 0; offset < self->log_size; offset++) {
        self->keys[offset] = draw(self, keys_count + 1);
        self->matches[offset] = chance(self, matching);
        self->backlog += self->matches[offset];
    }
    self->retries_max = (uint32_t)draw(self, 4);
    self->ordered = true;
    self->group = group_new("random", 0);
    group_set_retries(self->group, self->retries_max);
}

static void story_end(struct story *self)
{
    group_destroy(&self->group);
    free(self->keys);
    free(self->matches);
    free(self->lettered);
    free(self->delivered);
    free(self->settled);
    free(self->events);
    free(self->snapshot.events);
    buf_release(&self->snapshot.bytes);
}

Test(group_random, a_group_does_what_the_model_does_whatever_happens)
{
    const char *given = getenv("FAULTLINE_SEED");
    const uint64_t first = given == NULL ? 1 : strtoull(given, NULL, 10);
    const char *many = getenv("FAULTLINE_SEEDS");
    const uint64_t count_of_stories = given != NULL  ? 1
                                      : many != NULL ? strtoull(many, NULL, 10)
                                                     : STORIES;
    printf("seeds from %lu, %lu of them\n", (unsigned long)first, (unsigned long)count_of_stories);
    for (uint64_t seed = first; seed < first + count_of_stories; seed++) {
        struct story story;
        struct story *self = &story;
        story_begin(self, seed);
        const uint64_t steps = 20 * self->log_size;
        while (self->steps < steps) {
            step(self);
            check(self);
        }
        finish(self);
        story_end(self);
    }
}
