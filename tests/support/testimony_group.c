#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/support/testimony_state.h"

enum {
    CURSOR_LAG_US = 100000, // docs/protocol.md: groups come back at most so far behind
};

static unsigned long num(uint64_t value)
{
    return (unsigned long)value;
}

struct moment {
    struct note note;
    int64_t end_us; // of the session or of the broker's life, whatever came first
};

struct key_state {
    int64_t top;         // highest rank that was delivered; -1: none
    uint16_t life;       // the newest, and
    int64_t first, last; // the ranks in it
};

struct group_check {
    struct hearing *hearing;
    const char *name;
    unsigned topics;
    bool from_anywhere;     // the log may have lost its beginning when the group came
    struct moment *moments; // owned; deliveries and acks of all members
    size_t moments_count;
    int64_t *ranks;   // owned; by offset: how many events of its key the group gets before it
    bool *delivered;  // owned; by offset
    uint64_t *before; // owned; by offset: the one before it of its key
    bool *buried;     // owned; by offset: there is a dead letter
    bool *rejected;   // owned; by offset: somebody said so
    struct moment
        *acks; // owned; by offset; kind 0: none. One that lasts stays. A reject is one, too
    struct key_state keys[WITNESS_KEYS];
};

// When the broker was killed next after at_us.
static int64_t next_kill_us(const struct testimony_case *it, int64_t at_us)
{
    size_t low = 0;
    size_t high = it->kills_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (it->kills_us[middle] > at_us) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low < it->kills_count ? it->kills_us[low] : INT64_MAX;
}

static bool ack_lasts(const struct group_check *self, const struct moment *ack)
{
    return ack->note.kind != 0 && ack->end_us - ack->note.at_us > self->hearing->it->lag_ms * 1000;
}

static bool is_answer(const struct note *note)
{
    return note->kind == NOTE_ACKED || note->kind == NOTE_REJECTED;
}

static void add_moments(struct group_check *self, const struct witness *member)
{
    size_t count = 0;
    int64_t end_us = INT64_MAX; // of the session
    struct note *notes = witness_notes(member, &count);
    self->moments =
        mem_realloc(self->moments, (self->moments_count + count + 1) * sizeof *self->moments);
    for (size_t i = count; i-- > 0;) {
        const struct note *note = &notes[i];
        cr_assert_neq(note->kind,
                      NOTE_WRONG,
                      "%s was given what nobody published, or over its credit: offset %lu",
                      witness_role(member)->name,
                      num(note->offset));
        if (note->kind == NOTE_LOST || note->kind == NOTE_KILLED) {
            end_us = note->at_us;
        } else if (note->kind == NOTE_DELIVERED || is_answer(note)) {
            const int64_t kill_us = next_kill_us(self->hearing->it, note->at_us);
            self->moments[self->moments_count++] =
                (struct moment){.note = *note, .end_us = kill_us < end_us ? kill_us : end_us};
        }
    }
    free(notes);
}

static int compare_moments(const void *a, const void *b)
{
    const struct note *left = &((const struct moment *)a)->note;
    const struct note *right = &((const struct moment *)b)->note;
    if (left->at_us != right->at_us) {
        return left->at_us < right->at_us ? -1 : 1;
    }
    return (left->offset > right->offset) - (left->offset < right->offset);
}

static void check_order(struct group_check *self, const struct note *note)
{
    const int key = self->hearing->entries[note->offset].key;
    if (key == WITNESS_KEYS) {
        return;
    }
    struct key_state *state = &self->keys[key];
    const int64_t rank = self->ranks[note->offset];
    const unsigned long offset = num(note->offset);
    if (state->top < 0 && self->from_anywhere) {
        state->top = rank - 1;
    }
    cr_assert_leq(rank, state->top + 1, "%s: offset %lu overtook", self->name, offset);
    state->top = rank > state->top ? rank : state->top;
    if (note->life < state->life) {
        return; // it lay unread while the broker died
    }
    if (note->life > state->life) {
        state->life = note->life;
        state->first = state->last = rank;
    }
    // What a life of the broker knows to be done stays done in it.
    cr_assert_geq(rank, state->first, "%s: offset %lu went back", self->name, offset);
    // But for what is buried: a start may know that, and not the ack of the one before it.
    for (uint64_t at = self->before[offset];
         rank > state->last + 1 && self->ranks[at] > state->last;
         at = self->before[at]) {
        cr_assert(self->buried[at], "%s: offset %lu overtook %lu", self->name, offset, num(at));
    }
    state->last = rank > state->last ? rank : state->last;
}

// A delivery of something that was acked before.
static void check_again(struct group_check *self, const struct note *note)
{
    struct testimony_figures *figures = &self->hearing->figures;
    const struct moment *ack = &self->acks[note->offset];
    const struct note *said = &ack->note;
    // One from before the ack may have lain unread in a member that was slow.
    if (said->kind == 0 || note->life < said->life ||
        (note->life == said->life && note->attempt <= said->attempt)) {
        return;
    }
    cr_assert_not(ack_lasts(self, ack),
                  "%s: offset %lu was acked %ld ms before anything ended, and came again",
                  self->name,
                  num(note->offset),
                  (long)(ack->end_us - said->at_us) / 1000);
    const int64_t age_us = ack->end_us - said->at_us;
    figures->forgotten++;
    figures->forgotten_late += age_us > CURSOR_LAG_US;
    if (age_us > figures->oldest_forgotten_us) {
        figures->oldest_forgotten_us = age_us;
    }
}

static void see_delivery(struct group_check *self, const struct note *note)
{
    const struct hearing *hearing = self->hearing;
    const unsigned long offset = num(note->offset);
    cr_assert_lt(offset, hearing->entries_count, "%s: %lu is not there", self->name, offset);
    const struct entry *entry = &hearing->entries[offset];
    cr_assert_eq(note->event, entry->event, "%s: %lu is another", self->name, offset);
    cr_assert(
        (self->topics & 1U << entry->topic) != 0, "%s: %lu not asked for", self->name, offset);
    check_order(self, note);
    check_again(self, note);
    self->hearing->figures.deliveries++;
    self->hearing->figures.redeliveries += self->delivered[offset];
    self->delivered[offset] = true;
}

static void see_ack(struct group_check *self, const struct moment *ack)
{
    struct moment *kept = &self->acks[ack->note.offset];
    self->rejected[ack->note.offset] |= ack->note.kind == NOTE_REJECTED;
    self->hearing->figures.lasting_acks += ack_lasts(self, ack);
    if (!ack_lasts(self, kept)) {
        *kept = *ack;
    }
}

static void find_buried(struct group_check *self)
{
    const struct hearing *hearing = self->hearing;
    for (uint64_t i = 0; i < hearing->entries_count; i++) {
        const struct entry *entry = &hearing->entries[i];
        if (entry->is_letter && strcmp(entry->group, self->name) == 0) {
            const uint64_t offset = entry->first_offset;
            cr_assert(!self->buried[offset], "%s buried %lu twice", self->name, num(offset));
            self->buried[offset] = true;
        }
    }
}

static void rank_offsets(struct group_check *self)
{
    int64_t next[WITNESS_KEYS + 1] = {0};
    uint64_t last[WITNESS_KEYS + 1] = {0};
    const struct hearing *hearing = self->hearing;
    for (uint64_t i = 0; i < hearing->entries_count; i++) {
        if ((self->topics & 1U << hearing->entries[i].topic) != 0) {
            const int key = hearing->entries[i].key;
            self->ranks[i] = next[key]++;
            self->before[i] = last[key];
            last[key] = i;
        }
    }
    for (size_t i = 0; i < WITNESS_KEYS; i++) {
        self->keys[i].top = -1;
    }
}

// Every event of the group's topics was delivered.
static void check_all_delivered(const struct group_check *self)
{
    const struct hearing *hearing = self->hearing;
    uint64_t from = 0;
    while (self->from_anywhere && from < hearing->entries_count && !self->delivered[from]) {
        from++;
    }
    for (uint64_t i = from; i < hearing->entries_count; i++) {
        const bool wanted = (self->topics & 1U << hearing->entries[i].topic) != 0;
        cr_assert(self->delivered[i] || !wanted, "%s never got offset %lu", self->name, num(i));
    }
}

// A dead letter for each event that somebody rejected well before an end, one at most for
// those that somebody rejected at all, and none for others.
static void check_dead_letters(const struct group_check *self)
{
    for (uint64_t i = 0; i < self->hearing->entries_count; i++) {
        const struct moment *ack = &self->acks[i];
        cr_assert(self->rejected[i] || !self->buried[i], "%s rejected %lu?", self->name, num(i));
        cr_assert(ack->note.kind != NOTE_REJECTED || !ack_lasts(self, ack) || self->buried[i],
                  "%s rejected %lu, and there is no dead letter",
                  self->name,
                  num(i));
    }
}

static void add_members(struct group_check *self)
{
    const struct testimony_case *it = self->hearing->it;
    for (size_t i = 0; i < it->witnesses_count; i++) {
        const char *group = witness_role(it->witnesses[i])->group;
        if (group != NULL && strcmp(group, self->name) == 0) {
            add_moments(self, it->witnesses[i]);
        }
    }
    qsort(self->moments, self->moments_count, sizeof *self->moments, compare_moments);
}

void testimony_group_check(struct hearing *hearing, const struct witness_role *role)
{
    const uint64_t offsets = hearing->entries_count;
    struct group_check self = {
        .hearing = hearing,
        .name = role->group,
        .topics = role->topics,
        .from_anywhere = role->is_late && hearing->figures.first_offset > 0,
        .ranks = mem_calloc(offsets + 1, sizeof *self.ranks),
        .delivered = mem_calloc(offsets + 1, sizeof *self.delivered),
        .before = mem_calloc(offsets + 1, sizeof *self.before),
        .buried = mem_calloc(offsets + 1, sizeof *self.buried),
        .rejected = mem_calloc(offsets + 1, sizeof *self.rejected),
        .acks = mem_calloc(offsets + 1, sizeof *self.acks),
    };
    add_members(&self);
    rank_offsets(&self);
    find_buried(&self);
    for (size_t i = 0; i < self.moments_count; i++) {
        if (self.moments[i].note.kind == NOTE_DELIVERED) {
            see_delivery(&self, &self.moments[i].note);
        } else {
            see_ack(&self, &self.moments[i]);
        }
    }
    check_all_delivered(&self);
    check_dead_letters(&self);
    free(self.moments);
    free(self.ranks);
    free(self.delivered);
    free(self.before);
    free(self.buried);
    free(self.rejected);
    free(self.acks);
}
