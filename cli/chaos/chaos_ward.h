// chaos_ward - the processes of a house while it is harmed: who is under which fault, when
// that ends, who comes up again and how long it takes.
//
//            hit                 time is up                answers /readyz
//   WELL -----------> DOWN ---------------------> COMING -----------------> WELL
//     \  SIGTERM      /|\          start            |
//      \---> LEAVING --/                            |  hit again, or died
//       \--> STILL, SLOWED, FULL ------------------>|
//                        resumed, limit lifted
//
// LOST is who could not be brought back some times in a row.
//
// Who dies at the crash point that he was armed with is started again; who dies without
// having been asked to as well, and is a finding.
#ifndef FAULTLINE_CLI_CHAOS_WARD_H
#define FAULTLINE_CLI_CHAOS_WARD_H

#include "cli/chaos/chaos_log.h"
#include "cli/chaos/chaos_plan.h"
#include "cli/chaos/chaos_tally.h"
#include "cli/target.h"

struct chaos_ward; // opaque

// chaos_ward_new takes over nothing: dir, target and log are borrowed and outlive it.
struct chaos_ward *chaos_ward_new(const char *dir, struct target *target,
                                  const struct chaos_log *log);
void chaos_ward_destroy(struct chaos_ward **self_p);

// chaos_ward_hit begins an action. false: the stack cannot be changed any more, which has
// been said.
bool chaos_ward_hit(struct chaos_ward *self, const struct chaos_action *action);

// chaos_ward_tend ends what is due and looks after everybody; call it every few
// milliseconds. false: as above.
bool chaos_ward_tend(struct chaos_ward *self);

// chaos_ward_lift_all makes everything that is under a fault due now; nobody is armed with a
// crash point any more when it is started.
void chaos_ward_lift_all(struct chaos_ward *self);

// chaos_ward_disarm restarts whoever is up and still armed, so that nobody dies of it when
// the run is over. false: as above.
bool chaos_ward_disarm(struct chaos_ward *self);

// chaos_ward_ill: how many are not well, be it that they are under a fault or not ready yet,
// and chaos_ward_held: how many of them are still to be started, resumed or given room.
size_t chaos_ward_ill(const struct chaos_ward *self);
size_t chaos_ward_held(const struct chaos_ward *self);

// chaos_ward_lost: how many could not be brought back, which has been said. They are ill.
size_t chaos_ward_lost(const struct chaos_ward *self);

// How a process is that is not well, and the command that helps.
struct chaos_trouble {
    const char *sentence; // "is dead"
    const char *command;  // "start"
};

// chaos_ward_trouble tells it of one process; NULL: it is well.
const struct chaos_trouble *chaos_ward_trouble(const struct chaos_ward *self, size_t index);

// chaos_ward_tally borrows the tally, until the ward is destroyed. Whoever takes it over
// leaves a zero behind, so that the times are not freed with the ward.
struct chaos_tally *chaos_ward_tally(struct chaos_ward *self);

#endif
