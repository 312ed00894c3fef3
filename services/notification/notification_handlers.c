#include "services/notification/notification_handlers.h"

#include <stdio.h>

#include "services/handler.h"
#include "services/notification/notification.h"
#include "services/notification/notification_store.h"
#include "services/page.h"

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
    service_derive_id(service, template->name, subject, out->id);
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
    cJSON *data = contract_object(id_name, sent->subject, "notification_id", sent->id, NULL);
    cJSON_AddStringToObject(data, "template", sent->template_name);
    cJSON_AddStringToObject(data, "recipient", sent->recipient);
    return handler_emit(service, "notification-sent", sent->subject, data);
}

static enum err tell(struct service *service, const struct event *event, const cJSON *data)
{
    const struct notification_template *template = notification_template_of(event->type);
    struct json_problem problem;
    const char *recipient = NULL;
    if (contract_get_id(data, "", template->recipient, &recipient, &problem) != ERR_OK) {
        return handler_refuse(service, &problem);
    }
    bool ended = false;
    enum err err = notification_store_has_end(service_store(service), event->subject, &ended);
    if (err != ERR_OK || notification_is_stale(template, ended)) {
        return err;
    }
    const char *reason = json_text_of(data, "reason");
    struct notification sent;
    bool is_new = false;
    err = say(service, template, event->subject, recipient, reason, &sent, &is_new);
    return err == ERR_OK && is_new ? emit_sent(service, template->subject, &sent) : err;
}

enum err notification_on_event(struct service *service, const struct event *event)
{
    const struct notification_template *template = notification_template_of(event->type);
    return handler_event(service, event, template->subject, tell);
}

enum err notification_post_message(struct service *service, struct request *request)
{
    static const char *const members[] = {"subject", "template", "recipient", NULL};
    const cJSON *body = request_json(request);
    struct json_problem problem;
    const char *subject = NULL;
    const char *name = NULL;
    const char *recipient = NULL;
    if (handler_body(request, members, &subject, &problem) != ERR_OK ||
        contract_get_id(body, "", "template", &name, &problem) != ERR_OK ||
        contract_get_id(body, "", "recipient", &recipient, &problem) != ERR_OK) {
        return request_reply_invalid(request, &problem);
    }
    const struct notification_template *template = notification_template_named(name);
    if (template == NULL) {
        json_problem_set(&problem, "template", "is not known, as order-confirmed is");
        return request_reply_invalid(request, &problem);
    }
    struct notification sent;
    bool is_new = false;
    const enum err err = say(service, template, subject, recipient, NULL, &sent, &is_new);
    return err == ERR_OK ? request_reply(request, 201, notification_to_json(&sent)) : err;
}

enum err notification_get_list(struct service *service, struct request *request)
{
    static const struct page_list notifications = {.name = "notifications",
                                                   .cursor = "number",
                                                   .is_number = true,
                                                   .read = notification_store_list};
    return page_list(service, request, &notifications, request_query(request, "subject"));
}
