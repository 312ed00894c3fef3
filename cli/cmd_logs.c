// logs - what the processes wrote, merged by time.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/commands.h"
#include "cli/compose.h"
#include "cli/log_merge.h"
#include "cli/log_view.h"
#include "cli/stack.h"
#include "cli/target.h"
#include "cli/term.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    FOLLOW_GAP_NS = 50000000,
    FOLLOW_LINES = 20,
    NAMES_MAX = 64,
};

static const struct option_def logs_options[] = {
    {.name = "follow",
     .letter = 'f',
     .kind = OPTION_FLAG,
     .help = "go on with what is written from now on (begins with the last 20 lines)"},
    {.name = "lines",
     .letter = 'n',
     .kind = OPTION_INT,
     .value = "N",
     .min = 0,
     .max = 1000000,
     .help = "only the last N lines"},
    {.name = "level",
     .kind = OPTION_CHOICE,
     .value = "LEVEL",
     .fallback = "debug",
     .choices = "debug|info|warn|error",
     .help = "only lines of this level and above"},
    {.name = "full", .kind = OPTION_FLAG, .help = "show every field, also the ids of a trace"},
    {0},
};

// What to show, and what is held back until it is known whether it is of the last.
struct logs {
    const struct options *options;
    struct log_view view;
    int level_min;
    int64_t lines_max; // negative: all
    struct held {
        char *name; // owned
        struct buf text;
    } * held; // owned, a ring of lines_max
    size_t held_next;
    size_t held_count;
};

static int level_number(const char *level)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; level != NULL && i < ARRAY_LEN(levels); i++) {
        if (strcmp(levels[i], level) == 0) {
            return (int)i;
        }
    }
    return (int)ARRAY_LEN(levels); // what is no line of ours is always shown
}

static bool is_loud_enough(const struct logs *self, struct bytes line)
{
    if (self->level_min == 0) {
        return true;
    }
    cJSON *json = cJSON_ParseWithLength((const char *)line.data, line.size);
    const bool loud = level_number(json_text_of(json, "level")) >= self->level_min;
    cJSON_Delete(json);
    return loud;
}

static void print_line(const struct logs *self, const char *name, struct bytes line)
{
    if (options_flag(self->options, "json")) {
        fwrite(line.data, 1, line.size, stdout);
        putchar('\n');
    } else {
        log_view_print(&self->view, name, line, stdout);
    }
}

static void hold_line(struct logs *self, const struct log_line *line)
{
    struct held *held = &self->held[self->held_next];
    self->held_next = (self->held_next + 1) % (size_t)self->lines_max;
    self->held_count += self->held_count < (size_t)self->lines_max ? 1 : 0;
    free(held->name);
    held->name = mem_strdup(line->name);
    buf_clear(&held->text);
    buf_put(&held->text, line->text.data, line->text.size);
}

static void print_held(struct logs *self)
{
    for (size_t i = 0; i < self->held_count; i++) {
        const size_t capacity = (size_t)self->lines_max;
        struct held *held =
            &self->held[(self->held_next + capacity - self->held_count + i) % capacity];
        print_line(self, held->name, buf_view(&held->text));
        free(held->name);
        buf_release(&held->text);
    }
    free(self->held);
    self->held = NULL;
}

static void take_lines(struct logs *self, struct log_merge *merge)
{
    struct log_line line;
    while (log_merge_next(merge, &line)) {
        if (line.text.size == 0 || !is_loud_enough(self, line.text)) {
            continue;
        }
        if (self->held != NULL) {
            hold_line(self, &line);
        } else if (self->lines_max != 0) {
            print_line(self, line.name, line.text);
        }
    }
}

static void show(struct logs *self, struct log_merge *merge)
{
    if (self->lines_max > 0) {
        self->held = mem_calloc((size_t)self->lines_max, sizeof *self->held);
    }
    take_lines(self, merge);
    if (self->held != NULL) {
        print_held(self);
    }
    self->lines_max = -1;
    while (options_flag(self->options, "follow")) {
        // Whoever reads us may have gone; then writing ends this command.
        fflush(stdout);
        nanosleep(&(struct timespec){.tv_nsec = FOLLOW_GAP_NS}, NULL);
        take_lines(self, merge);
    }
}

// Is the process called name among the arguments? Without arguments all are.
static bool is_asked_for(const struct options *options, size_t service, int replica)
{
    const size_t count = options_arguments_count(options);
    for (size_t i = 0; i < count; i++) {
        size_t asked_service = 0;
        int asked_replica = 0;
        if (house_parse_process(options_argument(options, i), &asked_service, &asked_replica) &&
            asked_service == service && (asked_replica == 0 || asked_replica == replica)) {
            return true;
        }
    }
    return count == 0;
}

// The files are found by what lies in the folder: they outlive stack.json.
static size_t add_files(const struct logs *self, struct log_merge *merge, const char *dir)
{
    size_t added = 0;
    // A quiet log must be read from its start when only loud lines count.
    const int64_t lines_max = self->level_min > 0 ? -1 : self->lines_max;
    for (size_t service = 0; service < HOUSE_SERVICES_COUNT; service++) {
        for (int replica = 1; replica <= HOUSE_REPLICAS_MAX; replica++) {
            char name[HOUSE_NAME_SIZE];
            house_process_name(name, house_service(service), replica);
            char *path = mem_format("%s/logs/%s.log", dir, name);
            if (is_asked_for(self->options, service, replica) &&
                log_merge_add_file(merge, name, path, lines_max, 0) == ERR_OK) {
                added++;
            }
            free(path);
        }
    }
    return added;
}

static size_t add_containers(const struct logs *self, struct log_merge *merge,
                             const struct part *parts, size_t parts_count)
{
    size_t added = 0;
    const bool all = self->lines_max < 0 || self->level_min > 0;
    char *lines = all ? mem_strdup("all") : mem_format("%lld", (long long)self->lines_max);
    for (size_t i = 0; i < parts_count; i++) {
        const char *argv[8] = {"docker", "logs", "--tail", lines};
        size_t argc = 4;
        if (options_flag(self->options, "follow") && parts[i].state != PROCESS_DEAD) {
            argv[argc++] = "--follow";
        }
        argv[argc] = parts[i].container;
        if (is_asked_for(self->options, parts[i].service, parts[i].replica) &&
            log_merge_add_command(merge, parts[i].name, argv) == ERR_OK) {
            added++;
        }
    }
    free(lines);
    return added;
}

// Adds the logs of the stack that runs, or those that a stack left in dir.
static size_t add_logs(const struct logs *self, struct log_merge *merge, const char *dir)
{
    struct stack *stack = NULL;
    struct part *parts = NULL;
    size_t parts_count = 0;
    size_t added = 0;
    char *problem = NULL;
    stack_load(&stack, dir, &problem);
    const bool native_lives = stack != NULL && stack_living_count(stack) > 0;
    if (!native_lives && compose_list(&parts, &parts_count) == ERR_OK) {
        added = add_containers(self, merge, parts, parts_count);
    }
    if (added == 0) {
        added = add_files(self, merge, dir);
    }
    free(problem);
    free(parts);
    stack_destroy(&stack);
    return added;
}

static enum cli_exit logs_run(const struct options *options)
{
    const char *dir = cli_dir(options);
    for (size_t i = 0; i < options_arguments_count(options); i++) {
        size_t service = 0;
        int replica = 0;
        if (!house_parse_process(options_argument(options, i), &service, &replica)) {
            cli_problem("there is no service '%s'. There are: %s",
                        options_argument(options, i),
                        house_names());
            return CLI_UNKNOWN;
        }
    }
    const bool follow = options_flag(options, "follow");
    struct logs logs = {
        .options = options,
        .view = {.colours = term_has_colours(stdout), .full = options_flag(options, "full")},
        .level_min = level_number(options_text(options, "level")),
        .lines_max = options_is_given(options, "lines") ? options_int(options, "lines")
                     : follow                           ? FOLLOW_LINES
                                                        : -1,
    };
    struct log_merge *merge = log_merge_new(follow);
    enum cli_exit result = CLI_YES;
    if (add_logs(&logs, merge, dir) == 0) {
        cli_problem("there are no such logs in %s/logs. Start a stack: %s up", dir, cli_name());
        result = CLI_NO;
    } else {
        show(&logs, merge);
    }
    log_merge_destroy(&merge);
    return result;
}

const struct command cmd_logs = {
    .name = "logs",
    .topic = COMMAND_LOOK,
    .arguments = "[SERVICE...]",
    .summary = "show what the processes wrote, merged by time; -f goes on",
    .details = "With --json the lines as they were written, one JSON object each.\n",
    .options = logs_options,
    .arguments_max = NAMES_MAX,
    .run = logs_run,
};
