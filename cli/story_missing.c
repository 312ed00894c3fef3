#include "cli/story_missing.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"

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

static void format_ms(char *out, size_t size, int64_t ms)
{
    if (ms < 1000) {
        snprintf(out, size, "%d ms", (int)ms);
    } else {
        snprintf(out, size, "%.1f s", (double)ms / 1000);
    }
}

static const cJSON *find_failing(const cJSON *group, const char *member, const char *text)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(group, "failing"))
    {
        if (strcmp(text_of(item, member), text) == 0) {
            return item;
        }
    }
    return NULL;
}

static void explain_failing(char out[STORY_REASON_SIZE], const char *group, const cJSON *failing,
                            bool itself)
{
    char due[32];
    format_ms(due, sizeof due, number_of(failing, "due_in_ms", 0));
    snprintf(out,
             STORY_REASON_SIZE,
             "waiting for %s: %s%s failed %d time%s (%s), next try in %s",
             group,
             itself ? "it" : text_of(failing, "topic"),
             itself ? "" : " before it",
             (int)number_of(failing, "failures", 0),
             number_of(failing, "failures", 0) == 1 ? "" : "s",
             text_of(failing, "error"),
             due);
}

static void explain_group(const struct story *self, char out[STORY_REASON_SIZE], const cJSON *group,
                          const char *event_id)
{
    const char *name = text_of(group, "name");
    const cJSON *failing = find_failing(group, "event_id", event_id);
    if (failing != NULL) {
        explain_failing(out, name, failing, true);
        return;
    }
    failing = find_failing(group, "key", story_subject(self));
    if (failing != NULL) {
        explain_failing(out, name, failing, false);
        return;
    }
    const int64_t lag = number_of(group, "lag_events", 0);
    const cJSON *members = cJSON_GetObjectItemCaseSensitive(group, "members");
    if (cJSON_GetArraySize(members) > 0) {
        snprintf(out,
                 STORY_REASON_SIZE,
                 "waiting for %s: it is %d event%s behind",
                 name,
                 (int)lag,
                 lag == 1 ? "" : "s");
        return;
    }
    char since[32] = "some time";
    const int64_t since_us = clock_parse_rfc3339(text_of(group, "no_member_since"));
    if (since_us >= 0) {
        format_ms(since, sizeof since, (clock_wall_us() - since_us) / 1000);
    }
    snprintf(out,
             STORY_REASON_SIZE,
             "waiting for %s: no member for %s, %d event%s behind",
             name,
             since,
             (int)lag,
             lag == 1 ? "" : "s");
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
        explain_outbox(self, event, "it has not reached the broker");
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
            explain_group(self, reason, group, story_text(node, "event_id"));
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
