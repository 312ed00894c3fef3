// sim_client - a client's process: what bus.c is around the real bus_session, with a
// simulated DEALER, and an application that publishes or consumes.
#ifndef FAULTLINE_SIM_CLIENT_H
#define FAULTLINE_SIM_CLIENT_H

#include "common/bus_session.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_net.h"

struct sim_client; // opaque

// What runs in the process.
struct sim_app {
    // started: a new process, which knows only what its database does.
    void (*started)(void *context);
    // input gives it one; views are borrowed until it returns.
    void (*input)(void *context, struct bus_session *session, const struct bus_input *input);
    // act lets it publish or answer, and returns when it wants to be asked again.
    int64_t (*act)(void *context, struct bus_session *session);
};

struct sim_client_options {
    struct bus_options bus; // borrowed views
    size_t dealer;
    const struct sim_app *app;
    void *app_context; // borrowed
};

// sim_client_new makes a process that does not run yet.
struct sim_client *sim_client_new(struct sim *sim, struct sim_net *net,
                                  const struct sim_client_options *options);
void sim_client_destroy(struct sim_client **self_p);

void sim_client_start(struct sim_client *self);
bool sim_client_is_up(const struct sim_client *self);

void sim_client_step(struct sim_client *self);
int64_t sim_client_next_us(const struct sim_client *self);

// sim_client_kill: SIGKILL; is_silent: its machine dies, nobody hears of it for long.
// sim_client_leave: it says BYE and ends when that is answered.
void sim_client_kill(struct sim_client *self, bool is_silent);
void sim_client_leave(struct sim_client *self);

// sim_client_pause stops it (SIGSTOP) until then.
void sim_client_pause(struct sim_client *self, int64_t until_us);

// sim_client_set_credit; its wall clock goes by so much from the next start on.
void sim_client_set_credit(struct sim_client *self, uint32_t credit);
void sim_client_skew(struct sim_client *self, int64_t us);

#endif
