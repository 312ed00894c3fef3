// rebuild - makes a service's database anew from the log, to compare it with the living
// one or to take its place.
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/rebuild/rebuild_compare.h"
#include "cli/rebuild/rebuild_files.h"
#include "cli/rebuild/rebuild_replay.h"
#include "cli/rebuild/rebuild_report.h"
#include "cli/rebuild/rebuild_site.h"
#include "common/mem.h"

static const struct option_def rebuild_options[] = {
    {.name = "dry-run",
     .kind = OPTION_FLAG,
     .help = "change nothing: tell how the living database differs from what the log says"},
    {.name = "lose-http",
     .kind = OPTION_FLAG,
     .help = "do not take over what came over HTTP; needed when the living database is damaged"},
    {0},
};

// One run of the command. Zero is an empty one.
struct rebuild {
    struct rebuild_site site;
    bool loses_http;
    struct rebuild_work work; // owned
    struct rebuild_counts counts;
    cJSON *report; // owned
    int64_t differing;
};

// --- the living database

static enum cli_exit copy_living(struct rebuild *self)
{
    char *problem = NULL;
    if (rebuild_work_open(&self->work, self->site.stack, self->site.index, &problem) != ERR_OK) {
        return cli_cannot(problem);
    }
    const enum err err = rebuild_work_copy(&self->work, &problem);
    if (err == ERR_OK) {
        return CLI_YES;
    }
    cli_problem("%s", problem);
    free(problem);
    if (err == ERR_NOT_FOUND || self->loses_http || self->site.is_dry) {
        return CLI_YES; // it is told below what that means
    }
    cli_problem("what came to %s over HTTP is in that file alone. To rebuild without it (the file "
                "is kept): %s rebuild %s --lose-http",
                self->site.service->name,
                cli_name(),
                self->site.service->name);
    return CLI_UNKNOWN;
}

// --- the report

static void add_number(cJSON *json, const char *name, int64_t number)
{
    cJSON_AddNumberToObject(json, name, (double)number);
}

static enum cli_exit add_undone(struct rebuild *self, bool is_odd, int64_t *count, int64_t *first)
{
    char *problem = NULL;
    cJSON *events = NULL;
    const enum err err = rebuild_undone(self->work.plan, is_odd, &events, count, first, &problem);
    add_number(self->report, is_odd ? "odd" : "left", *count);
    cJSON_AddItemToObject(self->report, is_odd ? "first_odd" : "first_left", events);
    return err == ERR_OK ? CLI_YES : cli_cannot(problem);
}

static enum cli_exit compare(struct rebuild *self, int64_t *odd, int64_t *first_left)
{
    char *problem = NULL;
    if (self->work.is_copied && rebuild_work_check_version(&self->work, &problem) != ERR_OK) {
        return cli_cannot(problem);
    }
    cJSON *report = self->report = cJSON_CreateObject();
    cJSON_AddStringToObject(report, "service", self->site.service->name);
    cJSON_AddBoolToObject(report, "dry_run", self->site.is_dry);
    add_number(report, "log_end", self->counts.log_end);
    add_number(report, "events", self->counts.inputs);
    add_number(report, "given_up", self->counts.given_up);
    add_number(report, "under_way", self->counts.under_way);
    int64_t left = 0;
    int64_t unused = 0;
    enum cli_exit result = add_undone(self, true, odd, &unused);
    if (result == CLI_YES) {
        result = add_undone(self, false, &left, first_left);
    }
    const struct rebuild_files files = {.rebuilt = self->work.rebuilt,
                                        .plan = self->work.plan,
                                        .living = self->work.is_copied ? self->work.copy : NULL};
    cJSON *tables = NULL;
    if (result == CLI_YES &&
        rebuild_compare(
            self->site.service, &files, !self->loses_http, &tables, &self->differing, &problem) !=
            ERR_OK) {
        result = cli_cannot(problem);
    }
    cJSON_AddBoolToObject(report, "living", self->work.is_copied && !self->loses_http);
    if (result == CLI_YES) {
        cJSON_AddItemToObject(report, "tables", tables);
        add_number(report, "differing", self->differing);
        const int64_t orders = rebuild_count_sync(self->site.stack);
        if (orders >= 0) {
            add_number(report, "sync_orders", orders);
        }
        rebuild_report_notes(report, self->site.service);
    }
    return result;
}

static void say(const struct rebuild *self, const struct options *options)
{
    if (!options_flag(options, "json")) {
        rebuild_report_print(self->report);
    }
}

// --- the ends

static enum cli_exit end_dry(struct rebuild *self, const struct options *options, int64_t odd)
{
    say(self, options);
    const bool is_told = self->work.is_copied && odd == 0;
    const enum cli_exit result = !is_told ? CLI_UNKNOWN : self->differing == 0 ? CLI_YES : CLI_NO;
    static const char *const sentences[] = {
        [CLI_YES] = "The living database is what the log says, row by row.",
        [CLI_NO] = "The living database is not what the log says.",
        [CLI_UNKNOWN] = "So it cannot be told whether the living database is what the log says.",
    };
    if (options_flag(options, "json")) {
        cJSON_AddBoolToObject(self->report, "identical", result == CLI_YES);
        cli_print_json(&self->report);
    } else {
        printf("\n%s\n", sentences[result]);
    }
    return result;
}

// An event that fails here, though its group is done with it, was handled by other rules
// than today's.
static enum cli_exit end_replaced(struct rebuild *self, const struct options *options, int64_t odd,
                                  int64_t first_left)
{
    say(self, options);
    const bool is_lost = first_left < (int64_t)self->site.floor;
    if (odd > 0 || is_lost) {
        cli_problem("%s; nothing was replaced",
                    odd > 0 ? "the log tells of outcomes that do not come out again"
                            : "an event fails here that the group has dealt with");
        return CLI_UNKNOWN;
    }
    char *problem = NULL;
    char *kept = NULL;
    if (rebuild_work_exchange(&self->work, &kept, &problem) != ERR_OK) {
        return cli_cannot(problem);
    }
    if (options_flag(options, "json")) {
        cJSON_AddStringToObject(self->report, "database", self->work.living);
        if (kept != NULL) {
            cJSON_AddStringToObject(self->report, "kept", kept);
        }
        cli_print_json(&self->report);
    } else {
        printf("\n%s is rebuilt: %s\n", self->site.service->name, self->work.living);
        if (kept != NULL) {
            printf("What was there is kept: %s\n", kept);
        }
        printf("Let it go on: %s %s\n", cli_name(), self->site.down != NULL ? "up" : "start");
    }
    free(kept);
    return CLI_YES;
}

static enum cli_exit rebuild_run_command(const struct options *options)
{
    struct rebuild self = {.loses_http = options_flag(options, "lose-http")};
    int64_t odd = 0;
    int64_t first_left = INT64_MAX;
    // The group's floor before the copy: what is done below it is in there. The copy before
    // the log: what is in there has its events there.
    enum cli_exit result = rebuild_site_open(&self.site,
                                             options_argument(options, 0),
                                             cli_dir(options),
                                             options_flag(options, "dry-run"));
    if (result == CLI_YES) {
        result = copy_living(&self);
    }
    if (result == CLI_YES) {
        result = rebuild_replay(&self.site, &self.work, &self.counts);
    }
    if (result == CLI_YES) {
        result = compare(&self, &odd, &first_left);
    }
    if (result == CLI_YES) {
        result = self.site.is_dry ? end_dry(&self, options, odd)
                                  : end_replaced(&self, options, odd, first_left);
    }
    cJSON_Delete(self.report);
    rebuild_work_release(&self.work);
    rebuild_site_close(&self.site);
    return result;
}

const struct command cmd_rebuild = {
    .name = "rebuild",
    .topic = COMMAND_WORK,
    .arguments = "SERVICE",
    .summary = "make a stopped service's database anew from the log; --dry-run compares",
    .details =
        "The service's own handlers go through the events of the log again, in the order in\n"
        "which it handled them, over an empty database: payment, inventory, notification,\n"
        "fraud and ledger can be had back so. What came over HTTP is not in the log and is\n"
        "taken over from the living database. docs/rebuild.md says the rest.\n"
        "With --dry-run nothing is changed, the stack may run, and the exit code is 0 when the\n"
        "living database is what the log says, 1 when it is not.\n",
    .options = rebuild_options,
    .arguments_min = 1,
    .arguments_max = 1,
    .run = rebuild_run_command,
};
