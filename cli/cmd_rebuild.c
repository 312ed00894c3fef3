// rebuild - makes a service's database anew from the log, to compare it with the living
// one or to take its place.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/bus_guest.h"
#include "cli/commands.h"
#include "cli/environment.h"
#include "cli/rebuild/rebuild_compare.h"
#include "cli/rebuild/rebuild_files.h"
#include "cli/rebuild/rebuild_plan.h"
#include "cli/rebuild/rebuild_report.h"
#include "cli/spawn.h"
#include "cli/target.h"
#include "cli/verify/verify_broker.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

extern char **environ;

enum {
    TOPICS_MAX = 64,
    LOCK_TIMEOUT_MS = 5000
};

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
    const struct rebuild_service *service;
    size_t index; // of house_service
    bool is_dry, loses_http;
    struct target *target;        // owned; NULL: the stack is down
    struct stack *down;           // owned; what `down` left; NULL: there is a target
    int lock;                     // on such a one; -1: none
    const struct stack *stack;    // borrowed from one of them
    struct verify_broker *broker; // owned; NULL: the stack's own runs
    char *url;                    // owned
    uint64_t floor;               // below it the group has handled all
    struct rebuild_work work;     // owned
    struct rebuild_counts counts;
    cJSON *report; // owned
    int64_t differing;
};

// Says a sentence and frees it.
static enum cli_exit cannot(char *problem)
{
    cli_problem("%s", problem == NULL ? "something went wrong" : problem);
    free(problem);
    return CLI_UNKNOWN;
}

// --- what must be so

static enum cli_exit find_service(struct rebuild *self, const char *name)
{
    self->service = rebuild_service_find(name);
    self->index = house_index(name);
    if (self->service == NULL) {
        cli_problem("there is no service '%s'. There are: %s", name, house_names());
        return CLI_UNKNOWN;
    }
    if (self->service->cannot != NULL) {
        cli_problem("%s cannot be rebuilt from the log: %s", name, self->service->cannot);
        return CLI_UNKNOWN;
    }
    return CLI_YES;
}

// A service that lives would write beside us; paused, it would when it goes on.
static enum cli_exit check_stopped(const struct rebuild *self)
{
    const struct stack_process *living = stack_find_living(self->stack, self->index);
    if (living == NULL) {
        return CLI_YES;
    }
    cli_problem("%s lives (pid %d): its database is replaced only while it does not run. End it: "
                "%s kill %s. To compare only: %s rebuild %s --dry-run",
                living->name,
                (int)living->id.pid,
                cli_name(),
                living->name,
                cli_name(),
                self->service->name);
    return CLI_UNKNOWN;
}

// What `down` left behind: data, and nobody who runs. CLI_NO: it is not so.
static enum cli_exit find_down(struct rebuild *self, const char *dir)
{
    char *problem = NULL;
    struct stack *stack = NULL;
    const bool is_down = stack_load(&stack, dir, &problem) == ERR_NOT_FOUND;
    char *data = mem_format("%s/data/broker", dir);
    const bool has_data = access(data, F_OK) == 0;
    free(data);
    free(problem);
    stack_destroy(&stack);
    if (!is_down || !has_data) {
        return CLI_NO;
    }
    problem = NULL;
    if (stack_lock(dir, LOCK_TIMEOUT_MS, &self->lock, &problem) != ERR_OK) {
        return cannot(problem);
    }
    char *bin = stack_own_bin();
    self->stack = self->down = stack_new(dir, bin);
    free(bin);
    return CLI_YES;
}

// The stack is locked while something of it is changed, or its log is read by a broker of
// ours: its own must not start meanwhile.
static enum cli_exit find_stack(struct rebuild *self, const char *dir)
{
    const enum cli_exit down = find_down(self, dir);
    if (down != CLI_NO) {
        return down;
    }
    enum err err = target_find(&self->target, dir);
    if (err == ERR_OK && self->target->stack != NULL &&
        (!self->is_dry || stack_find_living(self->target->stack, 0) == NULL)) {
        target_destroy(&self->target);
        err = target_find_to_change(&self->target, dir);
    }
    if (err != ERR_OK) {
        return CLI_UNKNOWN; // it has been said
    }
    self->stack = self->target->stack;
    if (self->stack == NULL) {
        cli_problem("rebuild works on a native stack (%s up), not on containers", cli_name());
        return CLI_UNKNOWN;
    }
    return self->is_dry ? CLI_YES : check_stopped(self);
}

// --- the broker

static enum cli_exit find_broker(struct rebuild *self)
{
    if (stack_find_living(self->stack, 0) != NULL) {
        self->url = mem_format("tcp://127.0.0.1:%d", self->stack->bus_port);
        return CLI_YES;
    }
    char *log = mem_format("%s/data/broker", self->stack->dir);
    char *problem = NULL;
    const enum err err = verify_broker_start(&self->broker, self->stack->bin, log, &problem);
    free(log);
    if (err != ERR_OK) {
        return cannot(problem);
    }
    self->url = mem_strdup(verify_broker_url(self->broker));
    return CLI_YES;
}

static uint64_t floor_of(struct bytes report, const char *name)
{
    cJSON *json = cJSON_ParseWithLength((const char *)report.data, report.size);
    uint64_t floor = 0;
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(json, "groups"))
    {
        const char *group_name = json_text_of(group, "name");
        const cJSON *number = cJSON_GetObjectItemCaseSensitive(group, "floor");
        if (group_name != NULL && strcmp(group_name, name) == 0 && cJSON_IsNumber(number)) {
            floor = (uint64_t)number->valuedouble;
        }
    }
    cJSON_Delete(json);
    return floor;
}

static enum cli_exit read_floor(struct rebuild *self)
{
    struct bus_guest *guest = bus_guest_visit(self->url);
    struct wire_control answer;
    const struct wire_control question = {.type = WIRE_STATUS};
    const enum cli_exit result =
        guest == NULL ? CLI_UNKNOWN : bus_guest_ask(guest, question, &answer);
    if (result == CLI_YES) {
        self->floor = floor_of(bus_guest_batch(guest), self->service->name);
    }
    bus_guest_destroy(&guest);
    return result == CLI_YES ? CLI_YES : CLI_UNKNOWN;
}

// --- the living database

static enum cli_exit copy_living(struct rebuild *self)
{
    char *problem = NULL;
    if (rebuild_work_open(&self->work, self->stack, self->index, &problem) != ERR_OK) {
        return cannot(problem);
    }
    const enum err err = rebuild_work_copy(&self->work, &problem);
    if (err == ERR_OK) {
        return CLI_YES;
    }
    cli_problem("%s", problem);
    free(problem);
    if (err == ERR_NOT_FOUND || self->loses_http || self->is_dry) {
        return CLI_YES; // it is told below what that means
    }
    cli_problem("what came to %s over HTTP is in that file alone. To rebuild without it (the file "
                "is kept): %s rebuild %s --lose-http",
                self->service->name,
                cli_name(),
                self->service->name);
    return CLI_UNKNOWN;
}

// --- the replay

static char *executable_of(const struct rebuild *self)
{
    return mem_format("%s/faultline-%s", self->stack->bin, self->service->name);
}

// Asks the executable what it subscribes to. The lines of text become topics.
static enum cli_exit read_topics(const char *path, struct buf *text,
                                 const char *topics[TOPICS_MAX + 1])
{
    const char *const argv[] = {path, "--topics", NULL};
    int code = -1;
    if (spawn_read(argv, text, &code) != ERR_OK || code != 0) {
        cli_problem("%s does not say what it subscribes to. Is it of this version?", path);
        return CLI_UNKNOWN;
    }
    buf_put_u8(text, 0);
    size_t count = 0;
    char *rest = NULL;
    char *line = strtok_r((char *)text->data, "\n", &rest);
    for (; line != NULL && count < TOPICS_MAX; line = strtok_r(NULL, "\n", &rest)) {
        topics[count++] = line;
    }
    topics[count] = NULL;
    return CLI_YES;
}

static enum cli_exit make_plan(struct rebuild *self, const char *const *topics)
{
    // A replacement takes all that the log has. A comparison takes what the living database
    // has handled, and what its group says that it has.
    const struct rebuild_choice choice = {.database = self->work.is_copied ? self->work.copy : NULL,
                                          .only_handled = self->is_dry && self->work.is_copied,
                                          .floor = self->floor};
    struct rebuild_plan *plan = NULL;
    char *problem = NULL;
    enum err err = rebuild_plan_open(&plan, self->work.plan, self->service->name, topics, &problem);
    if (err == ERR_OK) {
        err = rebuild_plan_read(plan, self->url, &problem);
    }
    if (err == ERR_OK) {
        err = rebuild_plan_schedule(plan, &choice, &self->counts, &problem);
    }
    rebuild_plan_destroy(&plan);
    return err == ERR_OK ? CLI_YES : cannot(problem);
}

// The service's own executable, with the settings of the stack, over an empty folder.
static enum cli_exit replay(struct rebuild *self, const char *path)
{
    const struct stack_process process = {.service = self->index, .replica = 1};
    const char *const argv[] = {path, "--rebuild", self->work.plan, NULL};
    char *data_dir = mem_format("DATA_DIR=%s", self->work.folder);
    char **environment = environment_of(self->stack, &process, environ);
    environment_set(environment, data_dir);
    char *problem = NULL;
    pid_t pid = 0;
    int status = -1;
    enum err err =
        spawn_helper(argv, (const char *const *)environment, self->work.log, &pid, &problem);
    while (err == ERR_OK && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (err == ERR_OK && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
        char *words = spawn_last_words(self->work.log);
        problem = mem_format("%s --rebuild failed: %s", path, words);
        free(words);
        err = ERR_IO;
    }
    environment_free(&environment);
    free(data_dir);
    return err == ERR_OK ? CLI_YES : cannot(problem);
}

static enum cli_exit build(struct rebuild *self)
{
    char *path = executable_of(self);
    struct buf text = {0};
    const char *topics[TOPICS_MAX + 1];
    enum cli_exit result = read_topics(path, &text, topics);
    if (result == CLI_YES) {
        result = make_plan(self, topics);
    }
    verify_broker_stop(&self->broker); // the log is read
    if (result == CLI_YES) {
        result = replay(self, path);
    }
    buf_release(&text);
    free(path);
    return result;
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
    return err == ERR_OK ? CLI_YES : cannot(problem);
}

static enum cli_exit compare(struct rebuild *self, int64_t *odd, int64_t *first_left)
{
    char *problem = NULL;
    if (self->work.is_copied && rebuild_work_check_version(&self->work, &problem) != ERR_OK) {
        return cannot(problem);
    }
    cJSON *report = self->report = cJSON_CreateObject();
    cJSON_AddStringToObject(report, "service", self->service->name);
    cJSON_AddBoolToObject(report, "dry_run", self->is_dry);
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
            self->service, &files, !self->loses_http, &tables, &self->differing, &problem) !=
            ERR_OK) {
        result = cannot(problem);
    }
    cJSON_AddBoolToObject(report, "living", self->work.is_copied && !self->loses_http);
    if (result == CLI_YES) {
        cJSON_AddItemToObject(report, "tables", tables);
        add_number(report, "differing", self->differing);
        const int64_t orders = rebuild_count_sync(self->stack);
        if (orders >= 0) {
            add_number(report, "sync_orders", orders);
        }
        rebuild_report_notes(report, self->service);
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
    const bool is_lost = first_left < (int64_t)self->floor;
    if (odd > 0 || is_lost) {
        cli_problem("%s; nothing was replaced",
                    odd > 0 ? "the log tells of outcomes that do not come out again"
                            : "an event fails here that the group has dealt with");
        return CLI_UNKNOWN;
    }
    char *problem = NULL;
    char *kept = NULL;
    if (rebuild_work_exchange(&self->work, &kept, &problem) != ERR_OK) {
        return cannot(problem);
    }
    if (options_flag(options, "json")) {
        cJSON_AddStringToObject(self->report, "database", self->work.living);
        if (kept != NULL) {
            cJSON_AddStringToObject(self->report, "kept", kept);
        }
        cli_print_json(&self->report);
    } else {
        printf("\n%s is rebuilt: %s\n", self->service->name, self->work.living);
        if (kept != NULL) {
            printf("What was there is kept: %s\n", kept);
        }
        printf("Let it go on: %s %s\n", cli_name(), self->down != NULL ? "up" : "start");
    }
    free(kept);
    return CLI_YES;
}

static enum cli_exit rebuild_run_command(const struct options *options)
{
    struct rebuild self = {.lock = -1,
                           .is_dry = options_flag(options, "dry-run"),
                           .loses_http = options_flag(options, "lose-http")};
    int64_t odd = 0;
    int64_t first_left = INT64_MAX;
    enum cli_exit result = find_service(&self, options_argument(options, 0));
    if (result == CLI_YES) {
        result = find_stack(&self, cli_dir(options));
    }
    if (result == CLI_YES) {
        result = find_broker(&self);
    }
    if (result == CLI_YES) {
        result = read_floor(&self); // before the copy: what is done below it is in there
    }
    if (result == CLI_YES) {
        result = copy_living(&self); // before the log: what is in there has its events there
    }
    if (result == CLI_YES) {
        result = build(&self);
    }
    if (result == CLI_YES) {
        result = compare(&self, &odd, &first_left);
    }
    if (result == CLI_YES) {
        result = self.is_dry ? end_dry(&self, options, odd)
                             : end_replaced(&self, options, odd, first_left);
    }
    cJSON_Delete(self.report);
    rebuild_work_release(&self.work);
    verify_broker_stop(&self.broker);
    free(self.url);
    stack_unlock(&self.lock);
    stack_destroy(&self.down);
    target_destroy(&self.target);
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
