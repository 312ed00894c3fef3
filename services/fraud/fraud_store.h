// fraud_store - the decisions, one a subject, kept for good.
#ifndef FAULTLINE_FRAUD_STORE_H
#define FAULTLINE_FRAUD_STORE_H

#include <stdint.h>

#include "common/clock.h"
#include "common/store.h"
#include "services/contract.h"

extern const char fraud_store_schema[];

enum {
    FRAUD_REASON_SIZE = 32
};

struct fraud_decision {
    char customer_id[CONTRACT_ID_MAX + 1];
    int64_t time_us;                // of the order or transfer, not of the decision
    char reason[FRAUD_REASON_SIZE]; // "": cleared
    char decided_at[CLOCK_RFC3339_SIZE];
};

// fraud_store_find reads the decision on subject. ERR_NOT_FOUND: there is none.
enum err fraud_store_find(struct store *store, const char *subject, struct fraud_decision *out);

// fraud_store_insert keeps a decision. ERR_EXISTS: subject has one.
enum err fraud_store_insert(struct store *store, const char *subject,
                            const struct fraud_decision *decision);

// fraud_store_count counts the customer's decisions with time in (after_us, until_us],
// and stops counting at max: a busy customer costs no more than the limit.
enum err fraud_store_count(struct store *store, const char *customer_id, int64_t after_us,
                           int64_t until_us, int64_t max, int64_t *out);

#endif
