#include "tests/support/event_tap.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus.h"
#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/rig.h"

enum {
    INPUTS = 64,
    SILENCE_MS = 50
};

struct event_tap {
    struct bus *bus;       // owned
    struct event **events; // owned, each of them as well
    size_t events_count;
    size_t published; // answers to publishes so far
    uint64_t next_tag;
};

static void keep(struct event_tap *self, struct bytes body)
{
    struct json_problem problem;
    struct event *event = NULL;
    cr_assert_eq(event_parse(&event, body, &problem),
                 ERR_OK,
                 "an event on the bus is malformed: %s %s",
                 problem.field,
                 problem.reason);
    self->events = mem_realloc(self->events, (self->events_count + 1) * sizeof(struct event *));
    self->events[self->events_count++] = event;
}

static void pump(struct event_tap *self, int wait_ms)
{
    bus_flush(self->bus);
    if (!bus_has_input(self->bus)) {
        const int64_t timer_ms = bus_timer_ms(self->bus);
        struct pollfd fd = {.fd = bus_fd(self->bus), .events = POLLIN};
        (void)poll(&fd, 1, timer_ms < wait_ms ? (int)timer_ms : wait_ms);
    }
    struct bus_input inputs[INPUTS];
    const size_t count = bus_take(self->bus, inputs, INPUTS);
    for (size_t i = 0; i < count; i++) {
        if (inputs[i].kind == BUS_DELIVERY) {
            keep(self, inputs[i].delivery.body);
            bus_ack(self->bus, &inputs[i].delivery);
        } else if (inputs[i].kind == BUS_PUBLISHED) {
            self->published++;
        } else if (inputs[i].kind == BUS_REFUSED) {
            cr_assert(false, "the broker refused: %s", inputs[i].detail);
        }
    }
    bus_flush(self->bus);
}

struct event_tap *event_tap_open(const char *bus_url, const char *const *topics)
{
    struct event_tap *self = mem_calloc(1, sizeof *self);
    struct bus_options options = {
        .url = bus_url,
        .member = "tap-1",
        .group = "tap",
        .topics = topics,
        .retries_max = 3,
    };
    while (topics[options.topics_count] != NULL) {
        options.topics_count++;
    }
    const char *problem = NULL;
    cr_assert_eq(bus_open(&self->bus, &options, &problem), ERR_OK, "%s", problem);
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    while (!bus_is_connected(self->bus)) {
        cr_assert(clock_mono_ms() < deadline_ms, "the tap cannot connect");
        pump(self, 10);
    }
    return self;
}

void event_tap_close(struct event_tap **self_p)
{
    struct event_tap *self = *self_p;
    if (self == NULL) {
        return;
    }
    bus_destroy(&self->bus);
    for (size_t i = 0; i < self->events_count; i++) {
        event_destroy(&self->events[i]);
    }
    free(self->events);
    free(self);
    *self_p = NULL;
}

static bool is_about(const struct event *event, const char *topic, const char *subject)
{
    return strcmp(event->type, topic) == 0 &&
           (subject == NULL || strcmp(event->subject, subject) == 0);
}

const struct event *event_tap_wait(struct event_tap *self, const char *topic, const char *subject)
{
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    for (size_t seen = 0;;) {
        for (; seen < self->events_count; seen++) {
            if (is_about(self->events[seen], topic, subject)) {
                return self->events[seen];
            }
        }
        cr_assert(clock_mono_ms() < deadline_ms, "%s about %s never came", topic, subject);
        pump(self, 20);
    }
}

// Takes what the broker has for the tap, until it is silent.
static void hear_all(struct event_tap *self)
{
    size_t seen = self->events_count;
    for (int64_t heard_ms = clock_mono_ms(); clock_mono_ms() - heard_ms < SILENCE_MS;) {
        pump(self, 10);
        heard_ms = self->events_count == seen ? heard_ms : clock_mono_ms();
        seen = self->events_count;
    }
}

size_t event_tap_count(struct event_tap *self, const char *topic, const char *subject)
{
    hear_all(self);
    size_t count = 0;
    for (size_t i = 0; i < self->events_count; i++) {
        if (!is_about(self->events[i], topic, subject)) {
            continue;
        }
        size_t first = 0;
        while (strcmp(self->events[first]->id, self->events[i]->id) != 0) {
            first++;
        }
        count += first == i;
    }
    return count;
}

size_t event_tap_events_count(struct event_tap *self)
{
    hear_all(self);
    return self->events_count;
}

const struct event *event_tap_event(const struct event_tap *self, size_t index)
{
    cr_assert(index < self->events_count);
    return self->events[index];
}

void event_tap_publish_event(struct event_tap *self, const struct event *event)
{
    char *text = event_format(event);
    const size_t before = self->published;
    cr_assert_eq(bus_publish(self->bus,
                             self->next_tag++,
                             event->type,
                             event->subject,
                             event->id,
                             bytes_of_text(text)),
                 ERR_OK);
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    while (self->published == before) {
        cr_assert(clock_mono_ms() < deadline_ms, "the broker does not answer a publish");
        pump(self, 20);
    }
    free(text);
}

void event_tap_publish(struct event_tap *self, const char *topic, int version, const char *subject,
                       cJSON *data, char id_out[UUID_SIZE])
{
    struct event event = {.version = version, .data = data};
    uuid_new(event.id);
    snprintf(event.source, sizeof event.source, "/tests/tap");
    snprintf(event.type, sizeof event.type, "%s", topic);
    snprintf(event.subject, sizeof event.subject, "%s", subject);
    snprintf(event.correlation_id, sizeof event.correlation_id, "%s", subject);
    snprintf(event.causation_id, sizeof event.causation_id, "test");
    clock_format_rfc3339(event.time, clock_wall_us());
    event_tap_publish_event(self, &event);
    if (id_out != NULL) {
        memcpy(id_out, event.id, UUID_SIZE);
    }
    cJSON_Delete(data);
}
