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
    return RIG_RUN(scene->rig, "kill", "notification") == 0 || fail(scene, "notification lives");
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
    (void)RIG_RUN(scene->rig, "kill", "broker");
    return has;
}

static bool provoke_redrive(struct scene *scene)
{
    // It waits for an answer for long: a broker that dies never gives one.
    static const char *const redrive[] = {"dead-letters", "redrive", "--all", NULL};
    return rig_run_beside(scene->rig, redrive) || fail(scene, "redrive does not run");
}

static bool clean_up_redrive(struct scene *scene)
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
    return true;
}

// --- the table

static const struct {
    const char *points; // those whose name begins like this
    struct scenario scenario;
} scenarios[] = {
    {"broker-after-nack", {.provoke = provoke_letter}},
    {"broker-dead-letter-", {.provoke = provoke_letter}},
    {"broker-redrive-",
     {.prepare = prepare_letter, .provoke = provoke_redrive, .clean_up = clean_up_redrive}},
    {"broker-before-drop", {.spoils = true, .environment = {"RETENTION_BYTES", "1048576"}}},
    {"broker-after-drop", {.spoils = true, .environment = {"RETENTION_BYTES", "1048576"}}},
    {"broker-recovery-cut", {.starts = true, .prepare = prepare_torn}},
    {"broker-recover", {.starts = true}},
    {"broker-stop-", {.provoke = provoke_stop}},
    {"service-schema-made", {.starts = true}},
    {"service-relay-", {.prepare = prepare_outbox}},
    {"service-stop-", {.provoke = provoke_stop}},
    {"order-chain-failed", {.sync_token = "tok_declined"}},
    {"order-chain-released", {.sync_token = "tok_declined"}},
    // Nobody takes the message at the end of the chain: what was done is undone.
    {"order-chain-refunded", {.prepare = prepare_notification, .clean_up = clean_up_notification}},
    {"payment-refund-", {.prepare = prepare_notification, .clean_up = clean_up_notification}},
};

const struct scenario *scenario_of(const char *point)
{
    static const struct scenario traffic_alone = {0};
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        if (strncmp(point, scenarios[i].points, strlen(scenarios[i].points)) == 0) {
            return &scenarios[i].scenario;
        }
    }
    return &traffic_alone;
}
