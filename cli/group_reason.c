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

// When the next try is due is left out: events that wait for the same reason shall have the
// same sentence. `faultline groups` tells it.
static void explain_failing(char out[GROUP_REASON_SIZE], const char *group, const cJSON *failing,
                            bool itself)
{
    const int failures = (int)number_of(failing, "failures", 0);
    snprintf(out,
             GROUP_REASON_SIZE,
             "waiting for %s: %s%s failed %d time%s (%s) and will be tried again",
             group,
             itself ? "it" : text_of(failing, "topic"),
             itself ? "" : " before it",
             failures,
             failures == 1 ? "" : "s",
             text_of(failing, "error"));
}

// ", 3 events behind" with its beginning, or nothing.
static void format_lag(char *out, size_t size, const char *before, int64_t lag)
{
    out[0] = '\0';
    if (lag > 0) {
        snprintf(out, size, "%s%lld event%s behind", before, (long long)lag, lag == 1 ? "" : "s");
    }
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
    char behind[48];
    if (cJSON_GetArraySize(members) > 0) {
        // Without any lag what it waits for was in hand a moment ago.
        format_lag(behind, sizeof behind, "it is ", lag);
        snprintf(out,
                 GROUP_REASON_SIZE,
                 "waiting for %s: %s",
                 name,
                 lag > 0 ? behind : "it is being handled");
        return;
    }
    char since[32] = "some time";
    const int64_t since_us = clock_parse_rfc3339(text_of(group, "no_member_since"));
    if (since_us >= 0) {
        format_ms(since, sizeof since, (clock_wall_us() - since_us) / 1000);
    }
    format_lag(behind, sizeof behind, ", ", lag);
    snprintf(out, GROUP_REASON_SIZE, "waiting for %s: no member for %s%s", name, since, behind);
}
