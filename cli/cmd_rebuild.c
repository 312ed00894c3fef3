// rebuild - makes a service's database anew from the log, to compare it with the living
// one or to take its place.
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/rebuild/rebuild_compare.h"
#include "cli/rebuild/rebuild_files.h"
#include "cli/rebuild/rebuild_living.h"
#include "cli/rebuild/rebuild_replay.h"
#include "cli/rebuild/rebuild_report.h"
#include "cli/rebuild/rebuild_site.h"
#include "common/crash_point.h"
#include "common/mem.h"

static const struct option_def rebuild_options[] = {
    {.name = "dry-run",
     .kind = OPTION_FLAG,
     .help = "change nothing: tell how the living database differs from what the log says"},
    {.name = "lose-http",
     .kind = OPTION_FLAG,
     .help = "as if there were no living database: what came over HTTP is lost; for one that is "
             "damaged or of another version"},
    {0},
};

// One run of the command. Zero is an empty one.
struct rebuild {
    struct rebuild_site site;
    bool loses_http;
    struct rebuild_work work;      // owned
    struct rebuild_living *living; // owned
    const char *compared;          // borrowed; a copy of it; NULL: none that can be compared
    struct rebuild_counts counts;
    cJSON *report; // owned
    int64_t differing;
};

// --- the living database

// The living database cannot be compared, as problem says, which is freed.
static enum cli_exit go_without(const struct rebuild *self, char *problem)
{
    const char *name = self->site.service->name;
    cli_problem("%s", problem);
    free(problem);
    if (self->loses_http || self->site.is_dry) {
        return CLI_YES; // it is told below what that means
    }
    cli_problem("what came to %s over HTTP is in that file alone. To rebuild without it (the file "
                "is kept): %s rebuild %s --lose-http",
                name,
                cli_name(),
                name);
    return CLI_UNKNOWN;
}

static enum cli_exit copy_living(struct rebuild *self)
{
    char *problem = NULL;
    const struct rebuild_site *site = &self->site;
    if (rebuild_work_open(&self->work, site->stack, site->index, &problem) != ERR_OK) {
        return cli_cannot(problem);
    }
    if (rebuild_living_open(&self->living, self->work.living, !site->is_dry, &problem) != ERR_OK) {
        return cli_cannot(problem);
    }
    switch (rebuild_living_copy(self->living, self->work.copy, &problem)) {
    case ERR_OK:
        self->compared = self->loses_http ? NULL : self->work.copy;
        return CLI_YES;
    case ERR_NOT_FOUND:
        cli_problem("%s", problem);
        free(problem);
        return CLI_YES;
    case ERR_CORRUPT:
    case ERR_CONFLICT:
        return go_without(self, problem);
    default:
        return cli_cannot(problem);
    }
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
    const struct rebuild_files files = {
        .rebuilt = self->work.rebuilt, .plan = self->work.plan, .living = self->compared};
    cJSON *tables = NULL;
    if (result == CLI_YES) {
        const enum err err =
            rebuild_compare(self->site.service, &files, &tables, &self->differing, &problem);
        if (err == ERR_CONFLICT) {
            (void)go_without(self, problem);
        } else if (err != ERR_OK) {
            (void)cli_cannot(problem);
        }
        result = err == ERR_OK ? CLI_YES : CLI_UNKNOWN;
    }
    cJSON_AddBoolToObject(report, "living", self->compared != NULL);
    if (result == CLI_YES) {
        cJSON_AddItemToObject(report, "tables", tables);
        add_number(report, "differing", self->differing);
        char *path = rebuild_database_path(self->site.stack, house_index("order"));
        const int64_t orders = rebuild_living_count_sync(path);
        free(path);
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
    const bool is_told = self->compared != NULL && odd == 0;
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
    const enum err err =
        rebuild_living_replace(self->living, self->work.copy, self->work.rebuilt, &kept, &problem);
    if (err != ERR_OK) {
        if (kept != NULL) {
            cli_problem("what was there is kept as well: %s", kept);
        }
        free(kept);
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

// The command has crash points of its own; a name of another process's is not for it.
static void arm(void)
{
    const char *setting = getenv(CRASH_POINT_SETTING);
    char *problem = NULL;
    if (setting != NULL) {
        (void)crash_point_arm(setting, "rebuild", &problem);
        free(problem);
    }
}

static enum cli_exit rebuild_run_command(const struct options *options)
{
    arm();
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
        result = rebuild_replay(&self.site, &self.work, self.compared, &self.counts);
    }
    if (result == CLI_YES) {
        result = compare(&self, &odd, &first_left);
    }
    if (result == CLI_YES) {
        result = self.site.is_dry ? end_dry(&self, options, odd)
                                  : end_replaced(&self, options, odd, first_left);
    }
    cJSON_Delete(self.report);
    rebuild_living_destroy(&self.living);
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
