// sim_operator - a client made by hand, without bus_session: it speaks the protocol as
// docs/protocol.md tells it, reads the log, and asks what a person may ask for: STATUS,
// REDRIVE, RESET, DELETE.
#ifndef FAULTLINE_SIM_OPERATOR_H
#define FAULTLINE_SIM_OPERATOR_H

#include "tests/sim/sim_model.h"
#include "tests/sim/sim_net.h"

struct sim_operator; // opaque

struct sim_operator_options {
    size_t dealer;
    const char *groups[SIM_GROUPS_MAX]; // their names
    size_t groups_count;
};

struct sim_operator *sim_operator_new(struct sim *sim, struct sim_net *net,
                                      const struct sim_operator_options *options);
void sim_operator_destroy(struct sim_operator **self_p);

void sim_operator_step(struct sim_operator *self);
int64_t sim_operator_next_us(const struct sim_operator *self);

// sim_operator_finish: from now on it does nothing, or redrives all that there is.
void sim_operator_finish(struct sim_operator *self, bool redrives);

#endif
