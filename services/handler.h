// handler - how the handlers of all services begin and end.
#ifndef FAULTLINE_HANDLER_H
#define FAULTLINE_HANDLER_H

#include "common/service.h"

// handler_event hands event's data, in its newest version, to handle. It returns
// ERR_INVALID instead when the version is unknown, or when data's member id_name is not
// event's subject (NULL: handle looks at that itself).
enum err handler_event(struct service *service, const struct event *event, const char *id_name,
                       enum err (*handle)(struct service *service, const struct event *event,
                                          const cJSON *data));

// handler_refuse notes problem as the reason why the present event can never be handled,
// and returns ERR_INVALID.
enum err handler_refuse(struct service *service, const struct json_problem *problem);

// handler_emit emits an event in the newest version of its type; see service_emit.
enum err handler_emit(struct service *service, const char *topic, const char *subject, cJSON *data);

// handler_emit_in is the same in the version that a setting of the service names (NULL: the
// newest); data is in the newest one. id_out gets the event's id, unless it is NULL.
enum err handler_emit_in(struct service *service, const char *topic, const char *setting,
                         const char *subject, cJSON *data, char id_out[UUID_SIZE]);

// handler_body checks that request's body has no other members than these (ended by
// NULL) and borrows the first: the id of the order or transfer that the request is
// about. ERR_INVALID: problem says why not.
enum err handler_body(struct request *request, const char *const *members, const char **id,
                      struct json_problem *problem);

// handler_show answers GET of one thing (what: "order"): 200 with json, which becomes
// the request's; 404 when err is ERR_NOT_FOUND; any other err it returns.
enum err handler_show(struct request *request, enum err err, cJSON *json, const char *what,
                      const char *id);

#endif
