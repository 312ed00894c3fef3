// What goes wrong in a schedule.
#include "tests/sim/sim_schedule_state.h"

#define HOUR_US INT64_C(3600000000)

void sim_faults_choose(struct sim_schedule *self)
{
    static const uint32_t weights[SIM_FAULT_COUNT] = {
        [SIM_FAULT_CUT] = 6,
        [SIM_FAULT_KILL_CLIENT] = 5,
        [SIM_FAULT_LEAVE] = 3,
        [SIM_FAULT_PAUSE_CLIENT] = 3,
        [SIM_FAULT_HANG] = 3,
        [SIM_FAULT_CREDIT] = 3,
        [SIM_FAULT_KILL_BROKER] = 3,
        [SIM_FAULT_KILL_WITHIN] = 5,
        [SIM_FAULT_POWER] = 4,
        [SIM_FAULT_STOP_BROKER] = 1,
        [SIM_FAULT_PAUSE_BROKER] = 2,
        [SIM_FAULT_FULL_DISK] = 3,
        [SIM_FAULT_BAD_DISK] = 3,
        [SIM_FAULT_CALENDAR] = 1,
    };
    for (size_t i = 0; i < SIM_FAULT_COUNT; i++) {
        self->weights[i] = sim_chance(&self->sim, 600) ? weights[i] : 0;
        self->weights_sum += self->weights[i];
    }
    self->fault_pause_us = sim_between(&self->sim, 100000, 1000000);
    self->next_fault_us = self->sim.now_us + sim_between(&self->sim, 0, self->fault_pause_us);
}

static void spoil_disk(struct sim_schedule *self, bool is_full)
{
    struct sim *sim = &self->sim;
    struct sim_disk *disk = sim_broker_disk(self->broker);
    const struct sim_disk_faults faults = {
        .short_writes = 50,
        .interruptions = 30,
        .failed_calls = sim_chance(sim, 500) ? 10 : 0,
        .failed_syncs = sim_chance(sim, 500) ? 60 : 0,
        .slow_syncs = sim_chance(sim, 300) ? 50 : 0,
    };
    if (is_full) {
        sim_disk_limit(disk, sim_below(sim, 600));
    } else {
        sim_disk_set_faults(disk, &faults);
    }
    sim_trace(sim, "fault: the disk is %s", is_full ? "nearly full" : "bad");
    self->disk_good_us = sim->now_us + sim_between(sim, 10000, 1500000);
}

void sim_faults_mend_disk(struct sim_schedule *self)
{
    sim_disk_limit(sim_broker_disk(self->broker), SIM_DISK_NO_LIMIT);
    sim_disk_set_faults(sim_broker_disk(self->broker), &(struct sim_disk_faults){0});
    self->disk_good_us = 0;
}

static void wrong_client(struct sim_schedule *self, enum sim_fault fault)
{
    struct sim *sim = &self->sim;
    const size_t at = (size_t)sim_below(sim, self->actors_count);
    struct sim_actor *actor = &self->actors[at];
    if (fault == SIM_FAULT_CUT) {
        sim_net_cut(self->net, at, sim_chance(sim, 300) ? 3000000 : 20000);
    } else if (!sim_client_is_up(actor->client)) {
        return;
    } else if (fault == SIM_FAULT_KILL_CLIENT) {
        sim_client_kill(actor->client, sim_chance(sim, 300));
        if (sim_chance(sim, 200)) {
            sim_client_skew(actor->client, -sim_between(sim, 0, 10000000));
        }
    } else if (fault == SIM_FAULT_LEAVE) {
        sim_client_leave(actor->client);
    } else if (fault == SIM_FAULT_PAUSE_CLIENT) {
        sim_client_pause(actor->client, sim->now_us + sim_between(sim, 1000, 4000000));
    } else if (fault == SIM_FAULT_HANG && actor->consumer != NULL) {
        sim_consumer_hang(actor->consumer, sim->now_us + sim_between(sim, 1000, 4000000));
    } else if (fault == SIM_FAULT_CREDIT && actor->consumer != NULL) {
        sim_client_set_credit(actor->client, (uint32_t)sim_below(sim, 2 * actor->credit));
    }
}

static void wrong_broker(struct sim_schedule *self, enum sim_fault fault)
{
    struct sim *sim = &self->sim;
    if (fault == SIM_FAULT_KILL_BROKER || fault == SIM_FAULT_POWER) {
        sim_broker_kill(self->broker, fault == SIM_FAULT_POWER);
    } else if (fault == SIM_FAULT_KILL_WITHIN) {
        const bool is_at_sync = sim_chance(sim, 500);
        const uint32_t calls = 1 + (uint32_t)sim_below(sim, is_at_sync ? 4 : 40);
        sim_broker_kill_within(self->broker, calls, is_at_sync, sim_chance(sim, 600));
    } else if (fault == SIM_FAULT_STOP_BROKER) {
        sim_broker_stop(self->broker);
    } else if (fault == SIM_FAULT_PAUSE_BROKER) {
        sim_broker_pause(self->broker, sim->now_us + sim_between(sim, 1000, 4000000));
    } else if (fault == SIM_FAULT_CALENDAR) {
        sim_count(sim, SIM_CALENDAR_JUMPS);
        sim->wall_us += sim_between(sim, 0, 2 * HOUR_US);
    } else if (self->disk_good_us == 0) {
        spoil_disk(self, fault == SIM_FAULT_FULL_DISK);
    }
}

void sim_faults_strike(struct sim_schedule *self)
{
    self->next_fault_us = self->sim.now_us + sim_between(&self->sim, 1, self->fault_pause_us);
    if (self->weights_sum == 0) {
        return;
    }
    uint64_t at = sim_below(&self->sim, self->weights_sum);
    size_t fault = 0;
    while (at >= self->weights[fault]) {
        at -= self->weights[fault++];
    }
    if (fault < SIM_FAULT_KILL_BROKER) {
        wrong_client(self, (enum sim_fault)fault);
    } else {
        wrong_broker(self, (enum sim_fault)fault);
    }
}

// What one death has left half done may need another one soon, to do harm.
void sim_faults_follow(struct sim_schedule *self)
{
    struct sim *sim = &self->sim;
    if (!self->is_quiet && self->weights[SIM_FAULT_KILL_WITHIN] > 0 && sim_chance(sim, 300)) {
        const uint32_t calls = 1 + (uint32_t)sim_below(sim, 60);
        sim_broker_kill_within(self->broker, calls, false, sim_chance(sim, 700));
    }
}
