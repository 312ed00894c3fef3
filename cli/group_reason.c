#include "cli/group_reason.h"

#include <stdbool.h>
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

static void explain_failing(char out[GROUP_REASON_SIZE], const char *group, const cJSON *failing,
                            bool itself)
{
    char due[32];
    format_ms(due, sizeof due, number_of(failing, "due_in_ms", 0));
    snprintf(out,
             GROUP_REASON_SIZE,
             "waiting for %s: %s%s failed %d time%s (%s), next try in %s",
             group,
             itself ? "it" : text_of(failing, "topic"),
             itself ? "" : " before it",
             (int)number_of(failing, "failures", 0),
             number_of(failing, "failures", 0) == 1 ? "" : "s",
             text_of(failing, "error"),
             due);
}

void group_reason(char out[GROUP_REASON_SIZE], const cJSON *group, const char *event_id,
                  const char *subject)
{
    const char *name = text_of(group, "name");
    const cJSON *failing = find_failing(group, "event_id", event_id);
    if (failing != NULL) {
        explain_failing(out, name, failing, true);
        return;
    }
    failing = find_failing(group, "key", subject);
    if (failing != NULL) {
        explain_failing(out, name, failing, false);
        return;
    }
    const int64_t lag = number_of(group, "lag_events", 0);
    const cJSON *members = cJSON_GetObjectItemCaseSensitive(group, "members");
    if (cJSON_GetArraySize(members) > 0) {
        snprintf(out,
                 GROUP_REASON_SIZE,
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
             GROUP_REASON_SIZE,
             "waiting for %s: no member for %s, %d event%s behind",
             name,
             since,
             (int)lag,
             lag == 1 ? "" : "s");
}
