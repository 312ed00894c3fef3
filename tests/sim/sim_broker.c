#include "tests/sim/sim_broker.h"

#include <setjmp.h>
#include <stdlib.h>

#include "broker/broker.h"
#include "common/mem.h"

enum {
    DRAIN_MAX = 8, // messages of a round; the real one takes more, but so fewer rounds do
    STOP_ROUNDS_MAX = 64,
    EVENT_BYTES_MAX = 4096,
};

struct sim_broker {
    struct sim *sim;         // borrowed
    struct sim_net *net;     // borrowed
    struct sim_model *model; // borrowed
    struct sim_disk *disk;   // owned
    struct sim_broker_options options;
    struct broker *broker; // owned; NULL: no process
    int64_t busy_us;       // its last round took until then
    int64_t wake_us;       // when it wants to do the next one, though nothing came
    int64_t pause_us;      // SIGSTOP until then
    int64_t ended_us;      // when the last process ended
    bool is_dead;          // killed; what still runs is a ghost that nobody sees
    bool loses_power;      // of the death that comes or came
    uint32_t calls_left;   // until it dies; 0: it does not
    bool counts_syncs;     // of these only
    bool is_observed;      // the model reads through it: no fault, no death
    jmp_buf *death;        // where a process goes that ends itself
};

// --- dying

static void die(struct sim_broker *self, bool loses_power)
{
    if (!self->is_dead) {
        self->is_dead = true;
        self->loses_power = loses_power;
        self->calls_left = 0;
        sim_count(self->sim, loses_power ? SIM_POWER_LOSSES : SIM_BROKER_KILLS);
        sim_trace(self->sim, loses_power ? "broker: the power fails" : "broker: is killed");
        sim_disk_crash(self->disk, loses_power);
    }
}

static void on_call(void *context, bool is_sync)
{
    struct sim_broker *self = context;
    const bool counts = is_sync || !self->counts_syncs;
    if (counts && self->calls_left > 0 && !self->is_observed && --self->calls_left == 0) {
        sim_count(self->sim, SIM_KILLS_IN_A_CALL);
        die(self, self->loses_power);
    }
}

// The disk told it that nobody knows any more what it holds.
static void on_death(void *context, const char *sentence)
{
    struct sim_broker *self = context;
    sim_trace(self->sim, "broker: %s", sentence);
    die(self, sim_chance(self->sim, 300));
    longjmp(*self->death, 1);
}

// The process is gone; what it left is there for the next one.
static void bury(struct sim_broker *self)
{
    broker_destroy(&self->broker);
    sim_net_unbind(self->net);
    sim_disk_restart(self->disk);
    sim_model_crashed(self->model, self->loses_power);
    self->is_dead = false;
    self->calls_left = 0;
    self->ended_us = self->sim->now_us + self->sim->lead_us;
    if (self->ended_us < self->busy_us) {
        self->ended_us = self->busy_us; // what its last round did was not done before
    }
    self->sim->lead_us = 0;
}

// Does work as the process, which may end meanwhile.
static void live(struct sim_broker *self, void (*work)(struct sim_broker *self))
{
    jmp_buf death;
    self->death = &death;
    if (setjmp(death) == 0) {
        work(self);
    }
    self->death = NULL;
    if (self->is_dead) {
        bury(self);
    }
}

// --- the world

static enum err world_send(void *context, struct bytes peer, struct bytes control,
                           struct bytes batch)
{
    struct sim_broker *self = context;
    on_call(self, false);
    if (self->is_dead) {
        return ERR_OK;
    }
    const int64_t at_us = self->sim->now_us + self->sim->lead_us;
    const enum err err = sim_net_route(self->net, peer, control, batch, at_us);
    sim_model_broker_sends(self->model, peer, control, batch, err);
    return err;
}

static int64_t world_mono_us(void *context)
{
    const struct sim_broker *self = context;
    return self->sim->now_us + self->sim->lead_us;
}

static int64_t world_wall_us(void *context)
{
    const struct sim_broker *self = context;
    return self->sim->wall_us + self->sim->now_us + self->sim->lead_us;
}

static uint64_t world_random(void *context)
{
    struct sim_broker *self = context;
    return self->options.has_weak_random ? 0 : sim_random(self->sim);
}

static void on_spent(void *context, int64_t us)
{
    ((struct sim_broker *)context)->sim->lead_us += us;
}

static void on_synced(void *context, const char *path)
{
    struct sim_broker *self = context;
    if (!self->is_dead) {
        sim_model_synced(self->model, path);
    }
}

static void on_replaced(void *context, const char *path)
{
    struct sim_broker *self = context;
    if (!self->is_dead) {
        sim_model_replaced(self->model, path);
    }
}

// --- life

struct sim_broker *sim_broker_new(struct sim *sim, struct sim_net *net,
                                  const struct sim_broker_options *options)
{
    struct sim_broker *self = mem_calloc(1, sizeof *self);
    self->sim = sim;
    self->net = net;
    self->options = *options;
    const struct sim_disk_watch watch = {
        .context = self,
        .called = on_call,
        .spent = on_spent,
        .synced = on_synced,
        .replaced = on_replaced,
        .died = on_death,
    };
    self->disk = sim_disk_new(sim, &watch);
    return self;
}

void sim_broker_destroy(struct sim_broker **self_p)
{
    struct sim_broker *self = *self_p;
    if (self != NULL) {
        broker_destroy(&self->broker);
        sim_disk_destroy(&self->disk);
        free(self);
        *self_p = NULL;
    }
}

struct sim_disk *sim_broker_disk(const struct sim_broker *self)
{
    return self->disk;
}

void sim_broker_watch(struct sim_broker *self, struct sim_model *model)
{
    self->model = model;
}

bool sim_broker_is_up(const struct sim_broker *self)
{
    return self->broker != NULL;
}

int64_t sim_broker_ended_us(const struct sim_broker *self)
{
    return self->ended_us;
}

static void observe(struct sim_broker *self, void (*look)(struct sim_model *, struct broker *))
{
    if (!self->is_dead) {
        self->is_observed = true;
        sim_disk_observe(self->disk, true);
        look(self->model, self->broker);
        sim_disk_observe(self->disk, false);
        self->is_observed = false;
    }
}

static void start(struct sim_broker *self)
{
    const struct broker_options options = {
        .log =
            {
                .directory = "/data/log",
                .segment_bytes = self->options.segment_bytes,
                .disk_bytes_max = self->options.disk_bytes_max,
                .reserve_bytes = self->options.reserve_bytes,
                .disk = sim_disk_table(self->disk),
            },
        .directory = "/data",
        .heartbeat_ms = self->options.heartbeat_ms,
        .event_bytes_max = EVENT_BYTES_MAX,
        .sessions_max = self->options.sessions_max,
        .dead_letters_max = self->options.dead_letters_max,
        .retention_bytes = self->options.retention_bytes,
        .retention_hours = self->options.retention_hours,
        .retention_ignores_groups = self->options.retention_ignores_groups,
        .world = {self, world_send, world_mono_us, world_wall_us, world_random},
    };
    char *problem = NULL;
    const enum err err = broker_open(&self->broker, &options, &problem);
    if (err == ERR_OK) {
        observe(self, sim_model_started);
    } else if (err == ERR_IO || err == ERR_FULL || self->is_dead) {
        sim_trace(self->sim, "broker: cannot start: %s", problem);
        sim_count(self->sim, SIM_FAILED_STARTS);
        free(problem);
        die(self, false);
    } else {
        sim_fail(self->sim, "the broker refuses to start: %s", problem);
    }
}

void sim_broker_start(struct sim_broker *self)
{
    sim_trace(self->sim, "broker: starts");
    live(self, start);
    if (self->broker != NULL) {
        sim_net_bind(self->net);
        self->busy_us = self->wake_us = self->sim->now_us + self->sim->lead_us;
        self->pause_us = 0;
    }
    self->sim->lead_us = 0;
}

int64_t sim_broker_next_us(const struct sim_broker *self)
{
    if (self->broker == NULL) {
        return INT64_MAX;
    }
    const int64_t next_us = sim_net_has_input(self->net) ? self->busy_us : self->wake_us;
    return next_us > self->pause_us ? next_us : self->pause_us;
}

// Takes what waits, as much as a round may hold. true: all of it.
static bool drain(struct sim_broker *self)
{
    for (int i = 0; i < DRAIN_MAX; i++) {
        struct sim_message *message = sim_net_receive(self->net);
        if (message == NULL) {
            return true;
        }
        const struct bytes peer = {.data = message->peer, .size = sizeof message->peer};
        const struct bytes frames[] = {buf_view(&message->control), buf_view(&message->batch)};
        sim_note_bytes(self->sim, frames[0]);
        if (!self->is_dead) {
            sim_model_broker_takes(self->model, peer, frames[0], frames[1]);
        }
        broker_receive(self->broker, peer, frames, message->has_batch ? 2 : 1);
        sim_message_free(message);
    }
    return false;
}

static void round_do(struct sim_broker *self)
{
    const bool all_read = drain(self);
    const bool more = broker_turn(self->broker, all_read);
    observe(self, sim_model_check);
    const int64_t wait_us = more || !all_read ? 0 : broker_deadline_ms(self->broker) * 1000;
    self->busy_us = self->sim->now_us + self->sim->lead_us;
    self->wake_us = self->busy_us + wait_us;
}

void sim_broker_step(struct sim_broker *self)
{
    live(self, round_do);
    self->sim->lead_us = 0;
}

static void stop(struct sim_broker *self)
{
    for (int rounds = 0; rounds < STOP_ROUNDS_MAX && !drain(self); rounds++) {
        (void)broker_turn(self->broker, false);
        observe(self, sim_model_check);
    }
    (void)broker_stop(self->broker);
    if (!self->is_dead) {
        self->is_dead = true; // as a killed one: what it wrote is in the page cache at least
        self->loses_power = false;
        sim_disk_crash(self->disk, false);
    }
}

void sim_broker_stop(struct sim_broker *self)
{
    if (self->broker != NULL) {
        sim_count(self->sim, SIM_BROKER_STOPS);
        sim_trace(self->sim, "broker: stops");
        live(self, stop);
        self->sim->lead_us = 0;
    }
}

static void kill_now(struct sim_broker *self)
{
    die(self, self->loses_power);
}

void sim_broker_kill(struct sim_broker *self, bool loses_power)
{
    if (self->broker != NULL) {
        self->loses_power = loses_power;
        live(self, kill_now);
    }
}

void sim_broker_kill_within(struct sim_broker *self, uint32_t calls, bool is_at_sync,
                            bool loses_power)
{
    self->counts_syncs = is_at_sync;
    self->calls_left = calls;
    self->loses_power = loses_power;
}

void sim_broker_pause(struct sim_broker *self, int64_t until_us)
{
    if (self->broker != NULL) {
        sim_count(self->sim, SIM_BROKER_PAUSES);
        sim_trace(self->sim, "broker: is paused");
        self->pause_us = until_us;
    }
}
