#include "broker/group.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/group_state.h"
#include "common/mem.h"
#include "common/record.h"

struct group *group_new(const char *name, uint64_t floor)
{
    assert(name != NULL);
    struct group *self = mem_calloc(1, sizeof *self);
    self->name = mem_strdup(name);
    self->dirty = true;
    group_window_init(&self->window, floor);
    return self;
}

void group_destroy(struct group **self_p)
{
    struct group *self = *self_p;
    if (self == NULL) {
        return;
    }
    free(self->waiting.items);
    free(self->again.items);
    group_window_release(&self->window);
    free(self->name);
    free(self);
    *self_p = NULL;
}

const char *group_name(const struct group *self)
{
    return self->name;
}

void group_set_retries(struct group *self, uint32_t retries_max)
{
    self->dirty = self->dirty || retries_max != self->retries_max;
    self->retries_max = retries_max;
}

uint32_t group_retries(const struct group *self)
{
    return self->retries_max;
}

void group_set_order(struct group *self, bool by_key)
{
    self->dirty = self->dirty || by_key == self->unordered;
    self->unordered = !by_key;
}

bool group_has_order(const struct group *self)
{
    return !self->unordered;
}

uint64_t group_key_hash(struct bytes key)
{
    return key.size == 0 ? 0 : UINT64_C(1) << 32 | record_crc32c(0, key.data, key.size);
}

// --- members

static uint32_t credit_free(const struct group_member_stats *member)
{
    return member->credit > member->held ? member->credit - member->held : 0;
}

// Gives a member new numbers and keeps the sum of all true.
static void member_set(struct group *self, uint32_t slot, uint32_t credit, uint32_t held)
{
    struct group_member_stats *member = &self->members[slot];
    self->credit_free -= credit_free(member);
    member->credit = credit;
    member->held = held;
    self->credit_free += credit_free(member);
}

// members_count: it is not in.
static uint32_t slot_of(const struct group *self, uint64_t member)
{
    uint32_t slot = 0;
    while (slot < self->members_count && self->members[slot].member != member) {
        slot++;
    }
    return slot;
}

enum err group_join(struct group *self, uint64_t member, uint32_t credit)
{
    assert(member != 0);
    if (slot_of(self, member) < self->members_count) {
        return ERR_EXISTS;
    }
    if (self->members_count == GROUP_MEMBERS_MAX) {
        return ERR_FULL;
    }
    const uint32_t slot = self->members_count++;
    self->members[slot] = (struct group_member_stats){.member = member};
    member_set(self, slot, credit, 0);
    return ERR_OK;
}

void group_set_credit(struct group *self, uint64_t member, uint32_t credit)
{
    const uint32_t slot = slot_of(self, member);
    if (slot < self->members_count) {
        member_set(self, slot, credit, self->members[slot].held);
    }
}

// Takes an entry from the member that holds it.
static void entry_let_go(struct group *self, const struct group_entry *entry)
{
    const struct group_member_stats *member = &self->members[entry->slot];
    assert(member->held > 0);
    member_set(self, entry->slot, member->credit, member->held - 1);
}

// The slot that is next in turn to get something; somebody must have credit.
static uint32_t slot_in_turn(struct group *self)
{
    uint32_t slot = self->turn % self->members_count;
    while (credit_free(&self->members[slot]) == 0) {
        slot = (slot + 1) % self->members_count;
    }
    self->turn = slot + 1;
    return slot;
}

// --- entries

// An entry that nothing stands before any more: where it goes depends on its past.
static void entry_wake(struct group *self, uint64_t offset)
{
    struct group_entry *entry = group_window_at(&self->window, offset);
    if (entry->dying) {
        group_window_move(&self->window, entry, GROUP_DYING);
    } else if (entry->waits) {
        group_window_move(&self->window, entry, GROUP_WAITING);
        group_queue_push(&self->waiting, entry->due_ms, offset);
    } else {
        group_window_move(&self->window, entry, GROUP_READY);
        if (offset < self->fresh_from) {
            group_queue_push(&self->again, 0, offset);
        }
    }
}

// The end of an entry, in whatever state it is.
static void entry_finish(struct group *self, uint64_t offset)
{
    struct group_window *window = &self->window;
    struct group_entry *entry = group_window_at(window, offset);
    const enum group_entry_state state = entry->state;
    if (state == GROUP_HELD) {
        entry_let_go(self, entry);
    } else if (state == GROUP_READY || state == GROUP_WAITING) {
        group_queue_remove(state == GROUP_READY ? &self->again : &self->waiting, offset);
    }
    if (entry->error != NULL) {
        group_window_fail(window, entry, NULL, false);
    }
    group_window_move(window, entry, GROUP_DONE);
    if (entry->key_hash != 0 && state != GROUP_PARKED) {
        const uint64_t next = group_window_release_key(window, offset);
        if (next != GROUP_OFFSET_NONE) {
            entry_wake(self, next);
        }
    }
    group_window_advance(window);
    self->dirty = true;
}

void group_leave(struct group *self, uint64_t member)
{
    const uint32_t slot = slot_of(self, member);
    if (slot == self->members_count) {
        return;
    }
    // The last member moves into the empty slot.
    const uint32_t last = self->members_count - 1;
    for (uint64_t offset = self->window.floor; offset < self->window.cursor; offset++) {
        struct group_entry *entry = group_window_at(&self->window, offset);
        if (entry->state != GROUP_HELD) {
            continue;
        }
        if (entry->slot == slot) {
            entry_let_go(self, entry);
            entry_wake(self, offset);
        } else if (entry->slot == last) {
            entry->slot = (uint8_t)slot;
        }
    }
    member_set(self, slot, 0, 0);
    self->members[slot] = self->members[last];
    self->members_count = last;
}

// --- reading the log

uint64_t group_cursor(const struct group *self)
{
    return self->window.cursor;
}

static bool window_has_room(const struct group *self)
{
    return self->window.cursor - self->window.floor < GROUP_WINDOW_MAX;
}

bool group_wants_more(const struct group *self)
{
    return self->credit_free > self->window.counts[GROUP_READY] && window_has_room(self);
}

void group_offer(struct group *self, bool matches, uint64_t key_hash, uint64_t time_us)
{
    assert(window_has_room(self));
    struct group_window *window = &self->window;
    const uint64_t offset = window->cursor;
    struct group_entry *entry = group_window_reach(window, offset);
    window->cursor++;
    if (entry->state == GROUP_DONE) {
        return;
    }
    if (!matches) {
        entry_finish(self, offset);
        return;
    }
    entry->time_us = time_us;
    entry->key_hash = self->unordered ? 0 : key_hash;
    if (entry->key_hash != 0 && !group_window_claim_key(window, offset)) {
        group_window_move(window, entry, GROUP_PARKED);
    } else {
        entry_wake(self, offset);
    }
}

// --- delivering

int64_t group_next_due_ms(const struct group *self)
{
    return self->waiting.count == 0 ? INT64_MAX : self->waiting.items[0].due_ms;
}

// Takes the lowest READY entry; there must be one. What was READY before is lower than
// what is fresh, and every fresh entry is looked at once.
static uint64_t ready_take(struct group *self)
{
    if (self->again.count > 0) {
        return group_queue_pop(&self->again);
    }
    if (self->fresh_from < self->window.floor) {
        self->fresh_from = self->window.floor;
    }
    while (group_window_at(&self->window, self->fresh_from)->state != GROUP_READY) {
        self->fresh_from++;
    }
    return self->fresh_from++;
}

bool group_deliver(struct group *self, int64_t now_ms, struct group_delivery *out)
{
    while (self->waiting.count > 0 && group_next_due_ms(self) <= now_ms) {
        const uint64_t offset = group_queue_pop(&self->waiting);
        group_window_at(&self->window, offset)->waits = false;
        entry_wake(self, offset);
    }
    if (self->window.counts[GROUP_READY] == 0 || self->credit_free == 0) {
        return false;
    }
    const uint64_t offset = ready_take(self);
    const uint32_t slot = slot_in_turn(self);
    const struct group_member_stats *member = &self->members[slot];
    struct group_entry *entry = group_window_at(&self->window, offset);
    group_window_move(&self->window, entry, GROUP_HELD);
    member_set(self, slot, member->credit, member->held + 1);
    entry->slot = (uint8_t)slot;
    entry->attempts++;
    self->stats.delivered++;
    self->stats.redelivered += entry->attempts > 1;
    self->dirty = true;
    *out = (struct group_delivery){
        .offset = offset, .member = member->member, .attempt = entry->attempts};
    return true;
}

// The entry of an answer, or NULL when the answer is stale.
static struct group_entry *entry_held(const struct group *self, uint64_t member, uint64_t offset,
                                      uint32_t attempt)
{
    if (offset < self->window.floor || offset >= self->window.cursor) {
        return NULL;
    }
    struct group_entry *entry = group_window_at(&self->window, offset);
    if (entry->state != GROUP_HELD || entry->attempts != attempt ||
        self->members[entry->slot].member != member) {
        return NULL;
    }
    return entry;
}

void group_undeliver(struct group *self, const struct group_delivery *delivery)
{
    struct group_entry *entry =
        entry_held(self, delivery->member, delivery->offset, delivery->attempt);
    if (entry == NULL) {
        return; // the member has left meanwhile
    }
    self->stats.delivered--;
    self->stats.redelivered -= entry->attempts > 1;
    entry->attempts--;
    entry_let_go(self, entry);
    entry_wake(self, delivery->offset);
    self->dirty = true;
}

// --- answers

// The entry of an answer; NULL: it is stale, and counted.
static struct group_entry *entry_answered(struct group *self, uint64_t member, uint64_t offset,
                                          uint32_t attempt)
{
    struct group_entry *entry = entry_held(self, member, offset, attempt);
    self->stats.stale += entry == NULL;
    return entry;
}

uint32_t group_ack(struct group *self, uint64_t member, uint64_t offset, uint32_t count,
                   uint32_t attempt)
{
    const uint64_t cursor = self->window.cursor;
    uint64_t end = offset < cursor && count < cursor - offset ? offset + count : cursor;
    uint32_t taken = 0;
    uint64_t at = offset < self->window.floor ? self->window.floor : offset;
    for (; at < end; at++) {
        if (entry_held(self, member, at, attempt) != NULL) {
            entry_finish(self, at);
            taken++;
        }
    }
    self->stats.acked += taken;
    self->stats.stale += count - taken;
    return taken;
}

char *group_error_copy(struct bytes error)
{
    size_t size = error.size;
    if (size > GROUP_ERROR_MAX) {
        // Half a character would make the dead letter's JSON unreadable.
        size = GROUP_ERROR_MAX;
        while (size > 0 && (error.data[size] & 0xc0) == 0x80) {
            size--;
        }
    }
    char *copy = mem_strndup((const char *)error.data, size);
    // It goes into lines of logs and tables.
    for (size_t i = 0; i < size; i++) {
        if ((uint8_t)copy[i] < 0x20 || copy[i] == 0x7f) {
            copy[i] = ' ';
        }
    }
    return copy;
}

// Half of a doubling delay is fixed, the other half random: members that failed
// together do not come back together.
static int64_t backoff_ms(uint32_t failures, uint64_t random)
{
    int64_t half_ms = GROUP_BACKOFF_MIN_MS / 2;
    for (; failures > 1 && half_ms < GROUP_BACKOFF_MAX_MS / 2; failures--) {
        half_ms *= 2;
    }
    half_ms = half_ms > GROUP_BACKOFF_MAX_MS / 2 ? GROUP_BACKOFF_MAX_MS / 2 : half_ms;
    return half_ms + (int64_t)(random % (uint64_t)(half_ms + 1));
}

// Takes an entry from its member and writes down what happened.
static void entry_fail(struct group *self, struct group_entry *entry,
                       const struct group_failure *failure, bool dying)
{
    entry_let_go(self, entry);
    if (entry->failures == 0) {
        entry->first_failed_us = failure->wall_us;
    }
    entry->failures++;
    group_window_fail(&self->window, entry, group_error_copy(failure->error), dying);
    self->stats.failed++;
    self->dirty = true;
}

enum err group_nack(struct group *self, uint64_t member, uint64_t offset, uint32_t attempt,
                    int64_t delay_ms, uint64_t random, const struct group_failure *failure,
                    bool *dying)
{
    *dying = false;
    struct group_entry *entry = entry_answered(self, member, offset, attempt);
    if (entry == NULL) {
        return ERR_NOT_FOUND;
    }
    *dying = entry->failures >= self->retries_max;
    entry_fail(self, entry, failure, *dying);
    if (!*dying) {
        if (delay_ms < 0) {
            delay_ms = backoff_ms(entry->failures, random);
        }
        entry->waits = true;
        entry->due_ms =
            failure->now_ms + (delay_ms < GROUP_DELAY_MAX_MS ? delay_ms : GROUP_DELAY_MAX_MS);
    }
    entry_wake(self, offset);
    return ERR_OK;
}

enum err group_reject(struct group *self, uint64_t member, uint64_t offset, uint32_t attempt,
                      const struct group_failure *failure)
{
    struct group_entry *entry = entry_answered(self, member, offset, attempt);
    if (entry == NULL) {
        return ERR_NOT_FOUND;
    }
    entry_fail(self, entry, failure, true);
    entry_wake(self, offset);
    return ERR_OK;
}

bool group_buried(struct group *self, uint64_t offset)
{
    if (group_is_done(self, offset) || offset - self->window.floor >= GROUP_AHEAD_MAX) {
        return false;
    }
    group_window_reach(&self->window, offset);
    entry_finish(self, offset);
    self->stats.buried++;
    return true;
}

void group_skip_to(struct group *self, uint64_t floor)
{
    struct group_window *window = &self->window;
    while (window->floor < floor && window->floor < window->end) {
        entry_finish(self, window->floor);
    }
    if (window->floor < floor) {
        window->floor = window->cursor = window->end = floor;
        self->dirty = true;
    }
}

// --- state

bool group_failing_next(const struct group *self, uint64_t from, struct group_entry_info *out)
{
    const struct group_window *window = &self->window;
    uint64_t offset = from < window->floor ? window->floor : from;
    while (offset < window->end && group_window_at(window, offset)->error == NULL) {
        offset++;
    }
    if (offset >= window->end) {
        return false;
    }
    const struct group_entry *entry = group_window_at(window, offset);
    *out = (struct group_entry_info){
        .offset = offset,
        .attempts = entry->attempts,
        .failures = entry->failures,
        .error = entry->error,
        .waiting = entry->waits,
        .dying = entry->dying,
        .due_ms = entry->due_ms,
        .first_failed_us = entry->first_failed_us,
    };
    return true;
}

bool group_dying_next(const struct group *self, uint64_t from, struct group_entry_info *out)
{
    bool found = self->window.dying > 0 && group_failing_next(self, from, out);
    while (found && !out->dying) {
        found = group_failing_next(self, out->offset + 1, out);
    }
    return found;
}

bool group_is_done(const struct group *self, uint64_t offset)
{
    const struct group_window *window = &self->window;
    return offset < window->floor ||
           (offset < window->end && group_window_at(window, offset)->state == GROUP_DONE);
}

void group_stats_get(const struct group *self, struct group_stats *out)
{
    const struct group_window *window = &self->window;
    *out = self->stats;
    out->floor = window->floor;
    out->cursor = window->cursor;
    if (window->floor < window->cursor) {
        out->floor_time_us = group_window_at(window, window->floor)->time_us;
    }
    out->ready = window->counts[GROUP_READY];
    out->held = window->counts[GROUP_HELD];
    out->waiting = window->counts[GROUP_WAITING];
    out->parked = window->counts[GROUP_PARKED];
    out->dying = window->counts[GROUP_DYING];
    out->members = self->members_count;
}

bool group_is_dirty(const struct group *self)
{
    return self->dirty;
}

void group_saved(struct group *self)
{
    self->dirty = false;
}

size_t group_members_get(const struct group *self, struct group_member_stats *out, size_t max)
{
    for (size_t i = 0; i < self->members_count && i < max; i++) {
        out[i] = self->members[i];
    }
    return self->members_count;
}
