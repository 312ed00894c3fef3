// order_chain - an order on the synchronous path: inventory, payment, notification,
// one blocking call after another, and what was done undone when one fails.
//
// Undoing is calls as well and can fail as well; nobody tries again later.
#ifndef FAULTLINE_ORDER_CHAIN_H
#define FAULTLINE_ORDER_CHAIN_H

#include "common/service.h"

// order_chain_run makes the calls for input {order_id, customer_id, payment_token,
// total, items, template} (template: of the message at the end). It returns {} when all went well,
// or {"status" (of the answer), "reason", "detail", "order_id", "failed_step", "undone": [{"step",
// "result", "detail"?}]}.
cJSON *order_chain_run(struct caller *caller, const cJSON *input);

#endif
