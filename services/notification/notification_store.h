// notification_store - what was said, one a subject and template.
#ifndef FAULTLINE_NOTIFICATION_STORE_H
#define FAULTLINE_NOTIFICATION_STORE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/store.h"
#include "common/uuid.h"
#include "services/contract.h"
#include "services/notification/notification.h"

extern const char notification_store_schema[];

struct notification {
    char id[UUID_SIZE];
    char subject[EVENT_TEXT_MAX];
    char template_name[NOTIFICATION_TEMPLATE_MAX];
    char recipient[CONTRACT_ID_MAX + 1];
    char text[NOTIFICATION_TEXT_SIZE];
    char sent_at[CLOCK_RFC3339_SIZE];
};

// notification_store_find reads what was said with a template. ERR_NOT_FOUND: nothing.
enum err notification_store_find(struct store *store, const char *subject,
                                 const char *template_name, struct notification *out);

// notification_store_has_end tells whether subject was told an end of its story.
enum err notification_store_has_end(struct store *store, const char *subject, bool *out);

// notification_store_insert keeps one. ERR_EXISTS: it was said before. is_end: it tells
// an end.
enum err notification_store_insert(struct store *store, const struct notification *notification,
                                   bool is_end);

// notification_store_list adds to list up to limit notifications behind the one with
// number after ("0": from the first), of one subject (NULL: of all), in the order they were sent.
enum err notification_store_list(struct store *store, const char *subject, const char *after,
                                 int64_t limit, cJSON *list);

// notification_to_json is a notification as the interface shows it; the caller owns it.
cJSON *notification_to_json(const struct notification *notification);

#endif
