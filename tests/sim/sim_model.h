// sim_model - what must be true, kept beside the broker and compared after every step.
//
// It knows all events that producers ever had, reads what the disk is sure to hold by
// itself, sees every message that the broker takes and sends, and follows each event
// through each group:
//
//   stored: durable on the disk; only then may it be answered, delivered, read
//   held:   by one peer, as one attempt, within its credit, in the order of its key
//   failed: so often; then due again, not earlier than that, or dying
//   done:   acked by who held it, or its dead letter is durable; a change of topics ends nothing
//
// A crash may take back what the file of the groups does not know yet. The model then asks
// the group what it remembers, and fails when that is less than was saved or more than
// has happened.
#ifndef FAULTLINE_SIM_MODEL_H
#define FAULTLINE_SIM_MODEL_H

#include "broker/broker.h"
#include "common/bus.h"
#include "common/record.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_disk.h"

enum {
    SIM_GROUPS_MAX = 4,
    SIM_TOPICS_MAX = 4,
    SIM_KEYS_MAX = 6, // the first is no key
    SIM_ID_SIZE = 32,
};

// An event that a producer has or had to publish.
struct sim_event {
    char id[SIM_ID_SIZE];
    uint32_t topic, key;
    uint8_t *body; // owned
    size_t body_size;
    bool is_stored;
    uint64_t first_offset; // is_stored: where
    bool is_twice;         // and again, when the first was dropped or could not be read
};

// What a group shall be. All who subscribe to it say the same, but for the topics.
struct sim_group_options {
    const char *name;
    uint32_t topics; // a bit each; those of the newest SUBSCRIBE
    uint32_t retries_max;
    bool from_latest, is_unordered;
};

struct sim_model; // opaque

struct sim_model_options {
    size_t letters_max;   // dead letters that a group may have
    bool can_store_twice; // ids cannot be told apart; no event may be taken for another one
    bool retention_ignores_groups; // events go that a group has not handled
    uint64_t disk_bytes_max;       // of the log; of these, what publishes may use
    uint64_t publish_bytes_max;
};

struct sim_model *sim_model_new(struct sim *sim, const struct sim_disk *disk,
                                const struct sim_model_options *options);
void sim_model_destroy(struct sim_model **self_p);

const char *sim_topic_name(uint32_t topic);
const char *sim_key_name(uint32_t key);

// sim_model_add_group gives the group's number, sim_model_add_event the event's.
size_t sim_model_add_group(struct sim_model *self, const struct sim_group_options *options);
uint32_t sim_model_add_event(struct sim_model *self, uint32_t topic, uint32_t key,
                             size_t body_size);
const struct sim_event *sim_model_event(const struct sim_model *self, uint32_t event);

// --- what the disk tells

void sim_model_synced(struct sim_model *self, const char *path);
void sim_model_replaced(struct sim_model *self, const char *path);

// --- what the broker takes and sends

void sim_model_broker_takes(struct sim_model *self, struct bytes peer, struct bytes control,
                            struct bytes batch);
void sim_model_broker_sends(struct sim_model *self, struct bytes peer, struct bytes control,
                            struct bytes batch, enum err result);

// sim_model_check compares the broker with the model, after each of its rounds.
void sim_model_check(struct sim_model *self, struct broker *broker);

// sim_model_crashed: its process has ended, perhaps with the machine. sim_model_started: the
// next one runs.
void sim_model_crashed(struct sim_model *self, bool has_lost_power);
void sim_model_started(struct sim_model *self, struct broker *broker);

// --- what clients see

void sim_model_answered(struct sim_model *self, uint32_t event, const struct bus_input *input);
void sim_model_delivered(struct sim_model *self, const struct bus_delivery *delivery);

// sim_model_left counts the events that groups still need; 0: all is done.
uint64_t sim_model_left(const struct sim_model *self);

// sim_model_starving counts those that somebody could do now: nobody holds them, nor an
// earlier one of their key.
uint64_t sim_model_starving(struct sim_model *self);

// sim_model_finish: nothing more happens; what has to be true now?
void sim_model_finish(struct sim_model *self);

// sim_model_explain traces what is left.
void sim_model_explain(struct sim_model *self);

#endif
