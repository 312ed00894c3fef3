// group - one consumer group's delivery state, as a pure state machine: no socket,
// file, clock or randomness inside. Time and random numbers are arguments: now_ms
// is a clock that never goes back (clock_mono_ms), wall_us the calendar's.
//
// Offering, delivering and acking cost the same whatever the backlog, and allocate
// nothing per event. Not thread-safe: the broker's loop owns it.
//
// The server offers it the log's records in order; it decides who gets which when.
//
//              offer                deliver               ack
//   (log) --------------> READY ---------------> HELD ----------> done
//            |              ^   member left        |  nack
//            | key busy     +----------------------+----------> WAITING --due--> READY
//            v              |                      |
//         PARKED -----------+ key free             +-- fatal, or retries used up
//                                                             v
//                                   DYING --dead letter is in the log--> done
//
// Per key there is at most one entry that is READY, HELD, WAITING or DYING; later ones
// of that key are PARKED behind it, in log order. The floor is the lowest offset
// not done; what is done above it is remembered until the floor passes.
//
// The window is what lies between the floor and the cursor. One entry that is
// never answered holds the floor, and the group stands still once the window is
// full: the bound on memory is worth more than the events behind it, which are
// safe in the log.
#ifndef FAULTLINE_GROUP_H
#define FAULTLINE_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"

enum {
    GROUP_WINDOW_MAX = 65536,  // offsets between the floor and the cursor at most
    GROUP_AHEAD_MAX = 1048576, // offsets from the floor of which anything is known at most
    GROUP_MEMBERS_MAX = 64,
    GROUP_BACKOFF_MIN_MS = 200, // first retry; doubles, with jitter
    GROUP_BACKOFF_MAX_MS = 30000,
    GROUP_DELAY_MAX_MS = 3600000, // a longer delay asked for by a nack is cut to this
    GROUP_ERROR_MAX = 512,        // bytes of the last error that are kept
};

// Offsets stay within this, so that adding to them never overflows.
#define GROUP_OFFSET_MAX ((uint64_t)INT64_MAX)

struct group; // opaque

// group_new makes a group that starts at offset floor. name is copied.
struct group *group_new(const char *name, uint64_t floor);
void group_destroy(struct group **self_p);

const char *group_name(const struct group *self);

// group_set_retries: failures (nacks) an event may have before it is dead-lettered.
void group_set_retries(struct group *self, uint32_t retries_max);
uint32_t group_retries(const struct group *self);

// group_set_order: whether events of one key wait for each other, as they do in a new
// group. It holds from the next event that is offered; what waits already goes on waiting.
void group_set_order(struct group *self, bool by_key);
bool group_has_order(const struct group *self);

// group_key_hash is the key_hash of group_offer: 0 for an empty key, never 0 else.
// Two keys that share a hash only wait for each other without need.
uint32_t group_key_hash(struct bytes key);

// --- members. member is the caller's number for a session, never 0, never reused.

// group_join adds a member. ERR_EXISTS: it is in. ERR_FULL: GROUP_MEMBERS_MAX are.
enum err group_join(struct group *self, uint64_t member, uint32_t credit);

// group_leave removes it; what it held is READY again at once, in log order, and its
// failures are not counted up: losing a consumer is not the event's fault. Nothing
// happens when it is not in.
void group_leave(struct group *self, uint64_t member);

// group_set_credit changes how many entries the member may hold; what it holds
// already stays. Nothing happens when it is not in.
void group_set_credit(struct group *self, uint64_t member, uint32_t credit);

// --- reading the log

// group_cursor is the next offset the group wants to see; group_wants_more tells
// whether to offer it now: the window has room, and there is free credit that
// what is READY does not already use up. So what was just offered is as a rule
// delivered at once: deliver between offers and the record is still at hand.
uint64_t group_cursor(const struct group *self);
bool group_wants_more(const struct group *self);

// group_offer gives the record at group_cursor and moves the cursor; the window must
// have room. matches: the group subscribes to its topic; if not it is done at once,
// unless it is to die: that wants a dead letter. key_hash 0: no key, it waits for none.
// An offset that group_load knows to be done stays done.
void group_offer(struct group *self, bool matches, uint32_t key_hash);

// --- delivering

struct group_delivery {
    uint64_t offset;
    uint64_t member;
    uint32_t attempt; // deliveries of this offset, this one included
};

// group_deliver picks the next READY entry, lowest offset first, for a member with
// credit, members in turn, and marks it HELD. false: nothing to deliver now.
// Entries whose retry is due at now_ms count as READY.
bool group_deliver(struct group *self, int64_t now_ms, struct group_delivery *out);

// group_undeliver takes back a delivery that could not be sent: READY again, its
// attempt not counted.
void group_undeliver(struct group *self, const struct group_delivery *delivery);

// group_next_due_ms: no WAITING entry is due before, INT64_MAX: there is none. It is
// exact but after an entry that waited was buried or skipped.
int64_t group_next_due_ms(const struct group *self);

// --- answers. One is stale when the member does not hold this attempt of this offset:
// nothing happens. ERR_NOT_FOUND says so.

// group_ack takes count offsets from this one on, all of one attempt, and returns how
// many were not stale: so many more matching events are done, the backlog shrinks by
// that. Any count costs no more than the window is long.
uint32_t group_ack(struct group *self, uint64_t member, uint64_t offset, uint32_t count,
                   uint32_t attempt);

// What went wrong, and when.
struct group_failure {
    int64_t now_ms;
    int64_t wall_us;    // kept of the first failure of an event, for its dead letter
    struct bytes error; // copied; cut to GROUP_ERROR_MAX, control bytes become spaces
    bool fatal;         // no retry: dead-letter it now
    int64_t delay_ms;   // until the retry; negative: the group's own, of which see below
    uint64_t random;    // any number
};

// group_nack: a failure. The group's own delay is GROUP_BACKOFF_MIN_MS doubled for each
// failure so far, at most GROUP_BACKOFF_MAX_MS, and of that between half and all. When
// retries are used up, or it is fatal, the entry is DYING: group_dying_next gives it, the
// caller writes the dead letter and calls group_buried; until then the key stays blocked.
enum err group_nack(struct group *self, uint64_t member, uint64_t offset, uint32_t attempt,
                    const struct group_failure *failure);

// What a dead letter's headers say of an entry.
struct group_entry_info {
    uint64_t offset;
    uint32_t attempts; // deliveries
    uint32_t failures; // nacks and rejects
    const char *error; // the last one, borrowed until the next change; "" when none
    bool waiting;      // WAITING: for its retry at due_ms
    bool dying;        // DYING, or will be when it is offered
    int64_t due_ms;
    int64_t first_failed_us; // wall_us of the first failure; 0: never failed
};

// group_dying_next gives the first DYING entry at or above offset from; false: none,
// which costs nothing to ask. There may be some right after a load, also before
// they are offered (then group_stats does not count them): a crash came between
// the decision and the dead letter.
bool group_dying_next(const struct group *self, uint64_t from, struct group_entry_info *out);

// group_buried: the dead letter of offset is durable; the entry is done, in whatever
// state it is, also when it was not offered yet (after a load, for a dead letter
// found in the log). true: it was not done before, the backlog shrinks by one. One
// that is GROUP_AHEAD_MAX or more above the floor is not remembered: false, and it
// will be delivered again.
bool group_buried(struct group *self, uint64_t offset);

// group_skip_to ends everything below floor, in whatever state it is, offered or not: the
// log no longer has it. Nothing happens when the floor is there already. Of the events
// skipped, those that matched and were not done (group_is_done, asked before) are no
// longer backlog; answers to what was held come too late and are stale.
void group_skip_to(struct group *self, uint64_t floor);

// group_tidy gives back memory that a longer window took.
void group_tidy(struct group *self);

// --- state

struct group_stats {
    uint64_t floor;
    uint64_t cursor;
    uint64_t end; // nothing is known of what lies from here on
    uint32_t ready, held, waiting, parked, dying, members;
};

void group_stats_get(const struct group *self, struct group_stats *out);

struct group_member_stats {
    uint64_t member;
    uint32_t credit;
    uint32_t held;
};

// group_members_get fills up to max and returns how many members there are.
size_t group_members_get(const struct group *self, struct group_member_stats *out, size_t max);

// group_failing_next gives the first entry at or above offset from that has failed
// and is not done (WAITING, DYING, or READY or HELD again after a failure).
bool group_failing_next(const struct group *self, uint64_t from, struct group_entry_info *out);

// group_is_done: below the floor, or done above it.
bool group_is_done(const struct group *self, uint64_t offset);

// group_is_taken: not done, and whatever the group subscribes to now, an answer or a dead
// letter is what ends it: it was offered as one that matches, or is to die.
bool group_is_taken(const struct group *self, uint64_t offset);

// group_is_dirty: something that group_save keeps has changed since the last
// group_saved. A group from group_new is dirty.
bool group_is_dirty(const struct group *self);

// group_save appends the state to out: name, order, retries, floor, what is done above
// it, and attempts, failures, error and due time of entries not done that have any.
// group_saved tells the group that this is safe now.
void group_save(const struct group *self, struct buf *out, int64_t now_ms);
void group_saved(struct group *self);

// group_load makes a group of what group_save wrote. HELD, READY, WAITING and DYING
// entries come back by being offered again from the floor, with their counts. now_ms
// turns the saved delays into due times. What group_save does not write, or speaks
// of offsets that are not below log_end, makes the reader fail: the group is of no use
// then, but to be destroyed.
struct group *group_load(struct reader *in, uint64_t log_end, int64_t now_ms);

#endif
