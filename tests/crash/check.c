#include "tests/crash/check.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"

enum {
    BUSY_MS = 2000
};

static const char *const services[] = {
    "order", "payment", "inventory", "notification", "fraud", "ledger", "transfer"};

// What is on its way; -1: unknown.
struct unrest {
    int64_t lag;     // events that groups have not dealt with
    int64_t outbox;  // rows that wait to be published
    int64_t pending; // orders
    int64_t next;    // offset of the log
};

static int64_t number_of(const cJSON *json, const char *name)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsNumber(number) ? (int64_t)number->valuedouble : -1;
}

static void look_at_broker(struct rig *rig, struct unrest *out)
{
    cJSON *status = rig_get(rig, "broker", "/status");
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(status, "groups");
    const cJSON *group = NULL;
    out->next = number_of(cJSON_GetObjectItemCaseSensitive(status, "log"), "next_offset");
    out->lag = cJSON_GetArraySize(groups) == ARRAY_LEN(services) ? 0 : -1;
    cJSON_ArrayForEach(group, groups)
    {
        out->lag += number_of(group, "lag_events");
    }
    cJSON_Delete(status);
}

static int64_t outbox_of(struct rig *rig, const char *service)
{
    static const char name[] = "\nfaultline_outbox_events ";
    const char *metrics = rig_get_text(rig, service, "/metrics");
    const char *line = metrics == NULL ? NULL : strstr(metrics, name);
    return line == NULL ? -1 : strtoll(line + strlen(name), NULL, 10);
}

static struct unrest look(struct rig *rig)
{
    struct unrest unrest = {.pending = -1};
    look_at_broker(rig, &unrest);
    if (unrest.lag != 0) {
        unrest.outbox = -1; // it is not at rest in any case
    }
    for (size_t i = 0; i < ARRAY_LEN(services) && unrest.outbox >= 0; i++) {
        const int64_t rows = outbox_of(rig, services[i]);
        unrest.outbox = rows < 0 ? -1 : unrest.outbox + rows;
    }
    cJSON *orders =
        unrest.outbox < 0 ? NULL : rig_get(rig, "order", "/orders?status=pending&limit=500");
    if (orders != NULL) {
        unrest.pending = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(orders, "orders"));
    }
    cJSON_Delete(orders);
    return unrest;
}

// An event that is nowhere else is in an outbox, in the log, or with a handler that holds
// it. These are not looked at in one moment: a log that did not grow tells that no event
// went from the one that was still to be looked at to the one that had been.
enum check_rest check_rest(struct rig *rig, int poisons)
{
    struct unrest again = {0};
    const struct unrest unrest = look(rig);
    if (unrest.lag != 0 || unrest.outbox != 0 || unrest.pending < 0) {
        return CHECK_MOVES;
    }
    look_at_broker(rig, &again);
    if (again.lag != 0 || again.next != unrest.next) {
        return CHECK_MOVES;
    }
    return unrest.pending == poisons ? CHECK_SETTLED : CHECK_STUCK;
}

void check_unsettled(struct rig *rig, int poisons, char out[CELL_TEXT_SIZE])
{
    const struct unrest unrest = look(rig);
    (void)snprintf(
        out,
        CELL_TEXT_SIZE,
        "never at rest: lag %lld, outboxes %lld, orders pending %lld of them poisoned %d",
        (long long)unrest.lag,
        (long long)unrest.outbox,
        (long long)unrest.pending,
        poisons);
}

// --- verify

// How much more was found of a kind than before.
static int64_t more_of(struct check_findings *before, const char *name, int64_t count)
{
    size_t i = 0;
    while (i < before->kinds_count && strcmp(before->kinds[i].name, name) != 0) {
        i++;
    }
    if (i == CHECK_FINDINGS_MAX) {
        return 0;
    }
    if (i == before->kinds_count) {
        (void)snprintf(before->kinds[i].name, CELL_NAME_SIZE, "%s", name);
        before->kinds_count++;
    }
    const int64_t more = count - before->kinds[i].count;
    before->kinds[i].count = count;
    return more;
}

// Whose death may leave a finding. A call to one who lives is answered, and what was done is
// undone when a later call fails. So a chain leaves something only when order died in the
// middle of it, or when whoever was to do it, or to undo it, died while he was called: each
// client has one chain under way, so each death leaves one a client at most.
static const struct {
    const char *kind;
    const char *processes[4]; // whose death; ended by NULL; none: nobody's
} excuses[] = {
    {"charged-but-failed", {"order", "payment", "ledger"}}, // ledger undoes a part of a charge
    {"reserved-but-failed", {"order", "inventory"}},
    {"told-but-failed", {"order", "notification"}},
    {"interrupted", {"order"}},
    {"confirmed-in-part", {NULL}}, // each step was committed before it was answered
    {"of-no-order", {NULL}},       // and the order before the first one
};

// INT64_MAX: as many as there are.
static int64_t most_of(const struct rig *rig, const char *kind)
{
    for (size_t i = 0; i < ARRAY_LEN(excuses); i++) {
        if (strcmp(excuses[i].kind, kind) == 0) {
            int64_t deaths = 0;
            for (size_t p = 0; excuses[i].processes[p] != NULL; p++) {
                deaths += rig->deaths[house_index(excuses[i].processes[p])];
            }
            return deaths * TRAFFIC_CHAIN_CLIENTS;
        }
    }
    return INT64_MAX;
}

// false: there is more than may be.
static bool note_findings(const struct rig *rig, const cJSON *report, struct check_findings *before,
                          struct cell_result *out)
{
    const cJSON *kind = NULL;
    size_t size = 0;
    bool good = true;
    cJSON_ArrayForEach(kind, cJSON_GetObjectItemCaseSensitive(report, "chain"))
    {
        const char *name = json_text_of(kind, "name");
        const int64_t more = name == NULL ? 0 : more_of(before, name, number_of(kind, "found"));
        if (more > 0 && size < sizeof out->found) {
            out->findings += (int32_t)more;
            size += (size_t)snprintf(out->found + size,
                                     sizeof out->found - size,
                                     "%s%lld %s",
                                     size == 0 ? "" : ", ",
                                     (long long)more,
                                     name);
        }
        if (more > 0 && more > most_of(rig, name) && good) {
            (void)snprintf(out->said,
                           sizeof out->said,
                           "%lld %s, and the deaths account for %lld",
                           (long long)more,
                           name,
                           (long long)most_of(rig, name));
            good = false;
        }
    }
    return good;
}

// The checks that do not hold, and the first of what they found.
static void note_violations(const cJSON *report, struct cell_result *out)
{
    const cJSON *check = NULL;
    size_t size = 0;
    cJSON_ArrayForEach(check, cJSON_GetObjectItemCaseSensitive(report, "checks"))
    {
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(check, "list");
        const char *detail = json_text_of(cJSON_GetArrayItem(list, 0), "detail");
        if (number_of(check, "found") > 0 && size < sizeof out->said) {
            size += (size_t)snprintf(out->said + size,
                                     sizeof out->said - size,
                                     "%s%s: %s",
                                     size == 0 ? "" : "; ",
                                     json_text_of(check, "name"),
                                     detail == NULL ? "" : detail);
        }
    }
    const char *untold = json_text_of(report, "untold");
    if (size == 0) {
        (void)snprintf(out->said, sizeof out->said, "%s", untold == NULL ? "no verdict" : untold);
    }
}

bool check_verify(struct rig *rig, bool has_whole_log, struct check_findings *before,
                  struct cell_result *out)
{
    char *record = rig_record_path(rig);
    int code = RIG_RUN(rig, "verify", "--json", "--record", record);
    cJSON *report = cJSON_Parse((const char *)rig->said.data);
    if (report == NULL) {
        (void)snprintf(out->said, sizeof out->said, "%s", (const char *)rig->said.data);
    } else if (code == 0) {
        (void)snprintf(out->said, sizeof out->said, "holds");
    } else if (code == 2 && !has_whole_log && number_of(report, "broken") == 0) {
        (void)snprintf(out->said, sizeof out->said, "holds, as far as the log goes back");
        code = 0;
    } else {
        note_violations(report, out);
    }
    const bool good = note_findings(rig, report, before, out) && code == 0;
    cJSON_Delete(report);
    free(record);
    return good;
}

// --- as many as were asked for

// -1: it cannot be told.
static int64_t count_rows(const struct rig *rig, const char *service, const char *sql)
{
    char *path = mem_format("%s/data/%s/%s.db", rig->dir, service, service);
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    int64_t count = -1;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_busy_timeout(db, BUSY_MS) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &row, NULL) == SQLITE_OK &&
        sqlite3_step(row) == SQLITE_ROW) {
        count = sqlite3_column_int64(row, 0);
    }
    (void)sqlite3_finalize(row);
    (void)sqlite3_close(db);
    free(path);
    return count;
}

static bool fits(const char *what, int64_t count, int64_t accepted, int64_t unknown,
                 struct cell_result *out)
{
    if (count >= accepted && count <= accepted + unknown) {
        return true;
    }
    (void)snprintf(out->said,
                   sizeof out->said,
                   "%lld %s of %lld accepted and %lld unanswered keys",
                   (long long)count,
                   what,
                   (long long)accepted,
                   (long long)unknown);
    return false;
}

bool check_counts(struct rig *rig, int poisons, const struct traffic_sum *sum,
                  struct cell_result *out)
{
    static const char orders_sql[] = "SELECT count(*) FROM orders WHERE mode = 'async'";
    static const char transfers_sql[] = "SELECT count(*) FROM transfers";
    const int64_t orders = count_rows(rig, "order", orders_sql) - poisons;
    const int64_t transfers = count_rows(rig, "transfer", transfers_sql);
    return fits("orders", orders, sum->orders, sum->orders_unknown, out) &&
           fits("transfers", transfers, sum->transfers, sum->transfers_unknown, out);
}
