// broker_state - the broker's inside, shared by its own files and nobody else's:
//
//   broker.c           open, receive, turn
//   broker_session.c   HELLO, SUBSCRIBE, CREDIT, BYE, heartbeats
//   broker_publish.c   PUBLISH, READ, the sync and the answers after it
//   broker_deliver.c   ACK, NACK, REJECT, and what groups are given
//   broker_bury.c      dead letters
//   broker_store.c     the file of the groups, and what a start reads back
#ifndef FAULTLINE_BROKER_STATE_H
#define FAULTLINE_BROKER_STATE_H

#include "broker/broker.h"
#include "broker/consumer.h"
#include "broker/dead_letter.h"
#include "broker/session.h"
#include "broker/topic_table.h"
#include "common/wire.h"

enum {
    BROKER_CODES = 12,
    // A member that does not ack is sent no more than about this, whatever its credit.
    BROKER_HELD_BYTES_MAX = 8 * 1024 * 1024,
    BROKER_BATCH_BYTES_MAX = EVENT_LOG_BATCH_MAX - 64 * 1024, // what the log adds is far less
    BROKER_BLOCKED_MS = 10,    // how long a member with a full queue is left alone
    BROKER_RETRY_MS = 1000,    // after a disk that was full, or a record that cannot be read
    BROKER_TIDY_MS = 1000,     // buffers not used for this long are given back
    BROKER_OFFERS_MAX = 16384, // records a group looks at in one turn
    BROKER_DEADLINE_MAX_MS = 60000,
};

// A publish whose batch is appended and not synced.
struct waiting_publish {
    uint64_t session;
    uint64_t request;
    uint64_t offset; // of the first
    uint32_t count;
    bool answered; // the client wants an answer
};

// A dead letter that is appended and not synced.
struct burial {
    struct consumer *consumer; // borrowed
    uint64_t offset;           // of the event
    uint64_t dead_letter;      // its own
};

// Deliveries that gather for one member: one DELIVER.
struct parcel {
    uint64_t member;
    struct buf entries;
    struct group_delivery *deliveries; // owned; as many as count
    size_t capacity;
    uint32_t count;
};

struct broker {
    struct broker_options options;
    struct event_log *log; // borrowed
    struct session_table *sessions;
    struct topic_table *topics;
    struct consumer *consumers[BROKER_GROUPS_MAX]; // owned
    size_t consumers_count;

    // Two readers for all: groups that keep up look at the same records one after
    // the other, so they share a buffer; a group that lags has its own.
    struct event_log_cursor *tail;
    struct event_log_cursor *elsewhere; // retries, dead letters, READ
    uint64_t tail_from;                 // where the last batch began

    // The batch: appended since the last sync.
    struct waiting_publish *publishes; // owned
    size_t publishes_count, publishes_capacity;
    struct burial *burials; // owned
    size_t burials_count, burials_capacity;
    size_t batch_bytes;
    uint32_t batch_records[TOPIC_SLOTS]; // how many of each topic

    struct record *checked; // owned; the records of the PUBLISH at hand
    struct buf frame;       // scratch: a control frame
    struct buf entries;     // scratch: a batch frame or a record

    struct parcel parcels[GROUP_MEMBERS_MAX]; // of the group at hand
    size_t parcels_count;

    int64_t awake_by_ms;   // broker_turn expects to be called by then; 0: any time
    int64_t delivered_ms;  // when groups were last asked for deliveries
    int64_t save_due_ms;   // 0: the groups' file is up to date
    int64_t bury_after_ms; // 0: now; the disk was full
    int64_t tidy_due_ms;   // 0: nothing to give back
    int64_t complain_ms;   // malformed messages are logged again from then on
    uint64_t complaints;   // not logged since
    bool more;             // there is more to do at once
    int64_t started_us;    // wall clock

    struct broker_counters counters;
    uint64_t refused[BROKER_CODES]; // by broker_codes
};

extern const char *const broker_codes[BROKER_CODES];

int64_t broker_now_ms(const struct broker *self);

// broker_send sends to a session. When it cannot, the session is lost and ends with this
// turn: a client that misses an answer must find that out, and say HELLO again.
void broker_send(struct broker *self, struct session *session, const struct wire_control *control,
                 struct bytes batch);

// broker_refuse sends ERROR to a peer, counts and logs it.
struct refusal {
    uint64_t request; // 0: about none
    uint32_t index;   // of the bad record, or WIRE_INDEX_NONE
    const char *code;
    const char *detail;
};
void broker_refuse(struct broker *self, struct bytes peer, const struct refusal *refusal);

// broker_refuse_session does that for something that is about no request.
void broker_refuse_session(struct broker *self, struct bytes peer, const char *code,
                           const char *detail);

// A message: who sent it, its control frame, its batch.
struct message {
    struct session *session; // borrowed; it may end
    const struct wire_control *control;
    struct bytes batch;
};

void broker_refuse_message(struct broker *self, const struct message *message, const char *code,
                           const char *detail);

// --- broker_session.c
void broker_on_hello(struct broker *self, struct bytes peer, const struct wire_control *control);
void broker_on_subscribe(struct broker *self, const struct message *message);
void broker_on_credit(struct broker *self, const struct message *message);
void broker_on_bye(struct broker *self, const struct message *message);
// broker_end_session hands what it held to others and forgets it.
void broker_end_session(struct broker *self, struct session *session, const char *why);
// broker_apply_credit tells the group how much this member may hold now.
void broker_apply_credit(struct broker *self, struct session *session);
// broker_heartbeats ends lost and (when all that has arrived was read) silent
// sessions, wakes blocked ones, sends PING.
void broker_heartbeats(struct broker *self, bool all_read);

// --- broker_publish.c
void broker_on_publish(struct broker *self, const struct message *message);
void broker_on_read(struct broker *self, const struct message *message);
// broker_read reads a record; damage is logged. Errors as event_log_cursor_read.
enum err broker_read(struct broker *self, struct event_log_cursor *cursor, uint64_t offset,
                     struct event_log_entry *out);
// broker_append adds a checked record of a topic to the batch.
uint64_t broker_append(struct broker *self, struct bytes record, int topic);
// broker_make_room syncs when bytes more would not fit into the batch.
void broker_make_room(struct broker *self, size_t bytes);
// broker_sync makes the batch durable and answers. ERR_FULL: refused to all.
enum err broker_sync(struct broker *self);

// --- broker_deliver.c
void broker_on_ack(struct broker *self, const struct message *message);
void broker_on_nack(struct broker *self, const struct message *message);
void broker_on_reject(struct broker *self, const struct message *message);
void broker_deliver(struct broker *self);

// --- broker_bury.c
// broker_append_dead_letters writes the dead letters that are due into the batch.
void broker_append_dead_letters(struct broker *self);
// broker_bury ends the entries whose dead letters are durable now.
void broker_bury(struct broker *self);

// --- broker_store.c
enum err broker_load(struct broker *self, char **problem);
struct consumer *broker_find_consumer(const struct broker *self, struct bytes name);
// broker_count_backlog counts a group's backlog anew: its topics have changed.
void broker_count_backlog(struct broker *self, struct consumer *consumer);

#endif
