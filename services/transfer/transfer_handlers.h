// transfer_handlers - what transfer does on events and requests; see service.h.
#ifndef FAULTLINE_TRANSFER_HANDLERS_H
#define FAULTLINE_TRANSFER_HANDLERS_H

#include "common/service.h"

#define TRANSFER_SETTING_EVENT_VERSION "TRANSFER_EVENT_VERSION" // main's table has it

// The answers of fraud and ledger -> transfer-completed or transfer-cancelled. A fraud
// answer about an order, and a transfer that is not known here, are ignored.
enum err transfer_on_answer(struct service *service, const struct event *event);

// POST /transfers -> 202 and transfer-created; GET /transfers/{id}.
enum err transfer_post(struct service *service, struct request *request);
enum err transfer_get(struct service *service, struct request *request);

#endif
