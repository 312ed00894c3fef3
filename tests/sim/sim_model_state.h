// sim_model_state - the inside of sim_model: sim_model_log.c is what is stored,
// sim_model_group.c the groups, sim_model_peer.c the messages, sim_model.c the rest.
#ifndef FAULTLINE_SIM_MODEL_STATE_H
#define FAULTLINE_SIM_MODEL_STATE_H

#include "tests/sim/sim_model.h"

enum {
    SIM_SEGMENTS_MAX = 128,
    SIM_NONE = -1,
};

// A record that the disk is sure to hold.
struct sim_stored {
    uint32_t crc;  // of all its bytes
    int64_t event; // SIM_NONE: a dead letter
    uint32_t key;
    int group;          // of a dead letter
    uint64_t letter_of; // offset of the event
};

// How far the durable bytes of a segment were read.
struct sim_segment {
    uint64_t base;
    uint64_t at; // the next batch; 0: nothing yet
};

// An event in a group. A version is the model's clock: what changed at or before the
// version that was saved last survives every crash.
struct sim_entry {
    bool matches;
    bool is_done, is_dying;
    uint32_t holder;                 // a peer; 0: nobody
    uint32_t attempts, attempts_min; // deliveries; a crash may forget some
    uint32_t failures, failures_saved;
    uint64_t done_version, failures_version, dying_version;
    int64_t not_before_ms; // of the retry
};

struct sim_group {
    struct sim_group_options options;
    bool exists;
    uint64_t start;                      // it gets what is stored from here on
    struct sim_entry *entries;           // owned; by offset
    uint64_t left;                       // that match and are not done
    uint64_t first_left;                 // nothing below is left; it may be too low
    uint64_t first_of_key[SIM_KEYS_MAX]; // the same for each key
};

// A connection, as the broker knows it.
struct sim_peer {
    bool has_session;
    int group; // SIM_NONE: not subscribed
    uint32_t credit, held;
    int asked_group; // of the SUBSCRIBE that is not answered
    uint32_t asked_credit;
};

struct sim_model {
    struct sim *sim;             // borrowed
    const struct sim_disk *disk; // borrowed
    struct sim_event *events;    // owned
    uint32_t events_count, events_capacity;
    struct sim_stored *stored; // owned; by offset
    uint64_t stored_count, stored_capacity;
    struct sim_segment segments[SIM_SEGMENTS_MAX];
    size_t segments_count;
    struct sim_group groups[SIM_GROUPS_MAX];
    size_t groups_count;
    struct sim_peer *peers; // owned; by the number in their routing id
    uint32_t peers_count;
    uint64_t version; // grows with each change of a group
    uint64_t replaced_version, saved_version;
    bool has_lost_power; // before the last start
    uint64_t read_count; // records read from the disk since the last reading of all
    uint64_t published, delivered, redelivered, acked, stale_acks, failed, dead_lettered;
};

// --- sim_model_log.c

// sim_log_synced reads what has become durable with path: a segment, or the names of all.
void sim_log_synced(struct sim_model *self, const char *path);

// sim_log_read_again reads all segments from their beginning: nothing is missing.
void sim_log_read_again(struct sim_model *self);

// sim_log_check: the broker gives the same bytes back for every offset.
void sim_log_check(struct sim_model *self, struct broker *broker);

// sim_log_has: whole is the record at offset, and durable. Else the simulation fails.
void sim_log_expect(struct sim_model *self, uint64_t offset, struct bytes whole, const char *what);

// --- sim_model_group.c

struct sim_entry *sim_group_entry(struct sim_group *self, uint64_t offset);
void sim_group_grow(struct sim_model *self, struct sim_group *group, uint64_t capacity);
void sim_group_stored(struct sim_model *self, struct sim_group *group, uint64_t offset);
void sim_group_begin(struct sim_model *self, struct sim_group *group, uint64_t start);
void sim_group_deliver(struct sim_model *self, uint32_t peer, uint64_t offset, uint32_t attempt);
void sim_group_ack(struct sim_model *self, uint32_t peer, uint64_t offset, uint32_t attempt);
void sim_group_fail(struct sim_model *self, uint32_t peer, uint64_t offset, uint32_t attempt,
                    int64_t delay_ms, bool rejects);
void sim_group_bury(struct sim_model *self, struct sim_group *group, uint64_t offset);
void sim_group_leave(struct sim_model *self, uint32_t peer);
void sim_group_check(struct sim_model *self, struct sim_group *group, struct broker *broker);
void sim_group_crashed(struct sim_group *group, uint64_t count);
void sim_group_started(struct sim_model *self, struct sim_group *group, struct broker *broker);
uint64_t sim_group_first_left(struct sim_model *self, struct sim_group *group);

#endif
