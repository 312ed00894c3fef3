// sim_schedule - one seed: it decides who there is and what may go wrong, lets all act in
// an order of its own, then lets the faults end and waits until all work is done.
#ifndef FAULTLINE_SIM_SCHEDULE_H
#define FAULTLINE_SIM_SCHEDULE_H

#include "tests/sim/sim.h"

// sim_schedule_run plays a seed and gives the hash of all that happened. What must not
// be ends the process, as sim_fail says. counts: of enum sim_happening, added to.
uint64_t sim_schedule_run(uint64_t seed, bool is_traced, uint64_t *counts);

#endif
