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
    self->due_ms = INT64_MAX;
    group_window_init(&self->window, floor);
    return self;
}

void group_destroy(struct group **self_p)
{
    struct group *self = *self_p;
    if (self == NULL) {
        return;
    }
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

uint32_t group_key_hash(struct bytes key)
{
    const uint32_t hash = key.size == 0 ? 0 : record_crc32c(0, key.data, key.size);
    return key.size > 0 && hash == 0 ? 1 : hash;
}

// --- members

static uint32_t credit_free(const struct group_member_stats *member)
{
    return member->credit > member->held ? member->credit - member->held : 0;
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
    self->members[self->members_count++] =
        (struct group_member_stats){.member = member, .credit = credit};
    self->credit_free += credit;
    return ERR_OK;
}

void group_set_credit(struct group *self, uint64_t member, uint32_t credit)
{
    const uint32_t slot = slot_of(self, member);
    if (slot < self->members_count) {
        self->credit_free -= credit_free(&self->members[slot]);
        self->members[slot].credit = credit;
        self->credit_free += credit_free(&self->members[slot]);
    }
}

// Takes an entry from the member that holds it.
static void entry_let_go(struct group *self, const struct group_entry *entry)
{
    struct group_member_stats *member = &self->members[entry->slot];
    assert(member->held > 0);
    self->credit_free += member->held-- <= member->credit;
}

// The slot that is next in turn to get something; somebody must have credit.
static uint32_t slot_in_turn(struct group *self)
{
    uint32_t slot = self->turn;
    do {
        slot = slot < self->members_count ? slot : 0;
    } while (credit_free(&self->members[slot++]) == 0);
    self->turn = slot;
    return slot - 1;
}

// --- entries

// An entry that nothing stands before any more: where it goes depends on its past.
static void entry_wake(struct group *self, uint64_t offset)
{
    struct group_window *window = &self->window;
    const struct group_failing *failure = group_window_at(window, offset)->failure;
    if (failure != NULL && failure->dying) {
        group_window_move(window, offset, GROUP_DYING);
    } else if (failure != NULL && failure->waits) {
        group_window_move(window, offset, GROUP_WAITING);
        self->due_ms = failure->due_ms < self->due_ms ? failure->due_ms : self->due_ms;
    } else {
        group_window_move(window, offset, GROUP_READY);
        self->ready_from = offset < self->ready_from ? offset : self->ready_from;
    }
}

// The end of an entry, in whatever state it is. The floor is for the caller to move.
static void entry_finish(struct group *self, uint64_t offset)
{
    struct group_window *window = &self->window;
    const struct group_entry *entry = group_window_at(window, offset);
    self->dirty = true;
    if (entry->failure != NULL) {
        group_window_fail(window, offset, NULL);
    }
    if (entry->state == GROUP_PARKED) {
        group_window_move(window, offset, GROUP_ENDED);
        return;
    }
    if (entry->state == GROUP_HELD) {
        entry_let_go(self, entry);
    }
    group_window_move(window, offset, GROUP_DONE);
    // The next of its key wakes, past those that have ended while they were PARKED.
    while (entry->key_gap != 0) {
        offset += entry->key_gap;
        entry = group_window_at(window, offset);
        if (entry->state != GROUP_ENDED) {
            entry_wake(self, offset);
            return;
        }
        group_window_move(window, offset, GROUP_DONE);
    }
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
    self->credit_free -= credit_free(&self->members[slot]);
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

void group_offer(struct group *self, bool matches, uint32_t key_hash)
{
    assert(window_has_room(self));
    struct group_window *window = &self->window;
    const uint64_t offset = window->cursor;
    struct group_entry *entry = group_window_reach(window, offset);
    window->cursor++;
    if (entry->state == GROUP_DONE) {
        return;
    }
    if (!matches && (entry->failure == NULL || !entry->failure->dying)) {
        entry_finish(self, offset);
        group_window_advance(window);
        return;
    }
    entry->key_hash = self->unordered ? 0 : key_hash;
    if (entry->key_hash != 0 && !group_window_claim_key(window, offset)) {
        group_window_move(window, offset, GROUP_PARKED);
    } else {
        entry_wake(self, offset);
    }
}

// --- delivering

int64_t group_next_due_ms(const struct group *self)
{
    return self->window.counts[GROUP_WAITING] == 0 ? INT64_MAX : self->due_ms;
}

// Wakes what is due, and finds out when the next one is.
static void wake_due(struct group *self, int64_t now_ms)
{
    const struct group_window *window = &self->window;
    self->due_ms = INT64_MAX;
    for (uint64_t offset = group_window_next(window, window->failed, window->floor);
         offset < window->cursor;
         offset = group_window_next(window, window->failed, offset + 1)) {
        const struct group_entry *entry = group_window_at(window, offset);
        if (entry->state == GROUP_WAITING) {
            entry->failure->waits = entry->failure->due_ms > now_ms;
            entry_wake(self, offset);
        }
    }
}

bool group_deliver(struct group *self, int64_t now_ms, struct group_delivery *out)
{
    struct group_window *window = &self->window;
    if (group_next_due_ms(self) <= now_ms) {
        wake_due(self, now_ms);
    }
    if (window->counts[GROUP_READY] == 0 || self->credit_free == 0) {
        return false;
    }
    const uint64_t from = self->ready_from < window->floor ? window->floor : self->ready_from;
    const uint64_t offset = group_window_next(window, window->ready, from);
    self->ready_from = offset + 1;
    const uint32_t slot = slot_in_turn(self);
    struct group_member_stats *member = &self->members[slot];
    struct group_entry *entry = group_window_at(window, offset);
    group_window_move(window, offset, GROUP_HELD);
    member->held++;
    self->credit_free--;
    entry->slot = (uint8_t)slot;
    entry->attempts++;
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
    entry->attempts--;
    entry_let_go(self, entry);
    entry_wake(self, delivery->offset);
    self->dirty = true;
}

// --- answers

uint32_t group_ack(struct group *self, uint64_t member, uint64_t offset, uint32_t count,
                   uint32_t attempt)
{
    struct group_window *window = &self->window;
    const uint64_t cursor = window->cursor;
    const uint64_t end = offset < cursor && count < cursor - offset ? offset + count : cursor;
    uint32_t taken = 0;
    for (uint64_t at = offset < window->floor ? window->floor : offset; at < end; at++) {
        if (entry_held(self, member, at, attempt) != NULL) {
            entry_finish(self, at);
            taken++;
        }
    }
    group_window_advance(window);
    return taken;
}

struct group_failing *group_failing_new(struct bytes error)
{
    size_t size = error.size;
    if (size > GROUP_ERROR_MAX) {
        // Half a character would make the dead letter's JSON unreadable.
        size = GROUP_ERROR_MAX;
        while (size > 0 && (error.data[size] & 0xc0) == 0x80) {
            size--;
        }
    }
    struct group_failing *self = mem_calloc(1, sizeof *self + size + 1);
    for (size_t i = 0; i < size; i++) {
        // It goes into lines of logs and tables.
        self->error[i] = error.data[i] < 0x20 || error.data[i] == 0x7f ? ' ' : (char)error.data[i];
    }
    return self;
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

enum err group_nack(struct group *self, uint64_t member, uint64_t offset, uint32_t attempt,
                    const struct group_failure *failure)
{
    const struct group_entry *entry = entry_held(self, member, offset, attempt);
    if (entry == NULL) {
        return ERR_NOT_FOUND;
    }
    const struct group_failing *before = entry->failure;
    struct group_failing *now = group_failing_new(failure->error);
    now->count = before == NULL ? 1 : before->count + 1;
    now->first_us = before == NULL ? failure->wall_us : before->first_us;
    now->dying = failure->fatal || now->count > self->retries_max;
    now->waits = !now->dying;
    const int64_t delay_ms =
        failure->delay_ms < 0 ? backoff_ms(now->count, failure->random) : failure->delay_ms;
    now->due_ms = failure->now_ms + (delay_ms < GROUP_DELAY_MAX_MS ? delay_ms : GROUP_DELAY_MAX_MS);
    group_window_fail(&self->window, offset, now);
    entry_let_go(self, entry);
    entry_wake(self, offset);
    self->dirty = true;
    return ERR_OK;
}

bool group_buried(struct group *self, uint64_t offset)
{
    if (group_is_done(self, offset) || offset - self->window.floor >= GROUP_AHEAD_MAX) {
        return false;
    }
    group_window_reach(&self->window, offset);
    entry_finish(self, offset);
    group_window_advance(&self->window);
    return true;
}

void group_skip_to(struct group *self, uint64_t floor)
{
    struct group_window *window = &self->window;
    for (uint64_t offset = window->floor; offset < floor && offset < window->end; offset++) {
        if (!group_is_done(self, offset)) {
            entry_finish(self, offset);
        }
    }
    group_window_advance(window);
    if (window->floor < floor) {
        window->floor = window->cursor = window->end = floor;
        self->dirty = true;
    }
}

void group_tidy(struct group *self)
{
    group_window_fit(&self->window, self->window.end - self->window.floor);
}
