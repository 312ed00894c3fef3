#include "cli/verify/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/verify/verify_db.h"
#include "cli/verify/verify_handled.h"
#include "cli/verify/verify_house.h"
#include "cli/verify/verify_record.h"
#include "cli/verify/verify_story.h"
#include "cli/verify/verify_waits.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    HELLO_TIMEOUT_MS = 5000
};

static const char *const noun_names[VERIFY_NOUNS] = {
    [VERIFY_ACCEPTED] = "answers of --record",
    [VERIFY_SUBJECTS] = "orders and transfers",
    [VERIFY_ORDERS] = "orders",
    [VERIFY_CHAIN] = "orders over HTTP",
    [VERIFY_GOODS] = "orders, both ways",
    [VERIFY_BANK] = "transfers",
    [VERIFY_EVENTS] = "events",
    [VERIFY_HANDLED] = "handled events",
    [VERIFY_PRODUCTS] = "products",
    [VERIFY_ENTRIES] = "entries",
    [VERIFY_ACCOUNTS] = "accounts",
    [VERIFY_MESSAGES] = "messages",
};

// In the order of the nouns; of events the log's counts tell. Behind them: how many orders
// and transfers are pending, and how many chains.
static const char count_sql[] =
    "SELECT (SELECT count(*) FROM accepted), orders + transfers, orders, chain, orders + chain,"
    " transfers, 0, 0,"
    " (SELECT count(*) FROM stock), (SELECT count(*) FROM entries),"
    " (SELECT count(*) FROM accounts), (SELECT count(*) FROM notifications), pending, running"
    " FROM (SELECT coalesce(sum(kind = 'order'), 0) AS orders,"
    "   coalesce(sum(kind = 'chain'), 0) AS chain,"
    "   coalesce(sum(kind = 'transfer'), 0) AS transfers,"
    "   coalesce(sum(status = 'pending' AND kind <> 'chain'), 0) AS pending,"
    "   coalesce(sum(status = 'pending' AND kind = 'chain'), 0) AS running FROM story)";

// In the order in which they are shown.
static const struct {
    const struct verify_check *checks;
    const size_t *count;
} parts[] = {
    {verify_checks_delivery, &verify_checks_delivery_count},
    {verify_checks_ends, &verify_checks_ends_count},
    {verify_checks_stock, &verify_checks_stock_count},
    {verify_checks_money, &verify_checks_money_count},
};

const char *verify_noun_name(enum verify_noun noun)
{
    return noun_names[noun];
}

struct verify {
    const struct verify_options *options; // borrowed
    struct verify_result *out;            // borrowed
    struct verify_db *db;                 // owned
    struct verify_subjects *subjects;     // owned
    struct verify_log *log;               // owned
    uint64_t handled;                     // inbox rows of events
    cJSON *status;                        // owned; the broker's
    char looked_at[CLOCK_RFC3339_SIZE];
    uint64_t looked[VERIFY_NOUNS];
    char **problem; // borrowed
};

static void progress(struct verify *self, const char *what, uint64_t done, uint64_t all)
{
    self->options->progress(self->options->context, what, done, all);
}

static enum err fail(struct verify *self, enum err err)
{
    if (*self->problem == NULL) {
        *self->problem = mem_strdup(verify_db_problem(self->db));
    }
    return err;
}

// --- looking

static enum err ask_broker(struct verify *self)
{
    struct bus_guest *guest = NULL;
    enum err err = bus_guest_open(&guest, self->options->bus_url, HELLO_TIMEOUT_MS);
    if (err == ERR_OK) {
        struct wire_control answer;
        const struct wire_control question = {.type = WIRE_STATUS};
        struct json_problem problem;
        const bool answered = bus_guest_ask(guest, question, &answer) == CLI_YES;
        err = answered ? json_parse(bus_guest_batch(guest), &self->status, &problem)
                       : ERR_UNAVAILABLE;
    }
    bus_guest_destroy(&guest);
    if (err != ERR_OK) {
        *self->problem =
            mem_format("the broker does not answer at %s, and only it can tell what is in the log "
                       "(is it paused? %s ps)",
                       self->options->bus_url,
                       cli_name());
    }
    return err;
}

static int64_t topic_bit(const char *topic)
{
    return INT64_C(1) << verify_topic_find(bytes_of_text(topic));
}

static enum err add_look(struct verify *self)
{
    const cJSON *log = cJSON_GetObjectItemCaseSensitive(self->status, "log");
    struct verify_row *row = NULL;
    enum err err = verify_db_run(self->db,
                                 "CREATE TABLE look (first_offset INTEGER, next_offset INTEGER,"
                                 " is_running INTEGER, looked_at TEXT,"
                                 " beginnings INTEGER, bank INTEGER)");
    if (err == ERR_OK) {
        row = verify_db_query(self->db, "INSERT INTO look VALUES (?, ?, ?, ?, ?, ?)");
        err = row == NULL ? ERR_IO : ERR_OK;
    }
    if (err == ERR_OK) {
        const cJSON *first = cJSON_GetObjectItemCaseSensitive(log, "first_offset");
        const cJSON *next = cJSON_GetObjectItemCaseSensitive(log, "next_offset");
        verify_row_bind_int(row, (int64_t)cJSON_GetNumberValue(first));
        verify_row_bind_int(row, (int64_t)cJSON_GetNumberValue(next));
        verify_row_bind_int(row, self->options->is_running);
        verify_row_bind_text(row, self->looked_at);
        verify_row_bind_int(row, topic_bit("order-created") | topic_bit("transfer-created"));
        verify_row_bind_int(row, topic_bit("transfer-created"));
        err = verify_row_next(row);
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    verify_row_done(&row);
    return err;
}

// The order is verify.h's.
static enum err look(struct verify *self)
{
    const struct verify_options *options = self->options;
    struct verify_record *record = NULL;
    enum err err =
        verify_record_read(&record, options->records, options->records_count, self->problem);
    clock_format_rfc3339(self->looked_at, clock_wall_us());
    if (err == ERR_OK) {
        err = ask_broker(self);
    }
    if (err == ERR_OK) {
        err = verify_db_open(&self->db, options->data, self->problem);
    }
    if (err != ERR_OK) {
        goto out;
    }
    err = add_look(self);
    if (err == ERR_OK) {
        err = verify_record_store(record, self->db);
    }
    if (err == ERR_OK) {
        self->subjects = verify_subjects_new();
        self->log = verify_log_new(self->db, self->subjects, self->status);
        err = verify_log_read(self->log, options->bus_url, options->progress, options->context);
        if (err != ERR_OK && err != ERR_IO) {
            *self->problem = mem_format("the log cannot be read to its end: %s",
                                        err == ERR_INVALID ? "its beginning was dropped meanwhile"
                                                           : "the broker went away");
        }
    }
    if (err != ERR_OK) {
        (void)fail(self, err);
    }

out:
    verify_record_destroy(&record);
    return err;
}

// --- the checks

static enum err count_nouns(struct verify *self)
{
    const struct verify_log_counts log = verify_log_counts(self->log);
    struct verify_row *row = verify_db_query(self->db, count_sql);
    const enum err err = row == NULL ? ERR_IO : verify_row_next(row);
    for (int i = 0; i < VERIFY_NOUNS && err == ERR_OK; i++) {
        self->looked[i] = (uint64_t)verify_row_int(row, i);
    }
    if (err == ERR_OK) {
        self->looked[VERIFY_EVENTS] = log.events;
        self->looked[VERIFY_HANDLED] = self->handled;
        self->out->pending = (uint64_t)verify_row_int(row, VERIFY_NOUNS);
        self->out->chain_runs =
            self->options->is_running ? (uint64_t)verify_row_int(row, VERIFY_NOUNS + 1) : 0;
    }
    verify_row_done(&row);
    return err;
}

static enum err run_check(struct verify *self, const struct verify_check *check,
                          struct verify_found *out)
{
    const size_t max = self->options->shown_max;
    *out = (struct verify_found){.check = check,
                                 .looked_at = self->looked[check->noun],
                                 .shown = mem_calloc(max + 1, sizeof *out->shown)};
    struct verify_row *row = verify_db_query(self->db, check->sql);
    enum err err = row == NULL ? ERR_IO : ERR_OK;
    while (err == ERR_OK && (err = verify_row_next(row)) == ERR_OK) {
        if (out->count++ < max) {
            const char *subject = verify_row_text(row, 0);
            const char *detail = verify_row_text(row, 1);
            struct verify_violation *violation = &out->shown[out->shown_count++];
            const bool has_subject = subject != NULL && subject[0] != '\0';
            violation->subject = has_subject ? mem_strdup(subject) : NULL;
            violation->detail = mem_strdup(detail == NULL ? "a value is not there" : detail);
        }
    }
    verify_row_done(&row);
    if (err == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    *self->problem =
        mem_format("the check %s cannot be made: %s", check->name, verify_db_problem(self->db));
    return err;
}

static enum err run_checks(struct verify *self)
{
    struct verify_result *out = self->out;
    size_t all = 0;
    for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
        all += *parts[p].count;
    }
    out->checks = mem_calloc(all, sizeof *out->checks);
    enum err err = ERR_OK;
    for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
        for (size_t i = 0; i < *parts[p].count && err == ERR_OK; i++) {
            progress(self, "checking", out->checks_count, all);
            err = run_check(self, &parts[p].checks[i], &out->checks[out->checks_count++]);
        }
    }
    out->findings = mem_calloc(verify_checks_chain_count, sizeof *out->findings);
    for (size_t i = 0; i < verify_checks_chain_count && err == ERR_OK; i++) {
        err = run_check(self, &verify_checks_chain[i], &out->findings[out->findings_count++]);
    }
    return err;
}

// --- what broke

static bool has_lineage(const struct verify_result *result, const char *subject)
{
    for (size_t i = 0; i < result->lineages_count; i++) {
        if (strcmp(result->lineages[i].subject, subject) == 0) {
            return true;
        }
    }
    return false;
}

static void read_lineages(struct verify *self)
{
    struct verify_result *out = self->out;
    const size_t max = self->options->shown_max;
    out->lineages = mem_calloc(max + 1, sizeof *out->lineages);
    for (size_t i = 0; i < out->checks_count; i++) {
        for (size_t k = 0; k < out->checks[i].shown_count && out->lineages_count < max; k++) {
            const char *subject = out->checks[i].shown[k].subject;
            if (subject != NULL && !has_lineage(out, subject)) {
                verify_lineage_read(&out->lineages[out->lineages_count++],
                                    subject,
                                    self->db,
                                    self->log,
                                    self->options->bus_url);
            }
        }
    }
}

// --- all of it

static void say_untold(struct verify *self)
{
    const struct verify_log_counts log = verify_log_counts(self->log);
    self->out->log = log;
    if (log.first_offset > 0) {
        self->out->untold = mem_format(
            "retention has dropped the log below offset %llu: what was said before that cannot be "
            "told, nor whether it was handled; what the databases say is compared in full",
            (unsigned long long)log.first_offset);
    }
}

static enum err compare(struct verify *self)
{
    const struct verify_options *options = self->options;
    enum err err = verify_handled_compare(self->db,
                                          self->log,
                                          self->subjects,
                                          self->status,
                                          &self->handled,
                                          options->progress,
                                          options->context);
    if (err == ERR_OK) {
        err = verify_log_note_strange(self->log);
    }
    if (err == ERR_OK) {
        err = verify_subjects_read(self->subjects, self->db, self->looked_at);
    }
    if (err == ERR_OK) {
        progress(self, "putting it together", 0, 1);
        err = verify_story_build(self->db, self->subjects);
    }
    if (err == ERR_OK) {
        err = count_nouns(self);
    }
    if (err == ERR_OK) {
        const struct verify_whereabouts where = {.status = self->status,
                                                 .is_broker_ours = options->is_broker_ours};
        err = verify_waits_read(self->db, &where, &self->out->waits, &self->out->waits_count);
    }
    if (err == ERR_OK) {
        err = run_checks(self);
    }
    return err == ERR_OK ? ERR_OK : fail(self, err);
}

enum err verify_run(const struct verify_options *options, struct verify_result *out, char **problem)
{
    *out = (struct verify_result){0};
    *problem = NULL;
    struct verify self = {.options = options, .out = out, .problem = problem};
    enum err err = look(&self);
    if (err == ERR_OK) {
        err = compare(&self);
    }
    if (err == ERR_OK) {
        read_lineages(&self);
        say_untold(&self);
    }
    cJSON_Delete(self.status);
    verify_db_destroy(&self.db);
    verify_log_destroy(&self.log);
    verify_subjects_destroy(&self.subjects);
    return err;
}

static void release_found(struct verify_found *found, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < found[i].shown_count; k++) {
            free(found[i].shown[k].subject);
            free(found[i].shown[k].detail);
        }
        free(found[i].shown);
    }
    free(found);
}

void verify_result_release(struct verify_result *result)
{
    release_found(result->checks, result->checks_count);
    release_found(result->findings, result->findings_count);
    verify_waits_release(result->waits, result->waits_count);
    for (size_t i = 0; i < result->lineages_count; i++) {
        verify_lineage_release(&result->lineages[i]);
    }
    free(result->lineages);
    free(result->untold);
    *result = (struct verify_result){0};
}

size_t verify_violations(const struct verify_result *result)
{
    size_t count = 0;
    for (size_t i = 0; i < result->checks_count; i++) {
        count += result->checks[i].count > 0 ? 1 : 0;
    }
    return count;
}
