// session - who is connected: one session for each peer that said HELLO, found by
// its routing id, its member name or its number. Pure: time is an argument.
//
// A routing id is an address, never a name: a member that connects again has a new
// one, and says so with a higher incarnation, which ends its older session. A peer
// that is silent for WIRE_MISSES_MAX heartbeats is gone.
#ifndef FAULTLINE_SESSION_H
#define FAULTLINE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"
#include "common/wire.h"

enum {
    SESSIONS_MAX = 1024,
    SESSION_PEER_MAX = 255, // bytes of a ZeroMQ routing id
};

struct consumer; // broker/broker_state.h: the group that a session is a member of

struct session {
    uint64_t number;   // never 0, never used again: the group's name for this member
    struct bytes peer; // routing id, in peer_data
    uint8_t peer_data[SESSION_PEER_MAX];
    char member[WIRE_NAME_MAX + 1];
    uint64_t incarnation;
    uint32_t heartbeat_ms;
    int64_t seen_ms; // when the last message came
    int64_t sent_ms; // when the last message went

    // Kept here for the broker.
    struct consumer *consumer; // borrowed; NULL: not subscribed
    uint32_t credit;           // what the member asked for
    uint32_t held;             // deliveries sent and not answered
    uint64_t held_bytes;       // about how many bytes these are
    uint64_t unread_bytes;     // of large answers since its last PONG
    int64_t blocked_until_ms;  // 0: not blocked; its queue was full
    bool lost;                 // cannot be reached: ends with this turn
};

struct session_table; // opaque

// session_table_new holds at most sessions_max (0: SESSIONS_MAX, which is also the
// most) sessions.
struct session_table *session_table_new(size_t sessions_max);
void session_table_destroy(struct session_table **self_p);

// session_start begins a session for the HELLO of a peer; the smaller one of the heartbeats
// holds. ERR_EXISTS: *out is an older session, of this
// peer or this member, which the caller must end first; then call again. ERR_CONFLICT:
// this member is here, at another peer, with the same or a newer incarnation. ERR_FULL: as many
// sessions as may be. On ERR_OK *out is borrowed from the table until session_end.
enum err session_start(struct session_table *self, struct bytes peer,
                       const struct wire_control *hello, uint32_t heartbeat_max_ms, int64_t now_ms,
                       struct session **out);

// session_end removes and frees it.
void session_end(struct session_table *self, struct session *session);

// These give NULL when there is no such session.
struct session *session_by_peer(const struct session_table *self, struct bytes peer);
struct session *session_by_member(const struct session_table *self, struct bytes member);
struct session *session_by_number(const struct session_table *self, uint64_t number);

size_t session_count(const struct session_table *self);

// session_next walks: it gives the first session at or behind *slot, moves *slot
// past it, and gives NULL at the end. Ending the session it gave is allowed.
struct session *session_next(const struct session_table *self, size_t *slot);

// session_expires_ms: when it has been silent for WIRE_MISSES_MAX heartbeats;
// session_ping_due_ms: when nothing was sent to it for one.
int64_t session_expires_ms(const struct session *session);
int64_t session_ping_due_ms(const struct session *session);

// session_deadline_ms: when it is time for one of these, or to try a blocked session again,
// for any session; INT64_MAX without sessions.
int64_t session_deadline_ms(const struct session_table *self);

#endif
