// chaos_settle - the end of a run, when everybody is back: gives back what was
// dead-lettered only because of the harm, and waits until nothing is on its way.
//
// Only the groups of the house count, and only their dead letters go back: what becomes of
// a guest's events is the guest's affair.
#ifndef FAULTLINE_CLI_CHAOS_SETTLE_H
#define FAULTLINE_CLI_CHAOS_SETTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/house.h"

enum {
    CHAOS_ERROR_SIZE = 200
};

// What a service had left when it was looked at last.
struct chaos_left {
    uint64_t group_events; // for its group, which has its name
    uint64_t outbox_events;
    size_t letters;               // dead letters of its group that are no poison of payment
    char error[CHAOS_ERROR_SIZE]; // of the last of those
};

struct chaos_settled {
    bool finished;   // no group has anything left, every outbox is empty
    int64_t took_ms; // until then; whoever waits sets it
    struct chaos_left left[HOUSE_SERVICES_COUNT];
    size_t redriven; // dead letters that are no poison
    size_t poison;   // those of payment that are: they stay
};

struct chaos_settle; // opaque

struct chaos_settle *chaos_settle_new(const char *dir);
void chaos_settle_destroy(struct chaos_settle **self_p);

// chaos_settle_look looks once how far everything is, and gives dead letters back when there
// is nothing else to do. It returns out->finished. Call it some times a second.
bool chaos_settle_look(struct chaos_settle *self, struct chaos_settled *out);

// chaos_settle_count counts the dead letters that there are in the end. false: the broker
// does not tell, so that it is not known what has become of everything.
bool chaos_settle_count(struct chaos_settle *self, struct chaos_settled *out);

#endif
