// notification_handlers - what notification does on events and requests; see service.h.
#ifndef FAULTLINE_NOTIFICATION_HANDLERS_H
#define FAULTLINE_NOTIFICATION_HANDLERS_H

#include "common/service.h"

// notification_on_event handles each of the topics that have a template, and says once
// what there is to say -> notification-sent.
enum err notification_on_event(struct service *service, const struct event *event);

// POST /messages, the same by HTTP, without an event; GET /notifications?subject=.
enum err notification_post_message(struct service *service, struct request *request);
enum err notification_get_list(struct service *service, struct request *request);

#endif
