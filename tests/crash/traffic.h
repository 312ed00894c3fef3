// traffic - orders both ways and transfers, all the time, from threads of its own. What is
// dead meanwhile refuses; what was accepted is written down for `faultline verify`.
#ifndef FAULTLINE_TESTS_CRASH_TRAFFIC_H
#define FAULTLINE_TESTS_CRASH_TRAFFIC_H

#include <stddef.h>

#include "tests/crash/rig.h"

struct traffic; // opaque

// traffic_start begins; rig is borrowed until traffic_stop, which waits for every answer.
// sync_token: the payment token of the orders over the chain.
struct traffic *traffic_start(const struct rig *rig, const char *sync_token);
void traffic_stop(struct traffic **self_p);

#endif
