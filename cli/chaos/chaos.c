#include "cli/chaos/chaos.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/command.h"
#include "common/clock.h"
#include "common/mem.h"

enum {
    STEP_MS = 4, // the ward's shortest slices are as long
    PROGRESS_MS = 5000,
    READY_MS = 60000, // for everybody to come back at the end
    LOOK_MS = 250,    // between two looks at whether all is finished
};

struct chaos {
    const struct chaos_options *options; // borrowed
    struct chaos_result *result;         // borrowed
    struct chaos_log log;
    struct chaos_plan plan;
    struct chaos_load *load; // owned
    struct chaos_ward *ward; // owned
    int64_t start_ms;
    int64_t progress_ms;
};

void chaos_result_release(struct chaos_result *self)
{
    chaos_tally_release(&self->tally);
}

// Waits one step. true: a person wants the end.
static bool step(const struct chaos *self)
{
    struct signalfd_siginfo signal;
    struct pollfd poll_fd = {.fd = self->options->signals, .events = POLLIN};
    return poll(&poll_fd, 1, STEP_MS) > 0 &&
           read(self->options->signals, &signal, sizeof signal) > 0;
}

static void show_progress(struct chaos *self)
{
    const int64_t now_ms = clock_mono_ms();
    if (!self->options->progress || now_ms < self->progress_ms) {
        return;
    }
    self->progress_ms = now_ms + PROGRESS_MS;
    struct chaos_way_counts ways[CHAOS_WAYS];
    chaos_load_counts(self->load, ways);
    size_t placed = 0;
    size_t accepted = 0;
    for (size_t i = 0; i < CHAOS_WAYS; i++) {
        placed += ways[i].placed;
        accepted += ways[i].accepted;
    }
    fprintf(stderr,
            "%lld of %lld s: %zu faults, %zu processes not well; %zu placed, %zu accepted\n",
            (long long)((now_ms - self->start_ms) / 1000),
            (long long)(self->options->duration_ms / 1000),
            self->result->actions,
            chaos_ward_ill(self->ward),
            placed,
            accepted);
}

static struct chaos_house house_of(const struct chaos_options *options, const struct target *target)
{
    struct chaos_house house = {.parts_count = target->parts_count,
                                .native = target->stack != NULL,
                                .minutes_in_ms = options->duration_ms};
    for (size_t i = 0; i < target->parts_count; i++) {
        const size_t service = target->parts[i].service;
        house.broker = service == 0 ? i : house.broker;
        // A container keeps the environment that it was made with.
        house.crash_points[i] = house.native ? chaos_tally_points_of(service) : 0;
    }
    return house;
}

static enum err begin(struct chaos *self, const struct target *target)
{
    char *problem = NULL;
    struct api *api = api_open(self->options->dir);
    const struct chaos_load_options load = {
        .seed = self->options->seed,
        .rate = self->options->rate,
        .order_port = api_port(api, "order"),
        .transfer_port = api_port(api, "transfer"),
        .record_path = self->options->record,
    };
    api_destroy(&api);
    self->log = (struct chaos_log){.file = fopen(self->options->log, "we"),
                                   .verbose = self->options->verbose,
                                   .start_ms = self->start_ms};
    if (self->log.file == NULL) {
        cli_problem("cannot write %s: %s", self->options->log, strerror(errno));
        return ERR_IO;
    }
    if (chaos_load_start(&self->load, &load, &problem) != ERR_OK) {
        cli_problem("%s", problem);
        free(problem);
        return ERR_IO;
    }
    const struct chaos_house house = house_of(self->options, target);
    chaos_plan_init(&self->plan, self->options->seed, &house);
    return ERR_OK;
}

// The harm, until the time is over.
static enum err harm(struct chaos *self)
{
    struct chaos_action action;
    bool more = chaos_plan_next(&self->plan, &action);
    while (clock_mono_ms() < self->start_ms + self->options->duration_ms) {
        if (more && clock_mono_ms() >= self->start_ms + action.at_ms) {
            if (!chaos_ward_hit(self->ward, &action)) {
                return ERR_IO;
            }
            self->result->actions++;
            more = chaos_plan_next(&self->plan, &action);
        }
        if (!chaos_ward_tend(self->ward) || chaos_ward_lost(self->ward) > 0) {
            return ERR_IO;
        }
        if (step(self)) {
            self->result->ended_early = true;
            break;
        }
        show_progress(self);
    }
    return ERR_OK;
}

// How many there are to wait for: until they are ready or, in a hurry, until they are no
// longer as we have made them.
static size_t awaited(const struct chaos *self, bool hurried)
{
    return hurried ? chaos_ward_held(self->ward)
                   : chaos_ward_ill(self->ward) - chaos_ward_lost(self->ward);
}

// Everybody comes back, and nobody is armed any more; until then work goes on being placed.
static enum err heal(struct chaos *self)
{
    const int64_t deadline_ms = clock_mono_ms() + READY_MS;
    bool disarmed = false;
    bool hurried = false;
    chaos_ward_lift_all(self->ward);
    while ((awaited(self, hurried) > 0 || !disarmed) && clock_mono_ms() < deadline_ms) {
        if (!chaos_ward_tend(self->ward)) {
            return ERR_IO;
        }
        if (awaited(self, hurried) == 0 && !disarmed) {
            disarmed = true;
            if (!chaos_ward_disarm(self->ward)) {
                return ERR_IO;
            }
        }
        hurried = step(self) || hurried;
        show_progress(self);
    }
    return chaos_ward_lost(self->ward) == 0 ? ERR_OK : ERR_IO;
}

static void show_waiting(struct chaos *self, int64_t since_ms)
{
    const int64_t now_ms = clock_mono_ms();
    if (!self->options->progress || now_ms < self->progress_ms) {
        return;
    }
    self->progress_ms = now_ms + PROGRESS_MS;
    uint64_t group_events = 0;
    uint64_t outbox_events = 0;
    for (size_t i = 0; i < HOUSE_SERVICES_COUNT; i++) {
        group_events += self->result->settled.left[i].group_events;
        outbox_events += self->result->settled.left[i].outbox_events;
    }
    fprintf(stderr,
            "waiting until all is finished (%lld s): %llu events for groups, %llu in outboxes\n",
            (long long)((now_ms - since_ms) / 1000),
            (unsigned long long)group_events,
            (unsigned long long)outbox_events);
}

// Nothing is placed any more, and what is on its way comes to its end.
static enum err settle(struct chaos *self)
{
    const int64_t start_ms = clock_mono_ms();
    const int64_t deadline_ms = start_ms + self->options->settle_ms;
    struct chaos_settled *settled = &self->result->settled;
    struct chaos_settle *look = chaos_settle_new(self->options->dir);
    enum err err = ERR_OK;
    int64_t look_ms = 0;
    while (err == ERR_OK && clock_mono_ms() < deadline_ms) {
        err = chaos_ward_tend(self->ward) && chaos_ward_lost(self->ward) == 0 ? ERR_OK : ERR_IO;
        if (clock_mono_ms() >= look_ms && chaos_ward_ill(self->ward) == 0) {
            look_ms = clock_mono_ms() + LOOK_MS;
            if (chaos_settle_look(look, settled)) {
                break;
            }
        }
        if (step(self)) {
            break;
        }
        show_waiting(self, start_ms);
    }
    settled->took_ms = clock_mono_ms() - start_ms;
    settled->finished = chaos_settle_count(look, settled) && settled->finished;
    chaos_settle_destroy(&look);
    return err;
}

enum err chaos_run(const struct chaos_options *options, struct target *target,
                   struct chaos_result *out)
{
    *out = (struct chaos_result){0};
    struct chaos self = {.options = options, .result = out, .start_ms = clock_mono_ms()};
    self.progress_ms = self.start_ms + PROGRESS_MS;
    enum err err = begin(&self, target);
    if (err != ERR_OK) {
        goto out;
    }
    self.ward = chaos_ward_new(options->dir, target, &self.log);
    err = harm(&self);
    out->took_ms = clock_mono_ms() - self.start_ms;
    // Also when the harm could not go on: nobody shall stay under a fault.
    const enum err heal_err = heal(&self);
    err = err == ERR_OK ? heal_err : err;
    chaos_load_stop(self.load);
    chaos_load_counts(self.load, out->ways);
    if (!chaos_load_is_recorded(self.load)) {
        err = ERR_IO; // it has been said; a record with holes proves nothing
    }
    if (chaos_ward_ill(self.ward) == 0) {
        const enum err settle_err = settle(&self);
        err = err == ERR_OK ? settle_err : err;
    }
    out->all_ready = chaos_ward_ill(self.ward) == 0;
    for (size_t i = 0; i < target->parts_count; i++) {
        out->troubles[i] = chaos_ward_trouble(self.ward, i);
    }
    out->tally = *chaos_ward_tally(self.ward);
    *chaos_ward_tally(self.ward) = (struct chaos_tally){0}; // the result's now

out:
    chaos_ward_destroy(&self.ward);
    chaos_load_destroy(&self.load);
    if (self.log.file != NULL) {
        fclose(self.log.file);
    }
    return err;
}
