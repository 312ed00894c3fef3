#include "common/rebuild.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/record.h"
#include "common/service_state.h"

enum {
    PASSED_MAX = 512,    // events that a waiting one lets pass before it is recalled
    ATTEMPTS_MAX = 1001, // of an event that was handled, whatever BUS_RETRIES was then
    PLAN_VERSION = 10001 // its user_version, which no service's database has
};

const char rebuild_plan_schema[] =
    "CREATE TABLE deliveries (offset INTEGER PRIMARY KEY, time_us INTEGER NOT NULL,"
    " topic TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL);"
    "CREATE TABLE inputs (number INTEGER PRIMARY KEY, offset INTEGER NOT NULL);"
    "CREATE TABLE outputs (offset INTEGER PRIMARY KEY, cause TEXT NOT NULL, id TEXT NOT NULL,"
    " topic TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL);"
    "CREATE INDEX outputs_of_cause ON outputs (cause, offset);"
    "CREATE TABLE undone (number INTEGER PRIMARY KEY, offset INTEGER NOT NULL, key TEXT NOT NULL,"
    " topic TEXT NOT NULL, id TEXT NOT NULL, is_odd INTEGER NOT NULL, why TEXT NOT NULL);"
    "CREATE INDEX undone_by_key ON undone (key);"
    "PRAGMA user_version = 10001;";

static const char next_sql[] = "SELECT number, offset, time_us, topic, key, id, body"
                               " FROM inputs JOIN deliveries USING (offset)"
                               " WHERE number > ? ORDER BY number LIMIT 1";
static const char outputs_sql[] =
    "SELECT id, at, body, topic FROM outputs WHERE cause = ? ORDER BY offset";
static const char is_left_sql[] = "SELECT 1 FROM undone WHERE key = ? LIMIT 1";
static const char leave_sql[] = "INSERT INTO undone (number, offset, key, topic, id, is_odd, why)"
                                " SELECT number, offset, key, topic, id, ?, ?"
                                " FROM inputs JOIN deliveries USING (offset)"
                                " WHERE number = ?";

// An event of the plan, and what came of it. Zero is an empty one.
struct replay {
    int64_t number;
    uint64_t offset;
    uint64_t time_us;
    char *topic, *key, *id, *body; // owned
    char **outputs;                // owned; ids
    size_t outputs_count;
    char at[CLOCK_RFC3339_SIZE]; // when it was handled
    struct event *recalled;      // owned; the first output; NULL: none that can be read
};

// An event that waits for others.
struct waiting {
    int64_t number;
    char key[RECORD_KEY_MAX + 1]; // "": it holds nobody up
    unsigned passed;              // events that were handled meanwhile
};

struct rebuild {
    struct service *service; // borrowed
    struct store *plan;      // owned
    struct input *input;     // owned
    struct buf waiting;      // owned; of struct waiting, in the plan's order
    size_t left_count;
    int64_t done_count;
};

enum outcome {
    OUTCOME_DONE,
    OUTCOME_ODD,    // it came to something else than the log has
    OUTCOME_FAILED, // and the log tells of no outcome
    OUTCOME_BROKEN  // the database
};

// --- the plan

static void replay_release(struct replay *replay)
{
    for (size_t i = 0; i < replay->outputs_count; i++) {
        free(replay->outputs[i]);
    }
    free(replay->outputs);
    free(replay->topic);
    free(replay->key);
    free(replay->id);
    free(replay->body);
    event_destroy(&replay->recalled);
    *replay = (struct replay){0};
}

// Reads the first event behind number. ERR_NOT_FOUND: there is none.
static enum err read_next(struct rebuild *self, int64_t number, struct replay *out)
{
    *out = (struct replay){0};
    struct store_row *row = store_query(self->plan, next_sql);
    store_bind_int(row, number);
    const enum err err = store_next(row);
    if (err != ERR_OK) {
        return err;
    }
    out->number = store_int(row, 0);
    out->offset = (uint64_t)store_int(row, 1);
    out->time_us = (uint64_t)store_int(row, 2);
    out->topic = mem_strdup(store_text(row, 3));
    out->key = mem_strdup(store_text(row, 4));
    out->id = mem_strdup(store_text(row, 5));
    out->body = mem_strdup(store_text(row, 6));
    store_done(row);
    return ERR_OK;
}

static enum err read_outputs(struct rebuild *self, struct replay *replay)
{
    clock_format_rfc3339(replay->at, (int64_t)replay->time_us);
    struct store_row *row = store_query(self->plan, outputs_sql);
    store_bind_text(row, replay->id);
    enum err err = ERR_OK;
    while ((err = store_next(row)) == ERR_OK) {
        const size_t count = ++replay->outputs_count;
        replay->outputs = mem_realloc(replay->outputs, count * sizeof *replay->outputs);
        replay->outputs[count - 1] = mem_strdup(store_text(row, 0));
        if (count == 1) {
            struct json_problem problem;
            snprintf(replay->at, sizeof replay->at, "%s", store_text(row, 1));
            (void)event_parse(&replay->recalled, bytes_of_text(store_text(row, 2)), &problem);
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err leave(struct rebuild *self, const struct replay *replay, bool is_odd,
                      const char *why)
{
    self->left_count++;
    struct store_row *row = store_query(self->plan, leave_sql);
    store_bind_int(row, is_odd);
    store_bind_text(row, why);
    store_bind_int(row, replay->number);
    return store_run(row);
}

// Whether an earlier event of the key is left: then it is not this one's turn.
static bool is_left(struct rebuild *self, const char *key)
{
    if (self->left_count == 0 || key[0] == '\0') {
        return false;
    }
    struct store_row *row = store_query(self->plan, is_left_sql);
    store_bind_text(row, key);
    const bool found = store_next(row) == ERR_OK;
    if (found) {
        store_done(row);
    }
    return found;
}

// --- one event

// Takes what the log has out of the outbox. ERR_NOT_FOUND: the handler made no such event.
static enum err forget_outputs(struct rebuild *self, const struct replay *replay)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < replay->outputs_count && err == ERR_OK; i++) {
        err = outbox_forget(self->service->outbox, self->input->outbox_mark, replay->outputs[i]);
    }
    return err;
}

static enum outcome try_once(struct rebuild *self, const struct replay *replay, uint32_t attempt)
{
    struct service *service = self->service;
    struct input *input = self->input;
    *input = (struct input){.delivery = {.offset = replay->offset,
                                         .time_us = replay->time_us,
                                         .attempt = attempt,
                                         .topic = bytes_of_text(replay->topic),
                                         .key = bytes_of_text(replay->key),
                                         .id = bytes_of_text(replay->id),
                                         .body = bytes_of_text(replay->body)},
                            .outbox_mark = outbox_mark(service->outbox)};
    if (store_savepoint(service->store) != ERR_OK) {
        return OUTCOME_BROKEN;
    }
    service->present = input;
    const enum err handled = batch_handle_event(service, input);
    service->present = NULL;
    enum err kept = handled == ERR_OK ? forget_outputs(self, replay) : handled;
    outbox_undo(service->outbox, input->outbox_mark); // nobody publishes from here
    service->changes_count = 0;
    event_destroy(&input->event);
    if (store_is_broken(service->store) ||
        (kept == ERR_OK ? store_release(service->store) : store_rollback_to(service->store)) !=
            ERR_OK) {
        return OUTCOME_BROKEN;
    }
    if (kept == ERR_OK) {
        return OUTCOME_DONE;
    }
    if (input->why[0] == '\0') {
        snprintf(input->why, sizeof input->why, "%s", err_name(kept));
    }
    return handled == ERR_OK ? OUTCOME_ODD : OUTCOME_FAILED;
}

// Tries as often as the broker would have. The reason of a failure is in input->why.
static enum outcome replay_event(struct rebuild *self, struct replay *replay, bool recalls)
{
    struct service *service = self->service;
    if (read_outputs(self, replay) != ERR_OK) {
        return OUTCOME_BROKEN;
    }
    snprintf(service->now, sizeof service->now, "%s", replay->at);
    service->recalled = recalls ? replay->recalled : NULL;
    const bool has_outcome = replay->outputs_count > 0;
    const int64_t attempts =
        has_outcome ? ATTEMPTS_MAX : config_int(service->config, "BUS_RETRIES") + 1;
    enum outcome outcome = OUTCOME_FAILED;
    for (int64_t i = 1; i <= attempts && outcome == OUTCOME_FAILED; i++) {
        outcome = try_once(self, replay, (uint32_t)i);
    }
    service->recalled = NULL;
    if (outcome == OUTCOME_ODD) {
        snprintf(self->input->why,
                 sizeof self->input->why,
                 "the log has %s of it, and that does not come out",
                 replay->recalled == NULL ? "another event" : replay->recalled->type);
    }
    return outcome == OUTCOME_FAILED && has_outcome ? OUTCOME_ODD : outcome;
}

// --- those that wait

static struct waiting *waiting_at(const struct rebuild *self, size_t i)
{
    return (struct waiting *)(void *)self->waiting.data + i;
}

static size_t waiting_count(const struct rebuild *self)
{
    return self->waiting.size / sizeof(struct waiting);
}

static void remove_waiting(struct rebuild *self, size_t i)
{
    struct waiting *at = waiting_at(self, i);
    memmove(at, at + 1, (waiting_count(self) - i - 1) * sizeof *at);
    self->waiting.size -= sizeof *at;
}

// Whether one of the first count has the key.
static bool is_waiting(const struct rebuild *self, const char *key, size_t count)
{
    for (size_t i = 0; i < count && key[0] != '\0'; i++) {
        if (strcmp(waiting_at(self, i)->key, key) == 0) {
            return true;
        }
    }
    return false;
}

static void wait_for_others(struct rebuild *self, const struct replay *replay)
{
    struct waiting waiting = {.number = replay->number};
    snprintf(waiting.key, sizeof waiting.key, "%s", replay->key);
    buf_put(&self->waiting, &waiting, sizeof waiting);
}

// Handles an event whose turn it is. *done: it is dealt with, for good or left.
static enum err deal_with(struct rebuild *self, struct replay *replay, bool recalls, bool *done)
{
    *done = true;
    if (is_left(self, replay->key)) {
        return leave(self, replay, false, "an earlier event of its key is left");
    }
    const enum outcome outcome = replay_event(self, replay, recalls);
    switch (outcome) {
    case OUTCOME_DONE:
        self->done_count++;
        return ERR_OK;
    case OUTCOME_FAILED:
        return leave(self, replay, false, self->input->why);
    case OUTCOME_ODD:
        *done = recalls;
        return recalls ? leave(self, replay, true, self->input->why) : ERR_OK;
    default:
        return ERR_IO;
    }
}

static enum err retry(struct rebuild *self, size_t i, bool recalls, bool *done)
{
    struct replay replay;
    *done = false;
    enum err err = read_next(self, waiting_at(self, i)->number - 1, &replay);
    if (err == ERR_OK) {
        err = deal_with(self, &replay, recalls, done);
    }
    if (*done) {
        remove_waiting(self, i);
    }
    replay_release(&replay);
    return err;
}

// Something was handled: perhaps it is what one waits for. Each is tried again behind 1,
// 2, 4 .. more events, so that many of them cost little.
static enum err pass(struct rebuild *self)
{
    for (size_t i = 0; i < waiting_count(self);) {
        struct waiting *waiting = waiting_at(self, i);
        const unsigned passed = ++waiting->passed;
        bool done = false;
        if ((passed & (passed - 1)) == 0 && !is_waiting(self, waiting->key, i)) {
            const enum err err = retry(self, i, passed >= PASSED_MAX, &done);
            if (err != ERR_OK) {
                return err;
            }
        }
        i += done ? 0 : 1;
    }
    return ERR_OK;
}

// No more events will come.
static enum err end_waiting(struct rebuild *self)
{
    while (waiting_count(self) > 0) {
        bool any = false;
        for (size_t i = 0; i < waiting_count(self);) {
            bool done = false;
            if (!is_waiting(self, waiting_at(self, i)->key, i)) {
                const enum err err = retry(self, i, false, &done);
                if (err != ERR_OK) {
                    return err;
                }
            }
            any = any || done;
            i += done ? 0 : 1;
        }
        bool done = false; // none can go on by itself: the first one is recalled
        const enum err err = any ? ERR_OK : retry(self, 0, true, &done);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

// --- all of them

// A batch ends: what is done is durable.
static enum err commit(struct service *service)
{
    const enum err err = store_commit(service->store);
    return err == ERR_OK ? store_begin(service->store) : err;
}

static enum err replay_all(struct rebuild *self)
{
    struct replay replay;
    int64_t number = 0;
    enum err err = store_begin(self->service->store);
    for (size_t i = 1; err == ERR_OK; i++) {
        err = read_next(self, number, &replay);
        if (err != ERR_OK) {
            break;
        }
        number = replay.number;
        bool done = false;
        if (!is_waiting(self, replay.key, waiting_count(self))) {
            err = deal_with(self, &replay, false, &done);
        }
        if (err == ERR_OK && done) {
            err = pass(self);
        } else if (err == ERR_OK) {
            wait_for_others(self, &replay);
        }
        replay_release(&replay);
        if (err == ERR_OK && i % SERVICE_BATCH_MAX == 0) {
            err = commit(self->service);
        }
    }
    err = err == ERR_NOT_FOUND ? end_waiting(self) : err;
    return err == ERR_OK ? store_commit(self->service->store) : err;
}

// What cannot even begin, for the log, where `faultline rebuild` and a person look.
static enum err give_up(enum err err, char *problem)
{
    log_error("cannot rebuild", LOG_STR("error", problem));
    free(problem);
    return err;
}

static enum err open_plan(struct rebuild *self, const char *path)
{
    char *problem = NULL;
    if (access(path, R_OK) != 0) { // it would be made
        return give_up(ERR_NOT_FOUND, mem_format("cannot read %s: %s", path, strerror(errno)));
    }
    enum err err = store_open(&self->plan, path, &problem);
    if (err != ERR_OK) {
        return give_up(err, problem);
    }
    if (store_schema_version(self->plan) != PLAN_VERSION) {
        problem = mem_format("%s is no plan of `faultline rebuild` of this version", path);
        return give_up(ERR_INVALID, problem);
    }
    err = store_without_syncs(self->plan);
    err = err == ERR_OK ? store_begin(self->plan) : err;
    return err == ERR_OK ? err : give_up(err, mem_strdup(store_last_error(self->plan)));
}

// The rebuilt database is a new one: over another one the events would have had their
// effect already.
static enum err open_database(struct service *service)
{
    char *path =
        mem_format("%s/%s.db", config_text(service->config, "DATA_DIR"), service->def->name);
    const bool is_there = access(path, F_OK) == 0;
    char *problem = mem_format("%s is there already, and --rebuild makes a new one: set DATA_DIR "
                               "to a folder without it",
                               path);
    free(path);
    if (is_there) {
        return give_up(ERR_EXISTS, problem);
    }
    free(problem);
    const enum err err = service_open_store(service);
    return err == ERR_OK ? store_without_syncs(service->store) : err;
}

enum err rebuild_run(struct service *service, const char *plan_path)
{
    struct rebuild self = {.service = service, .input = mem_calloc(1, sizeof *self.input)};
    enum err err = open_plan(&self, plan_path);
    if (err == ERR_OK) {
        err = open_database(service);
    }
    if (err == ERR_OK) {
        err = replay_all(&self);
        if (err != ERR_OK) {
            log_error("cannot rebuild the database",
                      LOG_STR("error", store_last_error(service->store)),
                      LOG_STR("plan", store_last_error(self.plan)));
        }
    }
    if (err == ERR_OK) {
        err = store_commit(self.plan);
        log_info("rebuilt", LOG_INT("events", self.done_count), LOG_INT("left", self.left_count));
    }
    store_destroy(&self.plan);
    buf_release(&self.waiting);
    free(self.input);
    return err;
}
