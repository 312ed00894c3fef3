// verify_waits - what is on its way, and what it waits for.
#ifndef FAULTLINE_CLI_VERIFY_WAITS_H
#define FAULTLINE_CLI_VERIFY_WAITS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/verify/verify_db.h"

// Where the stack stands.
struct verify_whereabouts {
    const cJSON *status; // borrowed; the broker's
    bool is_broker_ours; // the stack's own broker is dead
};

// Orders and transfers that wait for the same.
struct verify_wait {
    char *reason; // owned
    uint64_t pending;
    uint64_t ended; // those with an end whose consequences wait
    uint64_t events;
};

// verify_waits_read gives each row of verify_handled's table missing that is no loss its
// reason, and sums them up, the most important first. It asks the table story. ERR_IO:
// verify_db_problem says why. Release *waits in any case.
enum err verify_waits_read(struct verify_db *db, const struct verify_whereabouts *where,
                           struct verify_wait **waits, size_t *count);
void verify_waits_release(struct verify_wait *waits, size_t count);

#endif
