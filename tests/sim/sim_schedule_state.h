// sim_schedule_state - the inside of a schedule: sim_cast.c is who there is, sim_faults.c what
// goes wrong, sim_schedule.c who acts when, and the end.
#ifndef FAULTLINE_SIM_SCHEDULE_STATE_H
#define FAULTLINE_SIM_SCHEDULE_STATE_H

#include "tests/sim/sim_apps.h"
#include "tests/sim/sim_broker.h"
#include "tests/sim/sim_operator.h"
#include "tests/sim/sim_schedule.h"

enum {
    SIM_PRODUCERS_MAX = 3,
    SIM_MEMBERS_MAX = 4, // of a group
    SIM_ACTORS_MAX = SIM_PRODUCERS_MAX + SIM_GROUPS_MAX * SIM_MEMBERS_MAX,
    SIM_NAME_SIZE = 32,
};

#define SIM_NEVER INT64_MAX

// What can go wrong. A seed takes some of them, and how often.
enum sim_fault {
    SIM_FAULT_CUT,
    SIM_FAULT_KILL_CLIENT,
    SIM_FAULT_LEAVE,
    SIM_FAULT_PAUSE_CLIENT,
    SIM_FAULT_HANG,
    SIM_FAULT_CREDIT,
    SIM_FAULT_KILL_BROKER,
    SIM_FAULT_KILL_WITHIN,
    SIM_FAULT_POWER,
    SIM_FAULT_STOP_BROKER,
    SIM_FAULT_PAUSE_BROKER,
    SIM_FAULT_FULL_DISK,
    SIM_FAULT_BAD_DISK,
    SIM_FAULT_CALENDAR,
    SIM_FAULT_COUNT
};

struct sim_actor {
    struct sim_client *client;     // owned
    struct sim_producer *producer; // owned; one of these two
    struct sim_consumer *consumer; // owned
    char member[SIM_NAME_SIZE];
    const char *topics[SIM_TOPICS_MAX]; // that it subscribes to
    size_t topics_count;
    uint32_t credit;
    bool is_twin;     // of a member of the same name
    bool hangs;       // when the faults have ended; others of its group do not
    int64_t start_us; // when it comes up again; SIM_NEVER: that is not planned
};

struct sim_schedule {
    struct sim sim;
    struct sim_net *net;            // owned
    struct sim_broker *broker;      // owned
    struct sim_model *model;        // owned
    struct sim_operator *operator_; // owned
    struct sim_actor actors[SIM_ACTORS_MAX];
    size_t actors_count;
    uint32_t weights[SIM_FAULT_COUNT];
    uint32_t weights_sum;
    int64_t fault_pause_us; // the longest between two
    int64_t next_fault_us;
    int64_t broker_start_us; // when it comes up again; SIM_NEVER: that is not planned
    int64_t disk_good_us;    // when the disk is good again; 0: it is
    bool is_quiet;
    bool has_quota;     // of the disk: retention must take something for publishes to go on
    bool needs_redrive; // a dead letter may keep groups, or publishes, waiting
};

// sim_cast_set_up makes all who are to act, sim_cast_tear_down frees them.
void sim_cast_set_up(struct sim_schedule *self);
void sim_cast_tear_down(struct sim_schedule *self);

// sim_faults_choose decides what may go wrong, sim_faults_strike lets something go wrong,
// sim_faults_follow perhaps, when the broker has started again.
void sim_faults_choose(struct sim_schedule *self);
void sim_faults_strike(struct sim_schedule *self);
void sim_faults_follow(struct sim_schedule *self);
void sim_faults_mend_disk(struct sim_schedule *self);

#endif
