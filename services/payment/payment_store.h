// payment_store - the SQL of payment. Errors of the store pass through.
#ifndef FAULTLINE_PAYMENT_STORE_H
#define FAULTLINE_PAYMENT_STORE_H

#include "common/money.h"
#include "common/store.h"
#include "common/uuid.h"
#include "services/contract.h"
#include "services/payment/payment.h"

extern const char payment_schema[];

// The payment of one order. A mark (voided before it was made) has no amount: its
// currency is "".
struct payment {
    char payment_id[UUID_SIZE];
    enum payment_status status;
    char reason[CONTRACT_ID_MAX + 1]; // of a refusal; "": none
    struct money amount;
};

// payment_store_read reads an order's payment; without one *out is zero, PAYMENT_NONE.
enum err payment_store_read(struct store *store, const char *order_id, struct payment *out);

// payment_store_write adds or changes it.
enum err payment_store_write(struct store *store, const char *order_id,
                             const struct payment *payment, const char *now);

#endif
