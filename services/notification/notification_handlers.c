#include "services/notification/notification_handlers.h"

#include <stdio.h>

#include "services/notification/notification.h"
#include "services/notification/notification_store.h"
#include "services/page.h"
#include "services/upcast.h"

// say keeps what is said, or finds that it was said before; *is_new tells which. Both
// paths end here.
static enum err say(struct service *service, const struct notification_template *template,
                    const char *subject, const char *recipient, const char *reason,
                    struct notification *out, bool *is_new)
{
    struct store *store = service_store(service);
    const enum err err = notification_store_find(store, subject, template->name, out);
    *is_new = err == ERR_NOT_FOUND;
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    *out = (struct notification){0};
    uuid_new(out->id);
    snprintf(out->subject, sizeof out->subject, "%s", subject);
    snprintf(out->template_name, sizeof out->template_name, "%s", template->name);
    snprintf(out->recipient, sizeof out->recipient, "%s", recipient);
    snprintf(out->sent_at, sizeof out->sent_at, "%s", service_now(service));
    notification_text(template, reason, out->text);
    return notification_store_insert(store, out, !template->is_opening);
}

static enum err emit_sent(struct service *service, const char *id_name,
                          const struct notification *sent)
{
    cJSON *data = cJSON_CreateObject();
    cJSON_AddStringToObject(data, "notification_id", sent->id);
    cJSON_AddStringToObject(data, "template", sent->template_name);
    cJSON_AddStringToObject(data, "recipient", sent->recipient);
    cJSON_AddStringToObject(data, id_name, sent->subject);
    return service_emit(service, "notification-sent", 1, sent->subject, data, NULL);
}

enum err notification_on_event(struct service *service, const struct event *event)
{
    const struct notification_template *template = notification_template_of(event->type);
    cJSON *converted = NULL;
    struct json_problem problem = {0};
    const char *recipient = NULL;
    struct notification sent;
    bool ended = false;
    bool is_new = false;

    enum err err = ERR_INVALID;
    const cJSON *data = upcast_data(event, &converted, &problem);
    if (template == NULL || data == NULL ||
        contract_get_id(data, "", template->recipient, &recipient, &problem) != ERR_OK) {
        (void)service_fail(service, err, "%s: %s", problem.field, problem.reason);
        goto out;
    }
    if (!contract_subject_is(event, data, template->subject)) {
        (void)service_fail(service, err, "%s is not the subject", template->subject);
        goto out;
    }
    err = notification_store_has_end(service_store(service), event->subject, &ended);
    if (err != ERR_OK || notification_is_stale(template, ended)) {
        goto out;
    }
    err = say(
        service, template, event->subject, recipient, json_text_of(data, "reason"), &sent, &is_new);
    if (err == ERR_OK && is_new) {
        err = emit_sent(service, template->subject, &sent);
    }

out:
    cJSON_Delete(converted);
    return err;
}

enum err notification_post_message(struct service *service, struct request *request)
{
    static const char *const members[] = {"subject", "template", "recipient", NULL};
    const cJSON *body = request_json(request);
    struct json_problem problem;
    const char *subject = NULL;
    const char *name = NULL;
    const char *recipient = NULL;
    if (json_only_members(body, "", members, &problem) != ERR_OK ||
        contract_get_uuid(body, "", "subject", &subject, &problem) != ERR_OK ||
        contract_get_id(body, "", "template", &name, &problem) != ERR_OK ||
        contract_get_id(body, "", "recipient", &recipient, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
    const struct notification_template *template = notification_template_named(name);
    if (template == NULL) {
        json_problem_set(&problem, "template", "is not known, as order-confirmed is");
        return request_reply_invalid(request, &problem);
    }
    request_correlate(request, subject);

    struct notification sent;
    bool is_new = false;
    const enum err err = say(service, template, subject, recipient, NULL, &sent, &is_new);
    return err == ERR_OK ? request_reply(request, 201, notification_to_json(&sent)) : err;
}

enum err notification_get_list(struct service *service, struct request *request)
{
    const char *subject = request_query(request, "subject");
    int64_t limit = 0;
    int64_t number = 0;
    const char *after = NULL;
    if (request_page(request, &limit, &after) != ERR_OK ||
        page_number(request, after, &number) != ERR_OK) {
        return ERR_OK; // it has answered
    }
    cJSON *list = cJSON_CreateArray();
    const enum err err =
        notification_store_list(service_store(service), subject, number, limit + 1, list);
    if (err != ERR_OK) {
        cJSON_Delete(list);
        return err;
    }
    return page_reply(request, "notifications", list, limit, "number");
}
