// sim_model_state - the inside of sim_model: sim_model_log.c is what is stored,
// sim_model_group.c the groups, sim_model_beside.c compares them with the broker's,
// sim_model_peer.c is the messages, sim_model_report.c reports, sim_model.c the rest.
#ifndef FAULTLINE_SIM_MODEL_STATE_H
#define FAULTLINE_SIM_MODEL_STATE_H

#include "tests/sim/sim_model.h"

enum {
    SIM_SEGMENTS_MAX = 128,
    SIM_NONE = -1,
};

// A record that the disk is sure to hold.
struct sim_stored {
    enum sim_kind {
        SIM_PUBLISHED,
        SIM_LETTER, // a dead letter of a group
        SIM_COPY    // of one, given back to its group
    } kind;
    uint32_t crc;     // of all its bytes
    uint64_t time_us; // of its batch
    uint32_t event;   // that it is, or of which it is a letter or a copy
    uint32_t key;
    int group;   // unless published
    uint64_t of; // a letter: the offset given up; a copy: the dead letter's
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
    bool is_skipped;                 // is_done, since retention took it
    uint32_t holder;                 // a peer; 0: nobody
    uint32_t attempts, attempts_min; // deliveries; a crash may forget some
    uint32_t failures, failures_saved;
    uint64_t done_version, failures_version, dying_version;
    int64_t not_before_ms; // of the retry
};

struct sim_group {
    struct sim_group_options options;
    bool exists;
    uint64_t topics_version;             // when they changed; 0: they came from the file
    uint64_t start;                      // it gets what is stored from here on
    struct sim_entry *entries;           // owned; by offset
    uint64_t left;                       // that match and are not done
    uint64_t first_left;                 // nothing below is left; it may be too low
    uint64_t first_of_key[SIM_KEYS_MAX]; // the same for each key
    uint64_t *letters;                   // owned; its dead letters that are listed, ascending
    size_t letters_count, letters_capacity;
};

// A connection, as the broker knows it.
struct sim_peer {
    bool has_session;
    int group; // SIM_NONE: not subscribed
    uint32_t credit, held;
    int asked_group; // of the SUBSCRIBE that is not answered
    uint32_t asked_credit, asked_topics;
};

// What an operator asked for and was not answered yet.
struct sim_asked {
    uint32_t peer;
    uint64_t request;
    uint8_t type; // of enum wire_type; 0: nothing
    int group;    // SIM_NONE: of none that there is
    uint8_t reset_to;
    uint64_t offset;
};

struct sim_model {
    struct sim *sim;             // borrowed
    const struct sim_disk *disk; // borrowed
    struct broker *broker;       // borrowed; NULL: it does not run
    struct sim_model_options options;
    struct sim_event *events; // owned
    uint32_t events_count, events_capacity;
    struct sim_stored *stored; // owned; by offset
    uint64_t first_kept;       // retention has dropped what is below
    uint64_t oldest_end;       // of the oldest segment; the next one may have no file yet
    uint64_t stored_count, stored_capacity;
    struct sim_segment segments[SIM_SEGMENTS_MAX];
    size_t segments_count;
    struct sim_group groups[SIM_GROUPS_MAX];
    size_t groups_count;
    struct sim_peer *peers; // owned; by the number in their routing id
    uint32_t peers_count;
    uint64_t version; // grows with each change of a group
    uint64_t replaced_version, saved_version;
    uint64_t clean_version; // nothing since then has to be saved
    bool has_lost_power;    // before the last start
    uint64_t failed_calls;  // of the disk, in all, when this began
    uint64_t troubles;      // that the disk has made so far
    int64_t unsaved_ms;     // since when the file of the groups lags; -1: it does not
    int64_t patient_ms;     // until then a disk in trouble excuses that
    struct sim_asked asked;
    uint64_t read_count; // records read from the disk since the last reading of all
    uint64_t published, delivered, redelivered, acked, stale_acks, failed, dead_lettered, redriven;
};

// sim_model_may_store_twice: ids cannot be told apart, or a record could not be read when a
// publish came again: then it is stored once more, rather than not at all.
bool sim_model_may_store_twice(const struct sim_model *self);

// --- sim_model_log.c

// sim_log_synced reads what has become durable with path: a segment, or the names of all.
void sim_log_synced(struct sim_model *self, const char *path);

// sim_log_read_again reads all segments from their beginning: from first on nothing is missing.
void sim_log_read_again(struct sim_model *self, uint64_t first);

// sim_log_dropped: the log begins at first now; nobody needs what is below.
void sim_log_dropped(struct sim_model *self, uint64_t first);

// sim_log_border: where the segment of offset begins.
uint64_t sim_log_border(const struct sim_model *self, uint64_t offset);

// sim_log_check: the broker gives the same bytes back for every offset.
void sim_log_check(struct sim_model *self, struct broker *broker);

// sim_log_expect: record is the one at offset, and durable; one that is delivered has its event's
// topic, whatever its own. Else the simulation fails, in the words of what.
void sim_log_expect(struct sim_model *self, uint64_t offset, const struct record *record,
                    const char *what);
void sim_log_expect_event(struct sim_model *self, uint64_t offset, const struct record *record,
                          const char *what);

// --- sim_model_group.c

// sim_group_entry is what the group has of an offset; sim_entry_is_left: it matches and is
// not done. sim_group_first_left: the lowest offset of such; stored_count: none.
struct sim_entry *sim_group_entry(struct sim_group *self, uint64_t offset);
bool sim_entry_is_left(const struct sim_entry *entry);
uint64_t sim_group_first_left(struct sim_model *self, struct sim_group *group);

// sim_group_wants: the record at offset is for the group, wherever that begins.
bool sim_group_wants(const struct sim_model *self, const struct sim_group *group, uint64_t offset);

// sim_group_starving: as sim_model_starving.
uint64_t sim_group_starving(struct sim_model *self, struct sim_group *group);

// sim_group_look_again: what is left may begin anywhere again.
void sim_group_look_again(struct sim_group *group);

// sim_group_grow makes room for capacity offsets; sim_group_stored: one more is durable.
void sim_group_grow(struct sim_model *self, struct sim_group *group, uint64_t capacity);
void sim_group_stored(struct sim_model *self, struct sim_group *group, uint64_t offset);

// The life of a group: it begins, is reset, is deleted.
void sim_group_begin(struct sim_model *self, struct sim_group *group, uint64_t start);
void sim_group_reset(struct sim_model *self, struct sim_group *group, uint64_t offset);
void sim_group_delete(struct sim_group *group);

// What passes between the broker and a member, and that a session has ended.
void sim_group_deliver(struct sim_model *self, uint32_t peer, uint64_t offset, uint32_t attempt);
void sim_group_ack(struct sim_model *self, uint32_t peer, uint64_t offset, uint32_t attempt);
void sim_group_fail(struct sim_model *self, uint32_t peer, uint64_t offset, uint32_t attempt,
                    int64_t delay_ms, bool rejects);
void sim_group_leave(struct sim_model *self, uint32_t peer);

// sim_group_bury: the dead letter of offset is durable, at letter; sim_group_redriven: a copy
// of that letter is.
void sim_group_bury(struct sim_model *self, struct sim_group *group, uint64_t offset,
                    uint64_t letter);
void sim_group_redriven(struct sim_model *self, struct sim_group *group, uint64_t letter);

// --- sim_model_beside.c

// sim_group_topics: a SUBSCRIBE names these. They decide of what is offered from now on: what was
// offered and is not done stays under way, what was passed over stays so.
void sim_group_topics(struct sim_model *self, struct sim_group *group, uint32_t topics);

// After a round, at the end of a process, and when the next one has read its files.
void sim_group_check(struct sim_model *self, struct sim_group *group, struct broker *broker);
void sim_group_crashed(struct sim_group *group, uint64_t count);
void sim_group_started(struct sim_model *self, struct sim_group *group, struct broker *broker);

// --- sim_model_peer.c

// sim_reset_target: where the RESET that was asked for leads, now.
uint64_t sim_reset_target(const struct sim_model *self);

// --- sim_model_report.c
void sim_report_check(struct sim_model *self, struct bytes json);

#endif
