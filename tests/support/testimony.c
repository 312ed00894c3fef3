#include "tests/support/testimony.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/support/raw_client.h"

enum {
    PRODUCERS_MAX = 16,
    OFFSETS_MAX = 1 << 24,
    CURSOR_LAG_US = 100000, // docs/protocol.md: groups come back at most so far behind
};

#define EVENT_NONE UINT64_MAX

struct entry {
    uint64_t event; // EVENT_NONE: not known (yet)
    int topic, key;
};

struct hearing {
    const struct testimony_case *it;
    struct testimony_figures figures;
    struct entry *entries; // owned; the log, by offset
    uint64_t entries_count;
    uint64_t said[PRODUCERS_MAX]; // events that each producer says it published
};

static unsigned long num(uint64_t value)
{
    return (unsigned long)value;
}

static bool is_producer(const struct witness *witness)
{
    return witness_role(witness)->group == NULL;
}

// --- the log: what the answers say that it holds, and what it does hold

static struct entry *entry_at(struct hearing *self, uint64_t offset)
{
    cr_assert_lt(offset, OFFSETS_MAX);
    for (; self->entries_count <= offset; self->entries_count++) {
        const uint64_t count = self->entries_count;
        if ((count & (count - 1)) == 0) {
            self->entries = mem_realloc(self->entries, (2 * count + 1) * sizeof *self->entries);
        }
        self->entries[count] = (struct entry){.event = EVENT_NONE};
    }
    return &self->entries[offset];
}

static void place(struct hearing *self, uint64_t offset, uint64_t number)
{
    struct witness_event event;
    struct entry *entry = entry_at(self, offset);
    cr_assert(entry->event == EVENT_NONE || entry->event == number,
              "offset %lu holds %lu, an answer says %lu",
              num(offset),
              num(entry->event),
              num(number));
    witness_event_make(number, &event);
    *entry = (struct entry){.event = number, .topic = event.topic, .key = event.key};
}

static void hear_producer(struct hearing *self, const struct witness *producer)
{
    size_t count = 0;
    const uint32_t number = witness_role(producer)->producer;
    struct note *notes = witness_notes(producer, &count);
    cr_assert_lt(number, PRODUCERS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct note *note = &notes[i];
        cr_assert_neq(note->kind, NOTE_REFUSED, "%lu was refused", num(note->event));
        self->said[number] += note->kind == NOTE_PUBLISH;
        if (note->kind == NOTE_PUBLISHED) {
            place(self, note->offset, note->event);
            self->figures.duplicates += note->duplicate;
        }
    }
    free(notes);
}

static void see_record(struct hearing *self, const struct wire_delivered *delivered)
{
    uint64_t number = 0;
    const struct record *record = &delivered->record;
    cr_assert(witness_event_is(record->topic, record->key, record->id, record->body, &number),
              "offset %lu is not what anybody published",
              num(delivered->offset));
    place(self, delivered->offset, number);
}

static void ask(struct raw_client *client, uint64_t offset, struct wire_control *control,
                struct bytes *batch)
{
    const struct wire_control question = {
        .type = WIRE_READ, .request = 1, .offset = offset, .credit = WIRE_CREDIT_MAX};
    const struct wire_control pong = {.type = WIRE_PONG};
    raw_client_send(client, &question, (struct bytes){0});
    do {
        cr_assert(raw_client_receive(client, RAW_CLIENT_WAIT_MS, control, batch));
        if (control->type == WIRE_PING) {
            raw_client_send(client, &pong, (struct bytes){0});
        }
    } while (control->type != WIRE_RECORDS && control->type != WIRE_ERROR);
}

// What the detail of out-of-range says.
static uint64_t first_offset(const struct wire_control *control)
{
    char text[WIRE_ERROR_MAX + 1] = "";
    cr_assert(bytes_equal_text(control->code, WIRE_CODE_RANGE));
    memcpy(text, control->detail.data, control->detail.size);
    return strtoull(text + strcspn(text, "0123456789"), NULL, 10);
}

static void read_log(struct hearing *self)
{
    struct raw_client *client = raw_client_new(self->it->url);
    raw_client_hello(client, "reader-1", 1);
    struct wire_control control = {.end = UINT64_MAX};
    uint64_t next = 0;
    while (next < control.end) {
        struct bytes batch;
        struct wire_delivered delivered;
        ask(client, next, &control, &batch);
        if (control.type == WIRE_ERROR) {
            next = self->figures.first_offset = first_offset(&control);
            control.end = UINT64_MAX;
        }
        while (control.type == WIRE_RECORDS && batch.size > 0) {
            cr_assert_eq(wire_delivered_take(&batch, &delivered), ERR_OK);
            cr_assert_eq(delivered.offset, next++);
            see_record(self, &delivered);
        }
    }
    cr_assert_eq(next, self->entries_count, "what was answered last is missing");
    self->figures.records = next;
    raw_client_destroy(&client);
}

// A connection is a queue: what a producer published first is in the log first. And once:
// the log here is shorter than the broker's memory of ids.
static void check_log(struct hearing *self)
{
    uint64_t found[PRODUCERS_MAX] = {0};
    for (uint64_t i = 0; i < self->entries_count; i++) {
        const uint64_t event = self->entries[i].event;
        cr_assert_neq(event, EVENT_NONE, "nobody knows what was at offset %lu", num(i));
        cr_assert_lt(event >> 32, PRODUCERS_MAX);
        cr_assert_eq((uint32_t)event,
                     found[event >> 32]++,
                     "offset %lu: %lu is there twice or too early",
                     num(i),
                     num(event));
    }
    for (size_t i = 0; i < PRODUCERS_MAX; i++) {
        cr_assert_eq(found[i], self->said[i], "all were answered, so all are there");
    }
}

// --- a group

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
    int64_t *ranks;      // owned; by offset: how many events of its key the group gets before it
    bool *delivered;     // owned; by offset
    struct moment *acks; // owned; by offset; kind 0: none. One that lasts stays
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
        } else if (note->kind == NOTE_DELIVERED || note->kind == NOTE_ACKED) {
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
    cr_assert_leq(rank, state->last + 1, "%s: offset %lu overtook", self->name, offset);
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
    self->hearing->figures.lasting_acks += ack_lasts(self, ack);
    if (!ack_lasts(self, kept)) {
        *kept = *ack;
    }
}

static void rank_offsets(struct group_check *self)
{
    int64_t next[WITNESS_KEYS + 1] = {0};
    const struct hearing *hearing = self->hearing;
    for (uint64_t i = 0; i < hearing->entries_count; i++) {
        if ((self->topics & 1U << hearing->entries[i].topic) != 0) {
            self->ranks[i] = next[hearing->entries[i].key]++;
        }
    }
    for (size_t i = 0; i < WITNESS_KEYS; i++) {
        self->keys[i].top = -1;
    }
}

static void check_group(struct hearing *hearing, const struct witness_role *role)
{
    const uint64_t offsets = hearing->entries_count;
    struct group_check self = {
        .hearing = hearing,
        .name = role->group,
        .topics = role->topics,
        .from_anywhere = role->is_late && hearing->figures.first_offset > 0,
        .ranks = mem_calloc(offsets + 1, sizeof *self.ranks),
        .delivered = mem_calloc(offsets + 1, sizeof *self.delivered),
        .acks = mem_calloc(offsets + 1, sizeof *self.acks),
    };
    for (size_t i = 0; i < hearing->it->witnesses_count; i++) {
        const struct witness *witness = hearing->it->witnesses[i];
        if (!is_producer(witness) && strcmp(witness_role(witness)->group, role->group) == 0) {
            add_moments(&self, witness);
        }
    }
    qsort(self.moments, self.moments_count, sizeof *self.moments, compare_moments);
    rank_offsets(&self);
    for (size_t i = 0; i < self.moments_count; i++) {
        if (self.moments[i].note.kind == NOTE_DELIVERED) {
            see_delivery(&self, &self.moments[i].note);
        } else {
            see_ack(&self, &self.moments[i]);
        }
    }
    uint64_t from = 0;
    while (self.from_anywhere && from < offsets && !self.delivered[from]) {
        from++;
    }
    for (uint64_t i = from; i < offsets; i++) {
        const bool wanted = (self.topics & 1U << hearing->entries[i].topic) != 0;
        cr_assert(self.delivered[i] || !wanted, "%s never got offset %lu", self.name, num(i));
    }
    free(self.moments);
    free(self.ranks);
    free(self.delivered);
    free(self.acks);
}

// The first member of each group speaks for it.
static bool is_first_of_its_group(const struct testimony_case *it, size_t at)
{
    bool first = !is_producer(it->witnesses[at]);
    for (size_t i = 0; i < at && first; i++) {
        first =
            is_producer(it->witnesses[i]) || strcmp(witness_role(it->witnesses[i])->group,
                                                    witness_role(it->witnesses[at])->group) != 0;
    }
    return first;
}

void testimony_hear(const struct testimony_case *it, struct testimony_figures *out)
{
    struct hearing hearing = {.it = it};
    for (size_t i = 0; i < it->witnesses_count; i++) {
        if (is_producer(it->witnesses[i])) {
            hear_producer(&hearing, it->witnesses[i]);
        }
    }
    read_log(&hearing);
    check_log(&hearing);
    for (size_t i = 0; i < it->witnesses_count; i++) {
        if (is_first_of_its_group(it, i)) {
            check_group(&hearing, witness_role(it->witnesses[i]));
        }
    }
    free(hearing.entries);
    *out = hearing.figures;
}
