#include "tests/crash/scenario.h"

#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    WAIT_MS = 30000,
    LOOK_MS = 20,
    LATE_MS = 10,
    SEGMENT_HEADER = 24
};

static bool fail(struct scene *scene, const char *problem)
{
    free(scene->problem);
    scene->problem = mem_strdup(problem);
    return false;
}

// --- what some points need

static bool prepare_notification(struct scene *scene)
{
    return rig_kill(scene->rig, "notification") || fail(scene, "notification lives");
}

static bool clean_up_notification(struct scene *scene)
{
    return RIG_RUN(scene->rig, "start", "notification") == 0 ||
           fail(scene, "notification does not come back");
}

// An order that payment gives up after four attempts, and that stays pending for ever.
static bool poison(struct scene *scene)
{
    static const char body[] = "{\"customer_id\":\"poison\",\"payment_token\":\"tok_poison\","
                               "\"items\":[{\"sku\":\"espresso-cup\",\"quantity\":1}]}";
    if (rig_post(scene->rig, "order", "/orders", body) != 202) {
        return fail(scene, "an order that payment gives up is not accepted");
    }
    ++*scene->poisons;
    return true;
}

static size_t letters_count(struct rig *rig)
{
    cJSON *json = rig_get(rig, "broker", "/dead-letters?limit=500");
    const cJSON *letters = cJSON_GetObjectItemCaseSensitive(json, "dead_letters");
    const size_t count = (size_t)cJSON_GetArraySize(letters);
    cJSON_Delete(json);
    return count;
}

static bool prepare_letter(struct scene *scene)
{
    const int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    (void)RIG_RUN(scene->rig, "start", "broker");
    const size_t before = letters_count(scene->rig);
    bool has = poison(scene);
    while (has && letters_count(scene->rig) <= before) {
        rig_pause_ms(LOOK_MS);
        has = clock_mono_ms() < deadline_ms || fail(scene, "payment gives nothing up");
    }
    (void)rig_kill(scene->rig, "broker");
    return has;
}

static bool provoke_redrive(struct scene *scene)
{
    // It waits for an answer for long: a broker that dies never gives one.
    static const char *const redrive[] = {"dead-letters", "redrive", "--all", NULL};
    return rig_run_beside(scene->rig, redrive) || fail(scene, "redrive does not run");
}

static bool clean_up_beside(struct scene *scene)
{
    rig_end_beside(scene->rig);
    return true;
}

// One poisoned order, and time for its attempts.
static bool provoke_letter(struct scene *scene)
{
    return poison(scene);
}

static bool provoke_stop(struct scene *scene)
{
    const pid_t pid = rig_pid(scene->rig, scene->cell->process);
    return (pid > 0 && kill(pid, SIGTERM) == 0) || fail(scene, "it cannot be told to stop");
}

// Rubbish behind the last batch, as a write leaves that was cut short.
static bool prepare_torn(struct scene *scene)
{
    static const char rubbish[] = "half a batch";
    char *pattern = mem_format("%s/data/broker/log/*.log", scene->rig->dir);
    glob_t files = {0};
    bool is_torn = false;
    if (glob(pattern, 0, NULL, &files) == 0) {
        FILE *file = fopen(files.gl_pathv[files.gl_pathc - 1], "r+");
        long tail = 0;
        int byte = 0;
        for (long at = 1; file != NULL && (byte = getc(file)) != EOF; at++) {
            tail = byte != 0 ? at : tail;
        }
        tail = tail < SEGMENT_HEADER ? SEGMENT_HEADER : tail;
        is_torn = file != NULL && fseek(file, tail, SEEK_SET) == 0 &&
                  fwrite(rubbish, sizeof rubbish - 1, 1, file) == 1;
        is_torn = file != NULL && fclose(file) == 0 && is_torn;
    }
    globfree(&files);
    free(pattern);
    return is_torn || fail(scene, "the log has no tail to be torn");
}

// It dies with rows in its outbox.
static bool prepare_outbox(struct scene *scene)
{
    const char *process = scene->cell->process;
    const int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    const int64_t from = rig_log_size(scene->rig, process);
    (void)RIG_RUN(scene->rig, "start", process, "--crash-at", "service-before-publish");
    while (!rig_log_has(scene->rig, process, from, "died at crash point service-before-publish")) {
        if (clock_mono_ms() >= deadline_ms) {
            return fail(scene, "it does not die with rows in its outbox");
        }
        rig_pause_ms(LOOK_MS);
    }
    rig_note_death(scene->rig, process);
    return true;
}

// --- groups that come and go: fraud's, which has no dead letters

// It leaves its group, so that it can be deleted; its start comes later.
static bool prepare_leave(struct scene *scene)
{
    (void)RIG_RUN(scene->rig, "start", "broker");
    const bool has_left = rig_stop(scene->rig, "fraud") || fail(scene, "fraud does not stop");
    (void)rig_kill(scene->rig, "broker");
    return has_left;
}

static bool prepare_no_group(struct scene *scene)
{
    const int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    (void)RIG_RUN(scene->rig, "start", "broker");
    bool is_gone = rig_stop(scene->rig, "fraud") || fail(scene, "fraud does not stop");
    // A member that could not say BYE is one until its heartbeats are missed.
    while (is_gone && RIG_RUN(scene->rig, "groups", "delete", "fraud") != 0) {
        rig_pause_ms(LOOK_MS);
        is_gone = clock_mono_ms() < deadline_ms || fail(scene, "fraud's group cannot be deleted");
    }
    (void)rig_kill(scene->rig, "broker");
    return is_gone;
}

// These wait for an answer of a broker that dies.
static bool provoke_create(struct scene *scene)
{
    static const char *const start[] = {"start", "fraud", NULL};
    return rig_run_beside(scene->rig, start) || fail(scene, "fraud does not start");
}

static bool provoke_delete(struct scene *scene)
{
    static const char *const delete[] = {"groups", "delete", "fraud", NULL};
    return rig_run_beside(scene->rig, delete) || fail(scene, "groups delete does not run");
}

static bool provoke_reset(struct scene *scene)
{
    static const char *const replay[] = {"replay", "fraud", "--from", "earliest", NULL};
    return rig_run_beside(scene->rig, replay) || fail(scene, "replay does not run");
}

// It may be running, of the start that made the broker die.
static bool restore_fraud(struct scene *scene)
{
    return RIG_RUN(scene->rig, "start", "fraud") == 0 ||
           strstr((const char *)scene->rig->said.data, "is not dead") != NULL ||
           fail(scene, "fraud does not come back");
}

// --- the table

// Enough that the traffic before has filled batches, outboxes and sockets; all come soon.
#define ANY_OF_FIRST .passings = 8

static const struct {
    const char *points; // those whose name begins like this
    struct scenario scenario;
} scenarios[] = {
    {"broker-before-write", {ANY_OF_FIRST, .late_ms = LATE_MS}}, // publishers have heard
    {"broker-after-nack", {.provoke = provoke_letter}},
    {"broker-dead-letter-", {.provoke = provoke_letter}},
    {"broker-redrive-",
     {.prepare = prepare_letter, .provoke = provoke_redrive, .clean_up = clean_up_beside}},
    {"broker-before-create",
     {.prepare = prepare_no_group,
      .provoke = provoke_create,
      .clean_up = clean_up_beside,
      .restore = restore_fraud}},
    {"broker-after-create",
     {.prepare = prepare_no_group,
      .provoke = provoke_create,
      .clean_up = clean_up_beside,
      .restore = restore_fraud}},
    {"broker-before-delete",
     {.prepare = prepare_leave,
      .provoke = provoke_delete,
      .clean_up = clean_up_beside,
      .restore = restore_fraud}},
    {"broker-after-delete",
     {.prepare = prepare_leave,
      .provoke = provoke_delete,
      .clean_up = clean_up_beside,
      .restore = restore_fraud}},
    {"broker-before-reset", {.provoke = provoke_reset, .clean_up = clean_up_beside}},
    {"broker-after-reset", {.provoke = provoke_reset, .clean_up = clean_up_beside}},
    {"broker-before-roll", {.passings = 1}}, // a segment takes seconds to be full
    {"broker-roll-", {.passings = 1}},
    // In a new stack: a listed dead letter would keep retention from dropping anything.
    {"broker-before-drop", {.spoils = true, .environment = {"RETENTION_BYTES", "1048576"}}},
    {"broker-after-drop", {.spoils = true, .environment = {"RETENTION_BYTES", "1048576"}}},
    {"broker-recovery-cut", {.starts = true, .prepare = prepare_torn}},
    {"broker-recover", {.starts = true}},
    {"broker-stop-", {.provoke = provoke_stop}},
    {"service-schema-made", {.starts = true}},
    {"service-relay-", {.prepare = prepare_outbox}},
    // Late: who was told something before the commit has heard it.
    {"service-before-commit", {ANY_OF_FIRST, .late_ms = LATE_MS}},
    {"service-request-uncommitted", {ANY_OF_FIRST, .late_ms = LATE_MS}},
    {"service-bus-flushed", {ANY_OF_FIRST, .late_ms = LATE_MS}}, // acks and publishes are heard
    {"service-before-nack", {.only = "payment", .provoke = provoke_letter}},
    // It dies before it has given up the first one, and knows all versions when it is back.
    {"service-before-reject",
     {.only = "payment inventory notification fraud ledger",
      .environment = {"EVENT_VERSION_MAX", "1"}}},
    {"service-stop-", {.provoke = provoke_stop}},
    {"order-chain-failed", {ANY_OF_FIRST, .sync_token = "tok_declined"}},
    {"order-chain-released", {ANY_OF_FIRST, .sync_token = "tok_declined"}},
    // Nobody takes the message at the end of the chain: what was done is undone.
    {"order-chain-refunded",
     {ANY_OF_FIRST, .prepare = prepare_notification, .clean_up = clean_up_notification}},
    {"payment-refund-",
     {ANY_OF_FIRST, .prepare = prepare_notification, .clean_up = clean_up_notification}},
    {"", {ANY_OF_FIRST}}, // traffic alone
};

const struct scenario *scenario_of(const char *point)
{
    size_t i = 0;
    while (strncmp(point, scenarios[i].points, strlen(scenarios[i].points)) != 0) {
        i++; // the last one is for all
    }
    return &scenarios[i].scenario;
}

bool scenario_reaches(const struct scenario *self, const char *process)
{
    return self->only == NULL || strstr(self->only, process) != NULL;
}
