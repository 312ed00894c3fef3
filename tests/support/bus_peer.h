// bus_peer - a bus client that a test drives: it keeps all that comes in, and answers
// deliveries as it is told. Knows common/bus.h only, not the engine behind it.
#ifndef FAULTLINE_TESTS_BUS_PEER_H
#define FAULTLINE_TESTS_BUS_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bus.h"

// A delivery, kept: views borrow from memory that lasts as long as the peer.
struct peer_delivery {
    struct bus_delivery delivery;
    int64_t at_ms;    // when it came
    bool is_answered; // by the peer itself
};

enum peer_answer {
    PEER_HOLD, // the test answers
    PEER_ACK,  // at once
    PEER_NACK, // at once, by the broker's back-off unless delay_ms is set
};

struct bus_peer {
    struct bus *bus;         // owned
    enum peer_answer answer; // set it with peer_answer_with
    const char *nack_only;   // with PEER_NACK: this id alone, others are acked; NULL: all
    int64_t delay_ms;        // of PEER_NACK; peer_open sets -1

    struct peer_delivery *deliveries; // owned
    size_t deliveries_count;
    size_t published; // BUS_PUBLISHED so far
    uint64_t last_offset;
    size_t refused;
    enum err last_err;
    char last_detail[256]; // of the last refusal or loss
    size_t connected;      // BUS_CONNECTED so far
    size_t lost;
    bool *unanswered; // owned; by tag: published, no answer yet
    size_t tags_count;
};

// peer_open opens a bus and pumps until it is connected. peer_open_unconnected does
// not wait. peer_consumer and peer_publisher are short forms of it: topics is one
// topic, the member's name is the group's and a number.
struct bus_peer *peer_open(const struct bus_options *options);
struct bus_peer *peer_open_unconnected(const struct bus_options *options);
struct bus_peer *peer_consumer(const char *url, const char *group, int number, const char *topic);
struct bus_peer *peer_publisher(const char *url);

// peer_close drops the connection without a word.
void peer_close(struct bus_peer **self_p);

// peer_answer_with tells how deliveries are answered from now on, those included that
// it has not answered yet: some may have come with the connection.
void peer_answer_with(struct bus_peer *self, enum peer_answer answer);

// peer_pump takes what is there, waiting at most wait_ms for something.
void peer_pump(struct bus_peer *self, int64_t wait_ms);

// peer_publish publishes an event "{}" with tag and id "event-TAG", TAG counting from
// 0; it pumps while the bus is full. false: there is no session.
bool peer_publish(struct bus_peer *self, const char *topic, const char *key);

// peer_publish_again publishes everything unanswered once more, in its old order,
// all with one topic and key; false: the session went away meanwhile.
bool peer_publish_again(struct bus_peer *self, const char *topic, const char *key);

// peer_count_id counts the deliveries of an event id.
size_t peer_count_id(const struct bus_peer *self, const char *id);

// peer_ids counts the different event ids delivered.
size_t peer_ids(const struct bus_peer *self);

enum {
    PEER_DEADLINE_MS = 20000
};

// Pumps the peers named behind condition until it holds; fails the test when that
// takes longer than PEER_DEADLINE_MS.
#define PUMP_UNTIL(condition, ...)                                                                 \
    do {                                                                                           \
        struct bus_peer *const pumped_[] = {__VA_ARGS__};                                          \
        const int64_t deadline_ms_ = clock_mono_ms() + PEER_DEADLINE_MS;                           \
        while (!(condition)) {                                                                     \
            cr_assert(clock_mono_ms() < deadline_ms_, "it never came true: %s", #condition);       \
            peers_pump(pumped_, sizeof pumped_ / sizeof pumped_[0]);                               \
        }                                                                                          \
    } while (0)

// peers_pump gives each of them one round.
void peers_pump(struct bus_peer *const *peers, size_t count);

#endif
