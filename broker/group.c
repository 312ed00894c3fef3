#include "broker/group.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/group_state.h"
#include "common/mem.h"

struct group *group_new(const char *name, uint64_t floor)
{
    assert(name != NULL);
    struct group *self = mem_calloc(1, sizeof *self);
    self->name = mem_strdup(name);
    self->dirty = true;
    group_window_init(&self->window, floor);
    group_keys_rebuild(&self->keys, &self->window);
    return self;
}

void group_destroy(struct group **self_p)
{
    struct group *self = *self_p;
    if (self == NULL) {
        return;
    }
    group_restored_release(&self->restored);
    group_timers_release(&self->timers);
    group_keys_release(&self->keys);
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

uint64_t group_key_hash(struct bytes key)
{
    if (key.size == 0) {
        return 0;
    }
    uint64_t hash = key.size;
    while (key.size > 0) {
        uint8_t word[sizeof(uint64_t)] = {0};
        const size_t size = key.size < sizeof word ? key.size : sizeof word;
        memcpy(word, key.data, size);
        hash = (hash ^ load_u64(word)) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
        key.data += size;
        key.size -= size;
    }
    return hash == 0 ? 1 : hash;
}

void group_resize(struct group *self, uint32_t capacity)
{
    group_window_resize(&self->window, capacity);
    group_keys_rebuild(&self->keys, &self->window);
}

void group_skip_done(struct group *self)
{
    struct group_window *window = &self->window;
    while (window->floor == window->cursor &&
           group_restored_is_done(&self->restored, window->cursor)) {
        window->cursor++;
        window->floor = window->cursor;
    }
}

// An entry that nothing stands before any more: where it goes depends on its past.
static void entry_wake(struct group *self, uint64_t offset)
{
    const struct group_trouble *trouble = group_window_at(&self->window, offset)->trouble;
    enum group_entry_state state = GROUP_READY;
    if (trouble != NULL && trouble->dying) {
        state = GROUP_DYING;
    } else if (trouble != NULL && trouble->waits) {
        state = GROUP_WAITING;
        group_timers_add(&self->timers, trouble->due_ms, offset);
    }
    group_window_move(&self->window, offset, state);
}

// The end of an entry that has left its state's lists but not its key.
static void entry_finish(struct group *self, uint64_t offset)
{
    struct group_entry *entry = group_window_at(&self->window, offset);
    group_window_set_trouble(&self->window, offset, NULL);
    if (entry->key_hash != 0) {
        if (entry->state == GROUP_PARKED) {
            group_keys_unpark(&self->keys, &self->window, offset);
        } else {
            const uint64_t next = group_keys_release_first(&self->keys, &self->window, offset);
            if (next != GROUP_OFFSET_NONE) {
                entry_wake(self, next);
            }
        }
    }
    group_window_move(&self->window, offset, GROUP_DONE);
    if (offset == self->window.floor) {
        group_window_advance(&self->window);
        group_skip_done(self);
    }
    self->dirty = true;
}

enum err group_join(struct group *self, uint64_t member, uint32_t credit)
{
    return group_members_add(&self->members, member, credit);
}

void group_leave(struct group *self, uint64_t member)
{
    uint32_t slot = 0;
    if (!group_members_find(&self->members, member, &slot)) {
        return;
    }
    const struct group_member_stats *stats = &self->members.slots[slot];
    for (uint64_t offset = self->window.floor; stats->held > 0; offset++) {
        assert(offset < self->window.cursor);
        const struct group_entry *entry = group_window_at(&self->window, offset);
        if (entry->state == GROUP_HELD && entry->slot == slot) {
            group_members_release(&self->members, slot);
            group_window_move(&self->window, offset, GROUP_READY);
        }
    }
    group_members_remove(&self->members, slot);
}

void group_set_credit(struct group *self, uint64_t member, uint32_t credit)
{
    uint32_t slot = 0;
    if (group_members_find(&self->members, member, &slot)) {
        group_members_set_credit(&self->members, slot, credit);
    }
}

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
    return self->members.credit_free > self->window.counts[GROUP_READY] && window_has_room(self);
}

void group_offer(struct group *self, bool matches, uint64_t key_hash, uint64_t time_us)
{
    assert(window_has_room(self));
    struct group_window *window = &self->window;
    const uint64_t offset = window->cursor;

    struct group_run known = {0};
    group_restored_take(&self->restored, offset, &known);
    if (!matches || known.done) {
        group_trouble_destroy(&known.trouble);
        self->dirty = true;
    }
    if (!matches && window->floor == window->cursor) {
        window->cursor++;
        window->floor = window->cursor;
        group_skip_done(self);
        return;
    }
    if (window->cursor - window->floor == window->capacity) {
        group_resize(self, window->capacity * 2);
    }
    struct group_entry *entry = group_window_push(window);
    if (!matches || known.done) {
        return;
    }
    entry->time_us = time_us;
    entry->key_hash = key_hash;
    entry->attempts = known.attempts;
    group_window_set_trouble(window, offset, known.trouble);
    if (key_hash != 0 && !group_keys_claim(&self->keys, window, offset)) {
        group_window_move(window, offset, GROUP_PARKED);
        return;
    }
    entry_wake(self, offset);
}

static void timers_fire(struct group *self, int64_t now_ms)
{
    while (self->timers.count > 0 && self->timers.heap[0].due_ms <= now_ms) {
        const uint64_t offset = group_timers_pop(&self->timers).offset;
        group_window_at(&self->window, offset)->trouble->waits = false;
        group_window_move(&self->window, offset, GROUP_READY);
    }
}

bool group_deliver(struct group *self, int64_t now_ms, struct group_delivery *out)
{
    timers_fire(self, now_ms);
    const struct group_window *window = &self->window;
    uint32_t slot = 0;
    if (window->counts[GROUP_READY] == 0 || !group_members_pick(&self->members, &slot)) {
        return false;
    }
    const uint64_t offset = group_window_next(window, &window->ready, window->floor);
    struct group_entry *entry = group_window_at(window, offset);
    group_window_move(&self->window, offset, GROUP_HELD);
    group_members_hold(&self->members, slot);
    entry->slot = (uint8_t)slot;
    entry->attempts++;
    self->delivered++;
    self->redelivered += entry->attempts > 1;
    self->dirty = true;
    *out = (struct group_delivery){
        .offset = offset,
        .member = self->members.slots[slot].member,
        .attempt = entry->attempts,
    };
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
        self->members.slots[entry->slot].member != member) {
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
    self->delivered--;
    self->redelivered -= entry->attempts > 1;
    entry->attempts--;
    group_members_release(&self->members, entry->slot);
    group_window_move(&self->window, delivery->offset, GROUP_READY);
}

int64_t group_next_due_ms(const struct group *self)
{
    return self->timers.count == 0 ? INT64_MAX : self->timers.heap[0].due_ms;
}

enum err group_ack(struct group *self, uint64_t member, uint64_t offset, uint32_t attempt)
{
    const struct group_entry *entry = entry_held(self, member, offset, attempt);
    if (entry == NULL) {
        self->stale++;
        return ERR_NOT_FOUND;
    }
    group_members_release(&self->members, entry->slot);
    entry_finish(self, offset);
    self->acked++;
    return ERR_OK;
}

// Takes a failed entry from its member and writes down what happened.
static struct group_trouble *entry_fail(struct group *self, uint64_t offset,
                                        const struct group_failure *failure)
{
    group_members_release(&self->members, group_window_at(&self->window, offset)->slot);
    struct group_trouble *trouble = group_window_trouble(&self->window, offset);
    if (trouble->failures == 0) {
        trouble->first_failed_us = failure->wall_us;
    }
    trouble->failures++;
    group_trouble_set_error(trouble, failure->error);
    self->failed++;
    self->dirty = true;
    return trouble;
}

// Half of a doubling delay is fixed, the other half random: members that failed
// together do not come back together.
static int64_t backoff_ms(uint32_t failures, uint64_t random)
{
    int64_t delay_ms = GROUP_BACKOFF_MIN_MS;
    for (uint32_t i = 1; i < failures && delay_ms < GROUP_BACKOFF_MAX_MS; i++) {
        delay_ms *= 2;
    }
    if (delay_ms > GROUP_BACKOFF_MAX_MS) {
        delay_ms = GROUP_BACKOFF_MAX_MS;
    }
    const int64_t half_ms = delay_ms / 2;
    return half_ms + (int64_t)(random % (uint64_t)(delay_ms - half_ms + 1));
}

enum err group_nack(struct group *self, uint64_t member, uint64_t offset, uint32_t attempt,
                    int64_t delay_ms, uint64_t random, const struct group_failure *failure,
                    bool *dying)
{
    *dying = false;
    if (entry_held(self, member, offset, attempt) == NULL) {
        self->stale++;
        return ERR_NOT_FOUND;
    }
    struct group_trouble *trouble = entry_fail(self, offset, failure);
    if (trouble->failures > self->retries_max) {
        trouble->dying = true;
        *dying = true;
    } else {
        if (delay_ms < 0) {
            delay_ms = backoff_ms(trouble->failures, random);
        } else if (delay_ms > GROUP_DELAY_MAX_MS) {
            delay_ms = GROUP_DELAY_MAX_MS;
        }
        trouble->waits = true;
        trouble->due_ms = failure->now_ms + delay_ms;
    }
    entry_wake(self, offset);
    return ERR_OK;
}

enum err group_reject(struct group *self, uint64_t member, uint64_t offset, uint32_t attempt,
                      const struct group_failure *failure)
{
    if (entry_held(self, member, offset, attempt) == NULL) {
        self->stale++;
        return ERR_NOT_FOUND;
    }
    entry_fail(self, offset, failure)->dying = true;
    entry_wake(self, offset);
    return ERR_OK;
}

bool group_buried(struct group *self, uint64_t offset)
{
    if (group_is_done(self, offset)) {
        return false;
    }
    self->buried++;
    self->dirty = true;
    if (offset >= self->window.cursor) {
        group_restored_bury(&self->restored, offset);
        group_skip_done(self);
        return true;
    }
    const struct group_entry *entry = group_window_at(&self->window, offset);
    if (entry->state == GROUP_HELD) {
        group_members_release(&self->members, entry->slot);
    } else if (entry->state == GROUP_WAITING) {
        group_timers_remove(&self->timers, offset);
    }
    entry_finish(self, offset);
    return true;
}
