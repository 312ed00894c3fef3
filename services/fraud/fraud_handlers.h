// fraud_handlers - what fraud does on events and requests; see service.h.
#ifndef FAULTLINE_FRAUD_HANDLERS_H
#define FAULTLINE_FRAUD_HANDLERS_H

#include "common/service.h"

// Settings that main's table lists.
#define FRAUD_SETTING_LIMIT      "FRAUD_LIMIT_MINOR"
#define FRAUD_SETTING_PER_MINUTE "FRAUD_PER_MINUTE"

// order-created, transfer-created -> fraud-cleared or fraud-flagged, once a subject.
enum err fraud_on_order_created(struct service *service, const struct event *event);
enum err fraud_on_transfer_created(struct service *service, const struct event *event);

// POST /screenings, the same rules by HTTP; GET /decisions/{subject}.
enum err fraud_post_screening(struct service *service, struct request *request);
enum err fraud_get_decision(struct service *service, struct request *request);

#endif
