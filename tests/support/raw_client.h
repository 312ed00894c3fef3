// raw_client - a client that says exactly what a test tells it to: frames through a
// DEALER socket, with no session logic, no heartbeats, no retries of its own.
#ifndef FAULTLINE_RAW_CLIENT_H
#define FAULTLINE_RAW_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/wire.h"

struct raw_client; // opaque

enum {
    RAW_CLIENT_WAIT_MS = 10000, // how long a test waits for what must come
};

struct raw_client *raw_client_new(const char *url);
void raw_client_destroy(struct raw_client **self_p);

// raw_client_send sends a message of one frame, or two unless batch.data is NULL.
void raw_client_send(struct raw_client *self, const struct wire_control *control,
                     struct bytes batch);

// raw_client_send_frames sends any frames at all.
void raw_client_send_frames(struct raw_client *self, const struct bytes *frames, size_t count);

// raw_client_receive waits up to timeout_ms for a message; control and batch are
// borrowed until the next call. false: none came.
bool raw_client_receive(struct raw_client *self, int timeout_ms, struct wire_control *control,
                        struct bytes *batch);

// raw_client_expect receives until a message of type comes, answering PINGs and
// dropping others on the way; it aborts the test after RAW_CLIENT_WAIT_MS.
void raw_client_expect(struct raw_client *self, enum wire_type type, struct wire_control *control,
                       struct bytes *batch);

// --- whole exchanges

// raw_client_hello says HELLO, with a heartbeat of a minute, and waits for WELCOME.
void raw_client_hello(struct raw_client *self, const char *member, uint64_t incarnation);

// raw_client_subscribe subscribes to topics, ended by NULL, from the earliest, 3
// retries, and waits for SUBSCRIBED.
void raw_client_subscribe(struct raw_client *self, const char *group, uint32_t credit,
                          const char *const *topics);

// raw_client_publish publishes one event and returns its offset.
uint64_t raw_client_publish(struct raw_client *self, const char *topic, const char *key,
                            const char *id, const char *body);

// raw_client_ack acks one delivery.
void raw_client_ack(struct raw_client *self, uint64_t offset, uint32_t attempt);

// One delivery; the record is borrowed until the next call.
// raw_client_delivery waits for the next one, of however many a DELIVER brings.
void raw_client_delivery(struct raw_client *self, struct wire_delivered *out);

// raw_client_is_quiet tells that the broker has dealt with all that was said before
// and had nothing to say to it but heartbeats.
bool raw_client_is_quiet(struct raw_client *self);

#endif
