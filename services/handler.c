#include "services/handler.h"

#include "services/contract.h"
#include "services/upcast.h"

enum err handler_refuse(struct service *service, const struct json_problem *problem)
{
    return service_fail(service, ERR_INVALID, "%s: %s", problem->field, problem->reason);
}

enum err handler_event(struct service *service, const struct event *event, const char *id_name,
                       enum err (*handle)(struct service *service, const struct event *event,
                                          const cJSON *data))
{
    struct json_problem problem = {0};
    cJSON *converted = NULL;
    const struct upcast_reader reader = {
        .service = service_name(service),
        .version_max = (int)config_int(service_config(service), "EVENT_VERSION_MAX")};
    const cJSON *data = upcast_data(event, &reader, &converted, &problem);
    enum err err = ERR_INVALID;
    if (data == NULL) {
        (void)handler_refuse(service, &problem);
    } else if (id_name != NULL && !contract_subject_is(event, data, id_name)) {
        (void)service_fail(service, err, "%s is not the subject", id_name);
    } else {
        err = handle(service, event, data);
    }
    cJSON_Delete(converted);
    return err;
}

enum err handler_emit_in(struct service *service, const char *topic, const char *setting,
                         const char *subject, cJSON *data, char id_out[UUID_SIZE])
{
    const int version =
        setting == NULL ? upcast_version(topic) : (int)config_int(service_config(service), setting);
    data = downcast_data(topic, version, data);
    return service_emit(service, topic, version, subject, data, id_out);
}

enum err handler_emit(struct service *service, const char *topic, const char *subject, cJSON *data)
{
    return handler_emit_in(service, topic, NULL, subject, data, NULL);
}

enum err handler_body(struct request *request, const char *const *members, const char **id,
                      struct json_problem *problem)
{
    const cJSON *body = request_json(request);
    if (json_only_members(body, "", members, problem) != ERR_OK ||
        contract_get_uuid(body, "", members[0], id, problem) != ERR_OK) {
        return ERR_INVALID;
    }
    request_correlate(request, *id);
    return ERR_OK;
}

enum err handler_show(struct request *request, enum err err, cJSON *json, const char *what,
                      const char *id)
{
    if (err == ERR_NOT_FOUND) {
        return request_reply_problem(
            request, 404, "not-found", NULL, "there is no %s %.64s", what, id);
    }
    return err == ERR_OK ? request_reply(request, 200, json) : err;
}
