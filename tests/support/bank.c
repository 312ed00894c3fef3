#include "tests/support/bank.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/mem.h"

const char *const bank_topics[] = {"transfer-created",
                                   "transfer-completed",
                                   "transfer-cancelled",
                                   "fraud-cleared",
                                   "fraud-flagged",
                                   "funds-held",
                                   "funds-rejected",
                                   "funds-released",
                                   "ledger-posted",
                                   "notification-sent",
                                   NULL};

enum {
    NAP_MS = 10,
    IDLE_LOOKS = 4 // looks in a row that must find nothing to do and nothing new
};

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000L}, NULL);
}

struct rig *bank_start(const char *const *settings)
{
    static const char *const services[] = {"fraud", "ledger", "notification", "transfer", NULL};
    return rig_start(services, settings);
}

void bank_transfer(struct rig *rig, const char *from, const char *to, int64_t amount_minor,
                   char id[UUID_SIZE])
{
    char *body = mem_format("{\"from_account\":\"%s\",\"to_account\":\"%s\","
                            "\"amount\":{\"amount_minor\":%lld,\"currency\":\"EUR\"}}",
                            from,
                            to,
                            (long long)amount_minor);
    struct rig_reply reply = rig_call(rig, "transfer", "POST", "/transfers", body, NULL);
    cr_assert_eq(reply.status, 202, "%s", reply.body);
    const char *given = json_text_of(reply.json, "transfer_id");
    cr_assert(given != NULL && uuid_is_valid(given));
    memcpy(id, given, UUID_SIZE);
    rig_reply_release(&reply);
    free(body);
}

void bank_wait_status(struct rig *rig, const char *id, const char *status)
{
    char *path = mem_format("/transfers/%s", id);
    rig_wait_member(rig, "transfer", path, "status", status);
    free(path);
}

void bank_expect_reason(struct rig *rig, const char *id, const char *reason)
{
    char *path = mem_format("/transfers/%s", id);
    rig_wait_member(rig, "transfer", path, "reason", reason);
    free(path);
}

char *bank_get(struct rig *rig, const char *service, const char *path)
{
    struct rig_reply reply = rig_call(rig, service, "GET", path, NULL, NULL);
    cr_assert_eq(reply.status, 200, "GET %s of %s gave %d", path, service, reply.status);
    char *body = mem_strdup(reply.body);
    rig_reply_release(&reply);
    return body;
}

static cJSON *get_json(struct rig *rig, const char *service, const char *path)
{
    char *body = bank_get(rig, service, path);
    cJSON *json = cJSON_Parse(body);
    cr_assert_not_null(json, "%s", body);
    free(body);
    return json;
}

static int64_t number_of(const cJSON *json, const char *outer, const char *inner)
{
    const cJSON *number =
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(json, outer), inner);
    cr_assert(cJSON_IsNumber(number), "there is no %s.%s", outer, inner);
    return (int64_t)number->valuedouble;
}

void bank_expect_account(struct rig *rig, const char *account, int64_t balance_minor,
                         int64_t held_minor)
{
    char *path = mem_format("/accounts/%s", account);
    cJSON *json = get_json(rig, "ledger", path);
    cr_expect_eq(number_of(json, "balance", "amount_minor"), balance_minor, "%s", account);
    cr_expect_eq(number_of(json, "held", "amount_minor"), held_minor, "%s", account);
    cr_expect_eq(
        number_of(json, "available", "amount_minor"), balance_minor - held_minor, "%s", account);
    cJSON_Delete(json);
    free(path);
}

void bank_expect_books(struct rig *rig)
{
    cJSON *json = get_json(rig, "ledger", "/trial-balance");
    const cJSON *sum = cJSON_GetObjectItemCaseSensitive(json, "sum_minor");
    cr_expect(cJSON_IsNumber(sum) && sum->valueint == 0);
    int64_t added_minor = 0;
    const cJSON *account = NULL;
    cJSON_ArrayForEach(account, cJSON_GetObjectItemCaseSensitive(json, "accounts"))
    {
        added_minor += number_of(account, "balance", "amount_minor");
        if (strcmp(json_text_of(account, "kind"), "customer") == 0) {
            cr_expect_geq(number_of(account, "available", "amount_minor"), 0);
        }
    }
    cr_expect_eq(added_minor, 0);
    cJSON_Delete(json);
}

int bank_get_count(struct rig *rig, const char *service, const char *path, const char *member)
{
    cJSON *json = get_json(rig, service, path);
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(json, member);
    cr_assert(cJSON_IsArray(rows));
    const int count = cJSON_GetArraySize(rows);
    cJSON_Delete(json);
    return count;
}

int64_t bank_next_offset(struct rig *rig)
{
    cJSON *json = get_json(rig, "broker", "/status");
    const int64_t next = number_of(json, "log", "next_offset");
    cJSON_Delete(json);
    return next;
}

// look gives the log's next offset, or -1 while a group has something to do.
static int64_t look(struct rig *rig)
{
    cJSON *json = get_json(rig, "broker", "/status");
    int64_t next = number_of(json, "log", "next_offset");
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(json, "groups"))
    {
        const cJSON *lag = cJSON_GetObjectItemCaseSensitive(group, "lag_events");
        if (strcmp(json_text_of(group, "name"), "tap") != 0 && lag->valueint != 0) {
            next = -1;
        }
    }
    cJSON_Delete(json);
    return next;
}

void bank_wait_idle(struct rig *rig)
{
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    int64_t seen = -1;
    for (int looks = 0; looks < IDLE_LOOKS;) {
        cr_assert(clock_mono_ms() < deadline_ms, "the groups never got to the end of the log");
        const int64_t next = look(rig);
        looks = next >= 0 && next == seen ? looks + 1 : 0;
        seen = next;
        nap();
    }
}

static bool has_dead_letter(struct rig *rig, const char *group, const char *event_id,
                            const char *error)
{
    char *path = mem_format("/dead-letters?group=%s", group);
    struct rig_reply reply = rig_call(rig, "broker", "GET", path, NULL, NULL);
    bool found = false;
    const cJSON *letter = NULL;
    cJSON_ArrayForEach(letter, cJSON_GetObjectItemCaseSensitive(reply.json, "dead_letters"))
    {
        const char *id = json_text_of(letter, "event_id");
        const char *why = json_text_of(letter, "error");
        found = found || (id != NULL && strcmp(id, event_id) == 0 && why != NULL &&
                          strstr(why, error) != NULL);
    }
    rig_reply_release(&reply);
    free(path);
    return found;
}

void bank_wait_dead_letter(struct rig *rig, const char *group, const char *event_id,
                           const char *error)
{
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    while (!has_dead_letter(rig, group, event_id, error)) {
        if (clock_mono_ms() > deadline_ms) {
            char *all = bank_get(rig, "broker", "/dead-letters");
            cr_assert(false, "%s has no dead letter that says \"%s\": %s", group, error, all);
        }
        nap();
    }
}

cJSON *bank_data(const char *id, const char *from, const char *to, int64_t amount_minor,
                 const char *reason)
{
    cJSON *data = cJSON_CreateObject();
    cJSON_AddStringToObject(data, "transfer_id", id);
    cJSON_AddStringToObject(data, "from_account", from);
    if (to != NULL) {
        cJSON_AddStringToObject(data, "to_account", to);
    }
    if (amount_minor != 0) {
        cJSON *amount = cJSON_AddObjectToObject(data, "amount");
        cJSON_AddNumberToObject(amount, "amount_minor", (double)amount_minor);
        cJSON_AddStringToObject(amount, "currency", "EUR");
    }
    if (reason != NULL) {
        cJSON_AddStringToObject(data, "reason", reason);
    }
    return data;
}
