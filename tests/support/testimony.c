#include "tests/support/testimony.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/support/raw_client.h"
#include "tests/support/testimony_state.h"

#define LETTER "dead-letter." // topic of dead letters, before the group

enum {
    OFFSETS_MAX = 1 << 24,
    PRODUCERS_MAX = ARRAY_LEN(((const struct hearing *)NULL)->said),
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

// A dead letter: the event as it was, and headers that say whose it is.
static void see_letter(struct hearing *self, uint64_t offset, const struct record *record)
{
    static const char member[] = "\"offset\":";
    const size_t prefix = strlen(LETTER);
    struct entry *entry = entry_at(self, offset);
    char *headers = mem_strndup((const char *)record->headers.data, record->headers.size);
    const char *at = strstr(headers, member);
    cr_assert(entry->event == EVENT_NONE && at != NULL);
    cr_assert_lt(record->topic.size - prefix, sizeof entry->group);
    *entry = (struct entry){.is_letter = true,
                            .topic = WITNESS_TOPICS,
                            .first_offset = strtoull(at + strlen(member), NULL, 10)};
    memcpy(entry->group, record->topic.data + prefix, record->topic.size - prefix);
    cr_assert_lt(entry->first_offset, offset);
    const struct entry *first = &self->entries[entry->first_offset];
    struct witness_event event;
    witness_event_make(first->event, &event);
    entry->event = first->event;
    uint64_t number = 0;
    cr_assert(
        witness_event_is(
            bytes_of_text(event.topic_text), record->key, record->id, record->body, &number) &&
            number == first->event,
        "dead letter %lu is not the event at %lu",
        num(offset),
        num(entry->first_offset));
    free(headers);
    self->figures.dead_letters++;
}

static void see_record(struct hearing *self, const struct wire_delivered *delivered)
{
    uint64_t number = 0;
    const struct record *record = &delivered->record;
    if (record->topic.size > strlen(LETTER) &&
        memcmp(record->topic.data, LETTER, strlen(LETTER)) == 0) {
        see_letter(self, delivered->offset, record);
        return;
    }
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
        if (self->entries[i].is_letter) {
            continue;
        }
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
            testimony_group_check(&hearing, witness_role(it->witnesses[i]));
        }
    }
    free(hearing.entries);
    *out = hearing.figures;
}
