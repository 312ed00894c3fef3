// bus_session_state - what a bus_session is made of, for its own .c files only:
// bus_session.c (life, time, what is said) and bus_session_in.c (what is heard and
// given to the owner).
#ifndef FAULTLINE_BUS_SESSION_STATE_H
#define FAULTLINE_BUS_SESSION_STATE_H

#include "common/bus_out.h"
#include "common/bus_requests.h"
#include "common/bus_session.h"
#include "common/wire.h"

enum session_state {
    SESSION_CLOSED,      // no connection; the next one at retry_ms
    SESSION_GREETING,    // HELLO is out
    SESSION_SUBSCRIBING, // SUBSCRIBE is out
    SESSION_UP,
};

// What the last received message still has to give.
enum present_kind {
    PRESENT_NOTHING,
    PRESENT_DELIVERING, // left entries at rest
    PRESENT_ANSWERING,  // the next left records of request, with err
};

struct present {
    enum present_kind kind;
    uint32_t left;
    struct bytes rest;           // borrowed from the message
    struct bus_request *request; // borrowed from requests
    uint64_t offset;             // of the next record answered
    enum err err;
};

struct bus_session {
    // What was asked for.
    char *member; // owned
    char *group;  // owned; NULL: publishes only
    char *topics[WIRE_TOPICS_MAX];
    uint16_t topics_count;
    bool from_latest;
    bool without_acks;
    uint32_t retries_max;
    uint32_t credit;
    uint32_t heartbeat_asked_ms;

    enum session_state state;
    uint64_t connection;  // counts connections; wanted unless SESSION_CLOSED
    uint64_t incarnation; // of the last HELLO
    uint64_t jitter;      // state of the random numbers
    uint32_t heartbeat_ms;
    int64_t opened_ms; // when the present or last connection began
    int64_t up_ms;     // when it became SESSION_UP; 0: never
    int64_t heard_ms;  // last message from the broker
    int64_t said_ms;   // last message to it
    int64_t retry_ms;
    int64_t backoff_ms;

    struct bus_requests requests;
    struct buf acks; // gathering
    uint32_t acks_count;
    bool credit_changed;
    struct bus_out out;

    struct present present;
    bool connected; // BUS_CONNECTED is to be given
    bool lost;      // BUS_LOST is to be given, before it
    char *lost_why; // owned; NULL until the first
    char *detail;   // owned; of the last ERROR
    bool leaving;   // BYE was said
    bool left;      // and answered, or there is nobody to answer
};

// bus_session_lose ends the session; why is taken over and told with BUS_LOST. Of a
// session that never was up the owner hears only when told is true.
void bus_session_lose(struct bus_session *self, int64_t now_ms, char *why, bool told);

// Messages to be sent, behind the others. request NULL: nothing is said.
void bus_session_say(struct bus_session *self, enum wire_type type);
void bus_session_say_subscribe(struct bus_session *self);
void bus_session_say_publish(struct bus_session *self, struct bus_request *request);

#endif
