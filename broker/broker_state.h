// broker_state - the broker's inside, shared by its own files and nobody else's:
//
//   broker.c           open, receive, turn
//   broker_session.c   HELLO, SUBSCRIBE, CREDIT, BYE, heartbeats
//   broker_publish.c   PUBLISH, READ, the sync and the answers after it
//   broker_deliver.c   ACK, NACK, REJECT, and what groups are given
//   broker_letters.c   dead letters, REDRIVE
//   broker_admin.c     RESET, DELETE, STATUS
//   broker_retention.c what of the log goes, and when
//   broker_groups.c    the groups, and what a start reads back
//   broker_save.c      what the file of the groups says
//   report.c           what there is to see of it, as JSON and as metrics
//   status.c           the same, and dead letters, by HTTP
#ifndef FAULTLINE_BROKER_STATE_H
#define FAULTLINE_BROKER_STATE_H

#include "broker/broker.h"
#include "broker/dead_letter.h"
#include "broker/duplicates.h"
#include "broker/group.h"
#include "broker/session.h"
#include "broker/tally.h"
#include "broker/topic.h"
#include "common/metrics.h"
#include "common/wire.h"

enum {
    // A member that does not ack is sent no more than about this, whatever its credit.
    BROKER_HELD_BYTES_MAX = 8 * 1024 * 1024,
    BROKER_UNREAD_BYTES_MAX = 8 * 1024 * 1024, // large answers that may wait for one session
    BROKER_BATCH_BYTES_MAX = EVENT_LOG_BATCH_MAX - 64 * 1024, // what the log adds is far less
    BROKER_BATCH_ITEMS_MAX = 1024,   // runs of publishes, or records of our own, of one sync
    BROKER_REDRIVES_MAX = 1024,      // dead letters that one REDRIVE looks at
    BROKER_BLOCKED_MS = 10,          // how long a member with a full queue is left alone
    BROKER_RETAIN_MS = 1000,         // how often retention looks
    BROKER_RETRY_MS = 1000,          // after a disk that was full, or a record that cannot be read
    BROKER_TIDY_MS = 1000,           // buffers not used for this long are given back
    BROKER_BURST_BYTES = 256 * 1024, // a batch that is larger leaves buffers worth that
    BROKER_OFFERS_MAX = 4096,        // records a group looks at in one turn
    BROKER_DEADLINE_MAX_MS = 60000,
};

// A consumer group as the broker keeps it: the state machine and what lies around it.
struct consumer {
    struct group *group;     // owned
    struct topic_set wanted; // what it subscribes to
    int redrive_topic;       // what was given back to it; TOPIC_NONE: nothing yet
    // Events that are not done and that the group wants, or took while it wanted them,
    // wherever they are: +1 with each matching append, -1 with each that is done.
    uint64_t backlog;
    uint64_t *dead_letters; // owned; offsets of its dead letters in the log, ascending
    size_t dead_letters_count, dead_letters_capacity;
    struct event_log_cursor *cursor; // owned; NULL while it keeps up with the log's end
    int64_t no_member_since_us;      // wall clock; 0: it has members
    int64_t paused_until_ms;         // 0: not; a record it needs could not be read
};

// Counted since the process started.
struct broker_counters {
    uint64_t published, duplicates, delivered, redelivered, acked, stale_acks, failed;
    uint64_t dead_lettered, redriven, refused, evicted, syncs, send_failures;
};

struct broker {
    struct broker_options options;
    struct broker_world world;
    struct event_log *log;          // owned
    struct metrics *metrics;        // owned; what broker_counters cannot hold
    struct session_table *sessions; // owned
    struct topic_table topics;
    struct tallies tallies; // what the log has of each topic
    uint64_t kept_end;      // of the log, when the file of the groups was true
    struct consumer *consumers[BROKER_GROUPS_MAX]; // owned
    size_t consumers_count;
    size_t served; // of consumers: whose turn it is

    // Two readers for all: groups that keep up look at the same records one after
    // the other, so they share a buffer; a group that lags has its own.
    struct event_log_cursor *tail;
    struct event_log_cursor *elsewhere; // retries, dead letters, READ
    uint64_t tail_from;                 // where the first batch of the last round began
    bool is_tail_new;                   // that round was not delivered yet

    // The batch: what was appended since the last sync, and who waits for that. A publish
    // waits as one or more runs of offsets that follow each other, all new or all not. Records of
    // our own come in a batch of theirs: they may use the reserve of the disk, publishes may not.
    struct waiting_publish {
        uint64_t session, request;
        uint64_t offset; // of the first record
        uint32_t count;
        bool is_first;  // of its publish
        bool answered;  // the client wants an answer
        bool duplicate; // these were stored before
    } publishes[BROKER_BATCH_ITEMS_MAX + WIRE_BATCH_MAX];
    struct own_record {
        struct consumer *consumer; // borrowed
        uint64_t of;               // of the event, or the dead letter
        uint64_t offset;           // its own
        bool is_copy;              // a dead letter goes back; else it is one
    } own[BROKER_BATCH_ITEMS_MAX];
    size_t publishes_count, own_count, batch_bytes;
    size_t messages_count; // whose publishes wait
    // Messages with publishes, or records of our own, that a batch may hold: one after a batch
    // found no room, for a part of it may find some; twice as many with each that is stored.
    size_t items_max;

    struct duplicates duplicates; // ids of what was published last
    struct checked {
        struct record record; // borrowed from the message
        uint64_t hash;        // of its id, for duplicates
        int topic;
    } * checked;         // owned; the records of the PUBLISH at hand
    struct buf frame;    // scratch: a control frame
    struct buf entries;  // scratch: a batch frame or a record
    struct buf restored; // scratch: a redriven event as it goes out

    // Deliveries that gather for the members of the group at hand: a DELIVER each.
    struct parcel {
        struct session *session; // borrowed
        struct buf entries;
        uint32_t count, again; // entries; and those that went out before
    } parcels[GROUP_MEMBERS_MAX];
    size_t parcels_count;

    int64_t awake_by_ms;    // broker_turn expects to be called by then; 0: any time
    int64_t delivered_ms;   // when groups were last asked for deliveries
    int64_t save_due_ms;    // 0: the groups' file is up to date
    int64_t bury_after_ms;  // 0: now; the disk was full
    size_t bury_group;      // of consumers: whose dead letters come first in the next batch,
    uint64_t bury_from;     // and from which offset on
    int64_t tidy_due_ms;    // 0: nothing to give back
    int64_t retain_due_ms;  // 0: now
    int64_t complain_ms;    // what goes wrong often is logged again from then on
    uint64_t refused_bytes; // the last batch found no room: what the next one takes
    bool is_retention_held; // the oldest segment should go, but somebody needs it
    bool more;              // there is more to do at once
    int64_t started_us;     // wall clock
    struct broker_counters counters;
};

// A message: who sent it, its control frame, its batch.
struct message {
    struct bytes peer;
    struct session *session; // borrowed, it may end; NULL: the peer has none
    const struct wire_control *control;
    struct bytes batch;
};

// --- broker_answer.c
int64_t broker_now_ms(const struct broker *self);
int64_t broker_wall_us(const struct broker *self);

// broker_lose marks a session that cannot be reached: it ends with this turn.
void broker_lose(struct broker *self, struct session *session);

// broker_transmit sends to a peer; a batch without data is none. Errors as of the world's send.
enum err broker_transmit(struct broker *self, struct bytes peer, const struct wire_control *control,
                         struct bytes batch);

// broker_send sends to a session. When it cannot, the session is lost and ends with this
// turn: a client that misses an answer must find that out, and say HELLO again.
void broker_send(struct broker *self, struct session *session, const struct wire_control *control);

// broker_answer_large sends a batch that may be large. A client that asks and does not listen
// would fill our memory: ask broker_listens first; false: it has refused the message.
bool broker_listens(struct broker *self, const struct message *message);
void broker_answer_large(struct broker *self, struct session *session,
                         const struct wire_control *control, struct bytes batch);

// broker_save_soon: the groups' file is to be written within BROKER_SAVE_MS.
void broker_save_soon(struct broker *self);

// broker_refuse answers a message with ERROR, counts and logs it; broker_refuse_record
// does for a record of it, broker_refuse_session for no message.
void broker_refuse(struct broker *self, const struct message *message, const char *code,
                   const char *detail);
void broker_refuse_record(struct broker *self, const struct message *message, uint32_t index,
                          const char *code, const char *detail);
void broker_refuse_session(struct broker *self, struct session *session, const char *code,
                           const char *detail);

// --- broker_session.c
void broker_on_hello(struct broker *self, const struct message *message);
void broker_on_subscribe(struct broker *self, const struct message *message);
void broker_on_credit(struct broker *self, const struct message *message);
void broker_on_bye(struct broker *self, const struct message *message);
void broker_on_ping(struct broker *self, const struct message *message);
void broker_on_pong(struct broker *self, const struct message *message);
// broker_end_members ends the sessions of a group's members, who are told why.
void broker_end_members(struct broker *self, const struct consumer *consumer, const char *why);
// broker_apply_credit tells the group how much this member may hold now.
void broker_apply_credit(struct session *session);
// broker_heartbeats ends lost and (when all that has arrived was read) silent
// sessions, wakes blocked ones, sends PING.
void broker_heartbeats(struct broker *self, bool all_read);

// --- broker_publish.c
void broker_on_publish(struct broker *self, const struct message *message);
void broker_on_read(struct broker *self, const struct message *message);
// broker_read reads a record; damage is logged. Errors as event_log_cursor_read.
enum err broker_read(struct broker *self, struct event_log_cursor *cursor, uint64_t offset,
                     struct event_log_entry *out);
// broker_append adds a checked record of a topic to the batch, which has room for it.
uint64_t broker_append(struct broker *self, struct bytes record, int topic);
// broker_sync makes the batch durable and answers. ERR_FULL: refused to all.
enum err broker_sync(struct broker *self);

// --- broker_deliver.c
void broker_on_ack(struct broker *self, const struct message *message);
void broker_on_nack(struct broker *self, const struct message *message); // and REJECT
void broker_deliver(struct broker *self);

// --- broker_letters.c
void broker_on_redrive(struct broker *self, const struct message *message);
// broker_append_dead_letters writes the dead letters that are due into the batch.
void broker_append_dead_letters(struct broker *self);
// broker_settle_own: what the broker wrote itself into the batch is durable now;
// broker_own_refused: it found no room; broker_settle_found: such a record was found in the
// log by a start.
void broker_settle_own(struct broker *self);
void broker_own_refused(struct broker *self);
void broker_settle_found(struct broker *self, const struct event_log_entry *entry);
// broker_dead_letter_from gives the first dead letter at or above offset of one group, or,
// consumer NULL, of all; false: none.
bool broker_dead_letter_from(const struct broker *self, const struct consumer *consumer,
                             uint64_t offset, uint64_t *out);
// consumer_list puts a dead letter on the list, behind the others; consumer_unlist takes
// those from first up to end off it.
void consumer_list(struct consumer *self, uint64_t dead_letter);
void consumer_unlist(struct consumer *self, uint64_t first, uint64_t end);

// --- broker_admin.c
// broker_group_of gives the group that a message names; NULL: there is none, which was
// answered. The batch is synced: what comes next stands or falls alone. broker_done answers
// that it is done.
struct consumer *broker_group_of(struct broker *self, const struct message *message);
void broker_done(struct broker *self, const struct message *message, uint64_t offset, size_t count);
void broker_on_reset(struct broker *self, const struct message *message);
void broker_on_delete(struct broker *self, const struct message *message);
void broker_on_status(struct broker *self, const struct message *message);

// --- broker_retention.c
// broker_retain drops the oldest segment when that is due and it is time to look.
void broker_retain(struct broker *self);
// What keeps retention from dropping a segment that is due.
struct retention_hold {
    const char *group; // borrowed
    uint64_t offset;   // its floor, or of its oldest dead letter
    bool is_dead_letter;
};
// broker_retention_hold: false: nothing does.
bool broker_retention_hold(const struct broker *self, struct retention_hold *out);
// broker_skip_to ends what a group has below first, which the log loses or has lost. Members that
// held some of it lose their sessions, and with them the others. The backlog is the caller's.
void broker_skip_to(struct broker *self, struct consumer *consumer, uint64_t first);

// --- broker_save.c
// broker_put_kept appends what the file of the groups says; broker_take_kept takes it into
// a broker that has nothing yet. Its reader fails when no broker writes that, and what it took then
// is of no use.
void broker_put_kept(const struct broker *self, struct buf *out);
void broker_take_kept(void *broker, struct reader *in);

// --- broker_groups.c
enum err broker_load(struct broker *self, char **problem);
struct consumer *broker_find_consumer(const struct broker *self, struct bytes name);
// broker_add_consumer takes over group.
struct consumer *broker_add_consumer(struct broker *self, struct group *group);
// broker_remove_consumer takes it off the list; the caller destroys it. It has no members.
void broker_remove_consumer(struct broker *self, struct consumer *consumer);
void consumer_destroy(struct consumer **self_p);
// broker_count counts the events below end, the log's or a segment's, that are not done and that
// the group has taken (group_is_taken) or wants. It reads no more than the group's window and
// one stretch of the tallies.
// broker_set_topics: the group wants these from what is offered next on. What it has taken stays,
// and the backlog is counted anew. Errors of both as broker_read: all is as it was.
enum err broker_count(struct broker *self, const struct consumer *consumer, uint64_t end,
                      uint64_t *out);
enum err broker_set_topics(struct broker *self, struct consumer *consumer,
                           const struct topic_set *wanted);
static inline bool consumer_wants(const struct consumer *self, int topic)
{
    return topic == self->redrive_topic || topic_set_has(&self->wanted, topic);
}

#endif
