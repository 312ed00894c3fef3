#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bus.h"
#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/witness_state.h"

enum {
    HEARTBEAT_MS =
        100, // short: who has nothing to say finds out by its PING that the broker is new
    CREDIT = 128,
    IN_FLIGHT_MAX = 512,
    INPUTS_MAX = 256,
    WAIT_MS = 5,
    BYE_MS = 5000,
    RETRIES_MAX = 1000000, // nothing becomes a dead letter
    EVENTS_MAX = 1 << 22,  // of a producer
};

struct held {
    struct bus_delivery delivery; // without its views
    uint64_t event;
};

struct client {
    const struct witness_role *role; // borrowed
    int fd;                          // of the notes
    uint64_t random;
    struct bus *bus; // owned; NULL: lost, a new one is due
    uint16_t life;   // the broker's when the bus was opened
    bool connected;
    struct buf notes; // not written yet

    // A producer: its events below next have been published once; those below
    // oldest are all answered; cursor is the one to publish now.
    uint64_t oldest, next, cursor;
    bool *answered; // owned
    int64_t began_us;
    uint64_t began_next;

    // A consumer.
    struct held held[CREDIT], acked[CREDIT];
    size_t held_count, acked_count;
};

// --- what both kinds do

static uint64_t chance(struct client *self, uint64_t below)
{
    return (self->random = witness_mix(self->random)) % below;
}

static void note(struct client *self, struct note note)
{
    note.at_us = clock_mono_us();
    note.life = self->life;
    buf_put(&self->notes, &note, sizeof note);
}

static void notes_write(struct client *self)
{
    const size_t size = self->notes.size;
    if (size > 0 && write(self->fd, self->notes.data, size) != (ssize_t)size) {
        witness_die("cannot write notes");
    }
    buf_clear(&self->notes);
}

static void open_bus(struct client *self)
{
    static const char *const names[WITNESS_TOPICS] = {"topic-0", "topic-1", "topic-2"};
    const char *topics[WITNESS_TOPICS];
    size_t count = 0;
    for (int i = 0; i < WITNESS_TOPICS; i++) {
        if ((self->role->topics & 1U << i) != 0) {
            topics[count++] = names[i];
        }
    }
    const struct bus_options options = {
        .url = self->role->url,
        .member = self->role->name,
        .group = self->role->group,
        .topics = topics,
        .topics_count = count,
        .retries_max = RETRIES_MAX,
        .credit = CREDIT,
        .heartbeat_ms = HEARTBEAT_MS,
    };
    const char *problem = NULL;
    self->life = atomic_load(&self->role->signals->life);
    self->connected = false;
    self->held_count = 0;
    if (bus_open(&self->bus, &options, &problem) != ERR_OK) {
        witness_die(problem);
    }
}

// --- a producer

static void producer_remember(struct client *self, const struct witness *witness)
{
    size_t count = 0;
    struct note *notes = witness_notes(witness, &count);
    self->answered = mem_calloc(EVENTS_MAX, sizeof *self->answered);
    for (size_t i = 0; i < count; i++) {
        const uint32_t number = (uint32_t)notes[i].event;
        if (notes[i].kind == NOTE_PUBLISH) {
            self->next = number + 1;
        } else if (notes[i].kind == NOTE_PUBLISHED || notes[i].kind == NOTE_REFUSED) {
            self->answered[number] = true;
        }
    }
    self->began_us = clock_mono_us();
    self->began_next = self->next;
    free(notes);
}

// What the producer may have published by now; while the broker was away it grew.
static uint64_t producer_allowance(const struct client *self)
{
    const uint64_t ms = (uint64_t)(clock_mono_us() - self->began_us) / 1000;
    const uint64_t allowed = self->began_next + ms * self->role->per_second / 1000;
    return allowed < EVENTS_MAX ? allowed : EVENTS_MAX;
}

static void producer_act(struct client *self)
{
    const bool finish = atomic_load(&self->role->signals->finish);
    const uint64_t end = finish ? self->next : producer_allowance(self);
    while (self->connected && bus_in_flight(self->bus) < IN_FLIGHT_MAX &&
           (self->cursor < self->next || self->cursor < end)) {
        const uint64_t at = self->cursor++;
        if (at < self->next && self->answered[at]) {
            continue;
        }
        struct witness_event event;
        const uint64_t number = witness_number(self->role->producer, (uint32_t)at);
        witness_event_make(number, &event);
        const struct bytes body = {.data = event.body, .size = event.body_size};
        if (bus_publish(self->bus, at, event.topic_text, event.key_text, event.id, body) !=
            ERR_OK) {
            witness_die("a publish that must fit did not");
        }
        if (at == self->next) {
            self->next++;
            note(self, (struct note){.kind = NOTE_PUBLISH, .event = number});
        }
    }
}

static void producer_on(struct client *self, const struct bus_input *input)
{
    const bool stored = input->kind == BUS_PUBLISHED;
    self->answered[input->tag] = true;
    note(self,
         (struct note){
             .kind = stored ? NOTE_PUBLISHED : NOTE_REFUSED,
             .event = witness_number(self->role->producer, (uint32_t)input->tag),
             .offset = input->offset,
             .duplicate = input->duplicate,
         });
    while (self->oldest < self->next && self->answered[self->oldest]) {
        self->oldest++;
    }
}

// --- a consumer

static void consumer_on(struct client *self, const struct bus_delivery *delivery)
{
    uint64_t event = 0;
    const bool good =
        self->held_count < CREDIT &&
        witness_event_is(delivery->topic, delivery->key, delivery->id, delivery->body, &event);
    note(self,
         (struct note){
             .kind = good ? NOTE_DELIVERED : NOTE_WRONG,
             .event = event,
             .offset = delivery->offset,
             .attempt = delivery->attempt,
         });
    if (good) {
        self->held[self->held_count++] = (struct held){
            .delivery = {.offset = delivery->offset, .attempt = delivery->attempt}, .event = event};
    }
}

static void note_answer(struct client *self, enum note_kind kind, const struct held *held)
{
    note(self,
         (struct note){
             .kind = (uint8_t)kind,
             .event = held->event,
             .offset = held->delivery.offset,
             .attempt = held->delivery.attempt,
         });
}

// Most are acked at once, some a little later, a few fail.
static void consumer_act(struct client *self)
{
    size_t kept = 0;
    self->acked_count = 0;
    for (size_t i = 0; i < self->held_count; i++) {
        const struct held held = self->held[i];
        const uint64_t dice = chance(self, 100);
        if (chance(self, 1000) < self->role->rejects) {
            bus_reject(self->bus, &held.delivery, "the dice say never");
            note_answer(self, NOTE_REJECTED, &held);
        } else if (dice < 2) {
            bus_nack(self->bus, &held.delivery, (int64_t)chance(self, 20), "the dice say no");
        } else if (dice < 12) {
            self->held[kept++] = held;
        } else {
            bus_ack(self->bus, &held.delivery);
            self->acked[self->acked_count++] = held;
        }
    }
    self->held_count = kept;
}

static void consumer_note_acks(struct client *self)
{
    for (size_t i = 0; i < self->acked_count; i++) {
        note_answer(self, NOTE_ACKED, &self->acked[i]);
    }
    self->acked_count = 0;
}

// --- the loop

static bool is_producer(const struct client *self)
{
    return self->role->group == NULL;
}

static bool on_connected(struct client *self)
{
    // Which life of the broker the session belongs to must be sure.
    if (atomic_load(&self->role->signals->life) != self->life) {
        return false;
    }
    self->connected = true;
    self->cursor = self->oldest;
    note(self, (struct note){.kind = NOTE_CONNECTED});
    return true;
}

// false: the bus is lost. A new one is opened at once, without the pauses of a client that
// connects again: the broker's lives here are shorter than those.
static bool on_inputs(struct client *self, const struct bus_input *inputs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct bus_input *input = &inputs[i];
        if (input->kind == BUS_LOST || (input->kind == BUS_CONNECTED && !on_connected(self))) {
            note(self, (struct note){.kind = NOTE_LOST});
            return false;
        }
        if (input->kind == BUS_PUBLISHED || input->kind == BUS_REFUSED) {
            producer_on(self, input);
        } else if (input->kind == BUS_DELIVERY) {
            consumer_on(self, &input->delivery);
        }
    }
    return true;
}

static void round_go(struct client *self)
{
    struct bus_input inputs[INPUTS_MAX];
    if (self->bus == NULL) {
        open_bus(self);
    }
    if (!bus_has_input(self->bus)) {
        const int64_t due_ms = bus_timer_ms(self->bus);
        struct pollfd fd = {.fd = bus_fd(self->bus), .events = POLLIN};
        poll(&fd, 1, (int)(due_ms < WAIT_MS ? due_ms : WAIT_MS));
    }
    const size_t count = bus_take(self->bus, inputs, INPUTS_MAX);
    const bool lives = on_inputs(self, inputs, count);
    if (lives && is_producer(self)) {
        producer_act(self);
    } else if (lives) {
        consumer_act(self);
    }
    notes_write(self); // deliveries before their acks are sent, publishes before they are
    if (!lives) {
        bus_destroy(&self->bus);
        return;
    }
    bus_flush(self->bus);
    consumer_note_acks(self);
    notes_write(self);
}

static bool is_done(const struct client *self)
{
    return is_producer(self)
               ? atomic_load(&self->role->signals->finish) && self->oldest == self->next
               : atomic_load(&self->role->signals->leave) && self->held_count == 0;
}

void witness_run(const struct witness *witness)
{
    struct client *self = mem_calloc(1, sizeof *self);
    self->role = &witness->role;
    self->fd = witness->fd;
    self->random = witness_mix(witness->role.seed + witness->starts);
    for (const char *c = witness->role.name; *c != '\0'; c++) {
        self->random = witness_mix(self->random + (uint64_t)*c);
    }
    if (is_producer(self)) {
        producer_remember(self, witness);
    }
    do {
        round_go(self);
    } while (!is_done(self));
    if (self->bus != NULL) {
        bus_bye(self->bus, BYE_MS);
    }
    _exit(0);
}
