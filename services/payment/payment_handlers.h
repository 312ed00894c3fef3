// payment_handlers - what payment does on events and requests; main.c has the table.
#ifndef FAULTLINE_PAYMENT_HANDLERS_H
#define FAULTLINE_PAYMENT_HANDLERS_H

#include "common/service.h"

// order-created: asks the card -> payment-authorized | payment-declined.
enum err payment_on_order_created(struct service *service, const struct event *event);
// order-confirmed: captures -> payment-completed.
// order-cancelled: voids -> payment-voided; or leaves the mark.
enum err payment_on_order_ended(struct service *service, const struct event *event);

enum err payment_show(struct service *service, struct request *request);
// POST /charges: fraud, the card, the ledger; each may say no or nothing.
enum err payment_charge(struct service *service, struct request *request);
// POST /refunds: takes a charge back, or makes sure that it never happens.
enum err payment_refund(struct service *service, struct request *request);

#endif
