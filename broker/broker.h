// broker - the broker without its sockets: sessions, the log, the groups, and the
// rules that tie them. What is outside (peers, clocks, chance) comes in through
// struct broker_world, so that a simulator can be that world.
//
//     broker_receive ...  messages are checked; publishes are appended, answers wait
//     broker_receive ...
//     broker_turn         one sync for all of them, then PUBLISHED goes out, then
//                         what is new is delivered: never before it is durable
//
// One thread. Nothing here blocks but the disk.
#ifndef FAULTLINE_BROKER_H
#define FAULTLINE_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/event_log.h"
#include "common/bytes.h"
#include "common/err.h"

struct broker; // opaque; broker/broker_state.h for the broker's own files

enum {
    BROKER_GROUPS_MAX = 256,
    BROKER_DEAD_LETTERS_MAX = 100000, // of a group, unless dead_letters_max says otherwise
    BROKER_SAVE_MS = 100,             // the file of the groups lags behind them by this at most
    BROKER_ROUND_MS = 100, // about how long groups are served before others have their turn
};

// What the broker needs of the world.
struct broker_world {
    void *context; // borrowed; the first argument of each

    // send gives a peer one message, control and, unless its data is NULL, batch;
    // it must not wait. ERR_FULL: the peer's queue is full. ERR_UNAVAILABLE: the
    // peer is gone.
    enum err (*send)(void *context, struct bytes peer, struct bytes control, struct bytes batch);

    int64_t (*mono_us)(void *context); // never goes back
    int64_t (*wall_us)(void *context); // since 1970 UTC
    uint64_t (*random)(void *context);
};

struct broker_options {
    struct event_log_options log; // its disk holds the groups' file as well
    const char *directory;        // borrowed; where on log.disk the file of the groups is
    uint32_t heartbeat_ms;        // the longest that a session may have
    uint32_t event_bytes_max;     // of an event's body
    uint32_t sessions_max;        // 0: SESSIONS_MAX
    // Listed dead letters of a group; 0: BROKER_DEAD_LETTERS_MAX. An event given up beyond
    // that waits, and its key with it, until a redrive makes room.
    uint32_t dead_letters_max;
    uint64_t retention_bytes;      // the log sheds its oldest segments above this; 0: never
    int64_t retention_hours;       // and segments that are older; 0: never
    bool retention_ignores_groups; // also what a group has not handled, or a dead letter
    struct broker_world world;
};

// broker_open reads the file of the groups, opens the log and reads what it holds behind
// that. ERR_CORRUPT, ERR_CONFLICT, ERR_FULL (no room for the lock), ERR_IO: *problem, which
// the caller frees, says which file, what is wrong and what to do. The caller owns *out.
enum err broker_open(struct broker **out, const struct broker_options *options, char **problem);

// broker_destroy frees *self_p and closes the log; it saves nothing.
void broker_destroy(struct broker **self_p);

// broker_receive takes one message of a peer: its frames, without the routing id.
void broker_receive(struct broker *self, struct bytes peer, const struct bytes *frames,
                    size_t frames_count);

// broker_turn does the rest of a round: sync, answers, dead letters, deliveries,
// heartbeats, expired sessions, and the file of the groups when that is due. all_read:
// nothing that has arrived waits to be received; only then is silence judged. true:
// there is more to do at once.
bool broker_turn(struct broker *self, bool all_read);

// broker_deadline_ms: in how many ms broker_turn wants to be called though nothing
// came; never negative, at most a minute.
int64_t broker_deadline_ms(struct broker *self);

// broker_save syncs what waits and writes the file of the groups now. ERR_FULL,
// ERR_IO: it could not.
enum err broker_save(struct broker *self);

// broker_stop does what waits, saves, and says BYE to everybody. ERR_FULL, ERR_IO: as
// broker_save; the sessions are ended all the same.
enum err broker_stop(struct broker *self);

#endif
