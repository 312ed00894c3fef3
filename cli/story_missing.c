#include "cli/story_missing.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/group_reason.h"

static const char *text_of(const cJSON *object, const char *member)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, member);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static int64_t number_of(const cJSON *object, const char *member, int64_t fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, member);
    return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : fallback;
}

// "payment-2" handles for the group "payment".
static bool is_of_group(const char *service, const char *group)
{
    const size_t size = strlen(group);
    if (strncmp(service, group, size) != 0) {
        return false;
    }
    return service[size] == '\0' ||
           (service[size] == '-' && isdigit((unsigned char)service[size + 1]));
}

// done: the group's floor has passed the event. That says nothing of a copy of it that was
// given back.
static bool has_settled(const struct story *self, const char *event_id, const char *group,
                        bool done)
{
    for (size_t i = 0; i < story_count(self); i++) {
        const struct story_node *node = story_node_at(self, i);
        if (strcmp(story_text(node, "event_id"), event_id) != 0) {
            continue;
        }
        if (node->kind == STORY_HANDLED && is_of_group(node->service, group)) {
            return true;
        }
        if ((node->kind == STORY_DEAD_LETTERED || node->kind == STORY_REDRIVEN) &&
            strcmp(story_text(node, "group"), group) == 0) {
            done = node->kind == STORY_DEAD_LETTERED; // the last one counts
        }
    }
    return done;
}

static bool subscribes(const cJSON *group, const char *topic)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(group, "topics"))
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, topic) == 0) {
            return true;
        }
    }
    return false;
}

// No line tells that the event reached the broker, or anybody behind it.
static bool was_heard_of(const struct story *self, const char *event_id)
{
    for (size_t i = 0; i < story_count(self); i++) {
        const struct story_node *node = story_node_at(self, i);
        if ((node->kind == STORY_HANDLED || node->kind == STORY_FAILED ||
             node->kind == STORY_DEAD_LETTERED) &&
            strcmp(story_text(node, "event_id"), event_id) == 0) {
            return true;
        }
    }
    return false;
}

static bool was_refused(const struct story *self, const char *event_id)
{
    for (size_t i = 0; i < story_count(self); i++) {
        const struct story_node *node = story_node_at(self, i);
        if (node->kind == STORY_REFUSED && strcmp(story_text(node, "event_id"), event_id) == 0) {
            return true;
        }
    }
    return false;
}

static void explain_outbox(struct story *self, size_t event, const char *problem)
{
    const struct story_node node = *story_node_at(self, event);
    char reason[STORY_REASON_SIZE];
    snprintf(reason, sizeof reason, "waiting in the outbox of %s: %s", node.service, problem);
    story_add_missing(self, event, node.service, reason);
}

static void explain_event(struct story *self, size_t event, const cJSON *groups)
{
    // A copy: to add a node moves them all.
    const struct story_node copy = *story_node_at(self, event);
    const struct story_node *node = &copy;
    const int64_t offset = node->offset;
    if (offset < 0 && !was_heard_of(self, story_text(node, "event_id"))) {
        explain_outbox(self,
                       event,
                       was_refused(self, story_text(node, "event_id"))
                           ? "the broker refused it, and gets it again when the service starts"
                           : "no answer of the broker is noted yet");
        return;
    }
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, groups)
    {
        const char *name = text_of(group, "name");
        const bool done = offset >= 0 && offset < number_of(group, "floor", 0);
        if (subscribes(group, story_text(node, "topic")) &&
            !has_settled(self, story_text(node, "event_id"), name, done)) {
            char reason[STORY_REASON_SIZE];
            group_reason(reason, group, story_text(node, "event_id"), story_subject(self));
            story_add_missing(self, event, name, reason);
        }
    }
}

void story_explain(struct story *self, const cJSON *broker_status, const char *problem)
{
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(broker_status, "groups");
    const size_t count = story_count(self);
    for (size_t i = 0; i < count; i++) {
        if (story_node_at(self, i)->kind != STORY_EVENT) {
            continue;
        }
        if (broker_status != NULL) {
            explain_event(self, i, groups);
        } else if (story_node_at(self, i)->offset < 0) {
            explain_outbox(self, i, problem);
        }
    }
}
