#include "services/notification/notification.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"

static const struct notification_template templates[] = {
    {.name = "order-received",
     .topic = "order-created",
     .subject = "order_id",
     .recipient = "customer_id",
     .text = "We have received your order",
     .is_opening = true},
    {.name = "order-confirmed",
     .topic = "order-confirmed",
     .subject = "order_id",
     .recipient = "customer_id",
     .text = "Your order is confirmed"},
    {.name = "order-cancelled",
     .topic = "order-cancelled",
     .subject = "order_id",
     .recipient = "customer_id",
     .text = "Your order is cancelled"},
    {.name = "transfer-received",
     .topic = "transfer-created",
     .subject = "transfer_id",
     .recipient = "from_account",
     .text = "We have received your transfer",
     .is_opening = true},
    {.name = "transfer-completed",
     .topic = "transfer-completed",
     .subject = "transfer_id",
     .recipient = "from_account",
     .text = "Your transfer is done"},
    {.name = "transfer-cancelled",
     .topic = "transfer-cancelled",
     .subject = "transfer_id",
     .recipient = "from_account",
     .text = "Your transfer is cancelled"},
};

const struct notification_template *notification_template_of(const char *topic)
{
    for (size_t i = 0; i < ARRAY_LEN(templates); i++) {
        if (strcmp(templates[i].topic, topic) == 0) {
            return &templates[i];
        }
    }
    return NULL;
}

const struct notification_template *notification_template_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(templates); i++) {
        if (strcmp(templates[i].name, name) == 0) {
            return &templates[i];
        }
    }
    return NULL;
}

void notification_text(const struct notification_template *template, const char *reason,
                       char out[NOTIFICATION_TEXT_SIZE])
{
    const bool has_reason = reason != NULL && reason[0] != '\0';
    snprintf(out,
             NOTIFICATION_TEXT_SIZE,
             "%s%s%.120s.",
             template->text,
             has_reason ? ": " : "",
             has_reason ? reason : "");
}

bool notification_is_stale(const struct notification_template *template, bool ended)
{
    return template->is_opening && ended;
}
