#include "cli/verify/verify_waits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/group_reason.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    WAITS_MAX = 1000
};

static const cJSON *find_group(const struct verify_whereabouts *where, const char *name)
{
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(where->status, "groups"))
    {
        const char *other = json_text_of(group, "name");
        if (other != NULL && strcmp(other, name) == 0) {
            return group;
        }
    }
    return NULL;
}

// Why a group has not handled what lies before it.
static void explain_group(const struct verify_whereabouts *where, const char *name,
                          const char *event_id, const char *subject, char out[GROUP_REASON_SIZE])
{
    const cJSON *group = find_group(where, name);
    const bool fails = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(group, "failing")) > 0;
    if (group == NULL) {
        snprintf(out, GROUP_REASON_SIZE, "waiting for %s, which has no group", name);
    } else if (where->is_broker_ours && !(fails && event_id[0] != '\0')) {
        snprintf(out, GROUP_REASON_SIZE, "waiting for %s: no broker runs", name);
    } else {
        group_reason(out, group, event_id, subject);
    }
}

// Events that have failed have reasons of their own; there are few.
static enum err explain_failing(const struct verify_whereabouts *where, struct verify_row *set)
{
    enum err err = ERR_OK;
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(where->status, "groups"))
    {
        const cJSON *failing = NULL;
        cJSON_ArrayForEach(failing, cJSON_GetObjectItemCaseSensitive(group, "failing"))
        {
            const char *name = json_text_of(group, "name");
            const char *key = json_text_of(failing, "key");
            const char *id = json_text_of(failing, "event_id");
            if (err != ERR_OK || name == NULL || key == NULL || id == NULL) {
                continue;
            }
            char reason[GROUP_REASON_SIZE];
            explain_group(where, name, id, key, reason);
            verify_row_bind_text(set, reason);
            verify_row_bind_text(set, name);
            verify_row_bind_text(set, key);
            err = verify_row_next(set);
            err = err == ERR_NOT_FOUND ? ERR_OK : err;
        }
    }
    return err;
}

static enum err explain_groups(struct verify_db *db, const struct verify_whereabouts *where,
                               struct verify_row *set)
{
    struct verify_row *row =
        verify_db_query(db, "SELECT DISTINCT grp FROM missing WHERE class = 'waiting'");
    enum err err = row == NULL ? ERR_IO : ERR_OK;
    while (err == ERR_OK && (err = verify_row_next(row)) == ERR_OK) {
        char reason[GROUP_REASON_SIZE];
        explain_group(where, verify_row_text(row, 0), "", "", reason);
        verify_row_bind_text(set, reason);
        verify_row_bind_text(set, verify_row_text(row, 0));
        err = verify_row_next(set);
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    verify_row_done(&row);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err explain(struct verify_db *db, const struct verify_whereabouts *where)
{
    // What a dead letter of the group once said is not why it waits now.
    enum err err = verify_db_run(db,
                                 "UPDATE missing SET reason = NULL WHERE class = 'waiting';"
                                 "UPDATE missing SET reason = 'given up by ' || grp || ': ' ||"
                                 " coalesce(reason, 'it does not say why') WHERE class = 'dead'");
    struct verify_row *one = verify_db_query(
        db, "UPDATE missing SET reason = ? WHERE class = 'waiting' AND grp = ? AND subject = ?");
    struct verify_row *rest = verify_db_query(
        db, "UPDATE missing SET reason = ? WHERE class = 'waiting' AND grp = ? AND reason IS NULL");
    if (err == ERR_OK) {
        err = one == NULL || rest == NULL ? ERR_IO : explain_failing(where, one);
    }
    if (err == ERR_OK) {
        err = explain_groups(db, where, rest);
    }
    verify_row_done(&one);
    verify_row_done(&rest);
    return err;
}

// Pending first, and of those the most.
static const char waits_sql[] =
    "SELECT w.reason, count(DISTINCT iif(status = 'pending', w.subject, NULL)) AS pending,"
    "  count(DISTINCT iif(status = 'pending', NULL, w.subject)) AS ended, count(*)"
    " FROM (SELECT subject, reason FROM missing WHERE class <> 'lost'"
    "  UNION ALL SELECT subject, 'waiting in the outbox of ' || service ||"
    "   ': it has not reached the broker' FROM waiting WHERE NOT in_log AND refused IS NULL) w"
    " LEFT JOIN story s ON s.subject = w.subject"
    " GROUP BY w.reason ORDER BY pending DESC, ended DESC, w.reason LIMIT ?";

enum err verify_waits_read(struct verify_db *db, const struct verify_whereabouts *where,
                           struct verify_wait **waits, size_t *count)
{
    *waits = mem_calloc(WAITS_MAX, sizeof **waits);
    *count = 0;
    struct verify_row *row = NULL;
    enum err err = explain(db, where);
    if (err == ERR_OK) {
        row = verify_db_query(db, waits_sql);
        err = row == NULL ? ERR_IO : ERR_OK;
    }
    if (err == ERR_OK) {
        verify_row_bind_int(row, WAITS_MAX);
    }
    while (err == ERR_OK && (err = verify_row_next(row)) == ERR_OK) {
        (*waits)[(*count)++] = (struct verify_wait){.reason = mem_strdup(verify_row_text(row, 0)),
                                                    .pending = (uint64_t)verify_row_int(row, 1),
                                                    .ended = (uint64_t)verify_row_int(row, 2),
                                                    .events = (uint64_t)verify_row_int(row, 3)};
    }
    verify_row_done(&row);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

void verify_waits_release(struct verify_wait *waits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(waits[i].reason);
    }
    free(waits);
}
