// chaos_settle - the end of a run, when everybody is back: gives back what was
// dead-lettered only because of the harm, and waits until nothing is on its way.
#ifndef FAULTLINE_CLI_CHAOS_SETTLE_H
#define FAULTLINE_CLI_CHAOS_SETTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chaos_settled {
    bool all_ready;         // every process came back; whoever waits for that sets it
    bool finished;          // no group has anything left, every outbox is empty
    int64_t took_ms;        // until then; likewise
    uint64_t lag_events;    // what all groups had left when it was looked at last
    uint64_t outbox_events; // what all outboxes had left
    size_t redriven;        // dead letters that are no poison
    size_t poison;          // dead letters that are: they stay
};

struct chaos_settle; // opaque

struct chaos_settle *chaos_settle_new(const char *dir);
void chaos_settle_destroy(struct chaos_settle **self_p);

// chaos_settle_look looks once how far everything is, and gives dead letters back when there
// is nothing else to do. It returns out->finished. Call it some times a second.
bool chaos_settle_look(struct chaos_settle *self, struct chaos_settled *out);

#endif
