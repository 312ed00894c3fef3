// transfer_store - the transfers and the steps of their stories.
#ifndef FAULTLINE_TRANSFER_STORE_H
#define FAULTLINE_TRANSFER_STORE_H

#include "common/clock.h"
#include "common/store.h"
#include "common/uuid.h"
#include "services/transfer/transfer.h"

extern const char transfer_store_schema[];

enum {
    TRANSFER_REASON_SIZE = 64
};

struct transfer {
    char id[UUID_SIZE];
    char from_account[CONTRACT_ID_MAX + 1];
    char to_account[CONTRACT_ID_MAX + 1];
    struct money amount;
    enum transfer_state state;
    char reason[TRANSFER_REASON_SIZE]; // why it is cancelled; "" else
};

// transfer_store_insert adds a new transfer. ERR_EXISTS: its id is taken.
enum err transfer_store_insert(struct store *store, const struct transfer *transfer);

// transfer_store_find reads a transfer. ERR_NOT_FOUND: there is none with that id.
enum err transfer_store_find(struct store *store, const char *id, struct transfer *out);

// transfer_store_update writes state and reason.
enum err transfer_store_update(struct store *store, const struct transfer *transfer);

// transfer_store_add_step adds to the story: the status, since when, and the event
// that told the world.
enum err transfer_store_add_step(struct store *store, const char *id, const char *status,
                                 const char *at, const char *event_id);

// transfer_store_history returns the story as an array of {status, at, event_id}, oldest
// first, in *out, which the caller owns; NULL on an error.
enum err transfer_store_history(struct store *store, const char *id, cJSON **out);

#endif
