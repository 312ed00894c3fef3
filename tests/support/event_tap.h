// event_tap - hears every event of some topics from the first one on, and publishes
// events by hand: the test's own ear and mouth on the bus.
#ifndef FAULTLINE_TESTS_EVENT_TAP_H
#define FAULTLINE_TESTS_EVENT_TAP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/event.h"

struct event_tap; // opaque

// event_tap_open joins a group of its own. topics end with NULL. The caller owns it.
struct event_tap *event_tap_open(const char *bus_url, const char *const *topics);
void event_tap_close(struct event_tap **self_p);

// event_tap_wait waits for the first event of topic about subject and borrows it; a
// deadline of RIG_DEADLINE_MS fails the test.
const struct event *event_tap_wait(struct event_tap *self, const char *topic, const char *subject);

// event_tap_count: how many events of topic about subject have come so far, with all
// that the broker has for the tap now. Subject NULL: about any. An event that was
// delivered or stored more than once, with one id, counts once.
size_t event_tap_count(struct event_tap *self, const char *topic, const char *subject);

// event_tap_publish publishes data (an object, becomes the tap's) about subject, waits
// for the broker's ack, and writes the event's id to id_out unless that is NULL.
void event_tap_publish(struct event_tap *self, const char *topic, int version, const char *subject,
                       cJSON *data, char id_out[UUID_SIZE]);

// event_tap_publish_event publishes event as it is, its own id and time included, and
// waits for the broker's ack: for replays.
void event_tap_publish_event(struct event_tap *self, const struct event *event);

// event_tap_events_count tells how many events have come so far, of any topic, as
// event_tap_count does; event_tap_event borrows one of them, in the order of the log.
size_t event_tap_events_count(struct event_tap *self);
const struct event *event_tap_event(const struct event_tap *self, size_t index);

#endif
